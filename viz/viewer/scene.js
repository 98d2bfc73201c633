// How is a cloud drawn and turned? One plotly scene, which is one WebGL context, kept for the page's whole life.

import { blendPoses, HALF_RANGE, homePose, SPAN, verticalFieldOfView } from "./camera.js";
import { colorBytes, Discs } from "./discs.js";
import { make } from "./dom.js";
import { clamp } from "./numbers.js";
import { parseColor } from "./palette.js";
import { PlotlyInsides } from "./plotly_insides.js";
import { markLines, rigCorners } from "./rig.js";

/** @import { Color, Data, Marks, Plotly, PlotlyNode, Pose, Theme } from "./types.d.ts" */

// plotly's traces are what marks the points: the rig, the selected camera, and its line of sight.
const MARKS = [0, 1, 2];
const FLIGHT_MS = 450;
// Of 1,024 points in a scene of 480 pixels; of fewer and of more.
const DISC_PX = 9.2;
const LARGEST_DISC_PX = 12.4;
const SMALLEST_DISC_PX = 2.8;
// An outline would leave little of a smaller disc.
const SMALLEST_OUTLINED_PX = 5.3;
const OUTLINE_PX = 0.5;
// plotly makes its plot anew one frame after the context is back.
const FRAMES_TO_COME_BACK = 120;
const LOST = "The graphics card dropped the 3D view; it comes back by itself, or reload the page.";
const NO_WEBGL = "This browser has no WebGL, by which the 3D view is drawn. Images, predictions and numbers are all here; "
  + "for the cloud, switch on hardware acceleration or take another browser.";
/** @param {string} version @param {string[]} missing */
const otherPlotly = (version, missing) => `The 3D view cannot be drawn by plotly.js ${version}, which lacks ${missing.join(", ")}: `
  + "install plotly as requirements.txt pins it. Images, predictions and numbers are all here.";

export class Scene {
  /**
   * @param {Plotly} plotly
   * @param {HTMLElement} node
   * @param {(scene: Scene) => void} onCamera told whenever the camera moves
   */
  constructor(plotly, node, onCamera) {
    this.plotly = plotly;
    this.node = node;
    this.insides = new PlotlyInsides(node);
    this.onCamera = onCamera;
    this.drawn = 0;
    /** @type {Promise<unknown>} */
    this.queue = Promise.resolve();
    this.fieldOfView = Math.PI / 3;
    this.flight = 0;
    this.unsupported = false;
    /** @type {Data | null} */
    this.data = null;
    /** @type {string[]} */
    this.colors = [];
    this.marks = "";
    /** @type {Color} */
    this.outlineColor = [0, 0, 0];
    /** @type {Discs | null} */
    this.discs = null;
    /** @type {((value?: unknown) => void) | null} */
    this.goOn = null;
    this.notice = make("p", { class: "pmv-notice", attrs: { role: "alert" } });
    this.say("");
    node.after(this.notice);
    // Caught on their way to plotly's canvas.
    node.addEventListener("webglcontextlost", (event) => this.onLost(event), { capture: true });
    node.addEventListener("webglcontextrestored", () => this.onRestored(), { capture: true });
  }

  get camera() {
    return this.insides.camera;
  }

  get rests() {
    return this.insides.rests;
  }

  /**
   * Calls to plotly run one after another: overlapping calls on one graph lose updates.
   * @param {() => unknown} task
   */
  enqueue(task) {
    this.queue = this.queue.then(() => (this.unsupported ? null : task())).catch((error) => console.error("3D view:", error));
    return this.queue;
  }

  /** @param {string} sentence in place of the cloud; none for "" */
  say(sentence) {
    this.notice.textContent = sentence;
    this.notice.hidden = !sentence;
  }

  // The browser takes contexts away (a driver starts anew, a laptop changes its card) and gives one back only where
  // somebody asked for it. Until then whatever is to be drawn waits.
  /** @param {Event} event */
  onLost(event) {
    event.preventDefault();
    this.say(LOST);
    if (this.goOn) return;
    const back = new Promise((done) => { this.goOn = done; });
    this.enqueue(() => back);
  }

  async onRestored() {
    const { insides } = this;
    for (let frame = 0; !insides.hasNewPlot && frame < FRAMES_TO_COME_BACK; frame++) {
      await new Promise((done) => requestAnimationFrame(done));
    }
    if (!insides.hasNewPlot || !this.goOn || !this.data) return; // the sentence stays
    insides.dropOldPlot();
    this.takePlot();
    this.fillDiscs(this.data, this.colors);
    this.say("");
    this.goOn();
    this.goOn = null;
    this.onCamera(this);
  }

