// What does a key do? Nothing where somebody types, or where it belongs to what has the focus.

import { isUsable, MODES } from "./modes.js";
import { THUMBS } from "./state.js";

/** @import { Viewer } from "./viewer.js" */
/** @import { Data } from "./types.d.ts" */

/** @param {Viewer} viewer @param {KeyboardEvent} event */
export function onKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const { data, help, root } = viewer;
  const target = event.target instanceof Element ? event.target : document.body;
  // The browser closes an open dialog with Escape itself; nothing acts behind it.
  if (help.open) {
    if (event.key === "?") help.toggle();
    return;
  }
  if (event.key === "Escape") {
    if (data) viewer.clear();
    return;
  }
  // The keys that move a slider belong to the one that has the focus.
  if (target.matches("input[type='range']") && /^(Arrow.*|Home|End|Page.*)$/.test(event.key)) return;
  if (target.closest("input:not([type='range']), textarea, select, [contenteditable='true']")) return;
  // A dialog that was just closed has the focus for another moment.
  const pressable = help.dialog.contains(target) ? null : target.closest("button, a, input, [role='button'], [role='option'], label");
  // Elsewhere on the page, arrows and Space belong to what has the focus.
  if (pressable && !root.contains(pressable) && /^( |Enter|Arrow.*)$/.test(event.key)) return;
  if (event.key === "?") return help.toggle();
  const act = data && actionOf(viewer, data, event.key, pressable);
  if (!act) return;
  act();
  event.preventDefault();
}

/** @param {Viewer} viewer @param {Data} data @param {string} key @param {Element | null} pressable */
function actionOf(viewer, data, key, pressable) {
  const { state, tour } = viewer;
  const mode = MODES.find(({ digit }) => digit === key)?.key;
  if (mode) return () => { if (isUsable(mode, data)) viewer.change({ mode, cell: null }); };
  switch (key.length === 1 ? key.toLowerCase() : key) {
    case "ArrowLeft": return () => tour.step(-1);
    case "ArrowRight": return () => tour.step(1);
    case " ":
      // A button that was reached by Tab keeps its Space; one that was merely clicked gives it to the player.
      if (pressable?.matches(":focus-visible")) return null;
      return () => {
        if (pressable instanceof HTMLElement) pressable.blur();
        tour.toggle();
      };
    case "f": return () => tour.flyTo(state.view);
    case "c": return () => viewer.toggleCompare();
    case "r": return () => viewer.reset();
    case "t": return () => viewer.change({ thumbs: after(THUMBS, state.thumbs) });
    case "s": return () => viewer.change({ student: after(data.students.map((student) => student.key), state.student) });
    default: return null;
  }
}

/** @param {string[]} values @param {string} now */
const after = (values, now) => values[(values.indexOf(now) + 1) % values.length];
