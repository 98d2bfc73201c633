// Which state does the address carry? Everything that is chosen, so that a link shows what its sender saw.

import { MODES } from "./modes.js";
import { FIRST_STATE, THUMBS } from "./state.js";

/** @import { State } from "./types.d.ts" */

/** @type {{name: string, field: "mode" | "scope" | "difference" | "thumbs", values: string[]}[]} */
const CHOICES = [
  { name: "color", field: "mode", values: MODES.map((mode) => mode.key) },
  { name: "scope", field: "scope", values: ["view", "views", "pool"] },
  { name: "difference", field: "difference", values: ["wins", "alignment"] },
  { name: "thumbs", field: "thumbs", values: THUMBS },
];

/**
 * Only listed words, whole numbers and keys are believed; which students there are is known when a shape has come.
 * @returns {State} the first state where the address says nothing
 */
export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = { ...FIRST_STATE };
  for (const { name, field, values } of CHOICES) {
    const value = given.get(name);
    if (value !== null && values.includes(value)) state[field] = value;
  }
  /** @param {string} key */
  const whole = (key) => (/^\d{1,6}$/.test(given.get(key) ?? "") ? Number(given.get(key)) : null);
  state.view = Math.max((whole("view") ?? 1) - 1, 0);
  state.point = whole("point");
  state.least = whole("least") ?? state.least;
  state.student = given.get("student") ?? "";
  state.compare = given.get("compare") === "1";
  return state;
}

/**
 * Keys of others (the page's own options) are left as they are.
 * @param {State} state
 * @param {string} firstStudent who needs not be named
 */
export function writeAddress(state, firstStudent) {
  const kept = new URLSearchParams(location.hash.slice(1));
  /** @param {string} key @param {string | number | null} value */
  const put = (key, value) => (value === null ? kept.delete(key) : kept.set(key, String(value)));
  for (const { name, field } of CHOICES) put(name, state[field] === FIRST_STATE[field] ? null : state[field]);
  put("student", state.student === firstStudent ? null : state.student);
  put("view", state.view === 0 ? null : state.view + 1);
  put("point", state.point);
  put("least", state.least > 1 ? state.least : null);
  put("compare", state.compare ? 1 : null);
  const hash = kept.toString();
  const { pathname, search } = location;
  history.replaceState(history.state, "", pathname + search + (hash ? `#${hash}` : ""));
}
