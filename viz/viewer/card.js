// What is known of one point: where it is, which views see it, what it wins?

import { learnerOf } from "./answers.js";
import { sharesOf } from "./cells.js";
import { fact, make } from "./dom.js";
import { count, percent, signed } from "./numbers.js";
import { cellOf } from "./state.js";

/** @import { Change, Data, State } from "./types.d.ts" */

const LEDGER_ROWS = 6;

/** @param {HTMLElement} node @param {HTMLElement} subNode @param {Data} data @param {State} state @param {Change} change */
export function drawCard(node, subNode, data, state, change) {
  const { point } = state;
  if (point === null) {
    subNode.textContent = "";
    node.replaceChildren(
      make("p", { class: "pmv-empty", text: "Click a point of the cloud, or one of those that decide most of what the classifier reads:" }),
      drawLedger(data, state, change),
    );
    return;
  }
  const student = learnerOf(data, state.student);
  const xyz = [0, 1, 2].map((c) => data.points[3 * point + c]);
  const inFile = [0, 1, 2].map((r) => xyz.reduce((sum, value, c) => sum + data.toWorld[4 * r + c] * value, data.toWorld[4 * r + 3]));
  const views = Array.from({ length: data.views }, (_, v) => v);
  const seeing = views.filter((v) => data.seenInView[v][point]);
  const wins = views.map((v) => student.winsInView[v][point]);
  const alignment = views.map((v) => student.alignmentInView[v][point]);
  const mostWon = Math.max(1, ...wins);
  const mostAligned = Math.max(1e-9, ...alignment.map(Math.abs));
  subNode.textContent = `#${point}`;

  const chips = views.map((v) => {
    const seen = Boolean(data.seenInView[v][point]);
    const margin = data.margin(v, point);
    const why = seen ? "seen" : margin > 0 ? `hidden, ${margin.toFixed(2)} behind the surface` : "hidden";
    return make("button", {
      class: `pmv-chip${v === state.view ? " pmv-current" : ""}`, text: v + 1, title: `View ${v + 1}: ${why}`,
      attrs: { type: "button", "data-view": v, "data-seen": seen, "aria-label": `View ${v + 1}: ${why}` },
      on: { click: () => change({ view: v }) },
    });
  });
  /** @param {number[]} values @param {number} top @param {string} className @param {(view: number) => string} describe */
  const columns = (values, top, className, describe) => make("div", { class: `pmv-columns ${className}` }, values.map((value, v) => make("span", {
    class: value < 0 ? "pmv-negative" : "", title: describe(v), style: { "--share": Math.abs(value) / top },
  })));
  const now = state.view;
  const here = cellOf(state);
  const share = sharesOf(data, state.student, here)?.values[point];
  const seenNow = data.seenInView[now][point];
  const margin = data.margin(now, point);
  node.replaceChildren(
    make("div", { class: "pmv-facts" }, [
      fact("x, y, z", xyz.map((value) => value.toFixed(3)).join("  "), `In the file's units: ${inFile.map((value) => value.toPrecision(5)).join(", ")}`),
      fact(`In view ${now + 1}`, seenNow ? "seen" : margin > 0 ? `hidden by ${margin.toFixed(2)}` : "hidden",
        "Depth margin: how far the point lies behind the nearest surface on its pixel, in radii of the shape"),
      fact("Channels won", `${count(wins[now])} here · ${count(student.globalWins[point])} overall`,
        `Of ${count(student.channels)}: in view ${now + 1}'s pool, and in the pool over all points that the classifier reads`),
      fact(here[0] === here[1] ? "Alignment" : `Share of cos (${here[0] + 1}, ${here[1] + 1})`, share === undefined ? "–" : share === 0 ? "0" : signed(share, 4),
        `Share of the cosine of student view ${here[0] + 1} and teacher view ${here[1] + 1}`),
    ]),
    make("div", { class: "pmv-views", style: { "--pmv-views": data.views } }, [
      make("div", { class: "pmv-row-label", text: `Seen by ${seeing.length} of ${data.views} views` }),
      make("div", { class: "pmv-chips" }, chips),
      make("div", { class: "pmv-row-label", text: `Channels won per view (most ${count(Math.max(...wins))})` }),
      columns(wins, mostWon, "pmv-wins", (v) => `View ${v + 1}: ${count(wins[v])} channels`),
      make("div", { class: "pmv-row-label", text: `Alignment per view (± ${mostAligned.toFixed(4)})` }),
      columns(alignment, mostAligned, "pmv-alignment", (v) => `View ${v + 1}: ${signed(alignment[v], 4)}`),
    ]),
  );
}

/**
 * The points that win most channels of the pool over all points.
 * @param {Data} data
 * @param {State} state
 * @param {Change} change
 */
function drawLedger(data, state, change) {
  const { globalWins, globalChannels } = learnerOf(data, state.student);
  const order = Array.from(globalWins.keys()).sort((a, b) => globalWins[b] - globalWins[a]).slice(0, LEDGER_ROWS);
  const most = Math.max(1, globalWins[order[0]]);
  return make("div", { class: "pmv-ledger" }, order.filter((n) => globalWins[n] > 0).map((n) => make("button", {
    class: "pmv-winner", title: `Seen by ${data.viewsSeeing[n]} of ${data.views} views`, attrs: { type: "button", "data-point": n },
    on: { click: () => change({ point: n }) },
  }, [
    make("strong", { text: `#${n}` }),
    make("span", { class: "pmv-track" }, [make("span", { style: { width: `${(100 * globalWins[n]) / most}%` } })]),
    make("span", { text: `${count(globalWins[n])} channels (${percent(globalWins[n] / globalChannels, 1)})` }),
  ])));
}
