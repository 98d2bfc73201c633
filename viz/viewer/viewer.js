// How do the parts hang together? One state; every choice changes it, and every part is redrawn from it.

import { readAddress, writeAddress } from "./address.js";
import { firstStudent, pairOf } from "./answers.js";
import { drawHeatbar, drawMessage, drawPaneTitles, drawStatus, drawSubtitles } from "./captions.js";
import { drawCard } from "./card.js";
import { askForShares } from "./cells.js";
import { colouring } from "./colouring.js";
import { Controls } from "./controls.js";
import { decodeBundle } from "./decode.js";
import { KeyHelp, listenToHelp } from "./help.js";
import { inspect } from "./inspect.js";
import { KeptQuestion } from "./kept.js";
import { onKey } from "./keyboard.js";
import { drawLegend } from "./legend.js";
import { Matrix } from "./matrix.js";
import { compareRefusal } from "./modes.js";
import { PANES, Panes } from "./panes.js";
import { loadPlotly, onceAsked } from "./plotly.js";
import { listenToScene } from "./pointer.js";
import { drawPredictions } from "./predictions.js";
import { drawSnapshot, saveCanvas } from "./snapshot.js";
import { fit } from "./state.js";
import { Thumbnails } from "./thumbnails.js";
import { describe, tell } from "./tip.js";
import { Tour } from "./tour.js";

/** @import { PaneName } from "./panes.js" */
/** @import { Bundle, Data, Host, Painted, Plotly, State, Theme, Value } from "./types.d.ts" */

const NARROW_PX = 900;
const PHONE_PX = 560;

