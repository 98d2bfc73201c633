// The file card: textContent only, because the name and the notes come from the visitor's file.
const keepUpload = (upload) => {
  try {
    if (upload) sessionStorage.setItem('pointmcd-upload', JSON.stringify(upload));
    else sessionStorage.removeItem('pointmcd-upload');
  } catch { /* a browser that keeps nothing: after a reload, the page opens with an example */ }
};
const show = () => {
  const value = props.value || {};
  const find = (selector) => element.querySelector(selector);
  find('.refusal').hidden = !value.refusal;
  find('.refusal').textContent = value.refusal || '';
  const last = value.name ? value : element.lastRead;
  if (last) {
    element.lastRead = last;
    find('.name').textContent = find('.name').title = last.name;
    find('.notes').replaceChildren(...last.notes.map((note) => {
      const item = document.createElement('li');
      item.textContent = note;
      return item;
    }));
  }
  if (value.refusal && !last) find('.name').textContent = '';
  if (value.query) {
    const url = new URL(window.location);
    for (const [key, setting] of Object.entries(value.query)) {
      if (setting === null) url.searchParams.delete(key); else url.searchParams.set(key, setting);
    }
    window.history.replaceState(window.history.state, '', url);
    keepUpload(value.upload);
  }
};
watch('value', show);
show();
// Gradio refuses a file above the limit by a message that passes; the card keeps it. The limit is set before this script.
const refuseLarge = (event) => {
  if (!event.target.closest?.('#upload')) return;
  const files = [...(event.target.files ?? event.dataTransfer?.files ?? [])];
  const large = files.find((file) => file.size > largestUpload);
  if (!large) return;
  const sentence = element.querySelector('.refusal');
  sentence.textContent = `${large.name} is larger than ${largestUpload / 2 ** 20} MB: send fewer points or faces.`;
  sentence.hidden = false;
};
for (const touch of ['change', 'drop']) document.addEventListener(touch, refuseLarge, true);
