// Who looks at whom: all heads at a glance, one of them large.

const attention = {
  id: "attention",
  async draw(root) {
    const maps = await weightsOf(state.s), index = layerIndex(), one = layer();
    root.append(
      h("div", { class: "controls" },
        choice("a", kinds().map((kind) => [kind, word(kind)])),
        stepper("l", word("layer"), layersOf(state.a).length),
        stepper("h", word("head"), one.heads),
        choice("v", [["lines", word("lines")], ["matrix", word("matrix")], ...(state.a === "cross" ? [["alignment", word("alignment")]] : [])])),
      h("div", { class: "columns" },
        h("div", { class: "scroller grid-place" }, thumbnails(maps)),
        h("div", {}, large(maps, index, one, await carriedHere(index)))),
      h("p", { class: "note" }, word("standingNote"), " ",
        DATA.heads ? word("withoutHead", { cost: signed(DATA.heads.costs[index][state.h - 1], 3) }) : ""));
  },
};

function choice(name, values) {
  return h("span", { class: "choice", role: "group", "aria-label": word(`choice_${name}`) }, values.map(([value, text]) => h("button", {
    type: "button", "data-key": `${name}-${value}`, "aria-pressed": String(state[name] === value), onclick: () => select({ [name]: value }),
  }, text)));
}

function stepper(name, text, most) {
  const move = (by) => select({ [name]: Math.min(most, Math.max(1, state[name] + by)) });
  return h("span", { class: "stepper" }, `${text} `,
    h("button", { type: "button", "data-key": `${name}-less`, "aria-label": `${text} −`, onclick: () => move(-1) }, "‹"),
    h("b", {}, ` ${state[name]} `), h("small", {}, `/ ${most}`),
    h("button", { type: "button", "data-key": `${name}-more`, "aria-label": `${text} +`, onclick: () => move(1) }, "›"));
}

/** All heads of a kind, small: a row a layer, a column a head. */
function thumbnails(maps) {
  const layers = layersOf(state.a), most = Math.max(...layers.map((one) => one.heads));
  const side = layers.length * most <= 4 ? 96 : most > 10 ? 28 : 36;
  const rows = [...layers].reverse().map((one) => {
    const index = DATA.layers.indexOf(one);
    return h("tr", {}, h("th", { scope: "row" }, one.number), Array.from({ length: one.heads }, (_, head) => {
      const chosen = one.number === state.l && head + 1 === state.h;
      return h("td", { class: one.group > 1 && head % one.group === 0 ? "group" : "" }, h("button", {
        type: "button", class: "thumbnail", "data-key": `map-${index}-${head}`, "aria-pressed": String(chosen),
        "aria-label": headName({ a: state.a, l: one.number, h: head + 1 }), title: `${one.path} · ${head}`,
        onclick: () => select({ l: one.number, h: head + 1 }),
      }, thumbnail(maps(index, head), side)));
    }));
  });
  return h("table", { class: "thumbnails" }, h("caption", {}, word("gridCaption")), h("tbody", {}, rows),
    h("tfoot", {}, h("tr", {}, h("th"), Array.from({ length: most }, (_, head) => h("th", { scope: "col" }, head + 1)))));
}

/** The sentence of what is pointed at. */
function sentence(map, rows, columns, t, k) {
  if (t == null && k == null) {
    const spread = mean(Array.from({ length: map.T }, (_, i) => 2 ** entropy(map.row(i))));
    return word("spreadOf", { spread: fixed(spread, 1), count: map.S });
  }
  if (t == null) {
    const total = Array.from({ length: map.T }, (_, i) => map.at(i, k)).reduce((a, b) => a + b, 0);
    return word("lookedAtInAll", { token: shown(columns[k]), total: fixed(total, 2) });
  }
  const name = rowText(rows[t]);
  if (k != null) {
    if (map.at(t, k) === 0) return word("isMasked", { query: name, key: shown(columns[k]) });
    return word("looksAt", { query: name, list: `${shown(columns[k])} ${fixed(map.at(t, k), 4)}` });
  }
  const row = map.row(t), order = row.map((_, i) => i).filter((i) => row[i] > 0).sort((a, b) => row[b] - row[a]);
  const list = order.slice(0, 3).map((i) => `${shown(columns[i])} ${fixed(row[i], 4)}`).join(", ");
  const rest = order.slice(3);
  return word("looksAt", { query: name, list }) + (rest.length
    ? ` ${word("others", { count: rest.length, total: fixed(rest.reduce((sum, i) => sum + row[i], 0), 4) })}` : "");
}

