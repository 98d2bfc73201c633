// How is a node made? Text goes in as textContent only, so that nothing a user named can become markup.

export function make(tag, options = {}, children = []) {
  const node = document.createElement(tag);
  if (options.class) node.className = options.class;
  if (options.text !== undefined) node.textContent = String(options.text);
  if (options.title) node.title = options.title;
  for (const [name, value] of Object.entries(options.attrs ?? {})) node.setAttribute(name, String(value));
  for (const [name, value] of Object.entries(options.style ?? {})) node.style.setProperty(name, value);
  for (const [name, listener] of Object.entries(options.on ?? {})) node.addEventListener(name, listener);
  for (const child of children) if (child) node.append(child);
  return node;
}

export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

// A row of buttons of which one is on: roving tab stop and arrow keys, as a radio group should.
export function makeSwitch(node, choices, onChoose) {
  const buttons = new Map();
  for (const choice of choices) {
    const button = make("button", {
      class: "pmv-choice", text: choice.label, title: choice.title,
      attrs: { type: "button", role: "radio", "data-choice": choice.key },
      on: { click: () => onChoose(choice.key) },
    });
    buttons.set(choice.key, button);
  }
  node.replaceChildren(...buttons.values());
  node.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const usable = choices.filter((choice) => !buttons.get(choice.key).disabled);
    const now = usable.findIndex((choice) => buttons.get(choice.key).getAttribute("aria-checked") === "true");
    const next = usable[(now + step + usable.length) % usable.length];
    onChoose(next.key);
    buttons.get(next.key).focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return {
    set(key) {
      for (const [name, button] of buttons) {
        button.setAttribute("aria-checked", String(name === key));
        button.tabIndex = name === key ? 0 : -1;
      }
    },
    enable(key, on, title) {
      buttons.get(key).disabled = !on;
      buttons.get(key).title = title ?? "";
    },
  };
}

const NUMBER = new Intl.NumberFormat("en-US");
export const count = (value) => NUMBER.format(value);
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
export function signed(value, digits) {
  const size = Math.abs(value).toFixed(digits);
  return Number(size) === 0 ? size : (value < 0 ? "−" : "+") + size;
}
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
export const sum = (values) => values.reduce((total, value) => total + value, 0);
export const words = (label) => label.replaceAll("_", " ");
