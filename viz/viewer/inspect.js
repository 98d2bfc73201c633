// What does the page show, for tests and for a curious console? Read only.

import { projectToImage } from "./camera.js";

/** @import { Viewer } from "./viewer.js" */

const SETTLE_MS = 50;

/** @param {Uint8Array} bits */
const ones = (bits) => bits.reduce((sum, bit) => sum + bit, 0);

/** @param {Viewer} viewer */
export function inspect(viewer) {
  const { panes } = viewer;
  return Object.freeze({
    get phase() { return viewer.root.dataset.phase; },
    get state() { return structuredClone(viewer.state); },
    get drawn() { return panes.main?.drawn ?? 0; },
    get seen() { return viewer.data ? ones(viewer.data.seenInView[viewer.state.view]) : null; },
    get strong() { return viewer.painted ? ones(viewer.painted.strong) : null; },
    get camera() { return structuredClone(panes.main?.camera ?? null); },
    get comparing() { return viewer.comparing; },
    get compareCamera() { return structuredClone(panes.compare?.camera ?? null); },
    // The scene as a PNG, as the address of its data.
    picture: () => panes.main?.toImage() ?? null,
    get theme() { return viewer.shownTheme === viewer.host.config.theme.dark ? "dark" : "light"; },
    get name() { return viewer.data?.name ?? null; },
    // All calls to plotly are through, and the screen shows what they asked for.
    settled: async () => {
      await panes.drawnAll;
      do {
        await new Promise((done) => setTimeout(done, SETTLE_MS));
        await new Promise((done) => requestAnimationFrame(done));
      } while (!panes.rests);
      return true;
    },
    /** @param {number} x @param {number} y */
    pick: (x, y) => panes.main?.pick(x, y) ?? null,
    get discRadius() { return panes.main?.discs?.radius ?? null; },
    /** @param {number} n */
    screenPosition: (n) => panes.main?.screenPositionOf(n) ?? null,
    /** @param {number} view @param {number} n */
    imagePosition: (view, n) => {
      if (!viewer.data) return null;
      const { points, cameras } = viewer.data;
      return projectToImage(cameras, view, points[3 * n], points[3 * n + 1], points[3 * n + 2]).slice(0, 2);
    },
  });
}
