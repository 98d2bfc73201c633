// Which colour does each point get, and what does the legend say?

import { labelsOf, learnerOf, pairOf } from "./answers.js";
import { sharesOf } from "./cells.js";
import { clamp, count, largest, percent, signed, subscript } from "./numbers.js";
import { dimmed, opaque, parseColor, rampColor, stretch } from "./palette.js";
import { cellOf } from "./state.js";
import { mostWins, winsOf } from "./wins.js";

/** @import { Data, Learner, Legend, Painted, State, Theme } from "./types.d.ts" */

/**
 * What a colouring is made from; `student` is the key of the one that is looked into.
 * @typedef {{data: Data, state: State, student: string, learner: Learner, theme: Theme, viewName: string}} Given
 */
/**
 * What it is: each point's colour, null where it is left out; and the legend, asked for when all points are coloured.
 * @typedef {{colorOf: (point: number) => string | null, legend: () => Legend}} Colouring
 */

/** @type {Record<string, (given: Given) => Colouring>} */
const COLOURINGS = { seen, views, wins, alignment, features, height, file, difference, blind };

/**
 * @param {Data} data
 * @param {State} state
 * @param {string} student
 * @param {Theme} theme
 * @returns {Painted}
 */
export function colouring(data, state, student, theme) {
  const given = { data, state, student, learner: learnerOf(data, student), theme, viewName: `view ${state.view + 1}` };
  const { colorOf, legend } = COLOURINGS[state.mode](given);
  /** @type {string[]} */
  const colors = new Array(data.count);
  const strong = new Uint8Array(data.count).fill(1);
  const dim = dimmed(theme);
  for (let n = 0; n < data.count; n++) {
    const color = colorOf(n);
    if (color === null) strong[n] = 0;
    colors[n] = color ?? dim;
  }
  return { colors, strong, legend: legend() };
}

