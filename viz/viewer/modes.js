// By what can the points be coloured, and can this shape?

import { labelsOf, pairOf } from "./answers.js";

/** @import { Data } from "./types.d.ts" */

/**
 * @typedef {object} Mode
 * @property {string} key
 * @property {string} digit the key of the keyboard that chooses it
 * @property {string} label
 * @property {(data: Data) => string} hint
 * @property {boolean} [perStudent] whether it tells students apart
 * @property {(data: Data) => string | null} [refusal] why this shape has no such colours
 */

/** @type {Mode[]} */
export const MODES = [
  { key: "seen", digit: "1", label: "Seen", hint: () => "Points the selected view sees" },
  { key: "views", digit: "2", label: "Coverage", hint: () => "Number of views that see the point" },
  { key: "wins", digit: "3", label: "Winners", perStudent: true, hint: () => "Max-pool channels the point wins" },
  { key: "alignment", digit: "4", label: "Alignment", perStudent: true, hint: () => "The point's share of the cosine with the teacher's view" },
  { key: "features", digit: "5", label: "Features", perStudent: true, hint: () => "First three principal components of the point features" },
  { key: "height", digit: "6", label: "Height", hint: () => "Height above the ground" },
  { key: "file", digit: "7", label: "Colours", hint: () => "Colours stored in the file", refusal: (data) => data.colors ? null : "This file has no colours" },
  { key: "difference", digit: "8", label: "Difference", hint: (data) => `${labelsOf(data).join(" minus ")} student`, refusal: noPair },
  { key: "blind", digit: "9", label: "Blind spots", hint: () => "Points that no view sees" },
];

export const FIRST_MODE = "seen";

/** @param {string} key */
export function modeOf(key) {
  const mode = MODES.find((each) => each.key === key);
  if (!mode) throw new Error(`unknown colouring ${key}`);
  return mode;
}

/** @param {Data} data */
export function noPair(data) {
  return pairOf(data) ? null : "There is no second student to compare with";
}

/** @param {string} key @param {Data} data */
export const isUsable = (key, data) => !modeOf(key).refusal?.(data);

/** @param {Mode} mode @param {Data} data */
export const titleOf = (mode, data) => mode.refusal?.(data) ?? `${mode.hint(data)} (${mode.digit})`;

/**
 * Why two students cannot be compared in this colouring; null where they can.
 * @param {string} key
 * @param {Data} data
 */
export function compareRefusal(key, data) {
  const { label, perStudent } = modeOf(key);
  if (perStudent || !pairOf(data)) return noPair(data);
  const others = MODES.filter((mode) => mode.perStudent).map((mode) => mode.label);
  const all = data.students.length === 2 ? "both" : "all";
  return `“${label}” is the same for ${all} students; compare them in ${others.slice(0, -1).join(", ")} or ${others.at(-1)}`;
}
