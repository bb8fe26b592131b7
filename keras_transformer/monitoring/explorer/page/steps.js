// The steps of a block as pictures, formulas and words.

/** A vector as a strip of signed colours, with its length. */
function strip(name, vector, { width = 640, onPoint, most, frame } = {}) {
  const limit = most ?? Math.max(...Array.from(vector, Math.abs), 1e-9), n = vector.length;
  const rows = n > 256 ? Math.ceil(n / 256) : 1, perRow = Math.ceil(n / rows);
  const side = Math.max(1, Math.min(10, Math.floor(width / perRow))), high = rows > 1 ? 14 : 22;
  const drawn = canvas(perRow * side, rows * high, (c) => Array.from(vector).forEach((v, i) => {
    c.fillStyle = signedShade(v, limit);
    c.fillRect((i % perRow) * side, Math.floor(i / perRow) * high, side, high);
  }), { role: "img", "aria-label": `${name}, ${word("entries", { count: n })}`, class: frame ?? "" });
  const said = h("small", { class: "entry" }, word("stripFacts", { count: n, length: fixed(length(vector), 2), limit: fixed(limit, 2) }));
  const rest = said.textContent;
  drawn.addEventListener("mousemove", (event) => {
    const box = drawn.getBoundingClientRect();
    const i = Math.floor((event.clientY - box.top) / high) * perRow + Math.floor((event.clientX - box.left) / side);
    if (i < 0 || i >= n) return;
    said.textContent = word("entryIs", { entry: i, value: fixed(vector[i], 2) });
    onPoint?.(i);
  });
  drawn.addEventListener("mouseleave", () => { said.textContent = rest; });
  const table = tableTools(() => [[word("entry"), name], ...Array.from(vector, (v, i) => [i, v])], h("div", { class: "scroller" }), name, () => drawn, 2);
  return h("div", { class: "strip" }, h("b", {}, name), drawn, said, h("details", {}, h("summary", {}, word("numbers")), table));
}

/** Rows of numbers over one axis of tokens, as bars. */
function bars(columns, rows, name) {
  const cells = ({ values, digits = 2, masked, signed: both }) => {
    const most = Math.max(...values.filter((_, k) => !masked?.[k]).map(Math.abs), 1e-9);
    return values.map((x, k) => h("td", { class: masked?.[k] ? "hatched" : "" }, masked?.[k] ? word("masked")
      : [h("span", { class: `bar ${x < 0 ? "less" : "more"}`, style: { height: `${Math.round((Math.abs(x) / most) * 34)}px` } }), number(x, digits)]));
  };
  const tools = tableTools(() => [["", ...columns], ...rows.map((row) => [row.name, ...row.values.map((x, k) => (row.masked?.[k] ? word("masked") : x))])],
    h("div", { class: "scroller" }), name, null);
  return h("div", {}, h("div", { class: "scroller" }, h("table", { class: "bars" },
    h("thead", {}, h("tr", {}, h("th"), columns.map((token) => h("th", { scope: "col" }, chip(token))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), cells(row)))))), tools);
}

function math(...parts) {
  const atom = (part) => (typeof part !== "string" ? part
    : h(/^[\d.,−+-]*\d[\d.,]*$/.test(part) ? "mn" : /^\p{L}/u.test(part) ? "mi" : "mo", {}, part));
  return h("math", { display: "inline" }, h("mrow", {}, parts.map(atom)));
}
const sub = (a, b) => h("msub", {}, h("mi", {}, a), h("mi", {}, b));
const squareRoot = (a) => h("msqrt", {}, h("mi", {}, a));
const over = (a, b) => h("mfrac", {}, h("mrow", {}, a), h("mrow", {}, b));

async function drawStep(step, i, found, count) {
  const t = walkToken(), head = state.h - 1, names = rowNames(), token = names[t][0];
  const body = await STEPS_DRAWN[step.id]({ step, found, t, head, token, columns: keysOf(found, step.attention), values: through(found, t) });
  const asked = ASKED[step.id] ?? [];
  return h("div", { class: "step" },
    h("h3", {}, `${word("stepOf", { step: i + 1, count })}: ${word(`step_${step.id}`)}`, step.attention != null
      ? h("small", {}, ` ${word(DATA.layers[found.described.attentions[step.attention]].kind)}, ${word("head")} ${state.h}, `, chip(token)) : ""),
    body, asked.length ? h("details", { class: "asked" }, h("summary", {}, word("oftenAsked")), asked.map((name) =>
      h("p", {}, h("b", {}, word(`ask_${name}`)), h("br"), word(`answer_${name}`)))) : null);
}

const keysOf = (found, attention) => keys(state.s, found.described.attentions[attention ?? 0]);

