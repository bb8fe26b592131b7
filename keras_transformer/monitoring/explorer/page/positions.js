// How order gets in: places as vectors, and a step of k places as one linear map.

const positionOptions = { p: 3, k: 1, pair: null };

const positions = {
  id: "positions",
  missing: () => (DATA.positions.kind ? null : word("noPositions")),
  async draw(root) {
    await { sinusoidal: drawSinusoids, learned: drawLearned, rotary: drawRotary }[DATA.positions.kind](root);
  },
};

function positionSlider(name, most, show) {
  const said = h("output", {}, String(positionOptions[name]));
  return h("label", { class: "slider" }, `${word(`position_${name}`)} `, h("input", { type: "range", min: name === "p" || name === "pair" ? 0 : 1, max: most,
    value: positionOptions[name], "data-key": `position-${name}`, oninput: (event) => { positionOptions[name] = Number(event.target.value); said.textContent = event.target.value; show(); } }), " ", said);
}

/** The matrix that takes place p to p + k, of the pairs (sine i, cosine i): one for all p. */
function stepMap(D, k) {
  const half = Math.ceil(D / 2), pairs = Math.floor(D / 2), M = Array.from({ length: D }, () => new Float64Array(D));
  for (let i = 0; i < pairs; i++) {
    const angle = k * 10000 ** ((-2 * i) / D), [c, s] = [Math.cos(angle), Math.sin(angle)];
    M[i][i] = c; M[i][half + i] = s; // sin(a + b) = sin a cos b + cos a sin b
    M[half + i][i] = -s; M[half + i][half + i] = c;
  }
  return M;
}

/** How far the map misses, at most, over some places; an odd last sine has no cosine. */
function mapMisses(D, k, places) {
  const M = stepMap(D, k), half = Math.ceil(D / 2), pairs = Math.floor(D / 2);
  let most = 0;
  for (let p = 0; p < places; p++) {
    const from = sinusoid(p, D), to = sinusoid(p + k, D);
    for (let i = 0; i < pairs; i++) { // all other entries of these rows are 0
      for (const row of [i, half + i]) most = Math.max(most, Math.abs(M[row][i] * from[i] + M[row][half + i] * from[half + i] - to[row]));
    }
  }
  return most;
}

function drawSinusoids(root) {
  const D = DATA.positions.width, count = 50, place = h("div", {});
  positionOptions.pair ??= Math.floor(D / 8);
  const side = Math.max(1, Math.min(8, Math.floor(640 / D)));
  const rows = Array.from({ length: count }, (_, p) => sinusoid(p, D));
  const picture = signedRaster(count, D, side, 4, (p, i) => rows[p][i], 1, word("sinusoidsPicture", { count, width: D }));
  const show = () => {
    const { p, k, pair } = positionOptions, own = sinusoid(p, D), products = rows.map((other) => dot(own, other)), missed = mapMisses(D, k, count);
    const w = 10000 ** ((-2 * pair) / D), most = Math.max(...products.map(Math.abs)), wide = 620, high = 110;
    const curve = h("svg", { width: wide, height: high, role: "img", "aria-label": word("similarTo", { p }) },
      h("polyline", { points: products.map((x, i) => `${(i * wide) / count},${high / 2 - (x / most) * (high / 2 - 4)}`).join(" "), fill: "none", stroke: css("--full"), "stroke-width": 2 }),
      h("line", { x1: 0, x2: wide, y1: high / 2, y2: high / 2, stroke: css("--grid") }), h("circle", { cx: (p * wide) / count, cy: 4, r: 4, fill: css("--query") }));
    const hand = (place_, colour) => h("line", { x1: 60, y1: 60, x2: 60 + 52 * Math.sin(place_ * w), y2: 60 - 52 * Math.cos(place_ * w), stroke: css(colour), "stroke-width": 3 });
    const clock = h("svg", { width: 120, height: 120, role: "img", "aria-label": word("clock") }, h("circle", { cx: 60, cy: 60, r: 54, fill: "none", stroke: css("--line") }), hand(p, "--query"), hand(p + k, "--key"));
    place.replaceChildren(h("h3", {}, word("placeIs", { p })), strip(`p(${p})`, own, { most: 1 }), h("h3", {}, word("similarTo", { p })), h("div", { class: "scroller" }, curve),
      tableTools(() => [[word("place_"), word("row_plain")], ...products.map((x, i) => [i, x])], h("div", { class: "scroller" }), "similarity", () => curve, 3),
      h("h3", {}, word("oneMap", { k })), h("div", { class: "learned" }, clock, h("div", {}, h("p", { class: "words" }, word("clockAbout", { pair, angle: fixed(k * w, 4) })),
        h("p", {}, word("mapError", { k }), " ", h("data", { value: missed, class: "map-error" }, missed.toExponential(0))))));
  };
  show();
  root.append(...about("position"), h("p", { class: "caption" }, word("layout", { half: Math.ceil(D / 2), width: D })), h("div", { class: "scroller" }, picture),
    h("div", { class: "controls" }, positionSlider("p", count - 1, show), positionSlider("k", 10, show), positionSlider("pair", Math.max(0, Math.floor(D / 2) - 1), show)), place);
}

