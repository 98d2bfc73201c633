// What do the colours mean right now? The legend over the scene, with the controls that belong to one colouring.

import { studentOf } from "./answers.js";
import { gradientBar, make } from "./dom.js";
import { count } from "./numbers.js";
import { Switch } from "./switch.js";

/** @import { KeptQuestion } from "./kept.js" */
/** @import { Bar, Change, Data, Kept, Legend, State } from "./types.d.ts" */

/**
 * Where a tick stands, from 0 to 1.
 * @param {Bar} bar
 * @param {number} tick
 */
export function tickPlace(bar, tick) {
  if (bar.log) return Math.log(Math.max(tick, 1)) / Math.log(Math.max(bar.high, 2));
  return (tick - bar.low) / (bar.high - bar.low || 1);
}

/** @param {Bar} bar @param {number} tick */
export function formatTick(bar, tick) {
  if (bar.digits) return tick === 0 ? "0" : tick.toFixed(bar.digits).replace("-", "−");
  return count(tick).replace("-", "−");
}

/**
 * @param {HTMLElement} node
 * @param {Legend} legend
 * @param {{data: Data, state: State, change: Change, question: KeptQuestion}} around
 */
export function drawLegend(node, legend, around) {
  const { state, change } = around;
  const parts = [make("div", { class: "pmv-legend-text" }, [
    make("h4", { text: legend.title }), legend.subtitle && make("p", { class: "pmv-subtitle", text: legend.subtitle }),
  ])];
  const { bar, items, note, kept } = legend;
  if (bar) {
    parts.push(make("div", { class: "pmv-bar-legend" }, [
      gradientBar(bar.stops),
      make("div", { class: "pmv-ticks pmv-placed" }, bar.ticks.map((tick) => make("span", {
        text: formatTick(bar, tick), style: { "--place": tickPlace(bar, tick) },
      }))),
    ]));
  }
  const list = items?.map((item) => make("li", {}, [
    make("i", { style: { background: item.color } }), make("span", { text: item.label }), make("strong", { text: item.value }),
  ]));
  const controls = kept ? winnerControls(kept, around) : state.mode !== "difference" ? [] : [
    choiceRow({ wins: "Channels", alignment: "Alignment" }, state.difference, (difference) => change({ difference }), "Difference of"),
  ];
  // Keyboard focus stays where it was when the legend is drawn anew.
  const focused = document.activeElement instanceof HTMLElement && node.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.dataset.choice ? "[aria-checked=true]" : focused?.matches("input") ? "input" : null;
  node.replaceChildren(...parts, ...(list ? [make("ul", {}, list)] : []), ...(note ? [make("p", { class: "pmv-hint", text: note })] : []), ...controls);
  const next = again && node.querySelector(again);
  if (next instanceof HTMLElement) next.focus();
}

/**
 * @param {Record<string, string>} choices the label of each
 * @param {string} chosen
 * @param {(key: string) => void} onChoose
 * @param {string} label
 */
function choiceRow(choices, chosen, onChoose, label) {
  const row = make("div", { class: "pmv-switch", attrs: { role: "radiogroup", "aria-label": label } });
  new Switch(row, Object.entries(choices).map(([key, text]) => ({ key, label: text })), onChoose).set(chosen);
  return row;
}

/**
 * Few points win many channels, so the slider is logarithmic; where that would give a number twice, it comes once.
 * @param {number} top
 */
function winnerSteps(top) {
  const rungs = Array.from({ length: 41 }, (_, rung) => Math.round(top ** (rung / 40)));
  return [...new Set(rungs)];
}

/**
 * @param {Kept} slider
 * @param {{data: Data, state: State, change: Change, question: KeptQuestion}} around
 */
function winnerControls({ top, kept, points }, { data, state, change, question }) {
  const steps = winnerSteps(top);
  const least = Math.max(state.least, 1);
  const { key, label: student } = studentOf(data, state.student);
  const label = make("span", { text: `${count(kept)} points win ≥ ${count(least)}` });
  question.ask({ network: data.network, key, points }, (answer) => {
    label.textContent = `${count(kept)} win ≥ ${count(least)}: ${answer}`;
    label.title = `What the ${student.toLowerCase()} student answers when it is given these points alone: ${answer}`;
  });
  const input = make("input", {
    attrs: {
      type: "range", min: 0, max: steps.length - 1, step: 1, value: steps.findLastIndex((step) => step <= least),
      "aria-label": "Keep only points that win at least this many channels", "aria-valuetext": `${least} channels`,
    },
    on: {
      input: () => { label.textContent = `keep points with ≥ ${count(steps[Number(input.value)])}`; },
      change: () => change({ least: steps[Number(input.value)] }),
    },
  });
  const scopes = { view: "View", views: "All views", pool: "Classifier" };
  return [
    choiceRow(scopes, state.scope, (scope) => change({ scope, least: 1 }), "Count wins in"),
    make("label", { class: "pmv-slider" }, [label, input]),
  ];
}
