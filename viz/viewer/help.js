// What does the page say about itself? The lines behind each "?", and the keys.

import { make } from "./dom.js";
import { clamp } from "./numbers.js";

/** @import { Data } from "./types.d.ts" */

const KEYS = [
  ["← →", "previous or next view"], ["1 – 9", "colour the points by"], ["Space", "play through the views"],
  ["F", "fly to the selected view"], ["C", "compare two students"], ["S", "next student"],
  ["T", "thumbnails: render, points, heat map"], ["R", "reset the camera"], ["Esc", "clear point and cell"], ["?", "this help"],
];
const GESTURES = [
  ["Drag", "turn"], ["Wheel", "zoom"], ["Right drag", "move"], ["Hover", "values of a point"],
  ["Click", "pin a point"], ["Double click", "clear"],
];
/**
 * What is shown, and what can be done with it.
 * @type {Record<string, (data: Data | null) => string[]>}
 */
const HELP = {
  scene: () => [
    "The points that the students read; pyramids mark the cameras.",
    "Click a point to pin it, or a view below to see what it sees.",
  ],
  views: () => [
    "The images that the teacher read. The heat map splits each view's logit of the teacher's first answer over the image: red speaks for it, blue against it.",
    "A pinned point is a filled mark where the view sees it, a ring where it is hidden.",
  ],
  predictions: (data) => [
    "The five most probable classes, by each network.",
    ...(data?.answers ?? []).map(({ label, hint }) => `${label}: ${hint}.`),
  ],
  similarity: () => [
    "Cosine of each student view (row) with each teacher view (column); dots mark a row's best.",
    "Distillation makes the diagonal bright. Click a cell for the points behind it.",
  ],
  point: () => [
    "Each view pools, channel by channel, the largest feature of the points it sees.",
    "A point wins the channels where its feature is the largest; they carry the alignment.",
  ],
};

/** The dialog with the keys. */
export class KeyHelp {
  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.dialog = dialog;
    dialog.replaceChildren(make("div", { class: "pmv-help-card" }, [
      make("h3", { text: "Keyboard and mouse" }),
      make("div", { class: "pmv-help-columns" }, [KEYS, GESTURES].map((rows) => make("dl", {}, rows.flatMap(([key, text]) => [
        make("dt", {}, [make("kbd", { text: key })]), make("dd", { text }),
      ])))),
      make("button", { class: "pmv-choice", text: "Close", attrs: { type: "button" }, on: { click: () => this.toggle() } }),
    ]));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) this.toggle(); });
    // Its one button keeps the focus: from the last one, Tab would leave even a modal dialog for the browser's own bars.
    dialog.addEventListener("keydown", (event) => { if (event.key === "Tab") event.preventDefault(); });
  }

  get open() {
    return this.dialog.open;
  }

  // A modal dialog: the browser takes the rest of the page from the keyboard, and gives the focus back at the end.
  toggle() {
    if (this.open) this.dialog.close();
    else this.dialog.showModal();
  }
}

/**
 * Let each "?" show its lines while the pointer or the focus is on it.
 * @param {HTMLElement} root
 * @param {HTMLElement} popover
 * @param {() => Data | null} getData
 */
export function listenToHelp(root, popover, getData) {
  const hide = () => { popover.hidden = true; };
  for (const button of root.querySelectorAll("[data-help]")) {
    if (!(button instanceof HTMLElement)) continue;
    const show = () => showPopover(root, popover, button, HELP[button.dataset.help ?? ""](getData()));
    for (const name of ["mouseenter", "focus", "click"]) button.addEventListener(name, show);
    for (const name of ["mouseleave", "blur"]) button.addEventListener(name, hide);
  }
}

/** @param {HTMLElement} root @param {HTMLElement} popover @param {HTMLElement} button @param {string[]} lines */
function showPopover(root, popover, button, lines) {
  popover.replaceChildren(...lines.map((text) => make("p", { text })));
  popover.hidden = false;
  const box = root.getBoundingClientRect();
  const anchor = button.getBoundingClientRect();
  popover.style.left = `${clamp(anchor.right - box.left - popover.offsetWidth, 4, box.width - popover.offsetWidth - 4)}px`;
  popover.style.top = `${anchor.bottom - box.top + 6}px`;
}
