// Which example is behind a picture, and which is chosen? Gradio calls its buttons "Thumbnail 1 of 16" and marks the
// chosen one by colour alone; a screen reader hears the example's name and whether it is pressed.
const nameExamples = () => {
  for (const button of document.querySelectorAll('#examples .thumbnail-item')) {
    const said = { 'aria-label': button.querySelector('img').alt, 'aria-pressed': String(button.matches('.selected')) };
    for (const [name, value] of Object.entries(said)) {
      if (button.getAttribute(name) !== value) button.setAttribute(name, value);
    }
  }
};
const watchExamples = new MutationObserver(nameExamples);
watchExamples.observe(element.closest('#side'), { subtree: true, childList: true, attributeFilter: ['aria-label', 'class'] });
nameExamples();
