// What does each camera see? The images the teacher read, and what can be laid over them.

import { projectToImage } from "./camera.js";
import { largest, rampColor, stretch } from "./colouring.js";
import { clamp, count, make, percent, signed, sum, words } from "./dom.js";

const SMALLEST_TILE_PX = 76;
const TILE_GAP_PX = 6;
const MOST_ROWS = 4;
const HEAT_OPACITY = 0.9;

export class Thumbnails {
  constructor(node, onSelect) {
    this.node = node;
    this.onSelect = onSelect;
    this.tiles = [];
  }

  async load(data) {
    this.data = data;
    this.heatLayers = null;
    this.drawn = null;
    const images = await Promise.all(data.images.map(loadImage));
    if (this.data !== data) return false;
    this.images = images;
    this.tiles = images.map((_, view) => {
      const size = data.cameras.imageSize;
      const canvas = make("canvas", { attrs: { width: size, height: size, "aria-hidden": "true" } });
      const seen = data.seenTotals[view];
      const azimuth = Math.round(data.cameras.azimuth[view]);
      const elevation = Math.round(data.cameras.elevation[view]);
      const button = make("button", {
        class: "pmv-thumb", title: `View ${view + 1} (index ${view} in exports)\nazimuth ${azimuth}°, elevation ${elevation}°\nsees ${count(seen)} of ${count(data.total)} points`,
        attrs: {
          type: "button", "data-view": view,
          "aria-label": `View ${view + 1}, azimuth ${azimuth} degrees, elevation ${elevation} degrees, sees ${count(seen)} of ${count(data.total)} points`,
        },
        on: { click: () => this.onSelect(view), dblclick: (event) => event.stopPropagation() },
      }, [
        canvas, make("span", { class: "pmv-thumb-number", text: view + 1 }), make("span", { class: "pmv-thumb-caption" }),
      ]);
      const { logits, onBackground, label } = data.heat;
      const added = sum(this.heatCells(view));
      return {
        button, canvas, title: button.title,
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

  // As few rows as leave each image large enough to read.
  layOut() {
    const width = this.node.clientWidth;
    let rows = 1;
    const columns = () => Math.ceil(this.tiles.length / rows);
    while (rows < MOST_ROWS && (width - TILE_GAP_PX * (columns() - 1)) / columns() < SMALLEST_TILE_PX) rows += 1;
    this.node.style.setProperty("--pmv-columns", columns());
  }

  draw(state, colors, strong, theme) {
    // The images themselves never change, only what is laid over them; the points' colours may with any choice.
    const overlay = JSON.stringify([state.thumbs, state.point, theme.colors]);
    const same = overlay === this.drawn && state.thumbs !== "points";
    this.drawn = overlay;
    const heat = state.thumbs === "heat";
    this.tiles.forEach(({ button, canvas, title, caption, heatTitle, heatCaption }, view) => {
      const on = view === state.view;
      button.title = heat ? heatTitle : title;
      button.querySelector(".pmv-thumb-caption").replaceChildren(...(heat ? heatCaption : caption).map((text) => make("span", { text })));
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("pmv-column-view", !on && state.cell?.[1] === view);
      if (!same) this.drawTile(canvas.getContext("2d"), view, state, colors, strong, theme);
    });
  }

  drawTile(context, view, state, colors, strong, theme) {
    const { data } = this;
    const size = data.cameras.imageSize;
    context.globalAlpha = 1;
    context.drawImage(this.images[view], 0, 0, size, size);
    if (state.thumbs === "points") this.drawPoints(context, view, colors, strong, theme);
    if (state.thumbs === "heat") {
      context.globalAlpha = HEAT_OPACITY;
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.heatLayer(view, theme), 0, 0, size, size);
      context.globalAlpha = 1;
    }
    if (state.point !== null) this.drawMark(context, view, state.point, theme);
  }

  drawPoints(context, view, colors, strong, theme) {
    const { data } = this;
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

  // Filled where the view sees the point, a hollow ring where something hides it.
  drawMark(context, view, point, theme) {
    const { data } = this;
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

  get heatTop() {
    return largest([this.data.heat.maps]) || 1;
  }

  heatCells(view) {
    const { maps, height, width } = this.data.heat;
    return maps.subarray(view * width * height, (view + 1) * width * height);
  }

  // For and against the class, on one scale for all views; the fainter, the clearer.
  heatLayer(view, theme) {
    this.heatLayers ??= new Map();
    if (!this.heatLayers.has(view)) {
      const { height, width } = this.data.heat;
      const canvas = make("canvas", { attrs: { width, height } });
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(width, height);
      const top = this.heatTop;
      this.heatCells(view).forEach((value, i) => {
        const share = stretch(value / top);
        pixels.data.set([...rampColor(theme.maps.heat, 0.5 + 0.5 * share), 255 * Math.abs(share)], 4 * i);
      });
      context.putImageData(pixels, 0, 0);
      this.heatLayers.set(view, canvas);
    }
    return this.heatLayers.get(view);
  }
}

export function loadImage(source) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => fail(new Error("a view's image cannot be decoded"));
    image.src = source;
  });
}
