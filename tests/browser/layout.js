// What is asked of a page about its looks; each function answers with what a test reads, and changes nothing.
({
  // Every control, label and heading that is seen: its words, and the left, top, right and lower edge of its box.
  boxes() {
    const kinds = ['button', 'select', 'input', '.noUi-target', '.widget-readout', '.widget-label', 'summary', 'a', 'h2'];
    return [...document.querySelectorAll(kinds.map(kind => '.esp ' + kind).join())]
      .filter(element => element.checkVisibility())
      .map(element => {
        const box = element.getBoundingClientRect();
        const words = element.innerText || element.labels?.[0]?.innerText || element.className || element.tagName;
        return [words.trim().slice(0, 30), box.left, box.top, box.right, box.bottom];
      })
      .filter(([, left, top, right, bottom]) => right > left && bottom > top);
  },

  // The words of buttons, labels and headings that have no room for them.
  cut() {
    return [...document.querySelectorAll('.esp button, .esp .widget-label, .esp h2')]
      .filter(element => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
      .filter(element => getComputedStyle(element).display !== 'inline')
      .map(element => element.innerText)
      .concat(this.beyond());
  },

  // The words in a card that go on beyond its edge, where nobody sees them; not those of a part that scrolls, or of a drawing.
  beyond() {
    return [...document.querySelectorAll('.esp .esp-card *')]
      .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
      .filter(element => element.checkVisibility() && !element.closest('style, script, option, svg, .esp-scroll, .bqplot_tooltip_div'))
      .filter(element => getComputedStyle(element).display !== 'inline')
      .filter(element => element.getBoundingClientRect().right > element.closest('.esp-card').getBoundingClientRect().right + 1)
      .map(element => element.innerText);
  },

  // By how much the page, and the part of it that Voilà lets scroll, are wider and higher than they are shown.
  excess() {
    return [document.documentElement, document.body, document.querySelector('#rendered_cells')]
      .map(element => [element.scrollWidth - element.clientWidth, element.scrollHeight - element.clientHeight]);
  },

  // Texts whose contrast to the first painted background behind them is below 4.5, as WCAG 2 reckons it; not greyed ones.
  faint() {
    const parts = colour => (colour.match(/[\d.]+/g) || []).map(Number);
    const linear = value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([red, green, blue]) =>
      0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
    const behind = element => {
      for (let each = element; each; each = each.parentElement) {
        const [red, green, blue, alpha = 1] = parts(getComputedStyle(each).backgroundColor);
        if (red !== undefined && alpha > 0.5) return [red, green, blue];
      }
      return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('.esp *')) {
      const own = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
      if (!own || !element.checkVisibility({opacityProperty: true})) continue;
      if (element.closest('style, script, option, :disabled, .bqplot_tooltip_div')) continue;
      const style = getComputedStyle(element), ink = parts(element.closest('svg') ? style.fill : style.color);
      const [high, low] = [light(ink), light(behind(element))].sort((one, other) => other - one);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) found.push([own.slice(0, 40), element.getAttribute('class'), Math.round(ratio * 100) / 100]);
    }
    return found;
  },

  // The colours that are painted behind the page's first part and at the window's lower edge.
  grounds() {
    return [document.querySelector('.esp'), document.elementFromPoint(5, innerHeight - 5)].map(first => {
      for (let each = first; each; each = each.parentElement) {
        const colour = getComputedStyle(each).backgroundColor;
        if (colour !== 'rgba(0, 0, 0, 0)') return colour;
      }
      return 'none';
    });
  },
})
