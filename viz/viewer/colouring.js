// Which colour does each point get, and what does the legend say?

import { sharesOf } from "./cells.js";
import { clamp, count, percent, signed } from "./dom.js";

export const MODES = [
  { key: "seen", label: "Seen", title: "Points the selected view sees (1)" },
  { key: "views", label: "Coverage", title: "Number of views that see the point (2)" },
  { key: "wins", label: "Winners", perStudent: true, title: "Max-pool channels the point wins (3)" },
  { key: "alignment", label: "Alignment", perStudent: true, title: "The point's share of the cosine with the teacher's view (4)" },
  { key: "features", label: "Features", perStudent: true, title: "First three principal components of the point features (5)" },
  { key: "height", label: "Height", title: "Height above the ground (6)" },
  { key: "file", label: "Colours", title: "Colours stored in the file (7)" },
  { key: "difference", label: "Difference", title: "Distilled minus plain student (8)" },
  { key: "blind", label: "Blind spots", title: "Points that no view sees (9)" },
];

export function parseColor(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

// A table of 256 colours between the stops.
function makeRamp(stops) {
  const parsed = stops.map(parseColor);
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (parsed.length - 1);
    const low = Math.min(Math.floor(place), parsed.length - 2);
    return parsed[low].map((channel, c) => Math.round(channel + (parsed[low + 1][c] - channel) * (place - low)));
  });
}

const RAMPS = new Map();
function ramp(stops) {
  const key = stops.join();
  if (!RAMPS.has(key)) RAMPS.set(key, makeRamp(stops));
  return RAMPS.get(key);
}

export const rampColor = (stops, share) => ramp(stops)[Math.round(255 * clamp(share, 0, 1))];
export const opaque = ([r, g, b]) => `rgb(${r},${g},${b})`;
// Mixed, not transparent: WebGL adds up what shines through, and a heap of dim points would glow.
const faded = (color, onto, opacity) => opaque(color.map((channel, c) => Math.round(onto[c] + (channel - onto[c]) * opacity)));

// Largest magnitude over all views, so that a colour means the same number in every view of this shape.
export function largest(rows) {
  let top = 0;
  for (const row of rows) for (const value of row) if (Math.abs(value) > top) top = Math.abs(value);
  return top;
}

// The difference of two students, point by point, in the selected view or in the classifier's pool.
function differenceOf(data, state, point) {
  const { distilled, plain } = data.students;
  if (state.difference === "alignment") {
    return distilled.alignmentInView[state.view][point] - plain.alignmentInView[state.view][point];
  }
  return distilled.globalWins[point] - plain.globalWins[point];
}

function winsOf(data, state, student, point) {
  const winners = data.students[student];
  if (state.scope === "view") return winners.winsInView[state.view][point];
  return state.scope === "views" ? winners.winsInViews[point] : winners.globalWins[point];
}

export function mostWins(data, state) {
  let top = 1;
  for (const name of Object.keys(data.students)) {
    const student = data.students[name];
    const rows = { view: student.winsInView, views: [student.winsInViews], pool: [student.globalWins] }[state.scope];
    top = Math.max(top, largest(rows));
  }
  return top;
}

