// Which state does the address carry? Everything that is chosen, so that a link shows what its sender saw.

import { MODES } from "./colouring.js";

const ADDRESS_CHOICES = {
  color: { field: "mode", values: MODES.map((mode) => mode.key) },
  scope: { field: "scope", values: ["view", "views", "pool"] },
  difference: { field: "difference", values: ["wins", "alignment"] },
  student: { field: "student", values: ["distilled", "plain"] },
  thumbs: { field: "thumbs", values: ["render", "points", "heat"] },
};

// Only listed words and whole numbers are believed; the bundle's sizes are checked where they are known.
export function readAddress() {
  const given = new URLSearchParams(window.location.hash.slice(1));
  const state = {};
  for (const [key, { field, values }] of Object.entries(ADDRESS_CHOICES)) {
    if (values.includes(given.get(key))) state[field] = given.get(key);
  }
  const whole = (key) => (/^\d{1,6}$/.test(given.get(key) ?? "") ? Number(given.get(key)) : null);
  if (whole("view") > 0) state.view = whole("view") - 1;
  if (whole("point") !== null) state.point = whole("point");
  if (whole("least") !== null) state.least = whole("least");
  if (given.get("compare") === "1") state.compare = true;
  return state;
}

// Keys of others (the page's own options) are left as they are.
export function writeAddress(state) {
  const kept = new URLSearchParams(window.location.hash.slice(1));
  const put = (key, value) => (value === null ? kept.delete(key) : kept.set(key, value));
  for (const [key, { field, values }] of Object.entries(ADDRESS_CHOICES)) {
    put(key, state[field] === values[0] ? null : state[field]);
  }
  put("view", state.view === 0 ? null : state.view + 1);
  put("point", state.point);
  put("least", state.least > 1 ? state.least : null);
  put("compare", state.compare ? 1 : null);
  const hash = kept.toString();
  const { pathname, search } = window.location;
  history.replaceState(history.state, "", pathname + search + (hash ? `#${hash}` : ""));
}
