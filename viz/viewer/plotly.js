// When and how does plotly.js come? Once, while Python computes the first shape.

import { make } from "./dom.js";

/** @import { Plotly } from "./types.d.ts" */

/** @type {Promise<Plotly> | null} */
let plotly = null;

/**
 * The page keeps its own reference: another plot on the page may replace window.Plotly with its own copy.
 * @param {string} path from the page's base, wherever that is
 */
export function loadPlotly(path) {
  plotly ??= new Promise((done, fail) => {
    const script = make("script", { attrs: { src: path } });
    script.onload = () => done(window.Plotly);
    script.onerror = () => fail(new Error("plotly.js did not load"));
    document.head.append(script);
  });
  return plotly;
}

/**
 * Do a task when the page has asked Python for its first shape: Gradio sends each question to its queue.
 * @param {() => void} task
 */
export function onceAsked(task) {
  const observer = new PerformanceObserver((list) => {
    if (!list.getEntries().some(({ name }) => name.includes("/queue/join"))) return;
    observer.disconnect();
    task();
  });
  observer.observe({ type: "resource", buffered: true });
  return observer;
}
