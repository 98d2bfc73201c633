// Which shares lie behind a cell of the matrix? The diagonal's came with the bundle; the others are asked for, once each.

import { learnerOf } from "./answers.js";
import { decodeArray } from "./decode.js";

/** @import { Cell, Data, PackedCell, Server, Shares } from "./types.d.ts" */

/** @param {string} student @param {Cell} cell */
const cellKey = (student, [row, column]) => `${student} ${row} ${column}`;

/**
 * Undefined until the answer has come, null where there was none.
 * @param {Data} data
 * @param {string} student
 * @param {Cell} cell
 * @returns {Shares | null | undefined}
 */
export function sharesOf(data, student, cell) {
  const [row, column] = cell;
  if (row !== column) return data.cells.get(cellKey(student, cell));
  const { alignmentInView, alignmentBias } = learnerOf(data, student);
  return { values: alignmentInView[row], bias: alignmentBias[row] };
}

/**
 * Whether there was something to ask. What was not answered is asked again.
 * @param {Server | null} server
 * @param {Data} data
 * @param {string} student
 * @param {Cell} cell
 */
export async function askForShares(server, data, student, cell) {
  const key = cellKey(student, cell);
  if (cell[0] === cell[1] || data.cells.get(key) || data.asked.has(key)) return false;
  data.asked.add(key);
  data.cells.delete(key);
  let shares = null;
  if (server?.explain_cell && data.ticket) {
    const question = { ticket: data.ticket, answer: student, row: cell[0], column: cell[1] };
    shares = await server.explain_cell(question).then((packed) => decodeCell(packed, data.count)).catch(() => null);
  }
  data.asked.delete(key);
  data.cells.set(key, shares);
  return true;
}

/** @param {PackedCell} packed @param {number} points @returns {Shares} */
function decodeCell(packed, points) {
  const index = decodeArray(packed.index);
  const shares = decodeArray(packed.shares, [index.length]);
  const values = new Float32Array(points);
  for (let i = 0; i < index.length; i++) values[index[i]] = shares[i];
  return { values, bias: packed.bias };
}
