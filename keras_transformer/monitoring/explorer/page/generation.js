// What it nearly said: candidates, the search, and what each layer would have said.

const sliders = { temperature: 10, k: 0, p: 100 }; // tenths; 0 is off; hundredths, 100 is off
let penaltyAlpha = null;

const generation = {
  id: "generation",
  missing: () => (DATA.generation || DATA.classes ? null : word("noGeneration")),
  async draw(root) {
    if (DATA.classes) return root.append(classBars());
    const one = await candidatesHere(), step = stepShown(one);
    root.append(h("p", { class: "said" }, one.said.map((id, i) => h("button", {
      type: "button", "data-key": `said-${i}`, "aria-pressed": String(i === step), onclick: () => choose(i),
    }, chip(tokenText(id)), h("span", { class: "probability", style: { width: `${Math.round(100 * Math.exp(one.saidScores[i]))}%` } })))));
    root.append(h("h3", {}, word("stepSaid", { step: step + 1, count: one.said.length, token: shown(tokenText(one.said[step])) }), " ", contextOf(step)));
    root.append(controls(one, step));
    if (one.beam) root.append(h("h3", {}, word("searchTitle", { beams: DATA.search.beams, alpha: fixed(DATA.search.lengthPenalty, 1) })), ...about("beam"), tree(one.beam), hypotheses(one.beam));
    else root.append(h("p", { class: "missing" }, word(DATA.layers.some((x) => x.kind !== "self") ? "noTree" : "noTreeMasked")));
    if (one.lens) root.append(lens(one, step));
  },
};

FIELDS.g = {
  default: 0, fallback: 0, read: Number, unsaid: true,
  valid: (x) => x >= 0 && x % 1 === 0 && x <= (DATA.generation?.[state.s - 1]?.said.length ?? 0),
};

const tokenText = (id) => DATA.vocabulary[id] ?? `#${id}`;

async function candidatesHere() {
  const one = DATA.generation[state.s - 1];
  if (one.best) return one;
  const [ids, scores, totals] = [await unpack(one.ids), await unpack(one.scores), await unpack(one.totals)];
  const count = ids.shape[1];
  if (one.lens) one.lens = { ids: await unpack(one.lens.ids), shares: await unpack(one.lens.shares) };
  one.count = count;
  one.total = (t, temperature) => totals[t * 20 + temperature - 1];
  one.best = (t) => Array.from({ length: count }, (_, i) => ({ id: ids[t * count + i], score: scores[t * count + i] }));
  return one;
}

/** Steps are rows of a decoder; without one they are the places that are guessed. */
function stepShown(one) {
  if (state.t && layer().kind !== "self" && state.t <= one.said.length) return state.t - 1;
  if (state.g) return state.g - 1;
  const margins = one.said.map((_, t) => { const [a, b] = one.best(t); return b ? a.score - b.score : Infinity; });
  return margins.indexOf(Math.min(...margins));
}

function choose(step) {
  select(layer().kind === "self" ? { g: step + 1 } : { g: step + 1, t: step + 1 });
}

/** What stood before, of a decoder, or around a place that is guessed. */
function contextOf(step) {
  const decoder = DATA.layers.findIndex((one) => one.kind !== "self");
  if (decoder >= 0) return h("small", {}, queries(state.s, decoder).slice(Math.max(0, step - 6), step + 1).map((token) => [chip(token), " "]), "→");
  const tokens = example().texts[0], place = example().wanted?.[step] ?? step, first = Math.max(0, place - 5);
  return h("small", {}, tokens.slice(first, place + 6).map((token, i) => [first + i === place ? h("mark", {}, chip(token)) : chip(token), " "]));
}

/** Probabilities as the rules of generation make them, one after the other. */
function shaped(one, t, { temperature, k, p }) {
  const all = one.best(t).map(({ id, score }) => ({ id, p: Math.exp(score / (temperature / 10) - one.total(t, temperature)) }));
  let kept = all, mass = 1, whole = true;
  if (k && k < all.length) {
    const least = all[k - 1].p;
    kept = all.filter((x) => x.p >= least);
    mass = kept.reduce((sum, x) => sum + x.p, 0);
    whole = false;
  }
  if (p < 100) {
    let before = 0, count = 0;
    for (const x of kept) {
      if (!(before < (p / 100) * mass)) break;
      before += x.p;
      count++;
    }
    if (count < kept.length || before >= (p / 100) * mass) {
      kept = kept.slice(0, count);
      whole = false;
    }
  }
  const rest = kept.reduce((sum, x) => sum + x.p, 0), total = whole ? 1 : rest;
  return { all, kept: new Map(kept.map((x) => [x.id, x.p / total])), share: whole ? 1 : rest, count: whole ? DATA.vocabularySize : kept.length };
}

