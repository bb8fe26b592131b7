// Pictures: matrices, lines, keys, and the tables behind them.

// Colours are asked for at every cell: they are kept until the next drawing.
const colours = new Map();

function css(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

const parsed = new Map();

function channels(colour) {
  if (!parsed.has(colour)) parsed.set(colour, [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  return parsed.get(colour);
}

function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((x, i) => Math.round(x + (b[i] - x) * share)).join(",")})`;
}

const options = { roots: false, dim: false, words: false, carried: false };

/** The shade of a weight from 0 to 1, the same in all pictures. */
function shade(weight) {
  return mix(css("--paper"), css("--full"), options.roots ? Math.sqrt(weight) : weight);
}

/** The shade of a signed number between -most and most. */
function signedShade(x, most) {
  const share = most ? Math.min(1, Math.abs(x) / most) : 0;
  return mix(css("--paper"), css(x < 0 ? "--minus" : "--plus"), share);
}

function canvas(width, height, draw, props = {}) {
  const scale = window.devicePixelRatio || 1;
  const made = h("canvas", { width: Math.round(width * scale), height: Math.round(height * scale), ...props });
  made.style.width = `${width}px`;
  made.style.height = `${height}px`;
  const context = made.getContext("2d");
  context.scale(scale, scale);
  draw(context);
  return made;
}

function hatch(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = css("--line");
  context.lineWidth = 1;
  context.beginPath();
  for (let d = -height; d < width; d += 5) {
    context.moveTo(x + d, y + height);
    context.lineTo(x + d + height, y);
  }
  context.stroke();
  context.restore();
}

/** Cells of `colour(row, column)`, `[r, g, b]`, a pixel each before they are scaled. */
function raster(rows, columns, width, height, colour, props = { "aria-hidden": "true" }) {
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const context = small.getContext("2d"), image = context.createImageData(columns, rows);
  for (let t = 0; t < rows; t++) {
    for (let k = 0; k < columns; k++) {
      const place = 4 * (t * columns + k), own = colour(t, k);
      for (let i = 0; i < 3; i++) image.data[place + i] = own[i];
      image.data[place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas(width, height, (context) => {
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, width, height);
  }, props);
}

/** From one colour to another, as numbers. */
function blend(from, to) {
  const [a, b] = [channels(css(from)), channels(css(to))];
  return (share) => a.map((x, i) => x + (b[i] - x) * share);
}

/** A whole map in some pixels. */
function thumbnail(map, side) {
  const colour = blend("--paper", "--full");
  return raster(map.T, map.S, side, side, (t, k) => colour(options.roots ? Math.sqrt(map.at(t, k)) : map.at(t, k)));
}

/** Signed numbers as colours, between -most and most. */
function signedRaster(rows, columns, side, high, value, most, label) {
  const [more, less] = [blend("--paper", "--plus"), blend("--paper", "--minus")];
  return raster(rows, columns, columns * side, rows * high, (t, k) => {
    const x = value(t, k), share = Math.min(1, Math.abs(x) / (most || 1));
    return x < 0 ? less(share) : more(share);
  }, { role: "img", "aria-label": label });
}

/** Says something once: a screen reader reads what changes. */
function tell(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function rowText(names) {
  return names.map(shown).join(" → ");
}

/**
 * A map large: a row a query, a column a key.
 *
 * `rows` and `columns` are lists of names; `pinned` the row that is; `onRow` is called with a row
 * that is chosen; `say(t, k)` is the sentence of what is pointed at, k undefined for a row.
 */
function matrix({ map, rows, columns, pinned, onRow, say, key, masked, dim = new Set() }) {
  const width = Math.max(...rows.map((names) => rowText(names).length)) * 7.5 + 18;
  const labels = Math.min(220, Math.max(70, width));
  const room = Math.min(document.documentElement.clientWidth, 1400) - labels - 60;
  const cell = Math.max(4, Math.min(44, Math.floor(Math.min(room, 860) / map.S)));
  const every = cell >= 11 ? 1 : 5, top = columnHeight(columns);
  const digits = cell >= 30 && map.S <= 30;
  const drawn = canvas(map.S * cell, map.T * cell, (context) => {
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let t = 0; t < map.T; t++) {
      for (let k = 0; k < map.S; k++) {
        const w = map.at(t, k), [x, y] = [k * cell, t * cell];
        context.globalAlpha = dim.has(k) ? 0.35 : 1;
        context.fillStyle = shade(w);
        context.fillRect(x, y, cell, cell);
        if (masked(t, k)) hatch(context, x, y, cell, cell);
        else if (digits) {
          context.fillStyle = css(w > 0.45 && !dim.has(k) ? "--paper" : "--ink");
          context.fillText(fixed(w, 2).replace(/^0/, ""), x + cell / 2, y + cell / 2);
        }
        context.globalAlpha = 1;
        if (cell >= 11) {
          context.strokeStyle = css("--grid");
          context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
        }
      }
    }
  }, { role: "img", "aria-label": word("matrixOf", { rows: map.T, columns: map.S }) });
  const row = h("div", { class: "mark row" }), column = h("div", { class: "mark column" });
  const heads = columns.map((token, k) => h("div", {
    class: "column-label", style: { left: `${labels + k * cell + cell / 2}px`, top: `${top - 4}px` },
    hidden: k % every !== 0,
  }, chip(token)));
  const readout = h("p", { class: "readout", "aria-live": "polite" }, say(pinned ?? null));
  const at = (event) => {
    const box = drawn.getBoundingClientRect();
    const k = Math.floor((event.clientX - box.left) / cell), t = Math.floor((event.clientY - box.top) / cell);
    return t >= 0 && k >= 0 && t < map.T && k < map.S ? [t, k] : null;
  };
  const mark = (t, k) => {
    row.style.display = t == null ? "none" : "block";
    row.style.top = `${top + t * cell}px`;
    row.style.height = `${cell}px`;
    row.style.left = `${labels}px`;
    row.style.width = `${map.S * cell}px`;
    column.style.display = k == null ? "none" : "block";
    column.style.left = `${labels + k * cell}px`;
    column.style.top = `${top}px`;
    column.style.width = `${cell}px`;
    column.style.height = `${map.T * cell}px`;
    heads.forEach((head, i) => {
      head.firstChild.style.background = t == null || k != null ? "" : shade(map.at(t, i));
      head.firstChild.style.color = t != null && k == null && map.at(t, i) > 0.45 ? css("--paper") : "";
    });
    tell(readout, t == null && k == null ? say(null) : say(t, k));
  };
  const back = () => mark(pinned, null);
  drawn.addEventListener("mousemove", (event) => { const found = at(event); if (found) mark(...found); });
  drawn.addEventListener("mouseleave", back);
  drawn.addEventListener("click", (event) => { const found = at(event); if (found) onRow(found[0]); });
  heads.forEach((head, k) => {
    head.addEventListener("mouseenter", () => mark(null, k));
    head.addEventListener("mouseleave", back);
  });
  const buttons = rows.map((names, t) => h("button", {
    class: "row-label", type: "button", "data-key": `${key}-row-${t}`, "aria-pressed": String(pinned === t),
    style: { top: `${top + t * cell}px`, height: `${Math.max(cell, 12)}px`, width: `${labels - 6}px` },
    onclick: () => onRow(t), onmouseenter: () => mark(t, null), onmouseleave: back,
    onfocus: () => mark(t, null), onblur: back, hidden: t % every !== 0,
  }, names.flatMap((name, i) => [i ? " → " : "", chip(name)])));
  const frame = h("div", {
    class: "matrix", style: { width: `${labels + map.S * cell + 40}px`, height: `${top + map.T * cell + 4}px` },
  }, heads, buttons, drawn, row, column);
  drawn.style.left = `${labels}px`;
  drawn.style.top = `${top}px`;
  back();
  return h("div", {}, h("div", { class: "scroller" }, frame), readout,
    behind({ map, rows, columns, masked, name: key, picture: () => drawn }));
}

function columnHeight(columns) {
  return Math.min(140, Math.max(...columns.map((token) => shown(token).length)) * 5.6 + 26);
}

/** The same as lines: who looks on the left, who is looked at on the right. */
function lines({ map, rows, columns, pinned, onRow, say, key, masked }) {
  const step = 28, height = Math.max(map.T, map.S) * step, width = 220;
  const svg = h("svg", { width, height, role: "img", "aria-label": word("linesOf") });
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const y = (i, count) => (i + 0.5) * (height / count);
  const draw = (t) => {
    svg.replaceChildren();
    const some = t == null ? rows.map((_, i) => [i, argmax(map.row(i))])
      : columns.map((_, k) => [t, k]).filter(([, k]) => !masked(t, k));
    for (const [i, k] of some) {
      const w = map.at(i, k);
      if (masked(i, k)) continue;
      svg.append(h("line", {
        x1: 0, x2: width, y1: y(i, map.T), y2: y(k, map.S), stroke: css("--full"),
        "stroke-width": Math.max(0.5, 10 * w), "stroke-opacity": 0.25 + 0.75 * w, "data-to": k, "data-from": i,
      }));
    }
    tell(readout, say(t));
  };
  const back = () => draw(pinned);
  const left = rows.map((names, t) => h("button", {
    type: "button", "data-key": `${key}-row-${t}`, "aria-pressed": String(pinned === t),
    style: { top: `${y(t, map.T) - 12}px` }, onclick: () => onRow(t), onmouseenter: () => draw(t),
    onmouseleave: back, onfocus: () => draw(t), onblur: back,
  }, names.flatMap((name, i) => [i ? " → " : "", chip(name)])));
  const right = columns.map((token, k) => h("div", { style: { top: `${y(k, map.S) - 12}px` } }, chip(token)));
  back();
  return h("div", {},
    h("div", { class: "scroller" }, h("div", { class: "lines", style: { height: `${height}px` } },
      h("div", { class: "left" }, left), svg, h("div", { class: "right" }, right))),
    readout, behind({ map, rows, columns, masked, name: key, picture: () => svg }));
}

/** The buttons under a picture: its table, a copy of it, the picture as a file. */
function behind({ map, rows, columns, masked, name, picture }) {
  const place = h("div", { class: "scroller" });
  const cells = () => [["", ...columns], ...rows.map((names, t) => [
    rowText(names), ...columns.map((_, k) => (masked(t, k) ? word("masked") : map.at(t, k)))])];
  return tableTools(cells, place, name, picture);
}

function tableTools(cells, place, name, picture, digits = 4) {
  const show = (x) => (typeof x === "number" ? number(x, digits) : x);
  const table = () => {
    if (place.firstChild) return place.replaceChildren();
    const [head, ...body] = cells();
    place.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, head.map((x) => h("th", { scope: "col" }, show(x))))),
      h("tbody", {}, body.map(([first, ...rest]) => h("tr", {},
        h("th", { scope: "row" }, show(first)), rest.map((x) => h("td", {}, show(x))))))));
  };
  const copy = async (event) => {
    const text = cells().map((row) => row.map((x) =>
      (typeof x === "number" ? x : String(x).replace(/[\t\n\r]/g, " "))).join("\t")).join("\n");
    const area = h("textarea", { class: "off" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    event.target.focus();
    event.target.textContent = word("copied");
  };
  const save = () => {
    const made = picture();
    const download = (url, ending) => h("a", { href: url, download: `${name}.${ending}` }).click();
    if (made instanceof HTMLCanvasElement) return download(made.toDataURL("image/png"), "png");
    const copied = made.cloneNode(true);
    copied.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const blob = new Blob([new XMLSerializer().serializeToString(copied)], { type: "image/svg+xml" });
    download(URL.createObjectURL(blob), "svg");
  };
  const button = (text, key, onclick) =>
    h("button", { type: "button", "data-key": `${name}-${key}`, onclick }, text);
  return h("div", { class: "tools" }, button(word("asTable"), "table", table),
    button(word("copy"), "copy", copy), picture && button(word("savePicture"), "save", save), place);
}

/** What the shades mean. */
function shadeKey() {
  const steps = [0, 0.25, 0.5, 0.75, 1];
  return h("div", { class: "key" }, "0 ", steps.map((w) => h("span", { style: { background: shade(w) } })), " 1",
    options.roots ? ` (${word("roots")})` : "", " ", canvas(14, 14, (c) => hatch(c, 0, 0, 14, 14)), " ", word("masked"));
}