/** Often asked, by step. */
const ASKED = {
  token: ["hiddenState"], embedding: ["table"], position: ["odd", "mixed"],
  qkv: ["query", "inputs", "memory", "cut"], score: ["next", "own"], scale: ["eight"], mask: ["zero", "cheat"],
  softmax: ["surer", "related"], join: ["several"], output: ["layers"], residual: ["speed"], feedForward: ["fits"],
};

const about = (...names) => names.map((name) => h("p", { class: "words" }, word(`about_${name}`)));

const STEPS_DRAWN = {
  token: ({ token }) => [about("token"), h("p", { class: "telling" }, chip(token))],
  async embedding({ found, t, token }) {
    const stored = example().embedded?.[side(found)];
    if (!stored) return [about("embedding"), h("p", { class: "missing" }, word("notInFile"))];
    const rows = await unpack(stored.rows), e = rowOf(rows, placeOf(found, t));
    return [about("embedding"), formulaLine(math("e", "=", "E", "[", "id", "]")), strip("e", e),
      stored.scale ? [formulaLine(math("e", "·", squareRoot("D"), "=", "e", "·", fixed(Math.sqrt(e.length), 2))), strip("e √D", Array.from(e, (x) => x * Math.sqrt(e.length)))] : null];
  },
  async position({ found, t }) {
    const stored = example().embedded?.[side(found)];
    if (!stored) return [about("position"), h("p", { class: "missing" }, word("notInFile"))];
    const place = placeOf(found, t), D = rowOf(await unpack(stored.rows), place).length;
    const p = stored.positions ? rowOf(await unpack(stored.positions), place) : sinusoid(place, D);
    const e = rowOf(await unpack(stored.rows), place), factor = stored.scale ? Math.sqrt(D) : 1;
    return [about(stored.positions ? "learnedPosition" : "position"), formulaLine(math("x", "=", "e", "+", "p")),
      strip(word("positionNumber", { place }), p), strip("e + p", Array.from(e, (x, i) => x * factor + p[i])),
      found.index && blockNumber(found.index) > 1 ? [h("p", {}, word("blocksBelow")), strip("x", rowOf(found.x, place))] : null];
  },
  norm({ step, found, values }) {
    const part = step.attention == null ? values.last : values.attentions[step.attention];
    const before = step.before ? part.x : part.sum, after = step.before ? part.given : part.out;
    const middle = mean(before), variance = mean(before.map((x) => (x - middle) ** 2));
    const formula = found.described.norm === "rms_norm" ? math("y", "=", over(["g", "x"].map((x) => h("mi", {}, x)), h("mrow", {}, h("mi", {}, "rms"), h("mo", {}, "("), h("mi", {}, "x"), h("mo", {}, ")"))))
      : math("y", "=", "g", over(h("mrow", {}, h("mi", {}, "x"), h("mo", {}, "−"), h("mi", {}, "mean")), h("msqrt", {}, h("mrow", {}, h("mi", {}, "var"), h("mo", {}, "+"), h("mi", {}, "ε")))), "+", "b");
    return [about("norm"), strip("x", before), formulaLine(formula, ` ${word("meanAndVariance", { mean: fixed(middle, 2), variance: fixed(variance, 2) })}`), strip("y", after)];
  },
  qkv: (given) => queryKeyValue(given),
  turn: ({ found, t, head, step }) => {
    const one = found.attentions[step.attention];
    return [about("rotary"), formulaLine(math("q′", "=", "R", "(", "p", ")", "q")), strip("q′", vectorOf(one.query, head, one.query.shape[0], t), { frame: "q" })];
  },
  score: (given) => rowsOfScores(given, 2),
  scale: (given) => rowsOfScores(given, 3),
  mask: (given) => rowsOfScores(given, 4),
  softmax: (given) => rowsOfScores(given, 6),
  sum({ step, found, t, head, columns }) {
    const one = found.attentions[step.attention], heads = one.query.shape[0], weights = example().maps(found.described.attentions[step.attention], head).row(t);
    const order = weights.map((_, k) => k).sort((a, b) => weights[b] - weights[a]).slice(0, 6).filter((k) => weights[k] > 0);
    const most = Math.max(...order.flatMap((k) => Array.from(vectorOf(one.value, head, heads, k), Math.abs)));
    return [about("sum"), order.map((k) => strip(`${fixed(weights[k], 4)} · v(${shown(columns[k])})`, vectorOf(one.value, head, heads, k), { most, frame: "v" })),
      formulaLine(math("z", "=", h("munder", {}, h("mo", {}, "∑"), h("mi", {}, "j")), sub("a", "j"), sub("v", "j"))),
      strip("z", summedOf(found, step.attention, head, t), { most })];
  },
  join({ step, found, t, head }) {
    const heads = found.attentions[step.attention].query.shape[0];
    return [about("join"), h("div", { class: "joined" }, Array.from({ length: heads }, (_, one) => h("div", { class: one === head ? "own" : "" },
      strip(`z${one + 1}`, summedOf(found, step.attention, one, t), { width: 150 })))),
      formulaLine(math("z", "=", "[", sub("z", "1"), ";", "…", ";", sub("z", String(heads)), "]"))];
  },
  output: ({ step, values }) => [about("output"), formulaLine(math("o", "=", "z", sub("W", "O"), "+", "b")), strip("o", values.attentions[step.attention].output)],
  residual({ step, values }) {
    const part = step.attention == null ? values.last : values.attentions[step.attention], name = step.attention == null ? "f" : "o";
    return [about("residual"), strip("x", part.x), strip(name, part.output), formulaLine(math("x", "+", name)), strip(`x + ${name}`, part.sum)];
  },
  feedForward: async ({ found, t, values }) => [about("feedForward"), h("p", {}, word(found.described.gated ? "neuronsGated" : "neurons_", { count: whole(found.described.intermediate), activation: found.described.activation })),
    strip("x", values.last.given), formulaLine(math("f", "=", sub("W", "2"), found.described.activation, "(", sub("W", "1"), "x", "+", sub("b", "1"), ")", "+", sub("b", "2"))), strip("f", values.last.output), await firing(found, t)],
};