async function drawLearned(root) {
  const similar = await unpack(DATA.positions.similar), count = similar.shape[0], side = Math.max(2, Math.floor(420 / count)), place = h("div", {});
  const picture = signedRaster(count, count, side, side, (p, q) => similar[p * count + q], 127, word("learnedPicture", { count }));
  const show = () => {
    const { p, k } = positionOptions, row = Array.from({ length: count }, (_, q) => similar[Math.min(p, count - 1) * count + q] / 127), missed = DATA.positions.misses[k - 1];
    place.replaceChildren(h("h3", {}, word("similarTo", { p })), strip(`p(${p}) · p`, row, { most: 1 }), h("p", {}, missed == null ? word("noMapKnown") : word("noFixedMap", { k, missed: fixed(missed, 2) })));
  };
  show();
  root.append(...about("learnedPosition"), h("div", { class: "scroller" }, picture), h("div", { class: "controls" }, positionSlider("p", count - 1, show), positionSlider("k", 10, show)), place);
}

function drawRotary(root) {
  const { frequencies } = DATA.positions, place = h("div", {});
  positionOptions.pair = Math.min(positionOptions.pair ?? 1, frequencies.length - 1);
  const turned = (x, p) => {
    const half = frequencies.length, out = new Array(2 * half);
    frequencies.forEach((w, i) => { const [c, s] = [Math.cos(p * w), Math.sin(p * w)]; out[i] = x[i] * c - x[half + i] * s; out[half + i] = x[half + i] * c + x[i] * s; });
    return out;
  };
  const q = Array.from({ length: 2 * frequencies.length }, (_, i) => Math.cos(1.3 * i)), key = q.map((_, i) => Math.sin(0.7 * i + 1));
  const show = () => {
    const { p, k, pair } = positionOptions, same = [0, 1, 7, 30].map((shift) => dot(turned(q, p + k + shift), turned(key, p + shift)));
    const hand = (place_, colour) => h("line", { x1: 60, y1: 60, x2: 60 + 52 * Math.sin(place_ * frequencies[pair]), y2: 60 - 52 * Math.cos(place_ * frequencies[pair]), stroke: css(colour), "stroke-width": 3 });
    place.replaceChildren(h("div", { class: "learned" }, h("svg", { width: 120, height: 120, role: "img", "aria-label": word("clock") }, h("circle", { cx: 60, cy: 60, r: 54, fill: "none", stroke: css("--line") }), hand(p + k, "--query"), hand(p, "--key")),
      h("div", {}, h("p", { class: "words" }, word("rotaryClock", { pair, angle: fixed(frequencies[pair], 4), p, q: p + k })), h("p", { class: "words" }, word("rotarySame", { k })),
        h("p", {}, same.map((x) => [number(x, 5), " "]))))); 
  };
  show();
  root.append(...about("rotary"), h("div", { class: "controls" }, positionSlider("p", 49, show), positionSlider("k", 10, show), positionSlider("pair", frequencies.length - 1, show)), place,
    strip(word("frequencies"), frequencies, {}));
}
