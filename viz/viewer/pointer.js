// What does the pointer do over a scene? A hover tells a point's values, a click pins it, a drag is plotly's.

/** @import { PaneName } from "./panes.js" */
/** @import { Viewer } from "./viewer.js" */

const CLICK_SLACK_PX = 5;

/**
 * plotly reports a 3D click on mouse down, so every drag would be one: a click is a release near its press.
 * @param {Viewer} viewer
 * @param {PaneName} name
 */
export function listenToScene(viewer, name) {
  const { panes, parts } = viewer;
  const { signal } = viewer.stopping;
  const node = parts[`scene-${name}`];
  /** @type {[number, number] | null} */
  let press = null;
  let waiting = false;
  /** @param {MouseEvent} event @returns {[number, number]} */
  const place = (event) => {
    const box = node.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const touch = () => {
    panes.leader = panes[name];
    panes.main?.land();
    viewer.leaveView();
  };
  node.addEventListener("pointerdown", (event) => {
    press = event.button === 0 ? place(event) : null;
    touch();
    viewer.hover(null, name, event);
  }, { signal, capture: true });
  node.addEventListener("wheel", () => {
    panes.atHome = false;
    touch();
  }, { signal, capture: true, passive: true });
  window.addEventListener("pointerup", (event) => {
    if (!press || !viewer.data) return;
    const here = place(event);
    const moved = Math.hypot(here[0] - press[0], here[1] - press[1]);
    press = null;
    if (moved > CLICK_SLACK_PX) return;
    const point = panes[name]?.pick(...here) ?? null;
    if (point !== null) viewer.change({ point });
  }, { signal, capture: true });
  node.addEventListener("pointermove", (event) => {
    if (event.buttons) panes.atHome = false;
    if (event.buttons || waiting || !panes.main?.drawn) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const point = viewer.data ? panes[name]?.pick(...place(event)) ?? null : null;
      node.classList.toggle("pmv-pointing", point !== null);
      viewer.hover(point, name, event);
    });
  }, { signal });
  node.addEventListener("pointerleave", (event) => viewer.hover(null, name, event), { signal });
}