  // Without WebGL plotly shows a box that sends the visitor to a foreign site, and its scene answers nothing.
  /** @param {string} sentence */
  giveUp(sentence) {
    this.unsupported = true;
    this.plotly.purge(this.node);
    this.say(sentence);
  }

  /**
   * Draw a cloud with its marks, seen from what `pose` gives.
   * @param {Data} data
   * @param {string[]} colors
   * @param {Theme} theme
   * @param {Marks} marks
   * @param {() => Pose | undefined} pose
   */
  draw(data, colors, theme, marks, pose) {
    this.data = data;
    this.colors = colors;
    this.marks = JSON.stringify(marks);
    this.fieldOfView = verticalFieldOfView(data.cameras);
    this.outlineColor = parseColor(theme.colors.scene);
    const quiet = { type: "scatter3d", hoverinfo: "skip", showlegend: false };
    const traces = markLines(data, marks, theme).map(({ color, width, ...line }) => (
      { ...quiet, mode: "lines", ...line, line: { color, width } }
    ));
    // Nothing of the axes is drawn. `visible: false` says the same, but plotly then still cuts the letters of the hidden
    // labels out of pictures before it draws the first point.
    const axis = {
      range: [-HALF_RANGE, HALF_RANGE], autorange: false, showspikes: false, showbackground: false, showgrid: false,
      showline: false, zeroline: false, title: { text: "" }, tickmode: "array", tickvals: [], ticks: "", showticklabels: false,
    };
    const aspect = (2 * HALF_RANGE) / SPAN;
    /** @type {{scene: Record<string, unknown>, [key: string]: unknown}} */
    const layout = {
      autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
      scene: {
        xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "manual", aspectratio: { x: aspect, y: aspect, z: aspect },
        bgcolor: "rgba(0,0,0,0)", dragmode: "turntable", hovermode: false, uirevision: "kept",
      },
    };
    const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
    this.enqueue(async () => {
      // Asked for only now: a flight or a hand may have turned the camera while this call waited.
      layout.scene.camera = pose();
      const { insides } = this;
      const first = !insides.scene;
      await this.plotly.react(this.node, traces, layout, config);
      if (insides.scene && !insides.plot) return this.giveUp(NO_WEBGL);
      if (first) {
        if (insides.missing.length) return this.giveUp(otherPlotly(this.plotly.version, insides.missing));
        insides.keepTurntable();
        const report = () => this.onCamera(this);
        const node = /** @type {PlotlyNode} */ (this.node);
        node.on("plotly_relayouting", report);
        node.on("plotly_relayout", report);
      }
      this.takePlot();
      this.fillDiscs(data, colors);
      this.drawn = data.count;
    });
  }

  // The points join plotly's plot, the first and each that it makes after a loss, and are drawn in its frames.
  takePlot() {
    if (!this.insides.hasNewPlot) return;
    this.discs = this.insides.join((gl) => new Discs(gl, () => this.insides.screenMatrix));
  }

  /** @param {Data} data @param {string[]} colors */
  fillDiscs(data, colors) {
    this.discs?.move(data.points);
    this.discs?.recolor(colorBytes(colors));
    this.discs?.style(this.discStyle(data.count), this.outlineColor);
    this.fitFieldOfView();
  }

  /**
   * Dense clouds and small scenes want small points.
   * @param {number} count
   */
  discStyle(count) {
    const room = clamp(Math.min(this.node.clientWidth, this.node.clientHeight) / 480, 0.6, 1.6);
    const wanted = DISC_PX * Math.sqrt(1024 / count);
    const diameter = clamp(wanted, SMALLEST_DISC_PX, LARGEST_DISC_PX) * room;
    return { diameter, outline: diameter >= SMALLEST_OUTLINED_PX ? OUTLINE_PX : 0 };
  }

  // The scene opens as wide as the rig's images, so that a flight to a view shows what the thumbnail shows.
  fitFieldOfView() {
    if (!this.insides.plot) return;
    this.insides.fieldOfView = 2 * Math.atan(this.halfOpening.high);
  }

  // Tangents of half the opening, to the side and upwards: the narrower is the rig's images'.
  get halfOpening() {
    const { clientWidth: width, clientHeight: height } = this.node;
    const half = Math.tan(this.fieldOfView / 2);
    return { wide: half * Math.max(1, width / Math.max(height, 1)), high: half * Math.max(1, height / Math.max(width, 1)) };
  }

  // From where the whole rig is in sight, whatever the pane's form.
  get homePose() {
    const { wide, high } = this.halfOpening;
    return homePose(this.data ? rigCorners(this.data.cameras) : [], wide, high);
  }

