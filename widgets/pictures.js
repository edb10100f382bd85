// Makes pictures of charts that can be read by themselves, title, axes, legend and words, and files of them; knows no chart.
({
  INK: ['color', 'display', 'dominant-baseline', 'fill', 'fill-opacity', 'font-family', 'font-size', 'font-style', 'font-weight',
    'opacity', 'shape-rendering', 'stroke', 'stroke-dasharray', 'stroke-opacity', 'stroke-width', 'text-anchor', 'visibility'],
  PLACE: ['align-items', 'background-color', 'background-image', 'border', 'box-sizing', 'flex', 'flex-wrap', 'gap', 'height', 'left',
    'line-height', 'margin', 'overflow', 'padding', 'position', 'top', 'vertical-align', 'white-space', 'width', 'z-index'],

  // A copy of an element that looks the same where no style sheet reaches it.
  copy(element) {
    const made = element.cloneNode(true);
    const from = [element, ...element.querySelectorAll('*')], to = [made, ...made.querySelectorAll('*')];
    from.forEach((each, number) => {
      const looks = getComputedStyle(each);
      // Inside a drawing a place would be wrong: the rectangle that a clip is made of has none, and would clip everything.
      const names = each.ownerSVGElement ? this.INK : [...this.INK, ...this.PLACE];
      names.forEach(name => to[number].style.setProperty(name, looks.getPropertyValue(name)));
    });
    for (const each of to) { // what clips a mark is named by the address of this page, which the picture is not on
      const clip = each.getAttribute('clip-path')?.match(/#[\w-]+/);
      if (clip) each.setAttribute('clip-path', `url(${clip[0]})`);
    }
    to.forEach(each => { if (each.style.display === 'none' && !each.closest('defs, clipPath')) each.remove(); });
    return made;
  },

  // The card of a chart as a PNG, at twice its size on the screen.
  async draw(chart) {
    const cards = [...document.querySelectorAll(`.esp .esp-at-${chart}`)].filter(each => each.checkVisibility());
    const card = cards.at(-1), figure = card?.querySelector('.bqplot');
    if (!figure || !figure.querySelector('svg')) throw new Error('it is not on the screen');
    const page = document.createElementNS('http://www.w3.org/1999/xhtml', 'div');
    const parts = card.querySelectorAll('h2, .bqplot, .esp-legend, .esp-gauge, .esp-says');
    const shown = [...parts].filter(each => each.checkVisibility() && !each.closest('.esp-told')); // what is pointed at
    shown.forEach(each => page.appendChild(this.copy(each)));
    const {width} = figure.getBoundingClientRect(), edge = 12;
    const height = shown.reduce((sum, each) => sum + each.getBoundingClientRect().height + 4, 2 * edge);
    const look = getComputedStyle(card);
    page.style.cssText = `padding: ${edge}px; width: ${width}px; box-sizing: content-box; font-family: ${look.fontFamily};`
      + `color: ${look.color}; background-color: ${look.backgroundColor}; height: ${height - 2 * edge}px`;
    const wide = width + 2 * edge;
    const markup = `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${height}"><foreignObject width="100%" `
      + `height="100%">${new XMLSerializer().serializeToString(page)}</foreignObject></svg>`;
    const image = new Image();
    image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(markup); // from a blob: the canvas could not be read
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), {width: 2 * wide, height: 2 * height});
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    const made = await new Promise(done => canvas.toBlob(done, 'image/png'));
    return new Uint8Array(await made.arrayBuffer());
  },

  // The pictures of some charts, as pairs of a file name and its bytes; what could not be drawn is a text that says why.
  async drawAll(charts, stem) {
    const files = [];
    for (const chart of charts) {
      try {
        files.push([`${stem}${chart}.png`, await this.draw(chart)]);
      } catch (error) {
        files.push([`${stem}${chart}.txt`, new TextEncoder().encode(`The browser made no picture of ${chart}: ${error.message}.\n`)]);
      }
    }
    return files;
  },

  bytes(base64) {
    return Uint8Array.from(atob(base64), each => each.charCodeAt(0));
  },

  save(name, content, mime) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([content], {type: mime}));
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  },

  // A zip archive, uncompressed: pictures are compressed already.
  zip(files) {
    const remainders = Uint32Array.from({length: 256}, (_, number) => {
      for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1;
      return number;
    });
    const check = bytes => ~bytes.reduce((sum, byte) => (sum >>> 8) ^ remainders[(sum ^ byte) & 255], -1) >>> 0;
    const record = (...fields) => { // pairs of a width in bytes and a number, the least byte first
      const out = [];
      for (const [width, number] of fields) for (let at = 0; at < width; at++) out.push(Math.floor(number / 256 ** at) & 255);
      return Uint8Array.from(out);
    };
    const day = 33; // 1 January 1980: a recipe makes the same archive on every day
    const body = [], index = [];
    let offset = 0, indexed = 0;
    for (const [path, bytes] of files) {
      const name = new TextEncoder().encode(path), sum = check(bytes);
      const same = [[2, 20], [2, 2048], [2, 0], [2, 0], [2, day], [4, sum], [4, bytes.length], [4, bytes.length], [2, name.length], [2, 0]];
      const head = record([4, 0x04034b50], ...same);
      const entry = record([4, 0x02014b50], [2, 20], ...same, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]);
      body.push(head, name, bytes);
      index.push(entry, name);
      offset += head.length + name.length + bytes.length;
      indexed += entry.length + name.length;
    }
    const end = record([4, 0x06054b50], [4, 0], [2, files.length], [2, files.length], [4, indexed], [4, offset], [2, 0]);
    return new Blob([...body, ...index, end]);
  },
})
