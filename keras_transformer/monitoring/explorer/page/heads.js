// Which heads do something: kinds, spread, what each costs to switch off, how many can go.

let headOrder = "place";
const chosenHeads = new Set();

const heads = {
  id: "heads",
  async draw(root) {
    const all = [];
    for (const [index, one] of DATA.layers.entries()) {
      for (let head = 0; head < one.heads; head++) {
        all.push({ index, head, one, numbers: await headNumbersOf(index, head), cost: DATA.heads?.costs[index][head], error: DATA.heads?.errors[index][head] });
      }
    }
    const sorted = [...all].sort({ place: () => 0, kind: (a, b) => b.numbers.kind.number - a.numbers.kind.number, cost: (a, b) => (b.cost ?? 0) - (a.cost ?? 0) }[headOrder]);
    if (headOrder === "kind") sorted.sort((a, b) => a.numbers.kind.name.localeCompare(b.numbers.kind.name));
    const most = Math.max(...all.map((x) => Math.abs(x.cost ?? 0)), 1e-9);
    root.append(h("p", { class: "telling" }, DATA.heads
      ? word("costly", { count: all.filter((x) => x.cost > 2 * x.error && x.cost > 0.01).length, all: all.length }) : word("noCosts")));
    if (DATA.heads) root.append(h("p", { class: "caption" }, word("costsAbout", { loss: fixed(DATA.heads.loss, 3), tokens: whole(DATA.heads.tokens) })));
    root.append(h("div", { class: "controls" }, word("sortBy"), ["place", "kind", ...(DATA.heads ? ["cost"] : [])].map((name) => h("button", {
      type: "button", "data-key": `sort-${name}`, "aria-pressed": String(headOrder === name), onclick: () => { headOrder = name; draw(); } }, word(`sort_${name}`)))));
    root.append(h("div", { class: headOrder === "place" ? "scroller" : "" }, headOrder === "place" ? headGrid(all, most)
      : h("p", { class: "head-list" }, sorted.map((x) => headCell(x, most, `${word(x.one.kind)} ${x.one.number}.${x.head + 1} `)))));
    root.append(pruneLine(all));
    if (DATA.heads?.curve) root.append(pruningCurve(DATA.heads.curve));
    root.append(h("h3", {}, word("allNumbers")), tableTools(() => headTable(sorted), h("div", { class: "scroller" }), "heads", null, 3));
  },
};

function headCell({ index, head, one, numbers, cost, error }, most, before = "") {
  const { kind } = numbers, key = `${index}.${head}`, sure = cost == null || Math.abs(cost) > 2 * error;
  const chosen = chosenHeads.has(key), here = one === layer() && head + 1 === state.h;
  return h("button", {
    type: "button", class: `sign head${here ? " here" : ""}`, "data-key": `head-${key}`, "aria-pressed": String(chosen),
    title: `${word(`kind_${kind.name}`)} ${fixed(kind.number, 2)}${cost == null ? "" : `, ${signed(cost, 3)} ± ${fixed(error, 3)}`}`,
    onclick: () => {
      if (chosen) chosenHeads.delete(key);
      else chosenHeads.add(key);
      select({ a: one.kind, l: one.number, h: head + 1 });
    },
  }, before, kind.sign, h("small", {}, fixed(kind.number, 2)), cost == null ? null : [h("br"),
    h("small", { class: sure ? "" : "unsure" }, sure ? signed(cost, 3) : word("noEffect")),
    h("span", { class: `level ${cost < 0 ? "less" : "more"}`, style: { width: `${(100 * Math.abs(cost)) / most}%` } })]);
}

function headGrid(all, most) {
  const rows = kinds().flatMap((kind) => [...layersOf(kind)].reverse()).map((one) => h("tr", {},
    h("th", { scope: "row" }, `${word(one.kind)} ${one.number}`),
    all.filter((x) => x.one === one).map((x) => h("td", { class: one.group > 1 && x.head % one.group === 0 ? "group" : "" }, headCell(x, most)))));
  return h("table", { class: "signs" }, rows);
}

/** The line that cuts the chosen heads, to copy; groups that share keys are cut whole. */
function pruneLine(all) {
  const cut = {};
  for (const { index, head, one } of all) {
    const first = head - (head % one.group), some = Array.from({ length: one.group }, (_, i) => `${index}.${first + i}`);
    if (some.some((key) => chosenHeads.has(key))) (cut[one.path] ??= []).push(head);
  }
  if (!Object.keys(cut).length) return h("p", { class: "caption" }, word("choosePrune"));
  const python = `{${Object.entries(cut).map(([path, list]) => `${JSON.stringify(path)}: [${list.join(", ")}]`).join(", ")}}`;
  return h("p", {}, h("code", { class: "line" }, `kt.models.prune_heads(model, ${python})`), " ",
    h("button", { type: "button", "data-key": "choose-none", onclick: () => { chosenHeads.clear(); draw(); } }, word("chooseNone")));
}

function pruningCurve({ metric, points }) {
  const width = 620, height = 180, last = points.at(-1)[0] || 1, values = points.map(([, y]) => y), [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const x = (n) => 50 + (n / last) * (width - 70), y = (v) => height - 26 - ((v - low) / (high - low || 1)) * (height - 44);
  const label = (text, left, top) => h("span", { class: "label", style: { left: `${left}px`, top: `${top}px` } }, text);
  const svg = h("svg", { width, height, role: "img", "aria-label": word("curveTitle", { metric }) },
    h("line", { x1: 50, x2: width - 20, y1: y(values[0]), y2: y(values[0]), stroke: css("--line"), "stroke-dasharray": "4 4" }),
    h("polyline", { points: points.map(([n, v]) => `${x(n)},${y(v)}`).join(" "), fill: "none", stroke: css("--full"), "stroke-width": 2 }),
    points.map(([n, v]) => h("circle", { cx: x(n), cy: y(v), r: 4, fill: css("--full") })));
  return h("div", {}, h("h3", {}, word("curveTitle", { metric })),
    h("div", { class: "scroller" }, h("div", { class: "curve", style: { width: `${width}px` } }, svg,
      points.map(([n, v]) => [label(String(n), x(n) - 8, height - 22), label(fixed(v, metric === "BLEU" ? 1 : 3), x(n) - 12, Math.max(0, y(v) - 24))]))),
    tableTools(() => [[word("headsCut"), metric], ...points], h("div", { class: "scroller" }), "pruning", () => svg, 3));
}

function headTable(sorted) {
  const names = ["previous", "next", "self", "first", "end", "aligned", "repeats", "distance", "bits", "spread"];
  return [[word("head"), word("sort_kind"), ...names.map((name) => word(`number_${name}`)), ...(DATA.heads ? [word("sort_cost"), word("error")] : [])],
    ...sorted.map((x) => [`${x.one.path} ${x.head}`, word(`kind_${x.numbers.kind.name}`), ...names.map((name) => x.numbers[name] ?? ""), ...(DATA.heads ? [x.cost, x.error] : [])])];
}
