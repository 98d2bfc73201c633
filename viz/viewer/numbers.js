// How is a number said?

const NUMBER = new Intl.NumberFormat("en-US");
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** @param {number} value */
export const count = (value) => NUMBER.format(value);

/** @param {number} share @param {number} [digits] */
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** @param {number} value @param {number} digits */
export function signed(value, digits) {
  const size = Math.abs(value).toFixed(digits);
  return Number(size) === 0 ? size : (value < 0 ? "−" : "+") + size;
}

/** @param {number} number */
export const subscript = (number) => [...String(number)].map((digit) => SUBSCRIPTS[Number(digit)]).join("");

/**
 * A class's name as people write it.
 * @param {string} label
 */
export const words = (label) => label.replaceAll("_", " ");

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * The largest magnitude, at least 0.
 * @param {Iterable<ArrayLike<number>>} rows
 */
export function largest(rows) {
  let top = 0;
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      const size = Math.abs(row[i]);
      if (size > top) top = size;
    }
  }
  return top;
}
