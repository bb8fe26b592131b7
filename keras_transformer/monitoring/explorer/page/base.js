// What every part of the page uses: data, words, numbers, elements, the selection.

const DATA = JSON.parse(document.getElementById("data").textContent);

// ---- elements ---------------------------------------------------------------------------------

const SVG = new Set(["svg", "line", "path", "rect", "circle", "g", "polyline"]);
const MATH = new Set("math mrow mi mo mn msub msup mfrac msqrt mtext munder mover".split(" "));

/** An element; `on...` are listeners, `style` an object, true attributes empty, false ones none. */
function h(tag, props = {}, ...children) {
  const space = SVG.has(tag) ? "http://www.w3.org/2000/svg"
    : MATH.has(tag) ? "http://www.w3.org/1998/Math/MathML" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child != null && child !== false));
  return element;
}

// ---- packed arrays ----------------------------------------------------------------------------

const TYPES = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array,
  float16: Uint16Array, float32: Float32Array,
};

function halfToFloat(half) {
  const sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** What `packing.py` packed: a typed array, with its `shape`. */
async function unpack(packed) {
  if (packed.values) return packed.values;
  const text = atob(packed.data), bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (packed.type === "json") return (packed.values = JSON.parse(new TextDecoder().decode(planes)));
  const type = TYPES[packed.type], size = type.BYTES_PER_ELEMENT, count = planes.length / size;
  const whole = new Uint8Array(planes.length);
  for (let i = 0; i < count; i++) {
    for (let b = 0; b < size; b++) whole[i * size + b] = planes[(size - 1 - b) * count + i];
  }
  let values = new type(whole.buffer);
  if (packed.type === "float16") values = Float32Array.from(values, halfToFloat);
  values.shape = packed.shape;
  packed.data = null;
  packed.values = values;
  return values;
}

// ---- words and numbers ------------------------------------------------------------------------

const language = () => state.lang;

/** A text of the page in its language, its `{names}` filled in. */
function word(key, values = {}) {
  const found = WORDS[key];
  if (!found) throw new Error(`no words for ${key}`);
  const text = found[language() === "pt" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function point(text) {
  return language() === "pt" ? text.replace(".", ",") : text;
}

function fixed(x, digits) {
  const text = x.toFixed(digits);
  return point(/^-0\.?0*$/.test(text) ? text.slice(1) : text);
}

function signed(x, digits) {
  return (x > 0 ? "+" : "") + fixed(x, digits);
}

function percent(p) {
  return p > 0 && p < 0.001 ? `< ${fixed(0.1, 1)} %` : `${fixed(100 * p, 1)} %`;
}

function whole(n) {
  return n.toLocaleString(language() === "pt" ? "pt-BR" : "en-US");
}

/** A number with all its digits where programs find it. */
function number(x, digits = 2) {
  return h("data", { value: x, "data-value": x }, fixed(x, digits));
}

/** How a token is shown: a space as a dot, a line break as an arrow, nothing as a box. */
function shown(token) {
  if (token === "") return "▢";
  return token.replace(/ /g, "·").replace(/\r?\n/g, "↵").replace(/\t/g, "⇥");
}

function chip(token) {
  return h("bdi", { class: "token", dir: "auto" }, shown(token));
}

// ---- the selection, which is the address ------------------------------------------------------

const FIELDS = {
  s: { default: 1, read: Number, valid: (x) => DATA.examples[x - 1] },
  a: { default: null, read: String, valid: (x) => kinds().includes(x) },
  l: { default: 1, read: Number, valid: (x) => layersOf(state.a)[x - 1] },
  h: { default: 1, read: Number, valid: (x) => x >= 1 && x <= layer().heads && x % 1 === 0 },
  t: { default: 0, read: Number, valid: (x) => x >= 0 && x % 1 === 0 && x <= queries().length },
  v: { default: "matrix", read: String, valid: (x) => ["matrix", "lines", "alignment"].includes(x) },
  lang: {
    default: /^pt\b/i.test(navigator.language) ? "pt" : "en", read: String,
    valid: (x) => ["en", "pt"].includes(x), unsaid: true,
  },
};
const state = {};
let notice = "";

const kinds = () => [...new Set(DATA.layers.map((one) => one.kind))];
const layersOf = (kind) => DATA.layers.filter((one) => one.kind === kind);
const layer = () => layersOf(state.a)[state.l - 1];
const layerIndex = () => DATA.layers.indexOf(layer());
const example = () => DATA.examples[state.s - 1];
const queries = (s = state.s, index = layerIndex()) => {
  const one = DATA.examples[s - 1];
  return one.texts[one.sides[index][0]];
};
const keys = (s = state.s, index = layerIndex()) => {
  const one = DATA.examples[s - 1];
  return one.texts[one.sides[index][1]];
};

/** The names of a row: the token that stands there, and in a decoder the one being written. */
function rowNames(s = state.s, index = layerIndex()) {
  const one = DATA.examples[s - 1], tokens = queries(s, index);
  if (!one.written || DATA.layers[index].kind === "self") return tokens.map((x) => [x]);
  return tokens.map((x, t) => [x, one.written[t]]);
}

function address(values) {
  const parts = [];
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = values[name];
    const implied = name === "t" ? !value : field.unsaid && value === field.default;
    if (!implied && value != null) parts.push(`${name}=${encodeURIComponent(value)}`);
  }
  return `#${parts.join("&")}`;
}

/** What a part of the selection is when it is not said, or what is said is not there. */
function fallback(name, value) {
  if (value != null && FIELDS[name].valid(value)) return value;
  return FIELDS[name].fallback ?? (name === "t" ? 0 : name === "a" ? kinds()[0] : 1);
}

/** Reads the address; what it does not say, or says wrongly, is as the page opens. */
function readAddress() {
  const said = new Map(location.hash.slice(1).split("&").filter(Boolean).map((part) => {
    const [name, ...value] = part.split("=");
    return [name, decodeURIComponent(value.join("="))];
  }));
  const wrong = [...said.keys()].filter((name) => !FIELDS[name]);
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = said.has(name) ? field.read(said.get(name)) : null;
    if (said.has(name) && !field.valid(value)) wrong.push(name);
    state[name] = said.has(name) && field.valid(value) ? value : fallback(name, field.default);
  }
  notice = wrong.length ? word("wrongAddress", { names: wrong.join(", ") }) : "";
}

/** Changes the selection, and by it the address and the page. What no longer fits falls back. */
function select(changes) {
  Object.assign(state, changes);
  for (const name of Object.keys(FIELDS)) {
    state[name] = fallback(name, state[name] ?? FIELDS[name].default);
  }
  notice = "";
  const wanted = address(state);
  if (location.hash === wanted) draw();
  else location.hash = wanted; // which draws
}
