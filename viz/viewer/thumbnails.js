// What does each camera see? The images the teacher read, and what can be laid over them.

import { projectToImage } from "./camera.js";
import { loadImage, make, pen } from "./dom.js";
import { clamp, count, largest, percent, signed, words } from "./numbers.js";
import { rampColor, stretch } from "./palette.js";

/** @import { Data, State, Theme } from "./types.d.ts" */

const SMALLEST_TILE_PX = 76;
const TILE_GAP_PX = 6;
const MOST_ROWS = 4;
const HEAT_OPACITY = 0.9;

/**
 * @typedef {object} Tile
 * @property {HTMLButtonElement} button
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLElement} captionNode
 * @property {string} title
 * @property {string[]} caption
 * @property {string[]} heatCaption
 * @property {string} heatTitle
 */

export class Thumbnails {
  /** @param {HTMLElement} node @param {(view: number) => void} onSelect */
  constructor(node, onSelect) {
    this.node = node;
    this.onSelect = onSelect;
    /** @type {Data | null} */
    this.data = null;
    /** @type {HTMLImageElement[]} */
    this.images = [];
    /** @type {Tile[]} */
    this.tiles = [];
    /** @type {Map<number, HTMLCanvasElement>} */
    this.heatLayers = new Map();
    this.drawn = "";
  }

  /**
   * Whether this is still the shape to show when its images have come.
   * @param {Data} data
   */
  async load(data) {
    this.data = data;
    this.forgetTheme();
    const images = await Promise.all(data.images.map(loadImage));
    if (this.data !== data) return false;
    this.images = images;
    this.tiles = images.map((_, view) => {
      const size = data.cameras.imageSize;
      const canvas = make("canvas", { attrs: { width: size, height: size, "aria-hidden": "true" } });
      const seen = data.seenTotals[view];
      const azimuth = Math.round(data.cameras.azimuth[view]);
      const elevation = Math.round(data.cameras.elevation[view]);
      const captionNode = make("span", { class: "pmv-thumb-caption" });
      const button = make("button", {
        class: "pmv-thumb", title: `View ${view + 1} (index ${view} in exports)\nazimuth ${azimuth}°, elevation ${elevation}°\nsees ${count(seen)} of ${count(data.total)} points`,
        attrs: {
          type: "button", "data-view": view,
          "aria-label": `View ${view + 1}, azimuth ${azimuth} degrees, elevation ${elevation} degrees, sees ${count(seen)} of ${count(data.total)} points`,
        },
        on: { click: () => this.onSelect(view), dblclick: (/** @type {Event} */ event) => event.stopPropagation() },
      }, [
        canvas, make("span", { class: "pmv-thumb-number", text: view + 1 }), captionNode,
      ]);
      const { logits, onBackground, label } = data.heat;
      const added = heatCells(data, view).reduce((total, value) => total + value, 0);
      return {
        button, canvas, captionNode, title: button.title,
        caption: [`${azimuth}° / ${elevation}°`, percent(seen / data.total)],
        heatCaption: ["background", percent(onBackground[view])],
        heatTitle: `View ${view + 1}: ${percent(onBackground[view])} of the map's magnitude lies on the background\n`
          + `its cells add ${signed(added, 2)} to this view's logit of “${words(label)}”, a constant ${signed(logits[view] - added, 2)}: ${signed(logits[view], 2)}`,
      };
    });
    this.node.replaceChildren(...this.tiles.map((tile) => tile.button));
    this.layOut();
    return true;
  }

  forgetTheme() {
    this.heatLayers.clear();
    this.drawn = "";
  }

  // As few rows as leave each image large enough to read.
  layOut() {
    const width = this.node.clientWidth;
    let rows = 1;
    const columns = () => Math.ceil(this.tiles.length / rows);
    while (rows < MOST_ROWS && (width - TILE_GAP_PX * (columns() - 1)) / columns() < SMALLEST_TILE_PX) rows += 1;
    this.node.style.setProperty("--pmv-columns", String(columns()));
  }

