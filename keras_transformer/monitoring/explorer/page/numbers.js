// What is computed of stored numbers.

const STEPS = 65535;

/** The weights of an example: a function `(layer index, head) -> {T, S, at(t, s), row(t)}`. */
async function weightsOf(s) {
  const one = DATA.examples[s - 1];
  if (one.maps) return one.maps;
  const steps = await unpack(one.weights);
  let start = 0;
  const begins = DATA.layers.map((layer, index) => {
    const T = queries(s, index).length, S = keys(s, index).length, begin = start;
    start += layer.heads * T * S;
    return [begin, T, S];
  });
  one.maps = (index, head) => {
    const [begin, T, S] = begins[index], first = begin + head * T * S;
    return mapOf(T, S, (t, k) => steps[first + t * S + k] / STEPS);
  };
  return one.maps;
}

function mapOf(T, S, at) {
  return { T, S, at, row: (t) => Array.from({ length: S }, (_, k) => at(t, k)) };
}

/** The mean of several maps of one size. */
function meanMap(maps) {
  const { T, S } = maps[0];
  return mapOf(T, S, (t, k) => maps.reduce((sum, map) => sum + map.at(t, k), 0) / maps.length);
}

/** Words for tokens: the sum of a word's columns, the mean of its rows. */
function wordMap(map, rows, columns) {
  const sum = (t, places) => places.reduce((total, k) => total + map.at(t, k), 0);
  return mapOf(rows.length, columns.length, (t, k) =>
    rows[t].reduce((total, row) => total + sum(row, columns[k]), 0) / rows[t].length);
}

function entropy(row) {
  return row.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
}

const argmax = (row) => row.reduce((best, x, i) => (x > row[best] ? i : best), 0);
const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : 0);

/**
 * What one head does in one text: mean weights by place, spread, distance.
 * `special` are the places of special tokens among the keys, `tokens` those of the queries.
 */
function headNumbers(map, kind, tokens, special, rowSpecial) {
  const { T, S } = map, rows = [], found = { rows: 0 };
  for (let t = 0; t < T; t++) rows.push(map.row(t));
  const free = rows.map((row, t) => [row, t]).filter(([row]) => row.filter((p) => p > 0).length > 1);
  const average = (value) => mean(free.map(([row, t]) => value(row, t)).filter((x) => x != null));
  const ends = [...special].filter((k) => k > 0);
  found.rows = free.length;
  found.first = average((row) => row[0]);
  found.end = average((row) => ends.reduce((sum, k) => sum + row[k], 0));
  found.bits = average((row) => entropy(row));
  found.spread = average((row) => 2 ** entropy(row));
  found.broad = average((row) => 2 ** entropy(row) / row.filter((p) => p > 0).length);
  found.best = average((row) => Math.max(...row));
  if (kind === "cross") {
    const real = free.filter(([, t]) => !rowSpecial.has(t));
    const best = real.map(([row]) => argmax(row));
    const hits = real.map(([row], i) => (special.has(best[i]) ? 0 : row[best[i]]));
    found.aligned = mean(hits);
    found.distinct = real.length ? new Set(best.filter((k) => !special.has(k))).size / real.length : 0;
    return found;
  }
  found.previous = average((row, t) => (t > 0 ? row[t - 1] : null));
  found.next = kind === "causal" ? 0 : average((row, t) => (t < S - 1 ? row[t + 1] : null));
  found.self = average((row, t) => row[t]);
  found.distance = average((row, t) => row.reduce((sum, p, k) => sum + p * Math.abs(k - t), 0));
  const repeated = free.map(([row, t]) => {
    const after = tokens.slice(0, t).flatMap((x, j) => (x === tokens[t] && j + 1 < t ? [j + 1] : []));
    return after.length ? after.reduce((sum, k) => sum + row[k], 0) : null;
  }).filter((x) => x != null);
  found.repeats = repeated.length ? mean(repeated) : null;
  return found;
}

/** The kind of a head: `{sign, name, number}`, of numbers as of `headNumbers`. */
function headKind(found) {
  const shares = [
    ["previous", "<--"], ["next", "-->"], ["self", "o"], ["first", "|<"], ["end", ">|"],
  ].map(([name, sign]) => ({ name, sign, number: found[name] ?? 0 }));
  const best = shares.reduce((a, b) => (b.number > a.number ? b : a));
  if (found.aligned >= 0.5 && found.distinct >= 0.5) {
    return { name: "align", sign: "ALIGN", number: found.aligned };
  }
  if (best.number >= 0.5) return best;
  if (found.repeats >= 0.4) return { name: "repeat", sign: "REP", number: found.repeats };
  if (found.broad >= 0.6) return { name: "broad", sign: "~", number: found.broad };
  return { name: "mixed", sign: ".", number: found.best };
}

const specialPlaces = (one, side) => new Set(one.special[side] ?? []);

/** The numbers of a head as means over the page's examples. */
const known = new Map();
async function headNumbersOf(index, head) {
  const key = `${index}.${head}`;
  if (known.has(key)) return known.get(key);
  const all = [];
  for (let s = 1; s <= DATA.examples.length; s++) {
    const one = DATA.examples[s - 1], [q, k] = one.sides[index], map = (await weightsOf(s))(index, head);
    all.push(headNumbers(map, DATA.layers[index].kind, one.texts[q], specialPlaces(one, k), specialPlaces(one, q)));
  }
  const means = {};
  for (const name of new Set(all.flatMap(Object.keys))) {
    const some = all.filter((x) => x[name] != null && x.rows);
    means[name] = some.length ? mean(some.map((x) => x[name])) : null;
  }
  means.kind = headKind(means);
  known.set(key, means);
  return means;
}
