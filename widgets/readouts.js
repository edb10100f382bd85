// Refuses a number written beside a slider that the slider does not take: its widget would put the nearest one there without a
// word. The number that stood there comes back before the widget reads it, and a sentence says why.
const forget = () => document.querySelectorAll('.esp-corrected').forEach(each => each.remove());
const check = event => {
  const number = event.target.closest?.('.esp-controls .widget-readout');
  if (event.type === 'keydown' && event.key !== 'Enter') forget();
  if (!number || (event.type === 'keydown' && event.key !== 'Enter')) return;
  const slider = number.parentElement, handle = slider.querySelector('.noUi-handle'), text = number.textContent.trim();
  if (!handle) return;
  const [low, high, stood] = ['min', 'max', 'text'].map(part => Number(handle.getAttribute(`aria-value${part}`)));
  const value = text ? Number(text) : NaN;
  if (value >= low && value <= high) return event.type === 'keydown' && forget();
  const label = slider.querySelector('.widget-label').textContent.trim();
  number.textContent = stood.toFixed(2);
  forget();
  const note = document.createElement('div');
  note.className = 'esp-refusal esp-corrected';
  note.setAttribute('role', 'alert');
  note.textContent = `${label} ${text.slice(0, 20) || 'without a number'} is not allowed: write a number from ${low} to ${high}; it stays ${stood.toFixed(2)}.`;
  slider.append(note);
};
document.addEventListener('keydown', check, true);
document.addEventListener('blur', check, true);
document.addEventListener('pointerdown', forget, true);
