// Where does a point fall: in a view's image, and in the 3D scene on the screen?

import { clamp } from "./numbers.js";

/** @import { Cameras, Numbers, Pose } from "./types.d.ts" */

// The scene's axes show at least the unit sphere with a little air; one unit is 1 / SPAN of plotly's scene units.
export const HALF_RANGE = 1.6;
export const SPAN = 2.1;
const HOME_AZIMUTH = -55;
const HOME_ELEVATION = 22;
const HOME_DISTANCE = 2.3;
const HOME_FILLS = 0.94;
/** @type {("x" | "y" | "z")[]} */
export const AXES = ["x", "y", "z"];

/**
 * Column, row and depth of a world point in a view's image.
 * @param {Cameras} cameras
 * @param {number} view
 * @param {number} x
 * @param {number} y
 * @param {number} z
 * @returns {[number, number, number]}
 */
export function projectToImage(cameras, view, x, y, z) {
  const m = cameras.matrices[view];
  const k = cameras.intrinsics;
  const cx = m[0] * x + m[1] * y + m[2] * z + m[3];
  const cy = m[4] * x + m[5] * y + m[6] * z + m[7];
  const cz = m[8] * x + m[9] * y + m[10] * z + m[11];
  return [(k[0] * cx + k[1] * cy) / cz + k[2], (k[4] * cy) / cz + k[5], cz];
}

/**
 * -R^T t: the camera's position in the world.
 * @param {Numbers} m
 */
export function cameraCenter(m) {
  return [0, 1, 2].map((i) => -(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]));
}

/** @param {Cameras} cameras */
export function verticalFieldOfView(cameras) {
  return 2 * Math.atan(cameras.imageSize / 2 / cameras.intrinsics[4]);
}

/** @param {number[]} xyz */
const vector = ([x, y, z]) => ({ x, y, z });

/**
 * The pose of a view as a plotly camera: the eye stands where the view's camera stands.
 * @param {Cameras} cameras
 * @param {number} view
 * @returns {Pose}
 */
export function poseOfView(cameras, view) {
  const m = cameras.matrices[view];
  const eye = cameraCenter(m).map((c) => c / SPAN);
  const forward = [m[8], m[9], m[10]];
  // The camera looks at the point of its axis that is nearest to the origin.
  const along = -(eye[0] * forward[0] + eye[1] * forward[1] + eye[2] * forward[2]);
  const center = eye.map((e, i) => e + along * forward[i]);
  // Every rig keeps +Z upright, as the turntable does; only straight up or down needs the image's own up.
  const steep = Math.abs(forward[2]) > 0.999;
  return { eye: vector(eye), center: vector(center), up: vector(steep ? [-m[4], -m[5], -m[6]] : [0, 0, 1]) };
}

/**
 * Far enough off for all of these points, given the half opening's tangents to the side and upwards.
 * @param {number[][]} points
 * @param {number} wide
 * @param {number} high
 * @returns {Pose}
 */
export function homePose(points, wide, high) {
  const [a, e] = [HOME_AZIMUTH, HOME_ELEVATION].map((degrees) => (degrees * Math.PI) / 180);
  const eye = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
  /** @param {number[]} point @param {number[]} axis */
  const along = (point, axis) => point[0] * axis[0] + point[1] * axis[1] + point[2] * axis[2];
  let distance = HOME_DISTANCE;
  for (const point of points) {
    const aside = Math.max(Math.abs(along(point, right)) / wide, Math.abs(along(point, up)) / high);
    distance = Math.max(distance, along(point, eye) + aside / HOME_FILLS);
  }
  return { eye: vector(eye.map((c) => (c * distance) / SPAN)), center: vector([0, 0, 0]), up: vector([0, 0, 1]) };
}

/**
 * Between two poses: the eye swings on an arc about the centre, so that the flight never goes through the shape.
 * @param {Pose} from
 * @param {Pose} to
 * @param {number} t from 0 to 1
 * @returns {Pose}
 */
export function blendPoses(from, to, t) {
  const ease = t * t * (3 - 2 * t);
  /** @param {number} a @param {number} b */
  const mix = (a, b) => a + (b - a) * ease;
  /** @param {Pose} pose */
  const offset = (pose) => [pose.eye.x - pose.center.x, pose.eye.y - pose.center.y, pose.eye.z - pose.center.z];
  /** @param {number[]} xyz */
  const polar = ([x, y, z]) => {
    const radius = Math.hypot(x, y, z) || 1;
    return [radius, Math.atan2(y, x), Math.asin(clamp(z / radius, -1, 1))];
  };
  const [r0, a0, e0] = polar(offset(from));
  const [r1, a1, e1] = polar(offset(to));
  const turn = ((a1 - a0 + 3 * Math.PI) % (2 * Math.PI)) - Math.PI;
  const radius = mix(r0, r1);
  const azimuth = a0 + turn * ease;
  const elevation = mix(e0, e1);
  const center = AXES.map((axis) => mix(from.center[axis], to.center[axis]));
  const up = AXES.map((axis) => mix(from.up[axis], to.up[axis]));
  return {
    eye: vector([
      center[0] + radius * Math.cos(elevation) * Math.cos(azimuth),
      center[1] + radius * Math.cos(elevation) * Math.sin(azimuth),
      center[2] + radius * Math.sin(elevation),
    ]),
    center: vector(center), up: vector(up),
  };
}