/* What to paint: {colors: css strings, strong: 1 where the point is not dimmed, legend}. */
export function colouring(data, state, student, theme) {
  const colors = new Array(data.count);
  const strong = new Uint8Array(data.count).fill(1);
  const dim = faded(parseColor(theme.colors.hidden), parseColor(theme.colors.scene), theme.dimmed);
  const paint = (colorOf) => {
    for (let n = 0; n < data.count; n++) {
      const color = colorOf(n);
      if (color === null) strong[n] = 0;
      colors[n] = color === null ? dim : color;
    }
  };
  const bar = (stops, low, high, ticks) => ({ kind: "bar", stops, low, high, ticks });
  const flat = (name) => opaque(parseColor(theme.colors[name]));
  const viewName = `view ${state.view + 1}`;
  const seen = data.seenInView[state.view];
  const winners = data.students[student];

  switch (state.mode) {
    case "seen": {
      paint((n) => (seen[n] ? flat("seen") : null));
      const total = data.seenTotals[state.view];
      const azimuth = Math.round(data.cameras.azimuth[state.view]);
      const elevation = Math.round(data.cameras.elevation[state.view]);
      return { colors, strong, legend: {
        title: `Seen by ${viewName}`, subtitle: `azimuth ${azimuth}°, elevation ${elevation}°`, kind: "items",
        items: [
          { color: theme.colors.seen, label: "seen", value: `${count(total)} (${percent(total / data.total)})` },
          { color: theme.colors.hidden, label: "hidden", value: count(data.total - total) },
        ],
      } };
    }
    case "views": {
      paint((n) => opaque(rampColor(theme.maps.sequential, data.viewsSeeing[n] / data.views)));
      return { colors, strong, legend: {
        title: "Coverage", subtitle: "number of views that see the point",
        ...bar(theme.maps.sequential, 0, data.views, [0, Math.round(data.views / 2), data.views]),
      } };
    }
    case "wins": {
      const top = mostWins(data, state);
      const least = Math.max(state.least, 1);
      const kept = [];
      paint((n) => {
        const wins = winsOf(data, state, student, n);
        if (wins < least) return null;
        kept.push(n);
        return opaque(rampColor(theme.maps.sequential, Math.log(wins) / Math.log(Math.max(top, 2))));
      });
      const scope = { view: viewName, views: "all views", pool: "classifier's pool" }[state.scope];
      const ticks = [1, Math.round(Math.sqrt(top)), top].filter((t, i, all) => all.indexOf(t) === i);
      return { colors, strong, legend: {
        title: "Channels won", subtitle: `${scope}, log scale`,
        ...bar(theme.maps.sequential, 1, top, ticks), log: true,
        slider: {
          top, kept: kept.length, student: data.studentName,
          points: Float32Array.from(kept.flatMap((n) => [...data.points.subarray(3 * n, 3 * n + 3)])),
        },
      } };
    }
    case "alignment": {
      const cell = state.cell ?? [state.view, state.view];
      const [row, column] = cell;
      const shares = sharesOf(data, student, cell);
      // One scale for all views; where shares beside the diagonal are larger, they widen it.
      const beside = Object.keys(data.students).map((name) => sharesOf(data, name, cell)?.values ?? []);
      const top = largest([...Object.values(data.students).flatMap((s) => s.alignmentInView), ...beside]) || 1;
      const values = shares?.values ?? new Float32Array(data.count);
      paint((n) => {
        if (values[n] === 0) return null;
        return opaque(rampColor(theme.maps.diverging, 0.5 + 0.5 * stretch(values[n] / top)));
      });
      const title = row === column ? `Alignment, ${viewName}` : `Alignment, student view ${row + 1} · teacher view ${column + 1}`;
      const cosine = `cos(g${index(row + 1)}, v${index(column + 1)}) = ${winners.similarity[row * data.views + column].toFixed(3)}`;
      if (!shares) {
        const note = shares === null
          ? "The server did not answer for this cell: click it again, or choose the shape anew."
          : "Asking the server which points made it …";
        return { colors, strong, legend: { title, subtitle: cosine, kind: "text", note } };
      }
      return { colors, strong, legend: {
        title, subtitle: `shares of ${cosine}, bias ${signed(shares.bias, 3)}; square-root scale`,
        ...bar(theme.maps.diverging, -top, top, [-top, 0, top]), digits: 3,
      } };
    }
    case "features": {
      const rgb = winners.featureColors;
      paint((n) => opaque([rgb[3 * n], rgb[3 * n + 1], rgb[3 * n + 2]]));
      return { colors, strong, legend: {
        title: "Point features", subtitle: "principal components 1, 2, 3 as red, green, blue", kind: "text",
        note: data.students.plain ? "Alike colours, alike features: one map for both students." : "Alike colours, alike features.",
      } };
    }
    case "height": {
      let low = Infinity;
      let high = -Infinity;
      for (let n = 0; n < data.count; n++) {
        low = Math.min(low, data.points[3 * n + 2]);
        high = Math.max(high, data.points[3 * n + 2]);
      }
      paint((n) => opaque(rampColor(theme.maps.height, (data.points[3 * n + 2] - low) / (high - low || 1))));
      return { colors, strong, legend: {
        title: "Height", subtitle: "z, in radii of the shape", ...bar(theme.maps.height, low, high, [low, high]), digits: 2,
      } };
    }
    case "file": {
      const rgb = data.colors;
      paint((n) => opaque([rgb[3 * n], rgb[3 * n + 1], rgb[3 * n + 2]]));
      return { colors, strong, legend: { title: "Colours of the file", subtitle: "as stored; no network reads them", kind: "text" } };
    }
    case "difference": {
      let top = 0;
      for (let n = 0; n < data.count; n++) top = Math.max(top, Math.abs(differenceOf(data, state, n)));
      top ||= 1;
      paint((n) => {
        const value = differenceOf(data, state, n);
        return value === 0 ? null : opaque(rampColor(theme.maps.diverging, 0.5 + 0.5 * stretch(value / top)));
      });
      const ofWins = state.difference === "wins";
      return { colors, strong, legend: {
        title: ofWins ? "Channels won, distilled − plain" : `Alignment, distilled − plain`,
        subtitle: ofWins ? "classifier's pool, square-root scale" : `${viewName}, square-root scale`,
        ...bar(theme.maps.diverging, -top, top, [-top, 0, top]), digits: ofWins ? 0 : 3,
      } };
    }
    case "blind": {
      paint((n) => (data.viewsSeeing[n] === 0 ? flat("blind") : null));
      const share = winners.globalChannels ? winners.blindChannels / winners.globalChannels : 0;
      return { colors, strong, legend: {
        title: "Blind spots", subtitle: "seen by no view", kind: "items",
        items: [
          { color: theme.colors.blind, label: "unseen", value: `${count(data.unseenTotal)} (${percent(data.unseenTotal / data.total, 1)})` },
        ],
        note: data.unseenTotal === 0
          ? "Every point is seen by at least one view."
          : `Never supervised by the teacher, yet they win ${count(winners.blindChannels)} of ${count(winners.globalChannels)} channels (${percent(share, 1)}) that the classifier reads.`,
      } };
    }
    default: throw new Error(`unknown colouring ${state.mode}`);
  }
}

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
export const index = (number) => [...String(number)].map((digit) => SUBSCRIPTS[digit]).join("");

// Signed square root: small contributions stay visible beside a few large ones.
export function stretch(share) {
  return Math.sign(share) * Math.sqrt(Math.abs(share));
}