  /** @param {State} state @param {string[]} colors @param {Uint8Array} strong @param {Theme} theme */
  draw(state, colors, strong, theme) {
    // The images themselves never change, only what is laid over them; the points' colours may with any choice.
    const overlay = JSON.stringify([state.thumbs, state.point, theme.colors]);
    const same = overlay === this.drawn && state.thumbs !== "points";
    this.drawn = overlay;
    const heat = state.thumbs === "heat";
    this.tiles.forEach(({ button, canvas, captionNode, title, caption, heatTitle, heatCaption }, view) => {
      const on = view === state.view;
      button.title = heat ? heatTitle : title;
      captionNode.replaceChildren(...(heat ? heatCaption : caption).map((text) => make("span", { text })));
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("pmv-column-view", !on && state.cell?.[1] === view);
      if (!same) this.drawTile(pen(canvas), view, state, colors, strong, theme);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} view
   * @param {State} state
   * @param {string[]} colors
   * @param {Uint8Array} strong
   * @param {Theme} theme
   */
  drawTile(context, view, state, colors, strong, theme) {
    const { data } = this;
    if (!data) return;
    const size = data.cameras.imageSize;
    context.globalAlpha = 1;
    context.drawImage(this.images[view], 0, 0, size, size);
    if (state.thumbs === "points") drawPoints(context, data, view, colors, strong, theme);
    if (state.thumbs === "heat") {
      context.globalAlpha = HEAT_OPACITY;
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.heatLayer(data, view, theme), 0, 0, size, size);
      context.globalAlpha = 1;
    }
    if (state.point !== null) drawMark(context, data, view, state.point, theme);
  }

  /**
   * For and against the class, on one scale for all views; the fainter, the clearer.
   * @param {Data} data
   * @param {number} view
   * @param {Theme} theme
   */
  heatLayer(data, view, theme) {
    const made = this.heatLayers.get(view) ?? drawHeat(data, view, theme);
    this.heatLayers.set(view, made);
    return made;
  }
}

/** @param {Data} data */
export const heatTop = (data) => largest([data.heat.maps]) || 1;

/** @param {Data} data @param {number} view */
function heatCells(data, view) {
  const { maps, height, width } = data.heat;
  return Array.from(maps.subarray(view * width * height, (view + 1) * width * height));
}

/** @param {Data} data @param {number} view @param {Theme} theme */
function drawHeat(data, view, theme) {
  const { height, width } = data.heat;
  const canvas = make("canvas", { attrs: { width, height } });
  const context = pen(canvas);
  const pixels = context.createImageData(width, height);
  const top = heatTop(data);
  heatCells(data, view).forEach((value, i) => {
    const share = stretch(value / top);
    pixels.data.set([...rampColor(theme.maps.heat, 0.5 + 0.5 * share), 255 * Math.abs(share)], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Data} data
 * @param {number} view
 * @param {string[]} colors
 * @param {Uint8Array} strong
 * @param {Theme} theme
 */
function drawPoints(context, data, view, colors, strong, theme) {
  const size = data.cameras.imageSize;
  context.fillStyle = theme.colors.image;
  context.globalAlpha = 0.5;
  context.fillRect(0, 0, size, size);
  context.globalAlpha = 1;
  const radius = clamp(2.6 * Math.sqrt(1024 / data.count), 1.2, 3.4);
  for (const wanted of [0, 1]) {
    for (let n = 0; n < data.count; n++) {
      if (!data.seenInView[view][n] || strong[n] !== wanted) continue;
      const [column, row] = projectToImage(data.cameras, view, data.points[3 * n], data.points[3 * n + 1], data.points[3 * n + 2]);
      context.fillStyle = strong[n] ? colors[n] : theme.colors["image-dim"];
      context.beginPath();
      context.arc(column, row, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

/**
 * Filled where the view sees the point, a hollow ring where something hides it.
 * @param {CanvasRenderingContext2D} context
 * @param {Data} data
 * @param {number} view
 * @param {number} point
 * @param {Theme} theme
 */
function drawMark(context, data, view, point, theme) {
  const [column, row] = projectToImage(data.cameras, view, data.points[3 * point], data.points[3 * point + 1], data.points[3 * point + 2]);
  const seen = data.seenInView[view][point];
  context.beginPath();
  context.arc(column, row, 8, 0, 2 * Math.PI);
  context.lineWidth = 7;
  context.strokeStyle = theme.colors.image;
  context.stroke();
  context.lineWidth = 4;
  context.strokeStyle = seen ? theme.colors["on-image"] : theme.colors.selection;
  context.stroke();
  if (seen) {
    context.fillStyle = theme.colors.selection;
    context.fill();
  }
}
