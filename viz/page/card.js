// The file card: textContent only, because the name and the notes come from the visitor's file.
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
  }
};
watch('value', show);
show();
