// How does the scene become a picture file? The WebGL image, with title, legend and numbers drawn beside it.

import { loadImage, make, pen } from "./dom.js";
import { formatTick, tickPlace } from "./legend.js";

/** @import { Scene } from "./scene.js" */
/** @import { Bar, Data, Legend, LegendItem, Theme } from "./types.d.ts" */

/** @typedef {{scene: Scene, node: HTMLElement, title: string, pin: number[] | null}} Pane */

const SNAPSHOT_SCALE = 2;

/**
 * @param {Pane[]} panes
 * @param {Data} data
 * @param {Legend} legend
 * @param {Theme} theme
 * @param {string} font
 */
export async function drawSnapshot(panes, data, legend, theme, font) {
  const width = panes.reduce((sum, pane) => sum + pane.node.clientWidth, 0);
  const height = Math.max(...panes.map((pane) => pane.node.clientHeight));
  const header = 58;
  const canvas = make("canvas", { attrs: { width: width * SNAPSHOT_SCALE, height: (height + header) * SNAPSHOT_SCALE } });
  const context = pen(canvas);
  context.scale(SNAPSHOT_SCALE, SNAPSHOT_SCALE);
  context.fillStyle = theme.colors.scene;
  context.fillRect(0, 0, width, height + header);
  let left = 0;
  for (const pane of panes) {
    const picture = await pane.scene.toImage();
    if (picture) context.drawImage(await loadImage(picture), left, header, pane.node.clientWidth, pane.node.clientHeight);
    if (pane.pin) drawSnapshotPin(context, left + pane.pin[0], header + pane.pin[1], theme);
    context.font = `600 12px ${font}`;
    context.fillStyle = theme.colors.muted;
    context.fillText(pane.title, left + 14, header + 14);
    left += pane.node.clientWidth;
  }
  /** @param {string} text @param {number} room */
  const fit = (text, room) => {
    let shown = text;
    while (shown.length > 4 && context.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`;
    return shown;
  };
  context.font = `600 16px ${font}`;
  context.fillStyle = theme.colors.text;
  context.fillText(fit(data.name, width * 0.6), 14, 26);
  context.font = `12px ${font}`;
  context.fillStyle = theme.colors.muted;
  context.fillText(fit([legend.title, legend.subtitle].filter(Boolean).join(" · "), width * 0.6), 14, 46);
  if (legend.bar) drawSnapshotBar(context, legend.bar, width - 234, theme);
  if (legend.items) drawSnapshotItems(context, legend.items, width - 14, theme);
  return canvas;
}

/**
 * The ring as viewer.css has it: 18 pixels wide with a border of 3, and ground of 2 on either side.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {Theme} theme
 */
function drawSnapshotPin(context, x, y, theme) {
  for (const { color, width } of [{ color: theme.colors.scene, width: 7 }, { color: theme.colors.selection, width: 3 }]) {
    context.beginPath();
    context.arc(x, y, 7.5, 0, 2 * Math.PI);
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Bar} bar @param {number} left @param {Theme} theme */
function drawSnapshotBar(context, bar, left, theme) {
  const gradient = context.createLinearGradient(left, 0, left + 220, 0);
  bar.stops.forEach((stop, i) => gradient.addColorStop(i / (bar.stops.length - 1), stop));
  context.fillStyle = gradient;
  context.fillRect(left, 14, 220, 10);
  context.fillStyle = theme.colors.muted;
  bar.ticks.forEach((tick) => {
    const place = tickPlace(bar, tick);
    context.textAlign = place < 0.05 ? "left" : place > 0.95 ? "right" : "center";
    context.fillText(formatTick(bar, tick), left + 220 * place, 38);
  });
  context.textAlign = "left";
}

/** @param {CanvasRenderingContext2D} context @param {LegendItem[]} items @param {number} right @param {Theme} theme */
function drawSnapshotItems(context, items, right, theme) {
  let top = 20;
  context.textAlign = "right";
  for (const item of items) {
    const text = `${item.label} ${item.value}`;
    context.fillStyle = theme.colors.muted;
    context.fillText(text, right, top);
    context.fillStyle = item.color;
    context.beginPath();
    context.arc(right - context.measureText(text).width - 12, top - 4, 5, 0, 2 * Math.PI);
    context.fill();
    top += 17;
  }
  context.textAlign = "left";
}

/** @param {HTMLCanvasElement} canvas @param {string} name */
export function saveCanvas(canvas, name) {
  const stem = name.replace(/\.[^.]*$/, "").replace(/[^\w-]+/g, "_").slice(0, 60) || "shape";
  canvas.toBlob((blob) => {
    if (!blob) return;
    const link = make("a", { attrs: { download: `${stem}.png`, href: URL.createObjectURL(blob) } });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
