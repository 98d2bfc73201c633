// What is said beside the pointer?

import { learnerOf } from "./answers.js";
import { sharesOf } from "./cells.js";
import { make } from "./dom.js";
import { clamp, count, signed } from "./numbers.js";
import { cellOf } from "./state.js";

/** @import { Data, State } from "./types.d.ts" */

/**
 * @param {HTMLElement} root
 * @param {HTMLElement} tip
 * @param {string[] | null} lines none hides it
 * @param {MouseEvent | null} event where
 */
export function tell(root, tip, lines, event) {
  tip.hidden = !lines || !event;
  if (!lines || !event) return;
  tip.replaceChildren(...lines.map((text, i) => make(i === 0 ? "strong" : "span", { text })));
  const box = root.getBoundingClientRect();
  const left = event.clientX - box.left + 14;
  const top = event.clientY - box.top + 14;
  tip.style.left = `${clamp(left, 4, box.width - tip.offsetWidth - 4)}px`;
  tip.style.top = `${clamp(top, 4, box.height - tip.offsetHeight - 4)}px`;
}

/**
 * A point's values, by one student.
 * @param {Data} data
 * @param {State} state
 * @param {string} student
 * @param {number} point
 */
export function describe(data, state, student, point) {
  const learner = learnerOf(data, student);
  const [row, column] = cellOf(state);
  const share = sharesOf(data, student, [row, column])?.values[point];
  const lines = [
    `Point #${point}`,
    `${data.seenInView[state.view][point] ? "seen" : "hidden"} in view ${state.view + 1} · seen by ${data.viewsSeeing[point]} of ${data.views}`,
    `wins ${count(learner.winsInView[state.view][point])} channels here, ${count(learner.globalWins[point])} in the classifier's pool`,
  ];
  if (share !== undefined) lines.push(`${row === column ? "alignment" : `share of cos (${row + 1}, ${column + 1})`} ${signed(share, 4)}`);
  return lines;
}
