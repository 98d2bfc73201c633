// How do the parts hang together? One state; every choice changes it, and every part is redrawn from it.

import { readAddress, writeAddress } from "./address.js";
import { poseOfView, projectToImage } from "./camera.js";
import { drawCard } from "./card.js";
import { askForShares, sharesOf } from "./cells.js";
import { colouring, MODES, mostWins } from "./colouring.js";
import { decodeBundle } from "./decode.js";
import { clamp, count, icon, make, makeSwitch, signed, words } from "./dom.js";
import { drawLegend } from "./legend.js";
import { gradientBar, Matrix } from "./matrix.js";
import { drawPredictions } from "./predictions.js";
import { Scene } from "./scene.js";
import { drawSnapshot, saveCanvas } from "./snapshot.js";
import { Thumbnails } from "./thumbnails.js";

const FIRST_STATE = {
  view: 0, mode: "seen", scope: "view", difference: "wins", least: 1, point: null, student: "distilled",
  compare: false, thumbs: "render", cell: null,
};
const PLAY_MS = 1500;
const CLICK_SLACK_PX = 5;
const REST_MS = 400;
const TRACK_MS = 300;
const SETTLE_MS = 50;
const COMPARE_TITLE = "Compare with the plain student (C)";
const NARROW_PX = 900;
const PHONE_PX = 560;
const ICONS = {
  previous: "M12.5 4 6.5 10l6 6", next: "M7.5 4l6 6-6 6", play: "M6 4l10 6-10 6z", pause: "M6 4h3v12H6zM11 4h3v12h-3z",
  fly: "M3 10l14-6-5 13-3-5z", reset: "M4 10a6 6 0 1 0 2-4.5M4 3v4h4", compare: "M3 4h6v12H3zM11 4h6v12h-6z",
  image: "M10 3v9m-4-4 4 4 4-4M4 16h12", keys: "M3 6h14v9H3zM6 9h.01M9 9h.01M12 9h.01M15 9h.01M7 12h6",
};
const KEYS = [
  ["← →", "previous or next view"], ["1 – 9", "colour the points by"], ["Space", "play through the views"],
  ["F", "fly to the selected view"], ["C", "compare with the plain student"], ["S", "distilled or plain student"],
  ["T", "thumbnails: render, points, heat map"], ["R", "reset the camera"], ["Esc", "clear point and cell"], ["?", "this help"],
];
const GESTURES = [
  ["Drag", "turn"], ["Wheel", "zoom"], ["Right drag", "move"], ["Hover", "values of a point"],
  ["Click", "pin a point"], ["Double click", "clear"],
];
// Two lines each: what is shown, and what can be done with it.
const HELP = {
  scene: [
    "The points that the students read; pyramids mark the cameras.",
    "Click a point to pin it, or a view below to see what it sees.",
  ],
  views: [
    "The images that the teacher read. The heat map splits each view's logit of the teacher's first answer over the image: red speaks for it, blue against it.",
    "A pinned point is a filled mark where the view sees it, a ring where it is hidden.",
  ],
  predictions: [
    "The teacher reads the images; both students read only the points.",
    "Distilled learnt from the teacher, plain did not; all else is the same.",
  ],
  similarity: [
    "Cosine of each student view (row) with each teacher view (column); dots mark a row's best.",
    "Distillation makes the diagonal bright. Click a cell for the points behind it.",
  ],
  point: [
    "Each view pools, channel by channel, the largest feature of the points it sees.",
    "A point wins the channels where its feature is the largest; they carry the alignment.",
  ],
};