function controls(one, step) {
  const place = h("div", {});
  const show = () => place.replaceChildren(...candidateBars(one, step));
  const slider = (name, min, max, text) => {
    const said = h("output", {}, text(sliders[name]));
    const input = h("input", { type: "range", min, max, value: sliders[name], "data-key": `slider-${name}`, "aria-label": word(name), oninput: (event) => {
      sliders[name] = Number(event.target.value);
      said.textContent = text(sliders[name]);
      show();
    } });
    return h("label", { class: "slider" }, `${word(name)} `, input, " ", said);
  };
  const answer = h("span", { "aria-live": "polite" });
  const meant = h("input", { type: "text", list: "candidates", "data-key": "meant", oninput: (event) => {
    const wanted = event.target.value, all = one.best(step), rank = all.findIndex((x) => tokenText(x.id) === wanted);
    answer.textContent = !wanted ? "" : rank >= 0 ? word("meantIs", { rank: rank + 1, share: percent(Math.exp(all[rank].score)) })
      : word("meantUnknown", { share: percent(Math.exp(all.at(-1).score)), count: all.length });
  } });
  show();
  return h("div", {}, about("sampling"), h("div", { class: "controls" },
    slider("temperature", 1, 20, (x) => fixed(x / 10, 1)), slider("k", 0, 64, (x) => (x ? String(x) : word("off"))),
    slider("p", 5, 100, (x) => (x < 100 ? fixed(x / 100, 2) : word("off")))), place,
  h("p", {}, h("label", {}, `${word("meant")} `, meant), " ", answer, h("datalist", { id: "candidates" }, one.best(step).map((x) => h("option", { value: tokenText(x.id) })))));
}

function candidateBars(one, step) {
  const found = shaped(one, step, sliders), ten = found.all.slice(0, 10);
  const rows = ten.map(({ id, p }) => {
    const kept = found.kept.get(id);
    return h("tr", { class: kept == null ? "cut" : "", "data-token": id }, h("th", { scope: "row" }, chip(tokenText(id))),
      h("td", {}, h("data", { value: kept ?? 0, "data-value": kept ?? 0 }, kept == null ? word("cut") : percent(kept))),
      h("td", { class: "wide" }, h("span", { class: "level", style: { width: `${100 * (kept ?? p)}%` } })));
  });
  const others = 1 - ten.reduce((sum, x) => sum + (found.kept.get(x.id) ?? 0), 0);
  rows.push(h("tr", { class: "others" }, h("th", { scope: "row" }, word("manyOthers", { count: whole(DATA.vocabularySize - ten.length) })),
    h("td", {}, percent(Math.max(0, others))), h("td", {})));
  const cut = DATA.vocabularySize - found.count;
  return [h("table", { class: "candidates" }, h("tbody", {}, rows)), h("p", { class: "caption" }, word("keptAndCut", {
    kept: whole(found.count), keptShare: percent(found.share), cut: whole(cut), cutShare: percent(1 - found.share) }))];
}

// ---- the search -------------------------------------------------------------------------------

const [DROPPED, OPEN, FINISHED] = [0, 1, 2];

/** A column a step, a node a candidate; the winner bold, what fell grey. */
function tree({ steps, winner }) {
  const most = Math.min(6, DATA.search.beams) * 2, wide = 118, high = 30;
  const kept = steps.map((step) => step.slice(0, most)), height = Math.max(...kept.map((step) => step.length)) * high;
  const svg = h("svg", { width: steps.length * wide, height, role: "img", "aria-label": word("treeOf") });
  const nodes = kept.flatMap((step, i) => step.map(([parent, id, score, state_, finished], rank) => {
    const wins = winner[i] === rank && i < winner.length;
    if (i && parent < most) svg.append(h("line", {
      x1: (i - 1) * wide + 92, x2: i * wide + 6, y1: (parent + 0.5) * high, y2: (rank + 0.5) * high,
      stroke: css(state_ === DROPPED ? "--grid" : wins ? "--mark" : "--line"), "stroke-width": wins ? 3 : 1,
    }));
    const text = `${shown(tokenText(id))} ${fixed(score, 2)}`;
    const why = state_ === FINISHED ? word("nodeFinished", { score: fixed(finished, 3) }) : state_ === OPEN ? word("nodeOpen")
      : word("nodeDropped", { rank: rank + 1, beams: DATA.search.beams, step: i + 1 });
    return h("div", { class: `node ${["dropped", "open", "finished"][state_]}${wins ? " winner" : ""}`, title: `${text}: ${why}`,
      style: { left: `${i * wide + 4}px`, top: `${rank * high + 3}px` } },
    chip(tokenText(id)), ` ${fixed(score, 2)}`, state_ === FINISHED ? ` = ${fixed(finished, 2)}${wins ? " ★" : ""}` : "");
  }));
  const cells = () => [[word("step"), word("rank"), word("token"), "log p", word("parent"), word("state"), word("score")],
    ...steps.flatMap((step, i) => step.map(([parent, id, score, state_, finished], rank) =>
      [i + 1, rank + 1, shown(tokenText(id)), score, parent + 1, word(["fell", "kept", "done"][state_]), finished ?? ""]))];
  return h("div", {}, h("div", { class: "scroller" }, h("div", { class: "tree", style: { width: `${steps.length * wide}px`, height: `${height}px` } }, svg, nodes)),
    DATA.search.beams > 6 ? h("p", { class: "caption" }, word("moreBeams", { count: DATA.search.beams - 6 })) : null,
    tableTools(cells, h("div", { class: "scroller" }), "beam", () => svg, 3));
}

