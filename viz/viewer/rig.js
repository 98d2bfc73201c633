// What is marked in the scene besides the points: the rig, the selected view's camera, and its line of sight?

import { AXES, cameraCenter, HALF_RANGE } from "./camera.js";

/** @import { Cameras, Data, Lines, Marks, Theme } from "./types.d.ts" */

const GLYPH_RADIUS = 1.32;

/**
 * Three lines, always in this order. From a view's own pose the rig would only stand in the way.
 * @param {Data} data
 * @param {Marks} marks
 * @param {Theme} theme
 */
export function markLines(data, { view, point, flown }, theme) {
  const none = { x: [], y: [], z: [] };
  /** @type {Lines} */
  const sight = { x: [], y: [], z: [] };
  if (point !== null && !flown) {
    const apex = glyphApex(data.cameras, view);
    AXES.forEach((axis, c) => sight[axis].push(data.points[3 * point + c], apex[c]));
  }
  const seen = point !== null && data.seenInView[view][point];
  return [
    { ...withCorners(flown ? none : rigLines(data.cameras, null)), color: theme.colors.rig, width: 1.5 },
    { ...(flown ? none : rigLines(data.cameras, view)), color: theme.colors.accent, width: 4 },
    { ...sight, color: seen ? theme.colors.seen : theme.colors.hidden, width: 2 },
  ];
}

/**
 * All corners of the whole rig.
 * @param {Cameras} cameras
 * @returns {number[][]}
 */
export function rigCorners(cameras) {
  const { x, y, z } = rigLines(cameras, null);
  return x.flatMap((value, n) => (value === null ? [] : [[value, Number(y[n]), Number(z[n])]]));
}

/** @param {Cameras} cameras @param {number} view */
function glyphApex(cameras, view) {
  const center = cameraCenter(cameras.matrices[view]);
  const distance = Math.hypot(...center) || 1;
  return center.map((c) => (c / distance) * GLYPH_RADIUS);
}

/**
 * plotly scales a scene by the extent of all its traces. Two corners that draw nothing keep that extent the same, so
 * that hiding the rig never leaves a frame in which points and projection disagree.
 * @param {Lines} lines
 * @returns {Lines}
 */
function withCorners(lines) {
  const corners = [-HALF_RANGE, null, HALF_RANGE, null];
  return { x: [...corners, ...lines.x], y: [...corners, ...lines.y], z: [...corners, ...lines.z] };
}

/**
 * Small pyramids where the cameras stand, drawn on a sphere about the shape; one view's, or all of them for null.
 * @param {Cameras} cameras
 * @param {number | null} only
 * @returns {Lines}
 */
function rigLines(cameras, only) {
  /** @type {Lines} */
  const lines = { x: [], y: [], z: [] };
  /** @param {number[] | null} point */
  const add = (point) => AXES.forEach((axis, i) => lines[axis].push(point ? point[i] : null));
  cameras.matrices.forEach((m, view) => {
    if (only !== null && only !== view) return;
    const apex = glyphApex(cameras, view);
    /** @param {number} sx @param {number} sy */
    const corner = (sx, sy) => apex.map((a, i) => a + 0.07 * m[8 + i] + 0.045 * (sx * m[i] + sy * m[4 + i]));
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    for (const point of [...corners, corners[0], apex, corners[1], corners[2], apex, corners[3], null]) add(point);
  });
  return lines;
}
