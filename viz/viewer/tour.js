// How does one go from view to view: step by step, by a flight, or through all of them?

import { poseOfView } from "./camera.js";

/** @import { Viewer } from "./viewer.js" */

const PLAY_MS = 1500;

export class Tour {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {number | null} the view whose pose the camera has taken */
    this.flown = null;
    this.playing = 0;
  }

  /** @param {number} by */
  step(by) {
    const { data, state } = this.viewer;
    if (data) this.viewer.change({ view: (state.view + by + data.views) % data.views });
  }

  /** @param {number} view */
  flyTo(view) {
    const { data, panes } = this.viewer;
    if (!data) return;
    this.flown = view;
    panes.atHome = false;
    this.viewer.refresh({});
    panes.turn(poseOfView(data.cameras, view));
  }

  toggle() {
    if (this.playing) return this.stop();
    const { viewer } = this;
    /** @param {number} view */
    const go = (view) => {
      viewer.change({ view });
      this.flyTo(view);
    };
    go(viewer.state.view);
    this.playing = setInterval(() => { if (viewer.data) go((viewer.state.view + 1) % viewer.data.views); }, PLAY_MS);
    viewer.controls.showPlaying(true);
  }

  stop() {
    clearInterval(this.playing);
    this.playing = 0;
    this.viewer.controls.showPlaying(false);
  }
}
