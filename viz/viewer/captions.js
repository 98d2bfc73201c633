// What do the lines of text around the scene say?

import { pairOf } from "./answers.js";
import { gradientBar, make } from "./dom.js";
import { count, words } from "./numbers.js";
import { cellOf } from "./state.js";
import { heatTop } from "./thumbnails.js";

/** @import { Data, Legend, State, Theme } from "./types.d.ts" */

const METHODS = new Map([["raycast", "ray casting"], ["hpr", "hidden point removal"], ["zbuffer", "z-buffer"]]);
const NETWORKS = new Map([["pointnet", "PointNet"], ["dgcnn", "DGCNN"]]);
const WHY_NOTHING = {
  empty: ["No shape yet", "Choose an example or drop a file to see what the cameras see."],
  loading: ["Loading", "The networks and the first shape are on their way."],
};

/**
 * In place of a shape.
 * @param {HTMLElement} node
 * @param {"empty" | "loading" | "error"} phase
 * @param {string} error
 */
export function drawMessage(node, phase, error) {
  const [title, text] = phase === "error" ? ["This shape cannot be shown", error] : WHY_NOTHING[phase];
  node.hidden = false;
  node.replaceChildren(make("strong", { text: title }), make("p", { text }));
}

/**
 * What stays the same as long as a shape is shown.
 * @param {Record<string, HTMLElement>} parts
 * @param {Data} data
 */
export function drawSubtitles(parts, data) {
  parts["prediction-sub"].textContent = NETWORKS.get(data.network) ?? data.network;
  parts["strip-sub"].textContent = `visibility by ${METHODS.get(data.method) ?? data.method}`;
  parts["strip-sub"].title = "Under each image: azimuth / elevation, and the share of all points that the view sees";
}

/** @param {HTMLElement} node @param {Data} data @param {State} state */
export function drawStatus(node, data, state) {
  const parts = [data.name, `View ${state.view + 1} sees ${count(data.seenTotals[state.view])} of ${count(data.total)} points`];
  if (data.unseenTotal) parts.push(`${count(data.unseenTotal)} seen by none`);
  if (data.count < data.total) parts.push(`${count(data.count)} drawn`);
  node.textContent = parts.join(" · ");
}

/**
 * What the heat maps' colours mean, in place of the line about visibility.
 * @param {Record<string, HTMLElement>} parts
 * @param {Data} data
 * @param {State} state
 * @param {Theme} theme
 */
export function drawHeatbar({ heatbar, "strip-sub": subtitle }, data, state, theme) {
  heatbar.hidden = state.thumbs !== "heat";
  subtitle.hidden = !heatbar.hidden;
  if (heatbar.hidden) return;
  const label = words(data.heat.label);
  const top = heatTop(data).toPrecision(2);
  heatbar.title = `What each cell adds to the view's logit of “${label}”, the teacher's first answer; one scale for all views, square-root scale. `
    + "Under each image: how much of the map's magnitude lies on the background.";
  heatbar.replaceChildren(
    make("span", { text: `against −${top}` }), gradientBar(theme.maps.heat), make("span", { text: `+${top} for “${label}” (logit)` }),
  );
}

/**
 * Over each scene whose student it shows, and for those who cannot see them.
 * @param {Record<string, HTMLElement>} parts
 * @param {Data} data
 * @param {State} state
 * @param {Legend} legend
 */
export function drawPaneTitles(parts, data, state, legend) {
  const [row, column] = cellOf(state);
  const place = row === column ? `in view ${row + 1}` : `at (${row + 1}, ${column + 1})`;
  const pair = pairOf(data) ?? [];
  [parts["title-main"], parts["title-compare"]].forEach((node, i) => {
    const shown = pair[i];
    node.textContent = shown ? `${shown.label} · cos ${shown.student.similarity[row * data.views + column].toFixed(3)} ${place}` : "";
  });
  const said = legend.items?.map((item) => `${item.label} ${item.value}`).join(", ") ?? legend.subtitle;
  parts["scene-main"].setAttribute("aria-label", `Point cloud of ${count(data.count)} points. ${legend.title}. ${said}`);
  parts["scene-compare"].setAttribute("aria-label", pair[1] ? `The same cloud, coloured by the ${pair[1].label.toLowerCase()} student` : "");
}
