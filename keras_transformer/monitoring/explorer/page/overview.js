// What this model is and what it did.

const overview = {
  id: "overview",
  async draw(root) {
    const one = example(), maps = await weightsOf(state.s);
    root.append(
      h("p", { class: "telling" }, chipped(one.text), one.said == null ? null : [" → ", h("b", {}, chipped(one.said))]),
      h("div", { class: "columns" },
        h("div", {}, h("h3", {}, word("whatItLooked")), picture(one, maps)),
        h("div", {}, h("h3", {}, word("toSee")), h("ol", { class: "findings" }, await findings()))),
      h("h3", {}, word("whatItIs")), stacks(), h("h3", {}, word("headsAtAGlance")), await signs());
  },
};

const chipped = (text) => h("bdi", { dir: "auto" }, shown(text).replace(/·/g, " "));

/** The map of a kind that says most of a text: its best head. */
function picture(one, maps) {
  const index = layerIndex(), map = maps(index, state.h - 1), names = rowNames();
  if (DATA.layers[index].kind === "cross") return ribbon(map, names, keys());
  const t = state.t ? state.t - 1 : telling(one, map);
  const row = map.row(t), isWhole = map.T === map.S, place = isWhole ? t : one.wanted?.[t] ?? 0;
  return h("div", {},
    h("p", { class: "shaded" }, keys().map((token, k) => h("button", {
      type: "button", "data-key": `overview-${k}`, class: k === place ? "query" : "", disabled: !isWhole,
      style: { background: shade(row[k]), color: row[k] > 0.45 ? css("--paper") : css("--ink") },
      onclick: () => pin(k),
    }, chip(token)))),
    h("p", { class: "readout" }, sentence(map, names, keys(), t)));
}

/** The row to show where none is pinned: the mask, a classifier's first, a decoder's last. */
function telling(one, map) {
  const mask = queries().findIndex((token) => /^(\[MASK\]|<mask>)$/.test(token));
  if (mask >= 0) return mask;
  return DATA.layers[layerIndex()].kind === "causal" ? map.T - 1 : 0;
}

/** Source and target with bands between, as wide as the weights. */
function ribbon(map, rows, columns) {
  const written = rows.map((names) => names.at(-1)), step = 76;
  const width = Math.max(map.T, map.S) * step, x = (i, count) => (i + 0.5) * (width / count);
  const svg = h("svg", { width, height: 110, role: "img", "aria-label": word("ribbonOf") });
  for (let t = 0; t < map.T; t++) {
    const row = map.row(t), order = row.map((_, k) => k).sort((a, b) => row[b] - row[a]);
    order.slice(0, 2).forEach((k, place) => svg.append(h("line", {
      x1: x(k, map.S), x2: x(t, map.T), y1: 0, y2: 110, stroke: css("--full"),
      "stroke-width": place ? 1 : Math.max(1, 10 * row[k]), "stroke-opacity": place ? 0.3 : 0.3 + 0.7 * row[k],
    })));
  }
  const line = (tokens, count, onclick) => h("div", { class: "ribbon", style: { width: `${width}px` } },
    tokens.map((token, i) => h("button", {
      type: "button", "data-key": `ribbon-${onclick ? "t" : "s"}-${i}`, disabled: !onclick,
      style: { left: `${x(i, count)}px` }, onclick: onclick && (() => onclick(i)),
      "aria-pressed": onclick ? String(state.t === i + 1) : null,
    }, chip(token))));
  return h("div", { class: "scroller" }, line(columns, map.S), svg, line(written, map.T, pin));
}

/** Figure 1 of the paper, small: the stacks, which lead to their attention. */
function stacks() {
  const facts = h("p", {}, word("parameters", { count: whole(DATA.parameters) }));
  return h("div", { class: "stacks" }, facts, DATA.stacks.map(({ stack, blocks }) => {
    const kind = DATA.layers.find((one) => one.stack === stack)?.kind;
    return h("button", {
      type: "button", "data-key": `stack-${stack}`,
      onclick: () => { select({ a: kind, l: 1, h: 1 }); goTo("attention"); },
    }, h("b", {}, word(stack)), ` × ${blocks}`, h("br"), DATA.layers.filter((one) => one.stack === stack)
      .filter((one) => one.number === 1).map((one) => h("span", {}, word(one.kind), ` · ${word("headCount", { count: one.heads })}`, h("br"))));
  }));
}

