// How many channels does a point win: in the selected view, in all views, or in the pool that the classifier reads?

import { learnerOf } from "./answers.js";
import { largest } from "./numbers.js";

/** @import { Data, Learner, Numbers, State } from "./types.d.ts" */

/**
 * Of each point.
 * @param {Data} data
 * @param {State} state
 * @param {string} student
 * @returns {Numbers}
 */
export function winsOf(data, state, student) {
  return rowsOf(learnerOf(data, student), state.scope, state.view)[0];
}

/**
 * The most in any view, of any student: by it, one colour means one number everywhere.
 * @param {Data} data
 * @param {State} state
 */
export function mostWins(data, state) {
  return Math.max(1, ...data.students.map(({ student }) => largest(rowsOf(student, state.scope, null))));
}

/** @param {Learner} learner @param {string} scope @param {number | null} view @returns {Numbers[]} */
function rowsOf(learner, scope, view) {
  if (scope === "view") return view === null ? learner.winsInView : [learner.winsInView[view]];
  return [scope === "views" ? learner.winsInViews : learner.globalWins];
}
