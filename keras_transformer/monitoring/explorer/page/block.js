// The way through one block, step by step, with the model's own numbers.

const block = {
  id: "block",
  missing: () => (DATA.blocks.length ? null : word("noBlocks")),
  async draw(root) {
    const found = await walkHere();
    root.append(h("div", { class: "controls" }, blockChoice(), stepper("h", word("head"), layer().heads), tokenChoice()));
    if (!found) {
      root.append(h("p", { class: "missing" }, word("notInFile")));
      return;
    }
    const steps = stepsOf(found), all = options.all;
    root.append(h("div", { class: "steps", role: "group", "aria-label": word("steps") }, steps.map((step, i) => h("button", {
      type: "button", "data-key": `step-${i}`, "aria-pressed": String(!all && state.p === i + 1), onclick: () => select({ p: i + 1 }),
    }, `${i + 1} ${word(`step_${step.id}`)}`))));
    root.append(h("p", {}, state.p > 1 && !all ? h("button", { type: "button", "data-key": "first-step", onclick: () => select({ p: 1 }) }, word("startAtOne")) : null, " ", toggle("all", word("readAll"))));
    for (const [i, step] of steps.entries()) {
      if (all || i + 1 === state.p) root.append(await drawStep(step, i, found, steps.length));
    }
  },
};

const ownBlock = () => DATA.blocks.findIndex((one) => one.attentions.includes(layerIndex()));
const walkAt = (s, b) => DATA.examples[s - 1].walks?.[b];

/** The first step where softmax is taken: what the section opens with. */
function defaultStep() {
  const b = ownBlock();
  if (b < 0) return 1;
  const which = DATA.blocks[b].attentions.indexOf(layerIndex());
  const steps = stepsOf({ described: DATA.blocks[b], position: positionKind(), index: b });
  return 1 + steps.findIndex((step) => step.id === "softmax" && step.attention === which);
}

const positionKind = () => example().embedded?.[0]?.position ?? null;

FIELDS.p = {
  get default() { return defaultStep(); },
  get fallback() { return defaultStep(); },
  read: Number, unsaid: true,
  valid: (x) => {
    const b = ownBlock();
    return b < 0 ? x === 1 : x >= 1 && x % 1 === 0 && x <= stepsOf({ described: DATA.blocks[b], position: positionKind(), index: b }).length;
  },
};

/** All arrays of the chosen block in the chosen text, or null if the file has them not. */
async function walkHere() {
  const b = ownBlock();
  const stored = b < 0 ? null : walkAt(state.s, b);
  if (!stored) return null;
  if (stored.unpacked) return stored.unpacked;
  const described = DATA.blocks[b], found = { described, index: b, wanted: stored.wanted ?? null, position: positionKind() };
  found.x = await unpack(stored.x);
  found.fedForward = await unpack(stored.fedForward);
  found.memory = stored.memory ? await unpack(stored.memory) : null;
  found.attentions = [];
  for (const one of stored.attentions) {
    const own = {};
    for (const name of ["query", "key", "value", "output"]) own[name] = await unpack(one[name]);
    for (const name of ["fits", "foundBy"]) {
      own[name] = { places: await unpack(one[name].places), scores: await unpack(one[name].scores) };
    }
    found.attentions.push(own);
  }
  found.norms = {};
  for (const [name, norm] of Object.entries(described.norms ?? {})) {
    found.norms[name] = { scale: norm.scale && await unpack(norm.scale), shift: norm.shift && await unpack(norm.shift) };
  }
  found.kernels = {};
  for (const [i, heads] of Object.entries(described.kernels ?? {})) {
    for (const [head, parts] of Object.entries(heads)) {
      const own = (found.kernels[`${i}.${head}`] = {});
      for (const [name, part] of Object.entries(parts)) {
        own[name] = { kernel: await unpack(part.kernel), bias: part.bias ? await unpack(part.bias) : null };
      }
    }
  }
  stored.unpacked = found;
  return found;
}

/** The steps of a block, in the order in which it does them. */
function stepsOf({ described, position, index }) {
  const steps = [{ id: "token" }, { id: "embedding" }];
  if (position) steps.push({ id: "position" });
  const pre = described.normalizeFirst;
  described.attentions.forEach((_, attention) => {
    const name = attention ? "cross_attention_norm" : "self_attention_norm";
    if (pre) steps.push({ id: "norm", attention, norm: name, before: true });
    steps.push({ id: "qkv", attention });
    if (described.rotary && !attention) steps.push({ id: "turn", attention });
    for (const id of ["score", "scale", "mask", "softmax", "sum", "join", "output", "residual"]) steps.push({ id, attention });
    if (!pre) steps.push({ id: "norm", attention, norm: name });
  });
  if (pre) steps.push({ id: "norm", attention: null, norm: "feed_forward_norm", before: true });
  steps.push({ id: "feedForward", attention: null }, { id: "residual", attention: null });
  if (!pre) steps.push({ id: "norm", attention: null, norm: "feed_forward_norm" });
  return steps;
}

function blockChoice() {
  const box = h("select", { "data-key": "block", "aria-label": word("block"), onchange: (event) => toBlock(Number(event.target.value)) },
    DATA.blocks.map((one, b) => h("option", { value: b, disabled: !walkAt(state.s, b) }, `${word(one.stack)} ${blockNumber(b)}${walkAt(state.s, b) ? "" : ` (${word("notStored")})`}`)));
  box.value = ownBlock();
  return h("label", {}, `${word("block_")} `, box);
}

const blockNumber = (b) => DATA.blocks.slice(0, b + 1).filter((one) => one.stack === DATA.blocks[b].stack).length;

function toBlock(b) {
  const one = DATA.layers[DATA.blocks[b].attentions[0]];
  select({ a: one.kind, l: one.number, h: DATA.blocks[b].head + 1, p: null });
}

function tokenChoice() {
  const box = h("select", { "data-key": "walk-token", "aria-label": word("token"), onchange: (event) => select({ t: Number(event.target.value) }) },
    rowNames().map((names, t) => h("option", { value: t + 1 }, rowText(names))));
  box.value = walkToken() + 1;
  return h("label", {}, `${word("token")} `, box);
}

/** The token to follow: the pinned one, or the one whose row is surest. */
function walkToken() {
  if (state.t) return state.t - 1;
  const map = example().maps(layerIndex(), state.h - 1);
  const best = Array.from({ length: map.T }, (_, t) => {
    const row = map.row(t);
    return row.filter((p) => p > 0).length > 1 ? Math.max(...row) : 0;
  });
  return argmax(best);
}