export class Viewer {
  /** @param {Host} host */
  constructor(host) {
    this.host = host;
    this.root = /** @type {HTMLElement} */ (host.element.querySelector(".pmv"));
    const nodes = /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll("[data-part]"));
    /** @type {Record<string, HTMLElement>} */
    this.parts = Object.fromEntries([...nodes].map((node) => [node.dataset.part, node]));
    /** @type {Data | null} */
    this.data = null;
    /** @type {Data | null} the one that is to be shown when its images have come */
    this.loading = null;
    this.everLoaded = false;
    /** @type {Plotly | null} */
    this.plotly = null;
    /** @type {Painted | null} */
    this.painted = null;
    /** @type {Theme | null} */
    this.shownTheme = null;
    /** @type {{point: number, name: PaneName, event: MouseEvent} | null} */
    this.hovered = null;
    /** @type {State} */
    this.state = readAddress();
    // Run while Python computes, and not before the page has asked it to; where it fails, the first shape says so.
    this.asking = onceAsked(() => loadPlotly(host.config.plotly).catch(() => {}));
    this.stopping = new AbortController();
    this.panes = new Panes(this.parts, () => this.data && {
      point: this.state.point, hovered: this.hovered?.point ?? null, comparing: this.comparing,
    });
    this.tour = new Tour(this);
    this.help = new KeyHelp(/** @type {HTMLDialogElement} */ (this.parts.help));
    this.controls = new Controls(this);
    this.question = new KeptQuestion(host.server);
    this.thumbnails = new Thumbnails(this.parts.thumbs, (view) => this.change({ view }));
    this.matrix = new Matrix(
      /** @type {HTMLCanvasElement} */ (this.parts.matrix), this.parts["similarity-side"],
      (cell) => this.change({ view: cell[0], cell, mode: "alignment" }),
      (lines, event) => tell(this.root, this.parts.tip, lines, event),
    );
    this.themeWatch = new MutationObserver(() => (this.root.isConnected ? this.onTheme() : this.dispose()));
    this.listen();
    host.watch("value", () => this.receive(host.props.value));
    this.receive(host.props.value);
    window.pointmcdViewer = inspect(this);
  }

  /** @returns {Theme} */
  get theme() {
    return this.host.config.theme[this.root.closest(".dark") ? "dark" : "light"];
  }

  // A link that is opened, or pasted over the page's own address, replaces every choice.
  onAddress() {
    if (!this.root.isConnected) return this.dispose();
    const wanted = readAddress();
    if (this.data) this.change(fit(wanted, this.data));
    else this.state = wanted;
  }

  // ---- what comes from Python

  /** @param {Value} value @returns {Promise<void>} */
  async receive(value) {
    if (!value || typeof value !== "object" || "error" in value || "loading" in value) return this.showNothing(value);
    try {
      await this.load(decodeBundle(value));
    } catch (error) {
      console.error("PointMCD viewer:", error);
      this.showNothing({ error: `The page could not read the analysis (${error instanceof Error ? error.message : error}).` });
    }
  }

  /** @param {Exclude<Value, Bundle>} value */
  showNothing(value) {
    this.data = null;
    this.matrix.setHover(null, null);
    this.unhover();
    this.tour.stop();
    const error = value && "error" in value ? String(value.error) : "";
    const phase = value && "error" in value ? "error" : value && "loading" in value ? "loading" : "empty";
    this.root.dataset.phase = phase;
    drawMessage(this.parts.message, phase, error);
  }

  /** @param {Data} data */
  async load(data) {
    const { parts, panes, state } = this;
    this.loading = data;
    this.plotly = await loadPlotly(this.host.config.plotly);
    if (!(await this.thumbnails.load(data)) || this.loading !== data) return;
    this.data = data;
    this.unhover();
    // Point numbers mean nothing in another shape.
    Object.assign(state, fit(this.everLoaded ? { ...state, point: null } : state, data));
    this.everLoaded = true;
    this.root.dataset.phase = "ready";
    parts.message.hidden = true;
    this.tour.flown = null;
    const main = panes.open(this.plotly, "main");
    this.controls.offer(data);
    drawPredictions(parts.predictions, parts.domain, data);
    drawSubtitles(parts, data);
    this.refresh({ redraw: true });
    await main.queue;
  }

  // ---- every choice goes through here

  /** @param {Partial<State>} changes */
  change(changes) {
    if (!this.data) return;
    const before = { ...this.state };
    Object.assign(this.state, changes);
    if (changes.view !== undefined && changes.view !== before.view && changes.cell === undefined) this.state.cell = null;
    if (this.tour.flown !== this.state.view) this.tour.flown = null;
    this.refresh({});
    this.askForCell(this.data);
    const { view, point, mode, student, compare } = this.state;
    if (view !== before.view || point !== before.point) this.host.select({ view, point, mode, student, compare });
  }

  // Students look alike in the other colourings.
  get comparing() {
    return this.data !== null && this.state.compare && compareRefusal(this.state.mode, this.data) === null;
  }

  /**
   * Who colours a pane.
   * @param {PaneName} name
   * @param {Data} data
   */
  studentIn(name, data) {
    const pair = this.comparing ? pairOf(data) : null;
    return pair ? pair[name === "main" ? 0 : 1].key : this.state.student;
  }

  /**
   * Beside the diagonal, the shares of a cell come from the server.
   * @param {Data} data
   */
  askForCell(data) {
    const { cell } = this.state;
    if (!cell) return;
    const names = this.comparing ? PANES : PANES.slice(0, 1);
    for (const student of names.map((name) => this.studentIn(name, data))) {
      askForShares(this.host.server, data, student, cell).then((asked) => { if (asked && this.data === data) this.refresh({}); });
    }
  }

  refresh({ redraw = false }) {
    const { data, state, parts, theme } = this;
    if (!data) return;
    const painted = colouring(data, state, this.studentIn("main", data), theme);
    this.painted = painted;
    this.shownTheme = theme;
    const change = this.change.bind(this);
    this.controls.show(data, state, this.comparing);
    drawLegend(parts.legend, painted.legend, { data, state, change, question: this.question });
    this.refreshScenes(data, painted, redraw);
    this.thumbnails.draw(state, painted.colors, painted.strong, theme);
    drawHeatbar(parts, data, state, theme);
    this.matrix.draw(data, state, theme);
    const { color } = data.students.find(({ key }) => key === state.student) ?? data.students[0];
    parts["card-panel"].style.setProperty("--pmv-student", `var(--pmv-${color})`);
    drawCard(parts.card, parts["card-sub"], data, state, change);
    drawStatus(parts.status, data, state);
    this.tellHovered();
    writeAddress(state, firstStudent(data));
    this.panes.drawnAll.then(() => this.panes.trackRings());
  }

  /** @param {Data} data @param {Painted} painted @param {boolean} redraw */
  refreshScenes(data, painted, redraw) {
    const { state, parts, panes, theme, comparing, marks } = this;
    const wasOpen = !parts["pane-compare"].hidden;
    for (const name of ["pane-compare", "title-main", "title-compare"]) parts[name].hidden = !comparing;
    drawPaneTitles(parts, data, state, painted.legend);
    panes.show("main", { data, colors: painted.colors, theme, marks, redraw });
    if (comparing && this.plotly) {
      panes.open(this.plotly, "compare");
      const { colors } = colouring(data, state, this.studentIn("compare", data), theme);
      // While it was closed, the shape, the theme and the camera may have changed.
      panes.show("compare", { data, colors, theme, marks, redraw: redraw || !wasOpen });
    }
    if (wasOpen !== comparing) requestAnimationFrame(() => panes.resize());
  }

  get marks() {
    const { view, point } = this.state;
    return { view, point, flown: this.tour.flown === view };
  }

  // The marks come back that would have stood in a flown view's way.
  leaveView() {
    if (this.tour.flown === null || !this.data) return;
    this.tour.flown = null;
    for (const scene of this.panes.shown) scene.repaint(scene.colors, this.marks, this.theme);
  }

  clear() {
    this.tour.stop();
    this.change({ point: null, cell: null });
  }

  reset() {
    this.tour.stop();
    this.leaveView();
    this.panes.goHome();
  }

  toggleCompare() {
    if (this.data && compareRefusal(this.state.mode, this.data) === null) this.change({ compare: !this.state.compare });
  }

  async download() {
    const { data, painted, panes, parts, state } = this;
    if (!data || !painted) return;
    const shown = PANES.slice(0, this.comparing ? 2 : 1).flatMap((name) => {
      const scene = panes[name];
      const title = (this.comparing && parts[`title-${name}`].textContent) || "";
      return scene ? [{ scene, node: scene.node, title, pin: state.point === null ? null : scene.screenPositionOf(state.point) }] : [];
    });
    const font = getComputedStyle(this.root).fontFamily;
    saveCanvas(await drawSnapshot(shown, data, painted.legend, this.theme, font), data.name);
  }

  // ---- what happens around it

  listen() {
    const { parts, root, panes } = this;
    const { signal } = this.stopping;
    listenToHelp(root, parts.popover, () => this.data);
    document.addEventListener("keydown", (event) => (root.isConnected ? onKey(this, event) : this.dispose()), { signal });
    window.addEventListener("hashchange", () => this.onAddress(), { signal });
    root.addEventListener("dblclick", (event) => {
      if (event.target instanceof Element && !event.target.closest("button, canvas.pmv-matrix, input")) this.clear();
    }, { signal });
    for (const name of PANES) listenToScene(this, name);
    new ResizeObserver(() => panes.resize()).observe(parts.stage);
    new ResizeObserver(() => {
      root.classList.toggle("pmv-narrow", root.clientWidth <= NARROW_PX);
      root.classList.toggle("pmv-phone", root.clientWidth <= PHONE_PX);
      this.thumbnails.layOut();
    }).observe(root);
    this.themeWatch.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  onTheme() {
    if (!this.data || this.shownTheme === this.theme) return;
    this.thumbnails.forgetTheme();
    this.refresh({ redraw: true });
  }

  /** @param {number | null} point @param {PaneName} name @param {MouseEvent} event */
  hover(point, name, event) {
    if (point === null) return this.unhover();
    this.hovered = { point, name, event };
    this.tellHovered();
    this.panes.placeRings();
  }

  unhover() {
    this.hovered = null;
    tell(this.root, this.parts.tip, null, null);
    this.panes.placeRings();
  }

  tellHovered() {
    if (!this.hovered || !this.data) return;
    const { point, name, event } = this.hovered;
    tell(this.root, this.parts.tip, describe(this.data, this.state, this.studentIn(name, this.data), point), event);
  }

  // Gradio may build the component anew: the old one lets go of the page.
  dispose() {
    this.tour.stop();
    this.stopping.abort();
    this.themeWatch.disconnect();
    this.asking.disconnect();
    this.panes.purge();
  }
}
