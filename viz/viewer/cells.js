// Which shares lie behind a cell of the matrix? The diagonal's came with the bundle; the others are asked for, once each.

import { decodeArray } from "./decode.js";

const cellKey = (student, [row, column]) => `${student} ${row} ${column}`;

// {values, bias}; undefined until the answer has come, null where there was none.
export function sharesOf(data, student, cell) {
  const [row, column] = cell;
  if (row !== column) return data.cells.get(cellKey(student, cell));
  const { alignmentInView, alignmentBias } = data.students[student];
  return { values: alignmentInView[row], bias: alignmentBias[row] };
}

// Whether there was something to ask. What was not answered is asked again.
export async function askForShares(server, data, student, cell) {
  const key = cellKey(student, cell);
  if (cell[0] === cell[1] || data.cells.get(key) || data.asked.has(key)) return false;
  data.asked.add(key);
  data.cells.delete(key);
  let answer = null;
  if (server?.explain_cell && data.ticket) {
    const question = { ticket: data.ticket, plain: student === "plain", row: cell[0], column: cell[1] };
    answer = await server.explain_cell(question).then((packed) => decodeCell(packed, data.count)).catch(() => null);
  }
  data.asked.delete(key);
  data.cells.set(key, answer);
  return true;
}

function decodeCell(packed, points) {
  const index = decodeArray(packed.index);
  const shares = decodeArray(packed.shares, [index.length]);
  const values = new Float32Array(points);
  index.forEach((n, i) => { values[n] = shares[i]; });
  return { values, bias: packed.bias };
}