export class Viewer {
  constructor({ element, watch, props, select, server, config }) {
    this.root = element.querySelector(".pmv");
    this.parts = Object.fromEntries([...this.root.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]));
    Object.assign(this, { props, select, server, config, data: null, playing: null, flown: null, hovered: null, tracking: false, atHome: true });
    this.state = this.stateOfAddress();
    // Run while Python computes, and not before the page has asked it to; where it fails, the first shape says so.
    this.asking = onceAsked(() => loadPlotly(config.plotly).catch(() => {}));
    this.stopping = new AbortController();
    this.buildControls();
    this.listen();
    watch("value", () => this.receive(this.props.value));
    this.receive(props.value);
    this.expose();
  }

  get theme() {
    return this.config.theme[this.root.closest(".dark") ? "dark" : "light"];
  }

  // A link that is opened, or pasted over the page's own address, replaces every choice.
  stateOfAddress() {
    return { ...FIRST_STATE, ...readAddress() };
  }

  onAddress() {
    if (!this.root.isConnected) return this.dispose();
    const wanted = this.stateOfAddress();
    if (!this.data) this.state = wanted;
    else this.change(this.fit(wanted, this.data));
  }

  // What of a state is possible with this shape: the address and the shape before know nothing of it.
  fit(state, data) {
    return {
      ...state,
      view: state.view < data.views ? state.view : 0,
      least: clamp(state.least, 1, mostWins(data, state)),
      point: state.point !== null && state.point < data.count ? state.point : null,
      cell: null,
      student: data.students[state.student] ? state.student : "distilled",
      compare: state.compare && Boolean(data.students.plain),
      mode: this.isUsable(state.mode, data) ? state.mode : "seen",
    };
  }

  // ---- what comes from Python

  async receive(value) {
    const { parts } = this;
    if (!value || typeof value !== "object" || value.error !== undefined || value.loading) {
      this.data = null;
      this.matrix.setHover(null);
      this.hover(null);
      this.stopPlaying();
      const phase = value?.error ? "error" : value?.loading ? "loading" : "empty";
      const [title, text] = {
        error: ["This shape cannot be shown", String(value?.error)],
        loading: ["Loading", "The networks and the first shape are on their way."],
        empty: ["No shape yet", "Choose an example or drop a file to see what the cameras see."],
      }[phase];
      this.root.dataset.phase = phase;
      parts.message.hidden = false;
      parts.message.replaceChildren(make("strong", { text: title }), make("p", { text }));
      return;
    }
    try {
      await this.load(decodeBundle(value));
    } catch (error) {
      console.error("PointMCD viewer:", error);
      await this.receive({ error: `The page could not read the analysis (${error.message}).` });
    }
  }

  async load(data) {
    const { parts, state } = this;
    const first = !this.everLoaded;
    this.loading = data;
    const plotly = await loadPlotly(this.config.plotly);
    if (!(await this.thumbnails.load(data)) || this.loading !== data) return;
    this.everLoaded = true;
    this.data = data;
    this.hover(null);
    // Point numbers mean nothing in another shape.
    Object.assign(state, this.fit(first ? state : { ...state, point: null }, data));
    this.root.dataset.phase = "ready";
    parts.message.hidden = true;
    this.flown = null;
    this.main ??= new Scene(plotly, parts["scene-main"], (scene) => this.onCamera(scene));
    this.plotly = plotly;
    this.modeSwitch.enable("file", Boolean(data.colors), data.colors ? MODES[6].title : "This file has no colours");
    this.modeSwitch.enable("difference", Boolean(data.students.plain), data.students.plain ? MODES[7].title : "There are no plain weights for this student");
    this.studentSwitch.enable("plain", Boolean(data.students.plain));
    drawPredictions(parts.predictions, parts.domain, data);
    parts["prediction-sub"].textContent = { pointnet: "PointNet", dgcnn: "DGCNN" }[data.studentName] ?? data.studentName;
    const seenBy = { raycast: "ray casting", hpr: "hidden point removal", zbuffer: "z-buffer" }[data.method] ?? data.method;
    parts["strip-sub"].textContent = `visibility by ${seenBy}`;
    parts["strip-sub"].title = "Under each image: azimuth / elevation, and the share of all points that the view sees";
    this.refresh({ redraw: true });
    await this.main.queue;
  }

  isUsable(mode, data = this.data) {
    return (mode !== "file" || Boolean(data.colors)) && (mode !== "difference" || Boolean(data.students.plain));
  }

  // ---- every choice goes through here

  change(changes) {
    if (!this.data) return;
    const before = { ...this.state };
    Object.assign(this.state, changes);
    if (changes.view !== undefined && changes.view !== before.view && changes.cell === undefined) this.state.cell = null;
    if (this.flown !== null && this.flown !== this.state.view) this.flown = null;
    this.refresh({});
    this.askForCell();
    const { view, point, mode, student, compare } = this.state;
    if (view !== before.view || point !== before.point) this.select({ view, point, mode, student, compare });
  }

  // Both students look alike in the other colourings.
  get comparing() {
    return this.state.compare && this.compareRefusal === null;
  }

  get compareRefusal() {
    if (!this.data.students.plain) return "There is no plain student to compare with";
    const { label, perStudent } = MODES.find(({ key }) => key === this.state.mode);
    if (perStudent) return null;
    const others = MODES.filter((mode) => mode.perStudent).map((mode) => mode.label);
    return `“${label}” is the same for both students; compare them in ${others.slice(0, -1).join(", ")} or ${others.at(-1)}`;
  }

  // Beside the diagonal, the shares of a cell come from the server.
  askForCell() {
    const { data, state } = this;
    if (!state.cell) return;
    for (const student of this.comparing ? ["distilled", "plain"] : [state.student]) {
      askForShares(this.server, data, student, state.cell).then((asked) => { if (asked && this.data === data) this.refresh({}); });
    }
  }

  refresh({ redraw = false }) {
    const { data, state, parts, theme } = this;
    const leftStudent = this.comparing ? "distilled" : state.student;
    const painted = colouring(data, state, leftStudent, theme);
    this.painted = painted;
    this.shownTheme = theme;
    this.modeSwitch.set(state.mode);
    this.studentSwitch.set(state.student);
    this.thumbSwitch.set(state.thumbs);
    this.tools.compare.setAttribute("aria-pressed", String(this.comparing));
    this.tools.compare.disabled = this.compareRefusal !== null;
    this.tools.compare.title = this.compareRefusal ?? COMPARE_TITLE;
    drawLegend(parts.legend, painted.legend, state, (changes) => this.change(changes), this.server);
    this.refreshScenes(painted, redraw);
    this.thumbnails.draw(state, painted.colors, painted.strong, theme);
    parts.heatbar.hidden = state.thumbs !== "heat";
    parts["strip-sub"].hidden = state.thumbs === "heat";
    if (state.thumbs === "heat") this.drawHeatbar();
    this.matrix.draw(data, state, theme);
    parts["card-panel"].dataset.student = state.student;
    drawCard(parts.card, parts["card-sub"], data, state, (changes) => this.change(changes));
    this.drawStatus();
    if (this.hovered !== null) this.tell(this.describe(this.hovered, this.hoveredIn), this.hoveredAt);
    writeAddress(state);
    Promise.all([this.main.queue, this.compare?.queue]).then(() => this.trackRings());
  }

  refreshScenes(painted, redraw) {
    const { data, state, parts, theme, comparing } = this;
    const wasOpen = !parts["pane-compare"].hidden;
    parts["pane-compare"].hidden = !comparing;
    parts["title-main"].hidden = parts["title-compare"].hidden = !comparing;
    const [row, column] = state.cell ?? [state.view, state.view];
    const place = row === column ? `in view ${row + 1}` : `at (${row + 1}, ${column + 1})`;
    for (const [part, name, label] of [["title-main", "distilled", "Distilled"], ["title-compare", "plain", "Plain"]]) {
      const cosine = data.students[name]?.similarity[row * data.views + column];
      parts[part].textContent = cosine === undefined ? "" : `${label} · cos ${cosine.toFixed(3)} ${place}`;
    }
    this.showIn(this.main, painted, redraw);
    if (comparing) {
      this.compare ??= new Scene(this.plotly, parts["scene-compare"], (scene) => this.onCamera(scene));
      const { colors } = colouring(data, state, "plain", theme);
      // While it was closed, the shape, the theme and the camera may have changed.
      this.showIn(this.compare, { colors }, redraw || !wasOpen);
    }
    if (wasOpen !== comparing) requestAnimationFrame(() => this.resize());
    const said = painted.legend.items?.map((item) => `${item.label} ${item.value}`).join(", ") ?? painted.legend.subtitle ?? "";
    parts["scene-main"].setAttribute("aria-label", `Point cloud of ${count(data.count)} points. ${painted.legend.title}. ${said}`);
    parts["scene-compare"].setAttribute("aria-label", "The same cloud, coloured by the plain student");
  }

  showIn(scene, { colors }, redraw) {
    // Asked for when it is drawn: a flight or a hand may turn the camera until then.
    const pose = () => (this.atHome ? scene.homePose : this.main.camera);
    if (redraw) return scene.draw(this.data, colors, this.theme, this.marks, pose);
    scene.repaint(colors, this.marks, this.theme);
  }

  get marks() {
    const { view, point } = this.state;
    return { view, point, flown: this.flown === view };
  }

  drawStatus() {
    const { data, state } = this;
    const parts = [data.name, `View ${state.view + 1} sees ${count(data.seenTotals[state.view])} of ${count(data.total)} points`];
    if (data.unseenTotal) parts.push(`${count(data.unseenTotal)} seen by none`);
    if (data.count < data.total) parts.push(`${count(data.count)} drawn`);
    this.parts.status.textContent = parts.join(" · ");
  }

  drawHeatbar() {
    const label = words(this.data.heat.label);
    const top = this.thumbnails.heatTop.toPrecision(2);
    this.parts.heatbar.title = `What each cell adds to the view's logit of “${label}”, the teacher's first answer; one scale for all views, square-root scale. `
      + "Under each image: how much of the map's magnitude lies on the background.";
    this.parts.heatbar.replaceChildren(
      make("span", { text: `against −${top}` }), gradientBar(this.theme.maps.heat), make("span", { text: `+${top} for “${label}” (logit)` }),
    );
  }

  // ---- camera

  // The pinned and the hovered point wear a ring that nothing in front can hide.
  placeRings() {
    for (const name of ["main", "compare"]) {
      for (const [part, point] of [["pin", this.state.point], ["hover", this.hovered]]) {
        const ring = this.parts[`${part}-${name}`];
        const at = this.data && point !== null ? this[name]?.screenPositionOf(point) : null;
        ring.hidden = !at;
        if (at) ring.style.transform = `translate(${at[0]}px, ${at[1]}px)`;
      }
    }
  }

  get rests() {
    return [this.main, this.data && this.comparing && this.compare].every((scene) => !scene || scene.rests);
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

  onCamera(scene) {
    this.trackRings();
    // Only the scene that was touched last leads: what the other reports is an echo.
    if (!this.data || !this.comparing || !this.compare || this.following || scene !== this.leader) return;
    this.follow(scene, scene === this.main ? this.compare : this.main);
  }

  // plotly goes on turning for some frames after its last report, so the follower waits until the leader rests.
  async follow(leader, follower) {
    this.following = true;
    let shown = "";
    let restsSince = performance.now();
    while (performance.now() - restsSince < REST_MS && this.data && this.comparing) {
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

  turn(pose) {
    this.leader = this.main;
    this.main.fly(pose);
  }

  flyTo(view) {
    this.flown = view;
    this.atHome = false;
    this.refresh({});
    this.turn(poseOfView(this.data.cameras, view));
  }

  step(by) {
    this.change({ view: (this.state.view + by + this.data.views) % this.data.views });
  }

  togglePlay() {
    if (this.playing) return this.stopPlaying();
    const go = (view) => {
      this.change({ view });
      this.flyTo(view);
    };
    go(this.state.view);
    this.playing = setInterval(() => go((this.state.view + 1) % this.data.views), PLAY_MS);
    this.tools.play.replaceChildren(icon(ICONS.pause));
    this.tools.play.setAttribute("aria-pressed", "true");
  }

  stopPlaying() {
    clearInterval(this.playing);
    this.playing = null;
    this.tools.play.replaceChildren(icon(ICONS.play));
    this.tools.play.setAttribute("aria-pressed", "false");
  }

  resize() {
    const atHome = () => this.atHome;
    this.main?.resize(atHome);
    if (this.data && this.comparing) this.compare?.resize(atHome);
  }

  // ---- controls and events

  buildControls() {
    const { parts } = this;
    this.modeSwitch = makeSwitch(parts.modes, MODES, (mode) => this.change({ mode, cell: null }));
    this.thumbSwitch = makeSwitch(parts["thumb-switch"], [
      { key: "render", label: "Render", title: "What the teacher sees (T)" },
      { key: "points", label: "Visible points", title: "The points each view sees, coloured as in the cloud (T)" },
      { key: "heat", label: "Heat map", title: "What speaks for and against the teacher's first answer (T)" },
    ], (thumbs) => this.change({ thumbs }));
    this.studentSwitch = makeSwitch(parts["student-switch"], [
      { key: "distilled", label: "Distilled", title: "Trained with the teacher (S)" },
      { key: "plain", label: "Plain", title: "Trained without the teacher (S)" },
    ], (student) => this.change({ student }));
    this.thumbnails = new Thumbnails(parts.thumbs, (view) => this.change({ view }));
    this.matrix = new Matrix(parts.matrix, parts["similarity-side"], ([row, column]) => {
      this.change({ view: row, cell: [row, column], mode: "alignment" });
    }, (lines, event) => this.tell(lines, event));
    const tool = (key, title, action) => make("button", {
      class: "pmv-tool", title, attrs: { type: "button", "aria-label": title, "data-tool": key }, on: { click: () => this.data && action() },
    }, [icon(ICONS[key])]);
    this.tools = {
      previous: tool("previous", "Previous view (←)", () => this.step(-1)),
      play: tool("play", "Play through the views (Space)", () => this.togglePlay()),
      next: tool("next", "Next view (→)", () => this.step(1)),
      fly: tool("fly", "Fly to the selected view (F)", () => this.flyTo(this.state.view)),
      reset: tool("reset", "Reset the camera (R)", () => this.reset()),
      compare: tool("compare", COMPARE_TITLE, () => this.toggleCompare()),
      image: tool("image", "Download PNG", () => this.download()),
      keys: make("button", { class: "pmv-tool", title: "Keyboard and mouse (?)", attrs: { type: "button", "aria-label": "Keyboard and mouse", "data-tool": "keys" }, on: { click: () => this.toggleHelp() } }, [icon(ICONS.keys)]),
    };
    parts.tools.replaceChildren(...Object.values(this.tools));
    parts.help.replaceChildren(make("div", { class: "pmv-help-card" }, [
      make("h3", { text: "Keyboard and mouse" }),
      make("div", { class: "pmv-help-columns" }, [KEYS, GESTURES].map((rows) => make("dl", {}, rows.flatMap(([key, text]) => [
        make("dt", {}, [make("kbd", { text: key })]), make("dd", { text }),
      ])))),
      make("button", { class: "pmv-choice", text: "Close", attrs: { type: "button" }, on: { click: () => this.toggleHelp() } }),
    ]));
  }

  listen() {
    const { parts, root } = this;
    const { signal } = this.stopping;
    const on = (node, name, listener, options = {}) => node.addEventListener(name, listener, { signal, ...options });
    for (const button of root.querySelectorAll("[data-help]")) {
      const show = () => this.showPopover(button, HELP[button.dataset.help]);
      on(button, "mouseenter", show);
      on(button, "focus", show);
      on(button, "click", show);
      on(button, "mouseleave", () => { parts.popover.hidden = true; });
      on(button, "blur", () => { parts.popover.hidden = true; });
    }
    on(parts.help, "click", (event) => { if (event.target === parts.help) this.toggleHelp(); });
    // Its one button keeps the focus: from the last one, Tab would leave even a modal dialog for the browser's own bars.
    on(parts.help, "keydown", (event) => { if (event.key === "Tab") event.preventDefault(); });
    on(document, "keydown", (event) => this.onKey(event));
    on(window, "hashchange", () => this.onAddress());
    on(root, "dblclick", (event) => { if (!event.target.closest("button, canvas.pmv-matrix, input")) this.clear(); });
    for (const name of ["main", "compare"]) this.listenToScene(parts[`scene-${name}`], name, on);
    new ResizeObserver(() => this.resize()).observe(parts.stage);
    new ResizeObserver(() => {
      root.classList.toggle("pmv-narrow", root.clientWidth <= NARROW_PX);
      root.classList.toggle("pmv-phone", root.clientWidth <= PHONE_PX);
      this.thumbnails.layOut();
    }).observe(root);
    this.themeWatch = new MutationObserver(() => (this.root.isConnected ? this.data && this.onTheme() : this.dispose()));
    this.themeWatch.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  // plotly reports a 3D click on mouse down, so every drag would be one: a click is a release near its press.
  listenToScene(node, name, on) {
    let press = null;
    let waiting = false;
    const place = (event) => {
      const box = node.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    on(node, "pointerdown", (event) => {
      press = event.button === 0 ? place(event) : null;
      this.leader = this[name];
      this.main?.land();
      this.leaveView();
      this.hover(null);
    }, { capture: true });
    on(node, "wheel", () => {
      this.atHome = false;
      this.leader = this[name];
      this.main?.land();
      this.leaveView();
    }, { capture: true, passive: true });
    on(window, "pointerup", (event) => {
      if (!press || !this.data) return;
      const here = place(event);
      const moved = Math.hypot(here[0] - press[0], here[1] - press[1]);
      press = null;
      if (moved > CLICK_SLACK_PX) return;
      const point = this[name]?.pick(...here);
      if (point !== null && point !== undefined) this.change({ point });
    }, { capture: true });
    on(node, "pointermove", (event) => {
      if (event.buttons) this.atHome = false;
      if (event.buttons || waiting || !this.main?.drawn) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        const point = this.data ? this[name]?.pick(...place(event)) ?? null : null;
        node.classList.toggle("pmv-pointing", point !== null);
        this.hover(point, name, event);
      });
    });
    on(node, "pointerleave", () => this.hover(null));
  }

  hover(point, name, event) {
    this.hovered = point;
    this.hoveredIn = name;
    this.hoveredAt = event;
    this.tell(point === null ? null : this.describe(point, name), event);
    this.placeRings();
  }

  describe(point, name) {
    const { data, state } = this;
    const shown = this.comparing ? { main: "distilled", compare: "plain" }[name] : state.student;
    const student = data.students[shown];
    const [row, column] = state.cell ?? [state.view, state.view];
    const share = sharesOf(data, shown, [row, column])?.values[point];
    return [
      `Point #${point}`,
      `${data.seenInView[state.view][point] ? "seen" : "hidden"} in view ${state.view + 1} · seen by ${data.viewsSeeing[point]} of ${data.views}`,
      `wins ${count(student.winsInView[state.view][point])} channels here, ${count(student.globalWins[point])} in the classifier's pool`,
      share !== undefined && `${row === column ? "alignment" : `share of cos (${row + 1}, ${column + 1})`} ${signed(share, 4)}`,
    ].filter(Boolean);
  }

  tell(lines, event) {
    const { tip } = this.parts;
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.map((text, i) => make(i === 0 ? "strong" : "span", { text })));
    const box = this.root.getBoundingClientRect();
    const left = event.clientX - box.left + 14;
    const top = event.clientY - box.top + 14;
    tip.style.left = `${clamp(left, 4, box.width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${clamp(top, 4, box.height - tip.offsetHeight - 4)}px`;
  }

  showPopover(button, lines) {
    const { popover } = this.parts;
    popover.replaceChildren(...lines.map((text) => make("p", { text })));
    popover.hidden = false;
    const box = this.root.getBoundingClientRect();
    const anchor = button.getBoundingClientRect();
    popover.style.left = `${clamp(anchor.right - box.left - popover.offsetWidth, 4, box.width - popover.offsetWidth - 4)}px`;
    popover.style.top = `${anchor.bottom - box.top + 6}px`;
  }

  // Gradio may build the component anew: the old one lets go of the page.
  dispose() {
    this.stopPlaying();
    this.stopping.abort();
    this.themeWatch.disconnect();
    this.asking.disconnect();
    for (const scene of [this.main, this.compare]) scene?.purge();
  }

  onKey(event) {
    if (!this.root.isConnected) return this.dispose();
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    // The browser closes an open dialog with Escape itself; nothing acts behind it.
    if (this.parts.help.open) return event.key === "?" && this.toggleHelp();
    if (event.key === "Escape") return this.data && this.clear();
    // The keys that move a slider belong to the one that has the focus.
    if (target.matches("input[type='range']") && /^(Arrow.*|Home|End|Page.*)$/.test(event.key)) return;
    if (target.closest("input:not([type='range']), textarea, select, [contenteditable='true']")) return;
    const pressable = target.closest("button, a, input, [role='button'], [role='option'], label");
    // Elsewhere on the page, arrows and Space belong to what has the focus.
    if (pressable && !this.root.contains(pressable) && /^( |Enter|Arrow.*)$/.test(event.key)) return;
    if (event.key === "?") return this.toggleHelp();
    if (!this.data) return;
    const digit = /^[1-9]$/.test(event.key) ? MODES[Number(event.key) - 1].key : null;
    const next = (values, now) => values[(values.indexOf(now) + 1) % values.length];
    const action = digit
      ? () => this.isUsable(digit) && this.change({ mode: digit, cell: null })
      : {
        ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
        // A button that was reached by Tab keeps its Space; one that was merely clicked gives it to the player.
        " ": pressable?.matches(":focus-visible") ? null : () => { pressable?.blur(); this.togglePlay(); },
        f: () => this.flyTo(this.state.view), c: () => this.toggleCompare(), r: () => this.reset(),
        t: () => this.change({ thumbs: next(["render", "points", "heat"], this.state.thumbs) }),
        s: () => this.data.students.plain && this.change({ student: next(["distilled", "plain"], this.state.student) }),
      }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  leaveView() {
    if (this.flown === null || !this.data) return;
    this.flown = null;
    for (const scene of [this.main, this.comparing && this.compare]) if (scene) scene.repaint(scene.colors, this.marks, this.theme);
  }

  clear() {
    this.stopPlaying();
    this.change({ point: null, cell: null });
  }

  reset() {
    this.stopPlaying();
    this.leaveView();
    this.atHome = true;
    this.turn(this.main.homePose);
  }

  toggleCompare() {
    if (this.compareRefusal === null) this.change({ compare: !this.state.compare });
  }

  // A modal dialog: the browser takes the rest of the page from the keyboard, and gives the focus back at the end.
  toggleHelp() {
    const { help } = this.parts;
    if (help.open) help.close();
    else help.showModal();
  }

  onTheme() {
    if (this.shownTheme === this.theme) return;
    this.thumbnails.heatLayers = null;
    this.refresh({ redraw: true });
  }

  async download() {
    const pane = (name) => ({
      scene: this[name], node: this.parts[`scene-${name}`], title: this.comparing ? this.parts[`title-${name}`].textContent : "",
      pin: this.state.point === null ? null : this[name].screenPositionOf(this.state.point),
    });
    const panes = this.comparing ? [pane("main"), pane("compare")] : [pane("main")];
    const font = getComputedStyle(this.root).fontFamily;
    saveCanvas(await drawSnapshot(panes, this.data, this.painted.legend, this.theme, font), this.data.name);
  }

  // The debugging interface: what the page shows, for tests and for a curious console. Read only.
  expose() {
    const viewer = this;
    window.pointmcdViewer = Object.freeze({
      get phase() { return viewer.root.dataset.phase; },
      get state() { return structuredClone(viewer.state); },
      get drawn() { return viewer.main?.drawn ?? 0; },
      get seen() { return viewer.data ? viewer.data.seenInView[viewer.state.view].reduce((sum, bit) => sum + bit, 0) : null; },
      get strong() { return viewer.painted ? viewer.painted.strong.reduce((sum, bit) => sum + bit, 0) : null; },
      get camera() { return structuredClone(viewer.main?.camera ?? null); },
      get comparing() { return Boolean(viewer.data && viewer.comparing); },
      get compareCamera() { return structuredClone(viewer.compare?.camera ?? null); },
      // The scene as a PNG, as the address of its data.
      picture: () => viewer.main?.toImage() ?? null,
      get theme() { return viewer.shownTheme === viewer.config.theme.dark ? "dark" : "light"; },
      get name() { return viewer.data?.name ?? null; },
      // All calls to plotly are through, and the screen shows what they asked for.
      settled: async () => {
        await Promise.all([viewer.main?.queue, viewer.compare?.queue]);
        do {
          await new Promise((done) => setTimeout(done, SETTLE_MS));
          await new Promise((done) => requestAnimationFrame(done));
        } while (!viewer.rests);
        return true;
      },
      pick: (x, y) => viewer.main?.pick(x, y) ?? null,
      get discRadius() { return viewer.main?.discs?.radius ?? null; },
      screenPosition: (n) => viewer.main.screenPositionOf(n),
      imagePosition: (view, n) => {
        const { points, cameras } = viewer.data;
        return projectToImage(cameras, view, points[3 * n], points[3 * n + 1], points[3 * n + 2]).slice(0, 2);
      },
    });
  }
}

// Gradio sends each question to its queue.
function onceAsked(task) {
  const observer = new PerformanceObserver((list) => {
    if (!list.getEntries().some(({ name }) => name.includes("/queue/join"))) return;
    observer.disconnect();
    task();
  });
  observer.observe({ type: "resource", buffered: true });
  return observer;
}

// The page keeps its own reference: another plot on the page may replace window.Plotly with its own copy.
let plotlyPromise = null;
function loadPlotly(path) {
  plotlyPromise ??= new Promise((done, fail) => {
    const script = make("script", { attrs: { src: path } }); // from the page's base, wherever that is
    script.onload = () => done(window.Plotly);
    script.onerror = () => fail(new Error("plotly.js did not load"));
    document.head.append(script);
  });
  return plotlyPromise;
}
