// How alike are student view i and teacher view j? The V x V matrix of cosines, and the cell under the hand.

import { learnerOf, studentOf } from "./answers.js";
import { fact, gradientBar, make, pen } from "./dom.js";
import { percent, signed } from "./numbers.js";
import { opaque, rampColor } from "./palette.js";
import { cellOf } from "./state.js";

/** @import { Cell, Data, Learner, State, Theme } from "./types.d.ts" */

/** @type {Map<string, Cell>} rows and columns by arrow key */
const STEPS = new Map([["ArrowUp", [-1, 0]], ["ArrowDown", [1, 0]], ["ArrowLeft", [0, -1]], ["ArrowRight", [0, 1]]]);

export class Matrix {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} side for the numbers beside it
   * @param {(cell: Cell) => void} onSelect
   * @param {(lines: string[] | null, event: MouseEvent | null) => void} tell
   */
  constructor(canvas, side, onSelect, tell) {
    this.canvas = canvas;
    this.side = side;
    this.onSelect = onSelect;
    this.tell = tell;
    /** @type {Cell | null} */
    this.hover = null;
    /** @type {MouseEvent | null} */
    this.pointer = null;
    /** @type {{data: Data, state: State, theme: Theme} | null} */
    this.shown = null;
    canvas.addEventListener("pointermove", (event) => this.setHover(this.cellAt(event), event));
    canvas.addEventListener("pointerleave", () => this.setHover(null, null));
    canvas.addEventListener("click", (event) => {
      const cell = this.cellAt(event);
      if (cell) this.onSelect(cell);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = STEPS.get(event.key);
      if (!step || !this.shown) return;
      const [row, column] = cellOf(this.shown.state);
      const { views } = this.shown.data;
      this.onSelect([(row + step[0] + views) % views, (column + step[1] + views) % views]);
      event.preventDefault();
      event.stopPropagation();
    });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  redraw() {
    if (this.shown) this.draw(this.shown.data, this.shown.state, this.shown.theme);
  }

  /** @param {number} views */
  geometry(views) {
    const edge = 18;
    const size = Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
    return { edge, size, cell: (size - edge - 1) / views };
  }

  /** @param {MouseEvent} event @returns {Cell | null} */
  cellAt(event) {
    if (!this.shown) return null;
    const { views } = this.shown.data;
    const { edge, cell } = this.geometry(views);
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - edge) / cell);
    const row = Math.floor((event.clientY - box.top - edge) / cell);
    const inside = Math.min(row, column) >= 0 && Math.max(row, column) < views;
    return inside ? [row, column] : null;
  }

  /** @param {Cell | null} cell @param {MouseEvent | null} event */
  setHover(cell, event) {
    const same = String(cell) === String(this.hover);
    this.hover = cell;
    this.pointer = event;
    if (!same && this.shown) this.redraw();
    else this.tellHover();
    if (!cell) this.tell(null, null);
  }

  tellHover() {
    if (!this.hover || !this.shown) return;
    const [row, column] = this.hover;
    const { data, state } = this.shown;
    const cosine = learnerOf(data, state.student).similarity[row * data.views + column];
    this.tell([`student view ${row + 1} · teacher view ${column + 1}`, `cosine ${cosine.toFixed(3)}`], this.pointer);
  }

  /** @param {Data} data @param {State} state @param {Theme} theme */
  draw(data, state, theme) {
    this.shown = { data, state, theme };
    // The pointer may rest here while another student or shape comes, with fewer views perhaps.
    if (this.hover && this.pointer) this.hover = this.cellAt(this.pointer);
    this.tellHover();
    const { label, student } = studentOf(data, state.student);
    const { views } = data;
    const context = pen(this.canvas);
    const { edge, cell } = this.geometry(views);
    const density = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * density);
    this.canvas.height = Math.round(this.canvas.clientHeight * density);
    context.scale(density, density);
    const [low, high] = similarityRange(data);
    let retrieved = 0;
    for (let row = 0; row < views; row++) {
      let best = 0;
      for (let column = 0; column < views; column++) {
        const value = student.similarity[row * views + column];
        if (value > student.similarity[row * views + best]) best = column;
        context.fillStyle = opaque(rampColor(theme.maps.similarity, (value - low) / (high - low || 1)));
        context.fillRect(edge + column * cell, edge + row * cell, cell - 1, cell - 1);
      }
      if (best === row) retrieved += 1;
      const radius = Math.max(1.5, cell * 0.11);
      context.beginPath();
      context.arc(edge + (best + 0.5) * cell - 0.5, edge + (row + 0.5) * cell - 0.5, radius, 0, 2 * Math.PI);
      const bright = student.similarity[row * views + best] > low + 0.6 * (high - low);
      context.fillStyle = bright ? theme.colors.image : theme.colors["on-image"];
      context.fill();
    }
    context.font = `${cell < 14 ? 8 : 10}px ${getComputedStyle(this.canvas).fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const [chosenRow, chosenColumn] = cellOf(state);
    // Where cells are narrow, only some views are numbered, and the chosen ones always.
    const every = Math.ceil(15 / cell);
    /** @param {number} i @param {number} chosen */
    const numbered = (i, chosen) => i === chosen || (i % every === 0 && Math.abs(i - chosen) >= every);
    for (let i = 0; i < views; i++) {
      context.fillStyle = i === chosenColumn ? theme.colors.text : theme.colors.muted;
      if (numbered(i, chosenColumn)) context.fillText(String(i + 1), edge + (i + 0.5) * cell, edge / 2 + 1);
      context.fillStyle = i === chosenRow ? theme.colors.text : theme.colors.muted;
      if (numbered(i, chosenRow)) context.fillText(String(i + 1), edge / 2, edge + (i + 0.5) * cell);
    }
    /** @param {Cell} cell @param {string} color @param {number} width */
    const outline = ([row, column], color, width) => {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.strokeRect(edge + column * cell - 0.5, edge + row * cell - 0.5, cell, cell);
    };
    if (this.hover) outline(this.hover, theme.colors.text, 1.5);
    outline([chosenRow, chosenColumn], theme.colors.panel, 4);
    outline([chosenRow, chosenColumn], state.cell ? theme.colors.selection : theme.colors.accent, 2.5);
    this.canvas.setAttribute("aria-label",
      `Cosine of ${views} student views (rows) with ${views} teacher views (columns), ${label.toLowerCase()} student. ` +
      `${retrieved} of ${views} student views are most alike to their own teacher view. Arrow keys choose a cell.`);
    this.drawSide(data, student, cellOf(state), theme);
  }

  /** @param {Data} data @param {Learner} student @param {Cell} cell @param {Theme} theme */
  drawSide(data, student, [row, column], theme) {
    const [low, high] = similarityRange(data);
    this.side.replaceChildren(
      fact("Diagonal dominance", data.views > 1 ? signed(student.diagonalDominance, 3) : "–", "Mean cosine with the own teacher view minus mean cosine with the others"),
      fact("Retrieval@1", data.views > 1 ? percent(student.retrievalAt1) : "–", "Share of student views whose most similar teacher view is their own (dots mark each row's best)"),
      fact(`cos (${row + 1}, ${column + 1})`, student.similarity[row * data.views + column].toFixed(3), "Cosine of the chosen row's student view and column's teacher view"),
      make("div", { class: "pmv-bar-legend" }, [
        gradientBar(theme.maps.similarity),
        make("div", { class: "pmv-ticks" }, [make("span", { text: low.toFixed(2) }), make("span", { text: high.toFixed(2) })]),
        make("div", { class: "pmv-unit", text: "cosine" }),
      ]),
      make("p", { class: "pmv-hint", text: "Rows: student views. Columns: teacher views." }),
    );
  }
}

/**
 * One range for all students, so that switching compares like with like.
 * @param {Data} data
 */
function similarityRange(data) {
  let low = Infinity;
  let high = -Infinity;
  for (const { student } of data.students) {
    for (const value of student.similarity) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return [low, high];
}