/** @param {Given} given @returns {Colouring} */
function seen({ data, state, theme, viewName }) {
  const here = data.seenInView[state.view];
  const color = opaque(parseColor(theme.colors.seen));
  const total = data.seenTotals[state.view];
  const azimuth = Math.round(data.cameras.azimuth[state.view]);
  const elevation = Math.round(data.cameras.elevation[state.view]);
  return {
    colorOf: (n) => (here[n] ? color : null),
    legend: () => ({
      title: `Seen by ${viewName}`, subtitle: `azimuth ${azimuth}°, elevation ${elevation}°`,
      items: [
        { color: theme.colors.seen, label: "seen", value: `${count(total)} (${percent(total / data.total)})` },
        { color: theme.colors.hidden, label: "hidden", value: count(data.total - total) },
      ],
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function views({ data, theme }) {
  const stops = theme.maps.sequential;
  return {
    colorOf: (n) => opaque(rampColor(stops, data.viewsSeeing[n] / data.views)),
    legend: () => ({
      title: "Coverage", subtitle: "number of views that see the point",
      bar: { stops, low: 0, high: data.views, ticks: [0, Math.round(data.views / 2), data.views] },
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function wins({ data, state, student, theme, viewName }) {
  const stops = theme.maps.sequential;
  const top = mostWins(data, state);
  const least = Math.max(state.least, 1);
  const won = winsOf(data, state, student);
  /** @type {number[]} */
  const kept = [];
  const scope = state.scope === "view" ? viewName : state.scope === "views" ? "all views" : "classifier's pool";
  return {
    colorOf: (n) => {
      if (won[n] < least) return null;
      kept.push(n);
      return opaque(rampColor(stops, Math.log(won[n]) / Math.log(Math.max(top, 2))));
    },
    legend: () => ({
      title: "Channels won", subtitle: `${scope}, log scale`,
      bar: { stops, low: 1, high: top, ticks: [...new Set([1, Math.round(Math.sqrt(top)), top])], log: true },
      kept: {
        top, kept: kept.length,
        points: Float32Array.from(kept.flatMap((n) => [...data.points.subarray(3 * n, 3 * n + 3)])),
      },
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function alignment({ data, state, student, learner, theme, viewName }) {
  const cell = cellOf(state);
  const [row, column] = cell;
  const shares = sharesOf(data, student, cell);
  // One scale for all views; where shares beside the diagonal are larger, they widen it.
  const beside = data.students.map(({ key }) => sharesOf(data, key, cell)?.values ?? []);
  const top = largest([...data.students.flatMap((each) => each.student.alignmentInView), ...beside]) || 1;
  const values = shares?.values ?? new Float32Array(data.count);
  const title = row === column ? `Alignment, ${viewName}` : `Alignment, student view ${row + 1} · teacher view ${column + 1}`;
  const cosine = `cos(g${subscript(row + 1)}, v${subscript(column + 1)}) = ${learner.similarity[row * data.views + column].toFixed(3)}`;
  const note = shares === null
    ? "The server did not answer for this cell: click it again, or choose the shape anew."
    : "Asking the server which points made it …";
  return {
    colorOf: diverging(theme, (n) => values[n], top),
    legend: () => (shares ? {
      title, subtitle: `shares of ${cosine}, bias ${signed(shares.bias, 3)}; square-root scale`,
      bar: { ...aroundZero(theme, top), digits: 3 },
    } : { title, subtitle: cosine, note }),
  };
}

/** @param {Given} given @returns {Colouring} */
function features({ data, learner }) {
  const rgb = learner.featureColors;
  const shared = data.students.length === 1 ? "" : `: one map for ${data.students.length === 2 ? "both" : "all"} students`;
  return {
    colorOf: (n) => opaque([rgb[3 * n], rgb[3 * n + 1], rgb[3 * n + 2]]),
    legend: () => ({
      title: "Point features", subtitle: "principal components 1, 2, 3 as red, green, blue",
      note: `Alike colours, alike features${shared}.`,
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function height({ data, theme }) {
  const stops = theme.maps.height;
  let low = Infinity;
  let high = -Infinity;
  for (let n = 0; n < data.count; n++) {
    low = Math.min(low, data.points[3 * n + 2]);
    high = Math.max(high, data.points[3 * n + 2]);
  }
  return {
    colorOf: (n) => opaque(rampColor(stops, (data.points[3 * n + 2] - low) / (high - low || 1))),
    legend: () => ({
      title: "Height", subtitle: "z, in radii of the shape", bar: { stops, low, high, ticks: [low, high], digits: 2 },
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function file({ data }) {
  const rgb = data.colors;
  return {
    colorOf: (n) => rgb && opaque([rgb[3 * n], rgb[3 * n + 1], rgb[3 * n + 2]]),
    legend: () => ({ title: "Colours of the file", subtitle: "as stored; no network reads them" }),
  };
}

/**
 * Of the two students that Compare shows: in the selected view, or in the classifier's pool.
 * @param {Given} given
 * @returns {Colouring}
 */
function difference({ data, state, theme, viewName }) {
  const pair = pairOf(data);
  const ofWins = state.difference === "wins";
  const [first, second] = (pair ?? []).map(({ student }) => (ofWins ? student.globalWins : student.alignmentInView[state.view]));
  const differences = Float32Array.from({ length: data.count }, (_, n) => (second ? first[n] - second[n] : 0));
  const top = largest([differences]) || 1;
  return {
    colorOf: diverging(theme, (n) => differences[n], top),
    legend: () => ({
      title: `${ofWins ? "Channels won" : "Alignment"}, ${labelsOf(data).join(" − ").toLowerCase()}`,
      subtitle: ofWins ? "classifier's pool, square-root scale" : `${viewName}, square-root scale`,
      bar: { ...aroundZero(theme, top), digits: ofWins ? 0 : 3 },
    }),
  };
}

/** @param {Given} given @returns {Colouring} */
function blind({ data, learner, theme }) {
  const color = opaque(parseColor(theme.colors.blind));
  const { blindChannels, globalChannels } = learner;
  const share = globalChannels ? blindChannels / globalChannels : 0;
  return {
    colorOf: (n) => (data.viewsSeeing[n] === 0 ? color : null),
    legend: () => ({
      title: "Blind spots", subtitle: "seen by no view",
      items: [
        { color: theme.colors.blind, label: "unseen", value: `${count(data.unseenTotal)} (${percent(data.unseenTotal / data.total, 1)})` },
      ],
      note: data.unseenTotal === 0
        ? "Every point is seen by at least one view."
        : `Never supervised by the teacher, yet they win ${count(blindChannels)} of ${count(globalChannels)} channels (${percent(share, 1)}) that the classifier reads.`,
    }),
  };
}

/**
 * From -top to top; a point at zero is left out.
 * @param {Theme} theme
 * @param {(point: number) => number} valueOf
 * @param {number} top
 */
function diverging(theme, valueOf, top) {
  /** @param {number} n */
  return (n) => {
    const value = valueOf(n);
    return value === 0 ? null : opaque(rampColor(theme.maps.diverging, 0.5 + 0.5 * stretch(clamp(value / top, -1, 1))));
  };
}

/** @param {Theme} theme @param {number} top */
const aroundZero = (theme, top) => ({ stops: theme.maps.diverging, low: -top, high: top, ticks: [-top, 0, top] });
