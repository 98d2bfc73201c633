// What does the bundle hold? Typed arrays, checked once here and trusted everywhere else.

/** @import { Answer, Bundle, Data, Learner, Numbers, PackedAnswer, PackedArray, PackedStudent, Student } from "./types.d.ts" */

const VERSION = 2;
const KEY = /^[a-z0-9_-]+$/;
/** @type {Map<string, (new (from: ArrayBuffer) => Numbers) & {BYTES_PER_ELEMENT: number}>} */
const ARRAY_TYPES = new Map(/** @type {[string, any][]} */ ([
  ["float32", Float32Array], ["uint8", Uint8Array], ["uint16", Uint16Array], ["uint32", Uint32Array], ["float16", Uint16Array],
]));

/**
 * @param {PackedArray} packed
 * @param {(number | null)[]} [shape] what it has to be; null where any length will do
 * @returns {Numbers}
 */
export function decodeArray(packed, shape) {
  const Type = ARRAY_TYPES.get(packed?.dtype);
  if (!Type) throw new Error(`unknown array type ${packed?.dtype}`);
  if (shape && (shape.length !== packed.shape.length || shape.some((n, i) => n !== null && n !== packed.shape[i]))) {
    throw new Error(`an array has shape ${packed.shape}, expected ${shape}`);
  }
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const length = packed.shape.reduce((product, n) => product * n, 1);
  if (bytes.length !== length * Type.BYTES_PER_ELEMENT) throw new Error("an array is cut short");
  const values = new Type(bytes.buffer);
  return packed.dtype === "float16" ? Float32Array.from(values, halfToNumber) : values;
}

/** @param {number} bits */
function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @param {PackedStudent} packed @param {number} points @param {number} views @returns {Learner} */
function decodeStudent(packed, points, views) {
  const rows = decodeArray(packed.rows, [views + 1]);
  const index = decodeArray(packed.index);
  const wins = decodeArray(packed.wins);
  const alignment = decodeArray(packed.alignment);
  const winsInView = [];
  const alignmentInView = [];
  const winsInViews = new Uint32Array(points);
  for (let v = 0; v < views; v++) {
    const viewWins = new Uint16Array(points);
    const viewAlignment = new Float32Array(points);
    for (let i = rows[v]; i < rows[v + 1]; i++) {
      if (index[i] >= points) throw new Error("a winner is not a point");
      viewWins[index[i]] = wins[i];
      viewAlignment[index[i]] = alignment[i];
      winsInViews[index[i]] += wins[i];
    }
    winsInView.push(viewWins);
    alignmentInView.push(viewAlignment);
  }
  return {
    channels: packed.channels,
    winsInView, winsInViews, alignmentInView,
    globalWins: decodeArray(packed.global_wins, [points]),
    featureColors: decodeArray(packed.feature_colors, [points, 3]),
    similarity: decodeArray(packed.similarity, [views, views]),
    alignmentBias: packed.alignment_bias,
    diagonalDominance: packed.diagonal_dominance,
    retrievalAt1: packed.retrieval_at_1,
    blindChannels: packed.blind_channels,
    globalChannels: packed.global_channels,
  };
}

/** @param {PackedAnswer[]} packed @param {number} points @param {number} views @returns {Answer[]} */
function decodeAnswers(packed, points, views) {
  const answers = packed.map((answer) => ({
    ...answer, student: answer.student && decodeStudent(answer.student, points, views),
  }));
  const keys = answers.map(({ key }) => key);
  if (!keys.every((key) => KEY.test(key)) || new Set(keys).size < keys.length) throw new Error("two answers have one key");
  return answers;
}

/** @param {Answer} answer @returns {answer is Student} */
const isStudent = (answer) => answer.student !== null;

/** @param {Bundle} packed @returns {Data} */
export function decodeBundle(packed) {
  if (packed.version !== VERSION) throw new Error(`this page cannot read bundle version ${packed.version}`);
  const points = packed.points.shape[0];
  const views = packed.images.length;
  const bits = decodeArray(packed.visibility.mask, [views, Math.ceil(points / 8)]);
  const stride = Math.ceil(points / 8);
  const seenInView = [];
  const viewsSeeing = new Uint8Array(points);
  for (let v = 0; v < views; v++) {
    const seen = new Uint8Array(points);
    for (let n = 0; n < points; n++) {
      seen[n] = (bits[v * stride + (n >> 3)] >> (n & 7)) & 1;
      viewsSeeing[n] += seen[n];
    }
    seenInView.push(seen);
  }
  const margin = decodeArray(packed.visibility.margin, [views, points]);
  const largest = packed.visibility.largest_margin;
  const matrices = decodeArray(packed.cameras.world_to_camera, [views, 3, 4]);
  const answers = decodeAnswers(packed.answers, points, views);
  const students = answers.filter(isStudent);
  if (students.length === 0) throw new Error("it has no student");
  return {
    name: packed.name, notes: packed.notes, network: packed.student_name,
    count: points, total: packed.total_points, views,
    points: Float32Array.from(decodeArray(packed.points, [points, 3])),
    toWorld: decodeArray(packed.to_world, [4, 4]),
    colors: packed.colors && decodeArray(packed.colors, [points, 3]),
    cameras: {
      matrices: Array.from({ length: views }, (_, v) => matrices.subarray(12 * v, 12 * v + 12)),
      intrinsics: decodeArray(packed.cameras.intrinsics, [3, 3]),
      imageSize: packed.cameras.image_size,
      azimuth: packed.cameras.azimuth_deg, elevation: packed.cameras.elevation_deg,
    },
    images: packed.images,
    method: packed.visibility.method,
    seenInView, viewsSeeing,
    seenTotals: packed.visibility.seen, unseenTotal: packed.visibility.unseen,
    margin: (view, point) => largest * (margin[view * points + point] / 255) ** 2,
    heat: {
      maps: decodeArray(packed.heat.maps), height: packed.heat.maps.shape[1], width: packed.heat.maps.shape[2],
      label: packed.heat.label, logits: packed.heat.logits, onBackground: packed.heat.on_background,
    },
    ticket: packed.ticket ?? null, cells: new Map(), asked: new Set(),
    answers, students, domain: packed.domain,
  };
}
