// The button of the masthead turns the page light or dark, and the address bar keeps it.
element.querySelector('.theme-button').addEventListener('click', () => {
  const dark = document.body.classList.toggle('dark');
  const url = new URL(window.location);
  url.searchParams.set('__theme', dark ? 'dark' : 'light');
  window.history.replaceState(window.history.state, '', url);
});
