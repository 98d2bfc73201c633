// What do the colours mean right now? The legend over the scene, with the controls that belong to one colouring.

function tickPlace(legend, tick) {
  if (legend.log) return Math.log(Math.max(tick, 1)) / Math.log(Math.max(legend.high, 2));
  return (tick - legend.low) / (legend.high - legend.low || 1);
}

function formatTick(legend, tick) {
  if (legend.digits) return tick === 0 ? "0" : tick.toFixed(legend.digits).replace("-", "−");
  return count(tick).replace("-", "−");
}

function drawLegend(node, legend, state, change) {
  const parts = [make("h4", { text: legend.title })];
  if (legend.subtitle) parts.push(make("p", { class: "pmv-subtitle", text: legend.subtitle }));
  if (legend.kind === "bar") {
    parts.push(make("div", { class: "pmv-bar-legend" }, [
      gradientBar(legend.stops),
      make("div", { class: "pmv-ticks pmv-placed" }, legend.ticks.map((tick) => make("span", {
        text: formatTick(legend, tick), style: { "--place": tickPlace(legend, tick) },
      }))),
      legend.unit && make("div", { class: "pmv-unit", text: legend.unit }),
    ]));
  }
  if (legend.kind === "items") {
    parts.push(make("ul", {}, legend.items.map((item) => make("li", {}, [
      make("i", { style: { background: item.color } }), make("span", { text: item.label }), make("strong", { text: item.value }),
    ]))));
  }
  if (legend.note) parts.push(make("p", { class: "pmv-hint", text: legend.note }));
  if (state.mode === "wins") parts.push(...winnerControls(legend, state, change));
  if (state.mode === "difference") {
    parts.push(choiceRow([["wins", "channels"], ["alignment", "alignment"]], state.difference, (difference) => change({ difference }), "Difference of"));
  }
  node.replaceChildren(...parts.filter(Boolean));
}

function choiceRow(choices, chosen, onChoose, label) {
  const row = make("div", { class: "pmv-switch", attrs: { role: "radiogroup", "aria-label": label } });
  makeSwitch(row, choices.map(([key, text]) => ({ key, label: text })), onChoose).set(chosen);
  return row;
}

function winnerControls(legend, state, change) {
  const label = make("span", { text: `${count(legend.slider.kept)} points win at least ${Math.max(state.least, 1)}` });
  const input = make("input", {
    attrs: { type: "range", min: 1, max: Math.max(legend.slider.top, 2), step: 1, value: Math.max(state.least, 1), "aria-label": "Keep only winners of at least this many channels" },
    on: {
      input: () => { label.textContent = `keep points that win at least ${input.value}`; },
      change: () => change({ least: Number(input.value) }),
    },
  });
  return [
    choiceRow([["view", "this view"], ["views", "all views"], ["pool", "classifier"]], state.scope, (scope) => change({ scope, least: 1 }), "Count wins"),
    make("label", { class: "pmv-slider" }, [label, input]),
  ];
}
