// Closes what lies unfolded over the charts, a help or a badge: by Escape, which gives the keyboard back to its sign, and by a press
// anywhere else. Opening one closes the other by itself, since they share a name.
const open = () => [...document.querySelectorAll('.esp-help[open], .esp-badge[open]')];
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  for (const each of open()) {
    const within = each.contains(document.activeElement);
    each.open = false;
    if (within) each.querySelector('summary').focus();
  }
}, true);
document.addEventListener('pointerdown', event => {
  for (const each of open()) if (!each.contains(event.target)) each.open = false;
}, true);