/** The sign of each head's kind. */
async function signs() {
  const rows = [];
  for (const kind of kinds()) {
    for (const one of [...layersOf(kind)].reverse()) {
      const index = DATA.layers.indexOf(one), cells = [];
      for (let head = 0; head < one.heads; head++) {
        const found = (await headNumbersOf(index, head)).kind;
        cells.push(h("td", {}, h("button", {
          type: "button", "data-key": `sign-${index}-${head}`, class: "sign",
          title: `${word(`kind_${found.name}`)} ${fixed(found.number, 2)}`,
          onclick: () => { select({ a: kind, l: one.number, h: head + 1 }); goTo("attention"); },
        }, found.sign, h("small", {}, fixed(found.number, 2)))));
      }
      rows.push(h("tr", {}, h("th", { scope: "row" }, `${word(kind)} ${one.number}`), cells));
    }
  }
  return h("div", {}, h("div", { class: "scroller" }, h("table", { class: "signs" }, rows)),
    h("p", { class: "key" }, ["previous <--", "next -->", "self o", "first |<", "end >|", "align ALIGN", "repeat REP", "broad ~", "mixed ."]
      .map((both) => both.split(" ")).map(([name, sign]) => h("span", { class: "legend" }, h("b", {}, sign), ` ${word(`kind_${name}`)}`))));
}

/** At most three true sentences of different kinds, the strongest first. */
async function findings() {
  const found = [];
  const best = { name: null, number: 0 };
  for (const [index, one] of DATA.layers.entries()) {
    for (let head = 0; head < one.heads; head++) {
      const numbers = await headNumbersOf(index, head), kind = numbers.kind;
      const where = { a: one.kind, l: one.number, h: head + 1 }, cost = DATA.heads?.costs[index][head] ?? 0;
      if (cost > 0.01 && cost > 2 * DATA.heads.errors[index][head]) found.push({ name: "cost", number: cost, where });
      if (kind.number > best.number) Object.assign(best, { ...kind, where });
      if (!["broad", "mixed"].includes(kind.name)) found.push({ ...kind, where, numbers });
      else if (numbers.best > 0.9) found.push({ name: "sharp", number: numbers.best, where, numbers });
    }
  }
  const rank = ["align", "cost", "repeat", "previous", "next", "self", "end", "first", "sharp"];
  const strongest = rank.map((name) => found.filter((x) => x.name === name)
    .sort((a, b) => b.number - a.number)[0]).filter(Boolean).slice(0, 3);
  const close = await closest();
  if (close) strongest.splice(2, 1, close);
  if (!strongest.length) {
    return [h("li", {}, word("noFinding", { number: fixed(best.number, 2), kind: word(`kind_${best.name ?? "mixed"}`) }))];
  }
  return strongest.map((one) => h("li", {}, one.element ?? h("button", {
    type: "button", "data-key": `finding-${one.name}`,
    onclick: () => { select({ ...one.where, v: one.name === "align" ? "matrix" : state.v }); goTo("attention"); },
  }, word(`finding_${one.name}`, { where: headName(one.where), number: fixed(one.number, 2) }))));
}

/** The step at which the first of two tokens won by least, in this text. */
async function closest() {
  if (!DATA.generation) return null;
  const one = await candidatesHere(), margins = one.said.map((_, t) => one.best(t)[0].score - (one.best(t)[1]?.score ?? -99));
  const t = margins.indexOf(Math.min(...margins)), [first, second] = one.best(t);
  if (!second || margins[t] > 2) return null;
  return { element: h("button", { type: "button", "data-key": "finding-close", onclick: () => { choose(t); goTo("generation"); } }, word("finding_close", {
    where: word("atStep", { step: t + 1 }), token: shown(tokenText(first.id)), other: shown(tokenText(second.id)),
    share: percent(Math.exp(first.score)), otherShare: percent(Math.exp(second.score)) })) };
}

const headName = ({ a, l, h: head }) => word("headName", { kind: word(a), layer: l, head });

/** The page opens with the example and head in which most is to be seen. */
function open() {
  const { example, layer: index, head } = DATA.opening, one = DATA.layers[index];
  FIELDS.s.default = example + 1;
  FIELDS.a.default = one.kind;
  FIELDS.l.default = one.number;
  FIELDS.h.default = head + 1;
}