const formulaLine = (...parts) => h("p", { class: "formula" }, parts);
const side = (found) => (found.described.stack === "decoder" && example().texts.length > 1 && example().said != null ? 1 : 0);
const placeOf = (found, t) => (found.wanted ? found.wanted[t] : t);

/** The encoding of a place as this library lays it out: all sines, then all cosines. */
function sinusoid(place, D) {
  const half = Math.floor((D + 1) / 2), found = new Array(D);
  for (let i = 0; i < D; i++) {
    const pair = i < half ? i : i - half, angle = place * 10000 ** ((-2 * pair) / D);
    found[i] = i < half ? Math.sin(angle) : Math.cos(angle);
  }
  return found;
}

async function queryKeyValue({ step, found, t, head, token, columns, values }) {
  const i = step.attention, one = found.attentions[i], heads = one.query.shape[0], kernels = found.kernels[`${i}.${head}`];
  const given = values.attentions[i].given, parts = [about(i ? "cross" : "query")];
  const own = i ? null : placeOf(found, t);
  const query = kernels ? times(given, kernels.query) : vectorOf(one.query, head, heads, t);
  parts.push(strip("x", given), formulaLine(math("q", "=", "x", sub("W", "Q"), kernels?.query.bias ? "+" : "", kernels?.query.bias ? "b" : "")));
  parts.push(kernels ? learned(given, kernels.query, query) : h("p", { class: "missing" }, word("kernelNotInFile", { head: found.described.head + 1 })));
  parts.push(h("h4", {}, word("looksFor", { token: shown(token) })), h("p", { class: "words" }, word("looksForAbout")), fitting(one.fits, head, t, found.described.attentions[i], 1));
  parts.push(about("key"), own == null ? null : [strip(`k(${shown(columns[own])})`, vectorOf(one.key, head, heads, own), { frame: "k" }),
    h("h4", {}, word("isFoundBy", { token: shown(columns[own]) })), fitting(one.foundBy, head, own, found.described.attentions[i], 0)]);
  parts.push(about("value"), own == null ? null : strip(`v(${shown(columns[own])})`, vectorOf(one.value, head, heads, own), { frame: "v" }));
  return parts;
}

function times(x, { kernel, bias }) {
  const H = kernel.shape[1];
  return Array.from({ length: H }, (_, i) => x.reduce((sum, v, d) => sum + v * kernel[d * H + i], bias ? bias[i] : 0));
}

