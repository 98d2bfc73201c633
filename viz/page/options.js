// A typed number counts when Enter is pressed or its box is left, within the limits that the box states; an emptied box
// gets back what it held. A "?" closes when anything else is clicked, and with Escape.
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
  if (String(kept) === input.value) return;
  input.value = String(kept);
  input.dispatchEvent(new Event('input', { bubbles: true }));
}, true);
const closeHelp = (except) => document.querySelectorAll('.section-title details[open]').forEach((details) => {
  if (details !== except) details.open = false;
});
document.addEventListener('click', (event) => closeHelp(event.target.closest?.('.section-title details')));
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') closeHelp(null); });