/** The finished hypotheses, ranked by a length penalty of one's choice. */
function hypotheses({ steps }) {
  const path = (i, rank) => (i < 0 ? [] : [...path(i - 1, steps[i][rank][0]), tokenText(steps[i][rank][1])]);
  const done = steps.flatMap((step, i) => step.flatMap(([, , score, state_], rank) => (state_ === FINISHED ? [{ score, n: i + 1, tokens: path(i, rank) }] : [])));
  const list = h("ol", { class: "hypotheses" }), said = h("output", {});
  const show = () => {
    const alpha = penaltyAlpha ?? DATA.search.lengthPenalty, of = (n) => (DATA.search.penalty === "gnmt" ? ((5 + n) / 6) ** alpha : n ** alpha);
    said.textContent = fixed(alpha, 1);
    list.replaceChildren(...done.map((x) => ({ ...x, final: x.score / of(x.n) })).sort((a, b) => b.final - a.final).slice(0, 8).map((x) =>
      h("li", {}, x.tokens.map((token) => [chip(token), " "]), h("small", {}, `${fixed(x.score, 2)} / ${fixed(of(x.n), 2)} = `), number(x.final, 3))));
  };
  const input = h("input", { type: "range", min: 0, max: 20, value: Math.round(10 * (penaltyAlpha ?? DATA.search.lengthPenalty)), "data-key": "slider-alpha",
    "aria-label": word("alpha"), oninput: (event) => { penaltyAlpha = Number(event.target.value) / 10; show(); } });
  show();
  return h("div", {}, h("label", { class: "slider" }, `${word("alpha")} `, input, " ", said), " ", h("small", {}, word("notAgain")), list);
}

// ---- what each layer would have said ----------------------------------------------------------

function lens(one, step) {
  const [blocks, T, count] = one.lens.ids.shape;
  const cell = (b, t) => {
    const first = (b * T + t) * count;
    return h("td", { class: t === step ? "own" : "", title: Array.from({ length: count }, (_, i) => `${shown(tokenText(one.lens.ids[first + i]))} ${percent(one.lens.shares[first + i])}`).join("\n"),
      style: { background: shade(0.8 * one.lens.shares[first]) } }, chip(tokenText(one.lens.ids[first])), " ", h("small", {}, percent(one.lens.shares[first])));
  };
  const rows = Array.from({ length: blocks }, (_, b) => blocks - 1 - b).map((b) => h("tr", {},
    h("th", { scope: "row" }, `${word("layer")} ${b + 1}`), Array.from({ length: T }, (_, t) => cell(b, t))));
  return h("details", { class: "lens" }, h("summary", {}, word("lensTitle")), about("lens"),
    h("div", { class: "scroller" }, h("table", {}, h("thead", {}, h("tr", {}, h("th"), one.said.map((id, t) => h("th", { scope: "col" }, `${t + 1}`)))), h("tbody", {}, rows))));
}

function classBars() {
  const rows = [...DATA.classes[state.s - 1]].sort((a, b) => b[1] - a[1]);
  return h("table", { class: "candidates" }, rows.map(([label, p]) => h("tr", {}, h("th", { scope: "row" }, label),
    h("td", {}, h("data", { value: p, "data-value": p }, percent(p))), h("td", { class: "wide" }, h("span", { class: "level", style: { width: `${100 * p}%` } })))));
}
