// Which colour stands for a number?

import { clamp } from "./numbers.js";

/** @import { Color, Theme } from "./types.d.ts" */

/** @param {string} hex @returns {Color} */
export function parseColor(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/**
 * A table of 256 colours between the stops.
 * @param {string[]} stops
 */
function makeRamp(stops) {
  const parsed = stops.map(parseColor);
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (parsed.length - 1);
    const low = Math.min(Math.floor(place), parsed.length - 2);
    return parsed[low].map((channel, c) => Math.round(channel + (parsed[low + 1][c] - channel) * (place - low)));
  });
}

/** @type {Map<string, Color[]>} */
const RAMPS = new Map();

/** @param {string[]} stops */
function ramp(stops) {
  const key = stops.join();
  const made = RAMPS.get(key) ?? makeRamp(stops);
  RAMPS.set(key, made);
  return made;
}

/** @param {string[]} stops @param {number} share */
export const rampColor = (stops, share) => ramp(stops)[Math.round(255 * clamp(share, 0, 1))];

/** @param {Color} color */
export const opaque = ([r, g, b]) => `rgb(${r},${g},${b})`;

/**
 * Of a point that the current colouring leaves out. Mixed, not transparent: WebGL adds up what shines through, and a heap
 * of dim points would glow.
 * @param {Theme} theme
 */
export function dimmed(theme) {
  const onto = parseColor(theme.colors.scene);
  const color = parseColor(theme.colors.hidden);
  return opaque(color.map((channel, c) => Math.round(onto[c] + (channel - onto[c]) * theme.dimmed)));
}

/**
 * Signed square root: small contributions stay visible beside a few large ones.
 * @param {number} share
 */
export function stretch(share) {
  return Math.sign(share) * Math.sqrt(Math.abs(share));
}
