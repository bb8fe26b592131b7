// Attention being learned: the chosen head at each checkpoint.

const training = {
  id: "training",
  missing: () => (DATA.training ? null : word("noCheckpoints")),
  async draw(root) {
    const { example: s, updates, losses } = DATA.training;
    if (state.s !== s + 1) {
      root.append(h("p", { class: "missing" }, word("otherExample"), " ", h("button", { type: "button", "data-key": "to-trained", onclick: () => select({ s: s + 1, t: 0 }) }, shown(DATA.examples[s].text).replace(/·/g, " "))));
      return;
    }
    const index = layerIndex(), maps = [];
    for (let c = 0; c < updates.length; c++) maps.push(await mapAt(c, index, state.h - 1));
    const c = state.c - 1, kinds_ = maps.map((map) => kindOfMap(map, index));
    const name = (i) => (updates[i] == null ? word("atTheEnd") : whole(updates[i]));
    root.append(h("p", { class: "telling" }, `${headName(state)}: `, sinceWhen(kinds_, name)),
      h("div", { class: "scroller" }, h("div", { class: "film" }, maps.map((map, i) => h("button", {
        type: "button", "data-key": `film-${i}`, class: "thumbnail", "aria-pressed": String(i === c), onclick: () => select({ c: i + 1 }),
        "aria-label": `${word("update")} ${name(i)}`,
      }, thumbnail(map, 84), h("span", {}, name(i)), h("b", {}, kinds_[i].sign))))));
    const slider = h("input", { type: "range", min: 1, max: updates.length, value: state.c, "data-key": "checkpoint", "aria-label": word("checkpoint"),
      oninput: (event) => select({ c: Number(event.target.value) }) });
    const play = h("button", { type: "button", "data-key": "play", onclick: () => {
      clearInterval(playing);
      if (state.c === updates.length) select({ c: 1 });
      playing = setInterval(() => { if (state.c >= updates.length) clearInterval(playing); else select({ c: state.c + 1 }); }, 1000);
    } }, word("play"));
    root.append(h("p", { class: "slider" }, slider, ` ${word("update")} `, h("b", {}, name(c)), " ", play));
    if (losses.every((x) => x != null)) root.append(lossCurve(updates, losses, c, name));
    const rows = rowNames(), columns = keys(), map = maps[c];
    root.append(matrix({ map, rows, columns, pinned: state.t && state.t <= map.T ? state.t - 1 : null, onRow: pin, key: "trained", masked: isMasked(map),
      say: (t, k) => `${word("update")} ${name(c)}: ${sentence(map, rows, columns, t, k)}` }));
  },
};
let playing;

FIELDS.c = {
  get default() { return DATA.training?.updates.length ?? 1; }, read: Number, unsaid: true,
  valid: (x) => x >= 1 && x % 1 === 0 && x <= (DATA.training?.updates.length ?? 1),
};

/** A map at a checkpoint, of the example that has them. */
async function mapAt(c, index, head) {
  const steps = await unpack(DATA.training.weights[c]), s = DATA.training.example + 1;
  let first = 0;
  for (let i = 0; i < index; i++) first += DATA.layers[i].heads * queries(s, i).length * keys(s, i).length;
  const T = queries(s, index).length, S = keys(s, index).length;
  first += head * T * S;
  return mapOf(T, S, (t, k) => steps[first + t * S + k] / STEPS);
}

function kindOfMap(map, index) {
  const one = DATA.examples[DATA.training.example], [q, k] = one.sides[index];
  return headKind(headNumbers(map, DATA.layers[index].kind, one.texts[q], specialPlaces(one, k), specialPlaces(one, q)));
}

/** Since which checkpoint a head has been what it is at the end. */
function sinceWhen(found, name) {
  const last = found.at(-1);
  let first = found.length - 1;
  while (first > 0 && found[first - 1].name === last.name) first--;
  return word("sinceUpdate", { kind: word(`kind_${last.name}`), update: name(first) });
}

function lossCurve(updates, losses, c, name) {
  const width = 620, height = 110, most = Math.max(...losses), count = losses.length;
  const x = (i) => 20 + (i * (width - 60)) / Math.max(1, count - 1), y = (loss) => height - 14 - (loss / most) * (height - 30);
  const svg = h("svg", { width, height, role: "img", "aria-label": word("lossTitle") },
    h("polyline", { points: losses.map((loss, i) => `${x(i)},${y(loss)}`).join(" "), fill: "none", stroke: css("--full"), "stroke-width": 2 }),
    h("circle", { cx: x(c), cy: y(losses[c]), r: 5, fill: css("--plus") }));
  const cells = () => [[word("update"), word("loss")], ...losses.map((loss, i) => [name(i), loss])];
  return h("div", {}, h("h3", {}, word("lossTitle"), " ", h("small", {}, fixed(losses[c], 3))), h("div", { class: "scroller" }, svg), tableTools(cells, h("div", { class: "scroller" }), "loss", () => svg, 3));
}
