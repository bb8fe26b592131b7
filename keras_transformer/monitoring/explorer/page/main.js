// The frame: head, sections, keys, and drawing it all again when the selection changes.

const SECTIONS = [overview, attention, block, generation, heads, neurons, training, positions];
const KEYS = [
  ["←", "→", "keyToken"], ["↑", "↓", "keyRow"], ["[", "]", "keyLayer"], [",", ".", "keyHead"], ["s", "keyExample"],
  ["v", "keyView"], ["l", "keyLanguage"], ["Esc", "keyFree"], ["?", "keyHelp"],
];
let singleKeys = true, mode = null, drawing = 0;

async function draw() {
  const turn = ++drawing;
  const focused = document.activeElement?.dataset?.key;
  document.documentElement.lang = state.lang === "pt" ? "pt-BR" : "en";
  if (mode) document.documentElement.dataset.mode = mode;
  else delete document.documentElement.dataset.mode;
  colours.clear();
  document.title = `${DATA.title} · ${word("explorer")}`;
  const parts = [];
  for (const section of SECTIONS) {
    const missing = section.missing?.();
    const root = h("div", { class: "body" });
    if (missing) root.append(h("p", { class: "missing" }, missing));
    else await section.draw(root);
    parts.push(h("section", { id: section.id, "aria-labelledby": `${section.id}-title` },
      h("h2", { id: `${section.id}-title` }, word(section.id), " ", h("small", {}, word(`${section.id}Purpose`))), root));
  }
  if (turn !== drawing) return; // something else was chosen meanwhile
  const page = document.getElementById("page"), top = window.scrollY;
  page.replaceChildren(header(), h("main", {}, notice ? h("p", { role: "status", class: "notice" }, notice) : null, parts), help());
  window.scrollTo(0, top);
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  document.body.dataset.drawn = String(turn);
}

function header() {
  const texts = h("select", { "data-key": "example", "aria-label": word("example"), onchange: (event) => select({ s: Number(event.target.value), t: 0 }) },
    DATA.examples.map((one, i) => h("option", { value: i + 1 }, `${i + 1} / ${DATA.examples.length}: ${shown(one.text).replace(/·/g, " ").slice(0, 60)}`)));
  texts.value = state.s;
  return h("header", {},
    h("div", {}, h("strong", {}, DATA.title), texts,
      state.t ? h("span", { class: "pinned" }, word("token"), " ", chip(queries()[state.t - 1]), " ",
        h("button", { type: "button", "data-key": "free", onclick: () => select({ t: 0 }) }, word("free"))) : null,
      h("span", { class: "right" },
        h("button", { type: "button", "data-key": "language", onclick: switchLanguage, lang: state.lang === "en" ? "pt" : "en" }, state.lang === "en" ? "Português" : "English"),
        h("button", { type: "button", "data-key": "mode", onclick: switchMode }, word(isDark() ? "light" : "dark")),
        h("button", { type: "button", "data-key": "help", onclick: () => document.getElementById("help").showModal() }, "?"))),
    h("nav", { "aria-label": word("sections") }, SECTIONS.map((section) => h("button", {
      type: "button", "data-key": `to-${section.id}`, class: section.missing?.() ? "grey" : "", onclick: () => goTo(section.id),
    }, word(section.id)))));
}

function help() {
  const box = h("input", { type: "checkbox", onchange: (event) => { singleKeys = event.target.checked; } });
  box.checked = singleKeys;
  return h("dialog", { id: "help", "aria-label": word("keys") }, h("h2", {}, word("keys")),
    h("table", {}, KEYS.map((row) => h("tr", {}, h("th", {}, row.slice(0, -1).map((key) => h("kbd", {}, key))), h("td", {}, word(row.at(-1)))))),
    h("label", {}, box, ` ${word("singleKeys")}`),
    h("p", {}, h("button", { type: "button", onclick: () => document.getElementById("help").close() }, word("close"))));
}

const goTo = (id) => document.getElementById(id)?.scrollIntoView();
const isDark = () => mode ? mode === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

function switchMode() {
  mode = isDark() ? "light" : "dark";
  draw();
}

function switchLanguage() {
  select({ lang: state.lang === "en" ? "pt" : "en" });
}

const around = (x, by, most) => ((x - 1 + by + most) % most) + 1;
const moveToken = (by) => select({ t: state.t ? around(state.t, by, queries().length) : by > 0 ? 1 : queries().length });

const ACTIONS = {
  ArrowLeft: () => moveToken(-1),
  ArrowRight: () => moveToken(1),
  ArrowUp: () => moveToken(-1),
  ArrowDown: () => moveToken(1),
  "[": () => select({ l: around(state.l, -1, layersOf(state.a).length) }),
  "]": () => select({ l: around(state.l, 1, layersOf(state.a).length) }),
  ",": () => select({ h: around(state.h, -1, layer().heads) }),
  ".": () => select({ h: around(state.h, 1, layer().heads) }),
  s: () => select({ s: around(state.s, 1, DATA.examples.length), t: 0 }),
  v: () => select({ v: { matrix: "lines", lines: state.a === "cross" ? "alignment" : "matrix", alignment: "matrix" }[state.v] }),
  l: switchLanguage,
  Escape: () => select({ t: 0 }),
  "?": () => document.getElementById("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help")?.open) return;
  if (!singleKeys && event.key.length === 1) return;
  const act = ACTIONS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("button, input, select, label, a, canvas, table, dialog, summary, svg") || !state.t) return;
  if (event.target.closest("main") && !String(getSelection())) select({ t: 0 }); // empty paper frees
});
addEventListener("hashchange", () => { readAddress(); draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
let resized, width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's bars come and go
  width = innerWidth;
  clearTimeout(resized);
  resized = setTimeout(draw, 150);
});

(async () => {
  state.lang = FIELDS.lang.default;
  Object.assign(state, { s: 1, a: kinds()[0], l: 1, h: 1, t: 0, v: "matrix" });
  open();
  readAddress();
  await draw();
})();
