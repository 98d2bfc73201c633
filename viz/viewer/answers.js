// Which networks answered, and which two are compared? Their names are data: no module spells one.

/** @import { Data, Learner, Student } from "./types.d.ts" */

/**
 * What is known of the inside of the student with this key.
 * @param {Data} data
 * @param {string} key
 * @returns {Student}
 */
export function studentOf(data, key) {
  const found = data.students.find((student) => student.key === key);
  if (!found) throw new Error(`there is no student ${key}`);
  return found;
}

/** @param {Data} data @param {string} key @returns {Learner} */
export const learnerOf = (data, key) => studentOf(data, key).student;

/**
 * The student that is shown unless another is chosen.
 * @param {Data} data
 */
export const firstStudent = (data) => data.students[0].key;

/** @param {Data} data @param {string} key */
export const hasStudent = (data, key) => data.students.some((student) => student.key === key);

/**
 * The first two students, which Compare and Difference show; null where there is only one.
 * @param {Data} data
 * @returns {[Student, Student] | null}
 */
export function pairOf(data) {
  const [first, second] = data.students;
  return second ? [first, second] : null;
}

/**
 * How the two are named in a sentence: the first begins it.
 * @param {Data} data
 */
export const labelsOf = (data) => data.students.slice(0, 2).map(({ label }, i) => i === 0 ? label : label.toLowerCase());
