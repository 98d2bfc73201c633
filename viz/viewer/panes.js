// How do two scenes act as one? Compare shows two students by one camera, and each scene rings the pinned and the hovered
// point.

import { Scene } from "./scene.js";

/** @import { Data, Marks, Plotly, Pose, Theme } from "./types.d.ts" */

/** @typedef {"main" | "compare"} PaneName */

/** @type {PaneName[]} */
export const PANES = ["main", "compare"];
const REST_MS = 400;
const TRACK_MS = 300;

export class Panes {
  /**
   * @param {Record<string, HTMLElement>} parts
   * @param {() => {point: number | null, hovered: number | null, comparing: boolean} | null} look what is pinned, what is
   *   hovered, and whether both scenes are shown; null without a shape
   */
  constructor(parts, look) {
    this.parts = parts;
    this.look = look;
    /** @type {Scene | null} */
    this.main = null;
    /** @type {Scene | null} */
    this.compare = null;
    /** @type {Scene | null} the one that was touched last */
    this.leader = null;
    this.following = false;
    this.tracking = false;
    this.trackUntil = 0;
    // Whether the camera stands where it opens: then it stays so in another size.
    this.atHome = true;
  }

  /** @param {Plotly} plotly @param {PaneName} name @returns {Scene} */
  open(plotly, name) {
    const scene = this[name] ?? new Scene(plotly, this.parts[`scene-${name}`], (touched) => this.onCamera(touched));
    this[name] = scene;
    return scene;
  }

  get scenes() {
    return [this.main, this.compare].filter((scene) => scene !== null);
  }

  // Those that are shown.
  get shown() {
    return [this.main, this.look()?.comparing ? this.compare : null].filter((scene) => scene !== null);
  }

  get drawnAll() {
    return Promise.all(this.scenes.map((scene) => scene.queue));
  }

  get rests() {
    return this.shown.every((scene) => scene.rests);
  }

  /**
   * @param {PaneName} name
   * @param {{data: Data, colors: string[], theme: Theme, marks: Marks, redraw: boolean}} drawing
   */
  show(name, { data, colors, theme, marks, redraw }) {
    const scene = this[name];
    // Asked for when it is drawn: a flight or a hand may turn the camera until then.
    const pose = () => (this.atHome ? scene?.homePose : this.main?.camera);
    if (redraw) scene?.draw(data, colors, theme, marks, pose);
    else scene?.repaint(colors, marks, theme);
  }

  /** @param {Pose} pose */
  turn(pose) {
    this.leader = this.main;
    this.main?.fly(pose);
  }

  goHome() {
    this.atHome = true;
    if (this.main) this.turn(this.main.homePose);
  }

  resize() {
    for (const scene of this.shown) scene.resize(() => this.atHome);
  }

  purge() {
    for (const scene of this.scenes) scene.purge();
  }

  // The pinned and the hovered point wear a ring that nothing in front can hide.
  placeRings() {
    const look = this.look();
    for (const name of PANES) {
      for (const [part, point] of /** @type {[string, number | null | undefined][]} */ ([["pin", look?.point], ["hover", look?.hovered]])) {
        const ring = this.parts[`${part}-${name}`];
        const at = point === null || point === undefined ? null : this[name]?.screenPositionOf(point);
        ring.hidden = !at;
        if (at) ring.style.transform = `translate(${at[0]}px, ${at[1]}px)`;
      }
    }
  }

  // plotly draws in a later frame than it reports, and goes on turning for some frames after its last report.
  trackRings() {
    this.trackUntil = performance.now() + TRACK_MS;
    if (this.tracking) return;
    this.tracking = true;
    const step = () => {
      this.placeRings();
      if (performance.now() < this.trackUntil || !this.rests) requestAnimationFrame(step);
      else this.tracking = false;
    };
    requestAnimationFrame(step);
  }

  /** @param {Scene} scene */
  onCamera(scene) {
    this.trackRings();
    // Only the scene that was touched last leads: what the other reports is an echo.
    if (!this.look()?.comparing || !this.main || !this.compare || this.following || scene !== this.leader) return;
    this.follow(scene, scene === this.main ? this.compare : this.main);
  }

  /**
   * plotly goes on turning for some frames after its last report, so the follower waits until the leader rests.
   * @param {Scene} leader
   * @param {Scene} follower
   */
  async follow(leader, follower) {
    this.following = true;
    let shown = "";
    let restsSince = performance.now();
    while (performance.now() - restsSince < REST_MS && this.look()?.comparing) {
      const pose = leader.camera;
      if (JSON.stringify(pose) !== shown) {
        shown = JSON.stringify(pose);
        await follower.setCamera(pose);
        restsSince = performance.now();
      }
      await new Promise((done) => requestAnimationFrame(done));
    }
    this.following = false;
  }
}
