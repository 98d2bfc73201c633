// What do the three networks say? Five bars each, with the margin of the first answer.

import { make, percent, words } from "./dom.js";

const NETWORKS = [
  { key: "teacher", label: "Teacher", hint: "Reads the rendered views" },
  { key: "distilled", label: "Distilled", hint: "Reads the points alone; was trained with the teacher" },
  { key: "plain", label: "Plain", hint: "Reads the points alone; the same recipe without the teacher" },
];

const shortPercent = (share) => percent(share, share < 0.0995 ? 1 : 0);

export function drawPredictions(node, noteNode, data) {
  const columns = NETWORKS.map(({ key, label, hint }) => {
    const answer = data.predictions[key];
    if (!answer) {
      return make("div", { class: "pmv-network", attrs: { "data-network": key } }, [
        make("h4", { text: label, title: hint }), make("p", { class: "pmv-empty", text: "No plain weights for this student." }),
      ]);
    }
    const rows = answer.top.map(([name, probability], i) => make("li", { class: i === 0 ? "pmv-first" : "" }, [
      make("span", { class: "pmv-label", text: words(name), title: words(name) }),
      make("span", { class: "pmv-value", text: shortPercent(probability) }),
      make("span", { class: "pmv-track" }, [make("span", { style: { width: `${100 * probability}%` } })]),
    ]));
    const spoken = answer.top.map(([name, p]) => `${words(name)} ${percent(p, 1)}`).join(", ");
    return make("div", { class: "pmv-network", attrs: { "data-network": key, role: "group", "aria-label": `${label}: ${spoken}` } }, [
      make("h4", { text: label, title: hint }),
      make("ol", {}, rows),
      make("p", { class: "pmv-margin", text: `margin ${shortPercent(answer.margin).replace(/\s%/, " points")}`, title: "First probability minus second, in percentage points" }),
    ]);
  });
  node.replaceChildren(...columns);
  noteNode.hidden = !data.domain.note;
  noteNode.textContent = data.domain.note ?? "";
  noteNode.title = data.domain.rule;
}
