// What do the networks say? Five bars each, with the margin of the first answer.

import { make } from "./dom.js";
import { percent, words } from "./numbers.js";

/** @import { Answer, Data } from "./types.d.ts" */

/** @param {number} share */
const shortPercent = (share) => percent(share, share < 0.0995 ? 1 : 0);

/** @param {HTMLElement} node @param {HTMLElement} noteNode @param {Data} data */
export function drawPredictions(node, noteNode, data) {
  node.replaceChildren(...data.answers.map(drawAnswer));
  noteNode.hidden = !data.domain.note;
  noteNode.textContent = data.domain.note ?? "";
  noteNode.title = data.domain.rule;
}

/** @param {Answer} answer */
function drawAnswer({ key, label, hint, color, top, margin }) {
  const rows = top.map(([name, probability], i) => make("li", { class: i === 0 ? "pmv-first" : "" }, [
    make("span", { class: "pmv-label", text: words(name), title: words(name) }),
    make("span", { class: "pmv-value", text: shortPercent(probability) }),
    make("span", { class: "pmv-track" }, [make("span", { style: { width: `${100 * probability}%` } })]),
  ]));
  const spoken = top.map(([name, p]) => `${words(name)} ${percent(p, 1)}`).join(", ");
  return make("div", {
    class: "pmv-network", style: { "--bar": `var(--pmv-${color})` },
    attrs: { "data-network": key, role: "group", "aria-label": `${label}: ${spoken}` },
  }, [
    make("h4", { text: label, title: hint }),
    make("ol", {}, rows),
    make("p", { class: "pmv-margin", text: `margin ${shortPercent(margin).replace(/\s%/, " points")}`, title: "First probability minus second, in percentage points" }),
  ]);
}