/** The learned matrix whole, and what one entry of the query is the sum of. */
function learned(x, { kernel, bias }, query) {
  const [D, H] = kernel.shape, most = Math.max(...Array.from(kernel, Math.abs));
  const high = Math.max(1, Math.min(6, Math.floor(300 / D))), side = Math.max(2, Math.min(10, Math.floor(640 / H)));
  const drawn = signedRaster(D, H, side, high, (d, i) => kernel[d * H + i], most, word("learnedMatrix", { rows: D, columns: H }));
  const mark = h("div", { class: "mark column", style: { display: "block", top: "0", width: `${side}px`, height: `${D * high}px` } });
  const sum = h("div", { class: "products", "aria-live": "polite" });
  const entry = h("input", { type: "range", min: 0, max: H - 1, "data-key": "entry", "aria-label": word("entry") });
  const show = (i) => {
    entry.value = i;
    mark.style.left = `${i * side}px`;
    const products = Array.from(x, (v, d) => [d, v * kernel[d * H + i]]).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const rest = products.slice(8), left = rest.reduce((total, [, p]) => total + p, 0);
    sum.replaceChildren(h("table", {}, products.slice(0, 8).map(([d, p]) => h("tr", {},
      h("th", { scope: "row" }, `x${d} · W${d},${i} = ${fixed(x[d], 2)} · ${fixed(kernel[d * H + i], 2)}`), h("td", {}, number(p, 3)))),
      rest.length ? h("tr", {}, h("th", { scope: "row" }, word("productOthers", { count: rest.length })), h("td", {}, number(left, 3))) : null,
      bias ? h("tr", {}, h("th", { scope: "row" }, word("bias")), h("td", {}, number(bias[i], 3))) : null,
      h("tr", { class: "total" }, h("th", { scope: "row" }, `q${i}`), h("td", {}, number(query[i], 3)))));
  };
  entry.addEventListener("input", () => show(Number(entry.value)));
  const strips = strip("q", query, { frame: "q", onPoint: show });
  show(argmax(Array.from(query, Math.abs)));
  return h("div", { class: "learned" },
    h("div", {}, h("h4", {}, word("learnedTitle", { rows: D, columns: H })), h("div", { class: "scroller" }, h("div", { class: "matrix-picture" }, drawn, mark)), strips),
    h("div", {}, h("h4", {}, word("productsTitle")), h("label", {}, `${word("entry")} `, entry), sum));
}

/** The five vectors of all texts that fit one best, each with its place. */
function fitting({ places, scores }, head, t, index, which) {
  const [, T, count] = places.shape, first = (head * T + t) * count, rows = [];
  for (let i = 0; i < count && first + i < scores.length; i++) {
    const e = places[2 * (first + i)], place = places[2 * (first + i) + 1];
    const one = DATA.examples[e], tokens = one.texts[one.sides[index][which]];
    rows.push(h("li", {}, h("b", {}, chip(tokens[place] ?? "")), ` ${fixed(scores[first + i], 2)} `,
      h("small", {}, word("placeIn", { place: place + 1, example: e + 1 }), " ", tokens.slice(Math.max(0, place - 3), place + 4).map(shown).join(" "))));
  }
  return h("ol", { class: "fitting" }, rows);
}

function rowsOfScores({ step, found, t, head, columns, values }, shownRows) {
  const i = step.attention, given = values.attentions[i].given, others = lookedAt(found, i);
  const all = scoresOf(found, i, head, t), plain = others[0].length === given.length ? others.map((x) => dot(given, x)) : null;
  const best = argmax(all.weights), name = shown(columns[best]);
  const rows = [
    { name: word("row_plain"), values: plain ?? all.score.map(() => 0) },
    { name: word("row_score"), values: all.score },
    { name: word("row_scaled"), values: all.scaled },
    { name: word("row_masked"), values: all.scaled, masked: all.masked },
    { name: word("row_exp"), values: all.exps, masked: all.masked },
    { name: word("row_weight"), values: all.weights, masked: all.masked, digits: 4 },
  ].slice(0, shownRows).slice(plain ? 0 : 1);
  const s = (x) => fixed(x, 2);
  const formulas = {
    score: math("s", "=", "q", "·", "k", "=", s(all.score[best])),
    scale: math(over(h("mi", {}, "s"), squareRoot("H")), "=", over(h("mn", {}, s(all.score[best])), h("msqrt", {}, h("mn", {}, String(all.H)))), "=", s(all.scaled[best])),
    mask: math("s", "+", "m", ",", "m", "=", "0", word("or"), "−∞"),
    softmax: math(sub("a", "j"), "=", over(h("mrow", {}, h("mi", {}, "exp"), h("mo", {}, "("), h("mi", {}, "s"), h("mo", {}, "−"), h("mi", {}, "max"), h("mo", {}, ")")), h("mi", {}, "∑")),
      "=", over(h("mn", {}, fixed(all.exps[best], 4)), h("mn", {}, fixed(all.total, 4))), "=", fixed(all.computed[best], 4)),
  };
  return [about(step.id), formulaLine(formulas[step.id], ` (${name})`), bars(columns, rows, step.id),
    step.id === "score" && plain ? h("p", { class: "words" }, word("plainAbout")) : null,
    step.id === "mask" ? h("p", { class: "words" }, word(all.masked.some(Boolean) ? "maskHonest" : "maskNothing")) : null,
    step.id === "softmax" ? h("p", { class: "words" }, word("softmaxStored")) : null];
}
