// What do the colours mean right now? The legend over the scene, with the controls that belong to one colouring.

import { count, make, makeSwitch, percent } from "./dom.js";
import { gradientBar } from "./matrix.js";

export function tickPlace(legend, tick) {
  if (legend.log) return Math.log(Math.max(tick, 1)) / Math.log(Math.max(legend.high, 2));
  return (tick - legend.low) / (legend.high - legend.low || 1);
}

export function formatTick(legend, tick) {
  if (legend.digits) return tick === 0 ? "0" : tick.toFixed(legend.digits).replace("-", "−");
  return count(tick).replace("-", "−");
}

export function drawLegend(node, legend, state, change, server) {
  const parts = [make("div", { class: "pmv-legend-text" }, [
    make("h4", { text: legend.title }), legend.subtitle && make("p", { class: "pmv-subtitle", text: legend.subtitle }),
  ])];
  if (legend.kind === "bar") {
    parts.push(make("div", { class: "pmv-bar-legend" }, [
      gradientBar(legend.stops),
      make("div", { class: "pmv-ticks pmv-placed" }, legend.ticks.map((tick) => make("span", {
        text: formatTick(legend, tick), style: { "--place": tickPlace(legend, tick) },
      }))),
    ]));
  }
  if (legend.kind === "items") {
    parts.push(make("ul", {}, legend.items.map((item) => make("li", {}, [
      make("i", { style: { background: item.color } }), make("span", { text: item.label }), make("strong", { text: item.value }),
    ]))));
  }
  if (legend.note) parts.push(make("p", { class: "pmv-hint", text: legend.note }));
  if (state.mode === "wins") parts.push(...winnerControls(legend, state, change, server));
  if (state.mode === "difference") {
    parts.push(choiceRow([["wins", "Channels"], ["alignment", "Alignment"]], state.difference, (difference) => change({ difference }), "Difference of"));
  }
  // Keyboard focus stays where it was when the legend is drawn anew.
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.dataset.choice ? "[aria-checked=true]" : focused?.matches("input") ? "input" : null;
  node.replaceChildren(...parts);
  if (again) node.querySelector(again)?.focus();
}

function choiceRow(choices, chosen, onChoose, label) {
  const row = make("div", { class: "pmv-switch", attrs: { role: "radiogroup", "aria-label": label } });
  makeSwitch(row, choices.map(([key, text]) => ({ key, label: text })), onChoose).set(chosen);
  return row;
}

// Few points win many channels, so the slider is logarithmic; where that would give a number twice, it comes once.
function winnerSteps(top) {
  const rungs = Array.from({ length: 41 }, (_, rung) => Math.round(top ** (rung / 40)));
  return [...new Set(rungs)];
}

function winnerControls(legend, state, change, server) {
  const steps = winnerSteps(legend.slider.top);
  const stepOf = (wins) => steps.findLastIndex((step) => step <= wins);
  const least = Math.max(state.least, 1);
  const label = make("span", { text: `${count(legend.slider.kept)} points win ≥ ${count(least)}` });
  predictKept(server, legend.slider, state, (answer) => {
    label.textContent = `${count(legend.slider.kept)} win ≥ ${count(least)}: ${answer}`;
    label.title = `What the ${state.student} student answers when it is given these points alone: ${answer}`;
  });
  const input = make("input", {
    attrs: { type: "range", min: 0, max: steps.length - 1, step: 1, value: stepOf(least), "aria-label": "Keep only points that win at least this many channels", "aria-valuetext": `${least} channels` },
    on: {
      input: () => { label.textContent = `keep points with ≥ ${count(steps[Number(input.value)])}`; },
      change: () => change({ least: steps[Number(input.value)] }),
    },
  });
  return [
    choiceRow([["view", "View"], ["views", "All views"], ["pool", "Classifier"]], state.scope, (scope) => change({ scope, least: 1 }), "Count wins in"),
    make("label", { class: "pmv-slider" }, [label, input]),
  ];
}

// The winners are what the classifier reads: the server asks the student again, with the kept points alone.
let latestQuestion = 0;
const predictKept = debounced(async (server, slider, state, show) => {
  const question = ++latestQuestion;
  if (!server?.predict_kept || slider.kept < 3) return;
  const bytes = new Uint8Array(slider.points.buffer);
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const answer = await server.predict_kept({ student: slider.student, plain: state.student === "plain", points: text });
  if (question !== latestQuestion) return;
  if (answer?.busy) show("busy, try again");
  else if (answer?.label) show(`${answer.label.replaceAll("_", " ")} ${percent(answer.probability)}`);
}, 150);

function debounced(act, wait_ms) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => act(...values), wait_ms); };
}
