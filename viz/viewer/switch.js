// How does one choose one of several? A row of buttons of which one is on: roving tab stop and arrow keys, as a radio
// group should.

import { make } from "./dom.js";

/** @typedef {{key: string, label: string, title?: string}} Choice */

export class Switch {
  /**
   * @param {HTMLElement} node
   * @param {Choice[]} choices
   * @param {(key: string) => void} onChoose
   */
  constructor(node, choices, onChoose) {
    this.onChoose = onChoose;
    this.node = node;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    this.offer(choices);
    node.onkeydown = (event) => this.onKey(event);
  }

  /**
   * Show these choices in place of others.
   * @param {Choice[]} choices
   */
  offer(choices) {
    this.buttons = new Map(choices.map(({ key, label, title }) => [key, make("button", {
      class: "pmv-choice", text: label, title,
      attrs: { type: "button", role: "radio", "data-choice": key },
      on: { click: () => this.onChoose(key) },
    })]));
    this.node.replaceChildren(...this.buttons.values());
  }

  /** @param {string} chosen */
  set(chosen) {
    for (const [key, button] of this.buttons) {
      button.setAttribute("aria-checked", String(key === chosen));
      button.tabIndex = key === chosen ? 0 : -1;
    }
  }

  /** @param {string} key @param {boolean} on @param {string} title */
  enable(key, on, title) {
    const button = this.buttons.get(key);
    if (!button) return;
    button.disabled = !on;
    button.title = title;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const step = new Map([["ArrowRight", 1], ["ArrowDown", 1], ["ArrowLeft", -1], ["ArrowUp", -1]]).get(event.key);
    if (!step) return;
    const usable = [...this.buttons].filter(([, button]) => !button.disabled);
    const now = usable.findIndex(([, button]) => button.getAttribute("aria-checked") === "true");
    const [key, button] = usable[(now + step + usable.length) % usable.length];
    this.onChoose(key);
    button.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
