// The feed-forward network as memories: what wakes a neuron, and which words it pushes.

const neurons = {
  id: "neurons",
  missing: () => (DATA.blocks.length ? null : word("noBlocks")),
  async draw(root) {
    const b = state.f - 1, all = await neuronsOf(b), n = Math.max(0, all.findIndex((one) => one.index === state.n));
    const one = all[n];
    const box = h("select", { "data-key": "neuron-block", "aria-label": word("block"), onchange: (event) => select({ f: Number(event.target.value), n: null }) },
      DATA.blocks.map((x, i) => h("option", { value: i + 1 }, `${word(x.stack)} ${blockNumber(i)}`)));
    box.value = state.f;
    root.append(h("p", { class: "words" }, word("neuronsAbout", { count: all.length, all: whole(DATA.blocks[b].intermediate) })));
    if (!one) return root.append(h("p", { class: "missing" }, word("noNeurons")));
    const move = (by) => select({ n: all[(n + by + all.length) % all.length].index });
    const names = h("datalist", { id: "promoted" }, [...new Set(all.flatMap((x) => x.promotes.map(([token]) => token)))].map((token) => h("option", { value: token })));
    const search = h("input", { type: "text", list: "promoted", "data-key": "promotes", onchange: (event) => {
      const hit = all.filter((x) => x.promotes.some(([token]) => token === event.target.value))
        .sort((x, y) => rankOf(x, event.target.value) - rankOf(y, event.target.value))[0];
      if (hit) select({ n: hit.index });
    } });
    root.append(h("div", { class: "controls" }, h("label", {}, `${word("block_")} `, box),
      h("span", { class: "stepper" }, h("button", { type: "button", "data-key": "n-less", "aria-label": `${word("neuron")} −`, onclick: () => move(-1) }, "‹"),
        ` ${word("neuron")} `, h("b", {}, one.index), " ", h("small", {}, `${n + 1} / ${all.length}`), " ",
        h("button", { type: "button", "data-key": "n-more", "aria-label": `${word("neuron")} +`, onclick: () => move(1) }, "›")),
      one.promotes.length ? h("label", {}, `${word("promotesWord")} `, search, names) : null));
    const most = one.examples[0][0];
    root.append(h("p", {}, word("fires", { share: percent(one.share) })),
      h("div", { class: "columns even" },
        h("div", {}, h("h3", {}, word("excites")), h("ol", { class: "excites" }, one.examples.map(([value, tokens, place]) => h("li", {},
          number(value, 2), " ", tokens.map((token, i) => [i === place ? h("mark", { style: { background: shade(0.35 * value / most) } }, chip(token)) : chip(token), " "]))))),
        h("div", {}, h("h3", {}, word("promotes")), one.promotes.length ? [products(one.promotes, "promoted"), h("h3", {}, word("holdsBack")), products(one.suppresses, "held"),
          h("p", { class: "caption" }, word(b === lastBlock() ? "productsNote" : "productsIndirect"))] : h("p", { class: "missing" }, word("promotesNothing")))));
  },
};

const rankOf = (one, token) => one.promotes.findIndex(([x]) => x === token);
const lastBlock = () => DATA.blocks.length - 1;

async function neuronsOf(b) {
  return DATA.neurons[b] ? unpack(DATA.neurons[b]) : [];
}

Object.assign(FIELDS, {
  f: { get default() { return DATA.blocks.length || 1; }, read: Number, unsaid: true, valid: (x) => x >= 1 && x % 1 === 0 && x <= Math.max(1, DATA.blocks.length) },
  n: { default: -1, fallback: -1, read: Number, unsaid: true, valid: (x) => x >= -1 && x % 1 === 0 },
});

function products(rows, name) {
  const most = Math.max(...rows.map(([, x]) => Math.abs(x)), 1e-9);
  return h("table", { class: `candidates ${name}` }, rows.map(([token, x]) => h("tr", {}, h("th", { scope: "row" }, chip(token)), h("td", {}, number(x, 2)),
    h("td", { class: "wide" }, h("span", { class: `level ${x < 0 ? "less" : "more"}`, style: { width: `${(100 * Math.abs(x)) / most}%` } })))));
}

/** The neurons that fire most for a token, which lead to this section. */
async function firing(found, t) {
  const stored = DATA.firing?.[state.s - 1]?.[found.index];
  if (!stored) return null;
  const ids = await unpack(stored.ids), values = await unpack(stored.values), count = ids.shape[1], known = new Set((await neuronsOf(found.index)).map((x) => x.index));
  return h("div", {}, h("h4", {}, word("firesHere")), h("p", {}, Array.from({ length: count }, (_, i) => {
    const id = ids[t * count + i], text = [`${id} `, h("small", {}, fixed(values[t * count + i], 2))];
    return [known.has(id) ? h("button", { type: "button", "data-key": `fires-${i}`, onclick: () => { select({ f: found.index + 1, n: id }); goTo("neurons"); } }, text) : h("span", { class: "plain" }, text), " "];
  })));
}
