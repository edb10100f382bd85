// Gives the form's sliders and toggles what a screen reader asks for, which their widgets leave out; changes no look and no value.
// The names are the words beside the controls. Widgets draw themselves again as they like, so it is done after each change.
const name = form => {
  const set = (element, attribute, value) => {
    if (element && element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  };
  for (const label of form.querySelectorAll('.widget-label')) {
    const control = label.parentElement, words = label.textContent.trim();
    if (!words) continue;
    set(control.querySelector('.noUi-handle'), 'aria-label', words);
    const number = control.querySelector('.widget-readout');
    set(number, 'role', 'textbox');
    set(number, 'aria-label', `${words}, as a number`);
    const disabled = control.querySelector('.noUi-target')?.hasAttribute('disabled');
    if (disabled !== undefined) {
      set(control.querySelector('.noUi-handle'), 'aria-disabled', String(disabled));
      set(number, 'aria-disabled', String(disabled));
    }
    set(control.querySelector('select, input:not([type=radio])'), 'aria-label', words);
    const toggles = control.querySelectorAll('.jupyter-button');
    if (!toggles.length) continue;
    set(control, 'role', 'group');
    set(control, 'aria-label', words);
    for (const each of toggles) set(each, 'aria-pressed', String(each.classList.contains('mod-active')));
  }
  for (const each of form.querySelectorAll('.esp-unfold')) set(each, 'aria-expanded', String(each.classList.contains('mod-active')));
};
const watched = new WeakSet();
const find = () => {
  for (const form of document.querySelectorAll('.esp-controls, .esp-turn')) {
    if (watched.has(form)) continue;
    watched.add(form);
    name(form);
    const what = {subtree: true, childList: true, attributes: true, attributeFilter: ['class', 'disabled', 'role']};
    new MutationObserver(() => name(form)).observe(form, what);
  }
  // The controls, the fold of all other choices, and the choice between the parts of the page.
  return document.querySelectorAll('.esp-controls').length > 1 && document.querySelector('.esp-turn') !== null;
};
// The page may be put together after this script, and piece by piece.
if (!find()) {
  const page = new MutationObserver(() => { if (find()) page.disconnect(); });
  page.observe(document.body, {subtree: true, childList: true});
}
