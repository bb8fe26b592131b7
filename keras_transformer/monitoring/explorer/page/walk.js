// The numbers of a block: what the page computes of what the file has.

const rowOf = (x, t) => x.subarray(t * x.shape.at(-1), (t + 1) * x.shape.at(-1));
const shared = (x, head, heads) => Math.floor(head / (heads / x.shape[0]));
const vectorOf = (x, head, heads, t) => {
  const [, T, H] = x.shape, first = (shared(x, head, heads) * T + t) * H;
  return x.subarray(first, first + H);
};
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const length = (a) => Math.sqrt(dot(a, a));
const add = (a, b) => Array.from(a, (x, i) => x + b[i]);

function normalized(found, name, x) {
  const { scale, shift } = found.norms[name] ?? {}, { norm, epsilon } = found.described;
  const middle = norm === "rms_norm" ? 0 : mean([...x]);
  const spread = Math.sqrt(mean([...x].map((v) => (v - middle) ** 2)) + epsilon);
  return Array.from(x, (v, i) => ((v - middle) / spread) * (scale ? scale[i] : 1) + (shift ? shift[i] : 0));
}

/** The token's vector before and after each sublayer. */
function through(found, t) {
  const pre = found.described.normalizeFirst, place = found.wanted ? found.wanted[t] : t;
  const values = { x: Array.from(rowOf(found.x, place)), attentions: [] };
  let x = values.x;
  found.attentions.forEach((one, i) => {
    const name = i ? "cross_attention_norm" : "self_attention_norm", output = Array.from(rowOf(one.output, t));
    const given = pre ? normalized(found, name, x) : x, sum = add(x, output), out = pre ? sum : normalized(found, name, sum);
    values.attentions.push({ x, given, output, sum, out });
    x = out;
  });
  const output = Array.from(rowOf(found.fedForward, t));
  const given = pre ? normalized(found, "feed_forward_norm", x) : x, sum = add(x, output);
  values.last = { x, given, output, sum, out: pre ? sum : normalized(found, "feed_forward_norm", sum) };
  return values;
}

/** What queries meet: vectors that keys and values are made of, for the plain similarities. */
function lookedAt(found, attention) {
  if (attention) return Array.from({ length: found.memory.shape[0] }, (_, k) => rowOf(found.memory, k));
  const rows = Array.from({ length: found.x.shape[0] }, (_, k) => rowOf(found.x, k));
  return found.described.normalizeFirst ? rows.map((x) => normalized(found, "self_attention_norm", x)) : rows;
}

/** Everything between the query and the weighted sum, of one token and head. */
function scoresOf(found, attention, head, t) {
  const one = found.attentions[attention], heads = one.query.shape[0], H = one.query.shape[2];
  const query = vectorOf(one.query, head, heads, t), S = one.key.shape[1], map = example().maps(found.described.attentions[attention], head);
  const score = Array.from({ length: S }, (_, k) => dot(query, vectorOf(one.key, head, heads, k)));
  const scaled = score.map((x) => x / Math.sqrt(H)), weights = map.row(t), masked = weights.map((w) => w === 0);
  const most = Math.max(...scaled.filter((_, k) => !masked[k])), exps = scaled.map((x, k) => (masked[k] ? 0 : Math.exp(x - most)));
  const total = exps.reduce((a, b) => a + b, 0);
  return { query, H, score, scaled, masked, most, exps, total, weights, computed: exps.map((e) => e / total) };
}

function summedOf(found, attention, head, t) {
  const one = found.attentions[attention], heads = one.query.shape[0], H = one.value.shape[2];
  const weights = example().maps(found.described.attentions[attention], head).row(t), sum = new Array(H).fill(0);
  weights.forEach((w, k) => vectorOf(one.value, head, heads, k).forEach((v, i) => { sum[i] += w * v; }));
  return sum;
}