  /**
   * Show other colours, and the rig, the selected view's camera and its line of sight to the pinned point. All in one
   * frame: the colours wait for plotly's turn.
   * @param {string[]} colors
   * @param {Marks} marks
   * @param {Theme} theme
   */
  repaint(colors, marks, theme) {
    const recolored = !colors.every((color, n) => color === this.colors[n]);
    const moved = JSON.stringify(marks) !== this.marks;
    this.colors = colors;
    this.marks = JSON.stringify(marks);
    const { data } = this;
    if (!data || (!recolored && !moved)) return;
    this.enqueue(() => {
      if (recolored) this.discs?.recolor(colorBytes(colors));
      if (!moved) return;
      const lines = markLines(data, marks, theme);
      const update = {
        x: lines.map(({ x }) => x), y: lines.map(({ y }) => y), z: lines.map(({ z }) => z),
        "line.color": lines.map(({ color }) => color),
      };
      return this.plotly.restyle(this.node, update, MARKS);
    });
  }

  /** @param {Pose | undefined} camera */
  setCamera(camera) {
    return this.enqueue(() => this.plotly.relayout(this.node, { "scene.camera": camera }));
  }

  /**
   * Turn to a pose over a moment; a second call, or the user's hand, ends the first flight.
   * @param {Pose} pose
   */
  async fly(pose) {
    const ticket = ++this.flight;
    const from = this.camera ?? pose;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const start = performance.now();
    while (!still && this.flight === ticket) {
      const t = (performance.now() - start) / FLIGHT_MS;
      if (t >= 1) break;
      await this.setCamera(blendPoses(from, pose, t));
      await new Promise((done) => requestAnimationFrame(done));
    }
    if (this.flight === ticket) await this.setCamera(pose);
  }

  land() {
    this.flight += 1;
  }

  /**
   * Screen position of a world point, in CSS pixels of the node, and its depth; null behind the camera.
   * @param {number} x
   * @param {number} y
   * @param {number} z
   */
  screenPosition(x, y, z) {
    const matrix = this.insides.screenMatrix;
    if (!matrix) return null;
    const [a, b, , w] = [0, 1, 2, 3].map((r) => matrix[r] * x + matrix[4 + r] * y + matrix[8 + r] * z + matrix[12 + r]);
    if (w <= 0) return null;
    return [(0.5 + (0.5 * a) / w) * this.node.clientWidth, (0.5 - (0.5 * b) / w) * this.node.clientHeight, w];
  }

  /**
   * The point under the pointer: of the discs that cover it the front-most, which is the one that is seen there; where
   * none does, of those within reach the one in front.
   * @param {number} px
   * @param {number} py
   * @param {number} [reach]
   * @returns {number | null}
   */
  pick(px, py, reach = 9) {
    const matrix = this.insides.screenMatrix;
    const { data } = this;
    if (!matrix || !data) return null;
    const { clientWidth: width, clientHeight: height } = this.node;
    const radius = this.discs?.radius ?? 0;
    let seen = null;
    let seenDepth = Infinity;
    let best = null;
    let bestScore = Infinity;
    for (let n = 0; n < data.count; n++) {
      const x = data.points[3 * n];
      const y = data.points[3 * n + 1];
      const z = data.points[3 * n + 2];
      const w = matrix[3] * x + matrix[7] * y + matrix[11] * z + matrix[15];
      if (w <= 0) continue;
      const dx = (0.5 + (0.5 * (matrix[0] * x + matrix[4] * y + matrix[8] * z + matrix[12])) / w) * width - px;
      const dy = (0.5 - (0.5 * (matrix[1] * x + matrix[5] * y + matrix[9] * z + matrix[13])) / w) * height - py;
      const distance = Math.hypot(dx, dy);
      if (distance <= radius && w < seenDepth) [seen, seenDepth] = [n, w];
      if (distance > reach) continue;
      const score = distance / reach + 4 * w;
      if (score < bestScore) [best, bestScore] = [n, score];
    }
    return seen ?? best;
  }

  /** @param {number} point */
  screenPositionOf(point) {
    if (!this.data) return null;
    const { points } = this.data;
    return this.screenPosition(points[3 * point], points[3 * point + 1], points[3 * point + 2]);
  }

  // Nothing where nothing is drawn.
  toImage() {
    return this.goOn ? null : this.insides.toImage();
  }

  purge() {
    this.goOn?.();
    return this.enqueue(() => this.plotly.purge(this.node));
  }

  /**
   * Where it is at home, it stays so in the new size.
   * @param {() => boolean} atHome
   */
  resize(atHome) {
    if (!this.insides.scene) return;
    this.enqueue(async () => {
      await this.plotly.Plots.resize(this.node);
      this.fitFieldOfView();
      if (this.data) this.discs?.style(this.discStyle(this.data.count), this.outlineColor);
      if (atHome()) await this.plotly.relayout(this.node, { "scene.camera": this.homePose });
    });
  }
}
