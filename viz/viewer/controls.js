// Which buttons stand around the scene, and what does each do?

import { pairOf } from "./answers.js";
import { icon, make } from "./dom.js";
import { compareRefusal, MODES, titleOf } from "./modes.js";
import { Switch } from "./switch.js";

/** @import { Viewer } from "./viewer.js" */
/** @import { Data, State } from "./types.d.ts" */

const ICONS = {
  previous: "M12.5 4 6.5 10l6 6", next: "M7.5 4l6 6-6 6", play: "M6 4l10 6-10 6z", pause: "M6 4h3v12H6zM11 4h3v12h-3z",
  fly: "M3 10l14-6-5 13-3-5z", reset: "M4 10a6 6 0 1 0 2-4.5M4 3v4h4", compare: "M3 4h6v12H3zM11 4h6v12h-6z",
  image: "M10 3v9m-4-4 4 4 4-4M4 16h12", keys: "M3 6h14v9H3zM6 9h.01M9 9h.01M12 9h.01M15 9h.01M7 12h6",
};
const THUMB_CHOICES = [
  { key: "render", label: "Render", title: "What the teacher sees (T)" },
  { key: "points", label: "Visible points", title: "The points each view sees, coloured as in the cloud (T)" },
  { key: "heat", label: "Heat map", title: "What speaks for and against the teacher's first answer (T)" },
];

export class Controls {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    const { parts } = viewer;
    const change = viewer.change.bind(viewer);
    this.modes = new Switch(parts.modes, MODES, (mode) => change({ mode, cell: null }));
    this.thumbs = new Switch(parts["thumb-switch"], THUMB_CHOICES, (thumbs) => change({ thumbs }));
    this.students = new Switch(parts["student-switch"], [], (student) => change({ student }));
    /** @param {keyof typeof ICONS} key @param {string} title @param {() => void} act */
    const tool = (key, title, act) => make("button", {
      class: "pmv-tool", title, attrs: { type: "button", "aria-label": title, "data-tool": key }, on: { click: act },
    }, [icon(ICONS[key])]);
    /** @param {() => void} act */
    const withShape = (act) => () => { if (viewer.data) act(); };
    this.play = tool("play", "Play through the views (Space)", withShape(() => viewer.tour.toggle()));
    this.compare = tool("compare", "Compare two students (C)", withShape(() => viewer.toggleCompare()));
    parts.tools.replaceChildren(
      tool("previous", "Previous view (←)", withShape(() => viewer.tour.step(-1))),
      this.play,
      tool("next", "Next view (→)", withShape(() => viewer.tour.step(1))),
      tool("fly", "Fly to the selected view (F)", withShape(() => viewer.tour.flyTo(viewer.state.view))),
      tool("reset", "Reset the camera (R)", withShape(() => viewer.reset())),
      this.compare,
      tool("image", "Download PNG", withShape(() => viewer.download())),
      tool("keys", "Keyboard and mouse (?)", () => viewer.help.toggle()),
    );
  }

  /**
   * Offer what is possible with a shape.
   * @param {Data} data
   */
  offer(data) {
    for (const mode of MODES) this.modes.enable(mode.key, !mode.refusal?.(data), titleOf(mode, data));
    this.students.offer(data.students.map(({ key, label, hint }) => ({ key, label, title: `${hint} (S)` })));
  }

  /** @param {Data} data @param {State} state @param {boolean} comparing */
  show(data, state, comparing) {
    this.modes.set(state.mode);
    this.students.set(state.student);
    this.thumbs.set(state.thumbs);
    const refusal = compareRefusal(state.mode, data);
    const second = pairOf(data)?.[1].label.toLowerCase();
    this.compare.setAttribute("aria-pressed", String(comparing));
    this.compare.disabled = refusal !== null;
    this.compare.title = refusal ?? `Compare with the ${second} student (C)`;
  }

  /** @param {boolean} on */
  showPlaying(on) {
    this.play.replaceChildren(icon(on ? ICONS.pause : ICONS.play));
    this.play.setAttribute("aria-pressed", String(on));
  }
}
