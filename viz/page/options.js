// A number counts when Enter is pressed, its box is left, or its visitor pauses, within the limits that the box states;
// an emptied box gets back what it held. A "?" closes when anything else is clicked, and with Escape.
const PAUSE_MS = 700;
const box = (event) => event.target.matches?.('#options input[type="number"]') ? event.target : null;
document.addEventListener('focus', (event) => {
  if (box(event)) event.target.dataset.before = event.target.value;
}, true);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && box(event)) event.target.blur();
}, true);
document.addEventListener('blur', (event) => {
  const input = box(event);
  if (!input) return;
  const typed = Number.parseFloat(input.value);
  const wanted = Math.round(Number.isFinite(typed) ? typed : Number(input.dataset.before || input.min));
  const kept = Math.min(Number(input.max || Infinity), Math.max(Number(input.min || -Infinity), wanted));
  input.dataset.before = String(kept);
  if (String(kept) === input.value) return;
  input.value = String(kept);
  input.dispatchEvent(new Event('input', { bubbles: true }));
}, true);
// A number that is not there yet, or outside of the limits, stays in its box until then: what waits for an earlier answer
// would send it, and be refused.
const isWhole = (input) => input.value !== '' && !input.validity.badInput && !input.validity.rangeUnderflow
  && !input.validity.rangeOverflow;
document.addEventListener('input', (event) => {
  if (box(event) && !isWhole(event.target)) event.stopPropagation();
}, true);
// Gradio tells that a slider was moved by the pointer or that a box was left, and of keys nothing until then. So a
// pause counts as leaving the box; half a number (51 of 512) is not yet one of the slider's, and waits.
let pause = 0;
document.addEventListener('input', (event) => {
  const input = event.target;
  if (!event.isTrusted || !input.matches?.('#options input:is([type="range"], [type="number"])')) return;
  clearTimeout(pause);
  if (input.matches('[type="range"]:active')) return; // a pointer holds it, and will let it go
  pause = setTimeout(() => {
    const left = input.closest('.block').querySelector('input[type="number"]');
    if (isWhole(left)) left.dispatchEvent(new FocusEvent('blur'));
  }, PAUSE_MS);
}, true);
const closeHelp = (except) => document.querySelectorAll('.section-title details[open]').forEach((details) => {
  if (details !== except) details.open = false;
});
document.addEventListener('click', (event) => closeHelp(event.target.closest?.('.section-title details')));
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') closeHelp(null); });