const pin = (t) => select({ t: state.t === t + 1 ? 0 : t + 1 });
const isMasked = (map) => (t, k) => map.at(t, k) === 0;

/** How long each value is after the output map, `(N, S)`, of layers inside blocks. */
async function carriedHere(index) {
  const packed = DATA.carried?.[state.s - 1]?.[index];
  return packed ? unpack(packed) : null;
}

/** Shares of what is carried: weights times the lengths of what they weigh. */
function carriedMap(map, lengths, head) {
  const shares = Array.from({ length: map.T }, (_, t) => {
    const row = map.row(t).map((w, k) => w * lengths[head * map.S + k]), total = row.reduce((a, b) => a + b, 0);
    return row.map((x) => x / (total || 1));
  });
  return mapOf(map.T, map.S, (t, k) => shares[t][k]);
}

function large(maps, index, one, lengths) {
  const align = state.v === "alignment";
  const own = (head) => (options.carried && lengths ? carriedMap(maps(index, head), lengths, head) : maps(index, head));
  let map = align ? meanMap(Array.from({ length: one.heads }, (_, head) => own(head))) : own(state.h - 1);
  let rows = rowNames(), columns = keys();
  if (align) rows = rows.map((names) => [names.at(-1)]);
  const [q, k] = example().sides[index];
  if (options.words && example().words[q] && example().words[k]) {
    const [ofRows, ofColumns] = [align ? example().writtenWords ?? example().words[q] : example().words[q], example().words[k]];
    rows = ofRows.map((places) => [places.map((i) => shown(rows[i][0])).join("")]);
    columns = ofColumns.map((places) => places.map((i) => shown(columns[i])).join(""));
    map = wordMap(map, ofRows, ofColumns);
  }
  const resting = new Set(columns.flatMap((token, i) =>
    (!options.words && specialPlaces(example(), k).has(i)) || /^[.,;:!?]$/.test(token) ? [i] : []));
  const pinned = state.t && state.t <= map.T ? state.t - 1 : null;
  const arguments_ = {
    map, rows, columns, pinned, onRow: pin, key: "large", masked: isMasked(map),
    say: (t, c) => `${headName(state)}: ${sentence(map, rows, columns, t, c)}`,
    dim: options.dim ? resting : new Set(),
  };
  const rest = mean(Array.from({ length: map.T }, (_, t) => [...resting].reduce((sum, c) => sum + map.at(t, c), 0)));
  return h("div", {},
    h("h3", {}, align ? word("alignmentOf", { layer: state.l }) : headName(state), " ",
      h("code", {}, align ? one.path : `${one.path}, ${word("head")} ${state.h - 1}`), state.t ? h("span", { class: "pinned" }, word("pinned")) : null),
    h("p", { class: "caption" }, word(one.kind === "self" ? "directionSelf" : one.kind === "causal" ? "directionCausal" : "directionCross")),
    h("div", { class: "switches" }, toggle("dim", word("dimResting", { share: percent(rest) })), toggle("roots", word("smallWeights")),
      example().words ? toggle("words", word("wholeWords")) : null, lengths ? toggle("carried", word("byCarried")) : null),
    state.v === "lines" ? lines(arguments_) : matrix(arguments_), shadeKey());
}

function toggle(name, text) {
  const box = h("input", { type: "checkbox", "data-key": `option-${name}`, onchange: (event) => { options[name] = event.target.checked; draw(); } });
  box.checked = options[name];
  return h("label", {}, box, ` ${text}`);
}
