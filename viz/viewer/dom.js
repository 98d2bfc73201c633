// How is a node made? Text goes in as textContent only, so that nothing a user named can become markup.

/**
 * @typedef {object} Options
 * @property {string} [class]
 * @property {string | number} [text]
 * @property {string} [title]
 * @property {Record<string, string | number | boolean>} [attrs]
 * @property {Record<string, string | number>} [style]
 * @property {Record<string, (event: any) => void>} [on]
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Options} [options]
 * @param {(Node | string | null | undefined | false)[]} [children]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, options = {}, children = []) {
  const node = document.createElement(tag);
  if (options.class) node.className = options.class;
  if (options.text !== undefined) node.textContent = String(options.text);
  if (options.title) node.title = options.title;
  for (const [name, value] of Object.entries(options.attrs ?? {})) node.setAttribute(name, String(value));
  for (const [name, value] of Object.entries(options.style ?? {})) node.style.setProperty(name, String(value));
  for (const [name, listener] of Object.entries(options.on ?? {})) node.addEventListener(name, listener);
  for (const child of children) if (child) node.append(child);
  return node;
}

/** @param {string} path */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/**
 * What a label names and its value, side by side.
 * @param {string} label
 * @param {string} value
 * @param {string} title
 */
export function fact(label, value, title) {
  return make("div", { class: "pmv-fact", title }, [make("span", { text: label }), make("strong", { text: value })]);
}

/** @param {string[]} stops */
export function gradientBar(stops) {
  return make("div", { class: "pmv-gradient", style: { background: `linear-gradient(to right, ${stops.join(", ")})` } });
}

/**
 * The pen of a canvas.
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function pen(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  return context;
}

/**
 * @param {string} source
 * @returns {Promise<HTMLImageElement>}
 */
export function loadImage(source) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => fail(new Error("a view's image cannot be decoded"));
    image.src = source;
  });
}
