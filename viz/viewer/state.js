// What can be chosen, and what of it is possible with this shape?

import { firstStudent, hasStudent, pairOf } from "./answers.js";
import { FIRST_MODE, isUsable } from "./modes.js";
import { clamp } from "./numbers.js";
import { mostWins } from "./wins.js";

/** @import { Cell, Data, State } from "./types.d.ts" */

/** @type {State} */
export const FIRST_STATE = {
  view: 0, mode: FIRST_MODE, scope: "view", difference: "wins", least: 1, point: null, student: "",
  compare: false, thumbs: "render", cell: null,
};
export const THUMBS = ["render", "points", "heat"];

/**
 * The address and the shape before know nothing of this one.
 * @param {State} state
 * @param {Data} data
 * @returns {State}
 */
export function fit(state, data) {
  return {
    ...state,
    view: state.view < data.views ? state.view : 0,
    least: clamp(state.least, 1, mostWins(data, state)),
    point: state.point !== null && state.point < data.count ? state.point : null,
    cell: null,
    student: hasStudent(data, state.student) ? state.student : firstStudent(data),
    compare: state.compare && pairOf(data) !== null,
    mode: isUsable(state.mode, data) ? state.mode : FIRST_MODE,
  };
}

/**
 * The cell of the similarity matrix that all panels speak of: the selected view's own, unless another one is chosen.
 * @param {State} state
 * @returns {Cell}
 */
export const cellOf = (state) => state.cell ?? [state.view, state.view];
