"""The explorer's page in Chromium: what it shows is what the model computed.

Needs `pip install -e ".[browser]"` and Debian's `chromium`.
"""

import json
import re
import shutil

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.monitoring.explorer.beams import beams_of
from keras_transformer.monitoring.explorer.reading import blocks_of, read
from keras_transformer.monitoring.explorer.walk import walk

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough"),
]
STRANGE = ["<script>alert(1)</script>", '"', "🙂", "שלום", "&amp;"]
WORDS = ["a dog runs and a dog sleeps", " ".join(STRANGE), "um cachorro corre e dorme ."]


def config(tokenizer, **options):
    defaults = {"num_layers": 2, "num_heads": 4, "hidden_dim": 16, "intermediate_dim": 32}
    return kt.TransformerConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=24,
        **{**defaults, **options},
    )


def louder(model):
    """A random model whose attention is not flat."""
    for weight in model.weights:
        if "query" in weight.path and "kernel" in weight.path:
            weight.assign(3 * weight.value)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return kt.text.train_tokenizer("whitespace", WORDS, mask=True)


@pytest.fixture(scope="module")
def tasks(tokenizer):
    keras.utils.set_random_seed(1)
    modern = {"normalize_first": True, "norm": "rms_norm", "gated": True, "use_bias": False}
    modern |= {"position": "rotary", "num_key_value_heads": 2, "activation": "silu"}
    made = config(tokenizer)
    learned = config(tokenizer, position="learned", normalize_first=True, activation="gelu")
    classes = kt.models.sequence_classifier(made, 3)
    return {
        "translation": kt.tasks.Translator(
            louder(kt.models.encoder_decoder(made)), tokenizer, beams=4, length_penalty=0.6
        ),
        "pre_norm": kt.tasks.Translator(
            louder(kt.models.encoder_decoder(learned)), tokenizer, beams=1
        ),
        "modern": kt.tasks.TextGenerator(
            louder(kt.models.decoder_only(config(tokenizer, **modern))), tokenizer
        ),
        "masked": kt.tasks.MaskFiller(
            louder(kt.models.masked_language_model(config(tokenizer))), tokenizer
        ),
        "classes": kt.tasks.TextClassifier(classes, tokenizer, labels=["bad", "fair", "good"]),
    }


EXAMPLES = {
    "translation": [("a dog runs and a dog sleeps", "um cachorro corre e dorme ."), "a dog"],
    "pre_norm": [("a dog runs", "um cachorro"), " ".join(STRANGE)],
    "modern": ["a dog runs and a dog sleeps", "um cachorro"],
    "masked": ["a [MASK] runs and a dog [MASK]", "a dog sleeps"],
    "classes": ["a dog runs", "dorme ."],
}


@pytest.fixture(scope="module")
def files(tasks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        name: kt.monitoring.explore(task, EXAMPLES[name], folder / f"{name}.html", title=name)
        for name, task in tasks.items()
    }


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        yield p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def visit(browser, files):
    """A function that opens a page; whatever it complains of fails the test."""
    complaints, contexts = [], []

    def open_page(name, address="", width=1400, scheme="light", locale="en-US", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: complaints.append(asked.url) if "file:" not in asked.url else 0
        )
        page.goto(f"file://{files[name]}{address}")
        page.wait_for_selector("body[data-drawn]")
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def drawn(page, act):
    """Does something, and waits until the page has been drawn again."""
    before = page.evaluate("document.body.dataset.drawn")
    act()
    page.wait_for_function("(before) => document.body.dataset.drawn !== before", arg=before)


def table_of(place):
    """The numbers of the table behind a picture: rows of floats, None where masked."""
    place.get_by_role("button", name="as a table").first.click()
    rows = place.locator(".tools table tbody tr")
    return [
        [
            None if text == "masked" else float(value)
            for text, value in row.evaluate(
                "r => [...r.querySelectorAll('td')].map(d => "
                "[d.textContent, d.querySelector('data')?.dataset.value ?? null])"
            )
        ]
        for row in rows.all()
    ]


# ---- 1, 2: a page that asks for nothing and shows all text as text -----------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_opens_from_disk_and_fits(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    assert page.locator("section").count() >= 4
    wide, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room


def test_the_policy_forbids_other_programs_and_requests(visit):
    page = visit("translation")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.stranger = 1'}))"
    )
    page.evaluate("fetch('https://example.org').catch(() => {})")
    page.wait_for_timeout(100)
    assert page.evaluate("window.stranger") is None
    assert len(visit.complaints) >= 2  # of what was refused
    assert all("Content Security Policy" in x or "example.org" in x for x in visit.complaints)
    visit.complaints.clear()


def test_strange_tokens_are_text(visit):
    page = visit("pre_norm", "#s=2&a=self")
    for token in STRANGE:
        assert page.locator("#attention").get_by_text(token, exact=True).first.is_visible()
        assert page.locator("#overview").get_by_text(token, exact=False).count()
    page.locator("#attention").get_by_role("button", name="as a table").click()
    heads = page.locator("#attention .tools th").all_text_contents()
    assert {*STRANGE} <= {*heads}
    assert page.evaluate("shown('') + shown(' a\\n')") == "▢·a↵"


# ---- 3, 7: attention ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_cells_are_those_of_attention_scope(visit, tasks, name):
    page = visit(name)
    task, rng = tasks[name], np.random.default_rng(0)
    example = EXAMPLES[name][0]
    if name == "modern":
        example += task(example, max_new_tokens=12, temperature=0)
    number = {"self": 0, "causal": 0, "cross": 0}
    for found in kt.monitoring.attention_of(task, example):
        number[found.kind] += 1
        head = int(rng.integers(4))
        drawn(
            page,
            lambda found=found, head=head: page.evaluate(
                f"location.hash = '#s=1&a={found.kind}&l={number[found.kind]}"
                f"&h={head + 1}&v=matrix'"
            ),
        )
        rows = table_of(page.locator("#attention"))
        shown = np.array([[0.0 if x is None else x for x in row] for row in rows])
        assert shown.shape == found.weights[head].shape
        assert np.abs(shown - found.weights[head]).max() < 6e-5
        assert np.abs(shown.sum(axis=1) - 1).max() < 0.005
        masked = np.array([[x is None for x in row] for row in rows])
        assert (masked == (found.weights[head] == 0)).all()


def test_an_alignment_is_of_the_word_that_is_written(visit, tasks):
    page = visit("translation", "#s=1&a=cross&l=2&v=alignment")
    labels = page.locator("#attention .row-label").all_text_contents()
    assert labels[:6] == ["um", "cachorro", "corre", "e", "dorme", "."]
    rows = table_of(page.locator("#attention"))
    crosses = [
        one
        for one in kt.monitoring.attention_of(tasks["translation"], EXAMPLES["translation"][0])
        if one.kind == "cross"
    ]
    assert np.abs(np.array(rows) - crosses[1].weights.mean(axis=0)).max() < 6e-5


def test_a_masked_place_says_so_and_no_line_goes_there(visit):
    page = visit("modern", "#s=1&v=lines&l=1&h=1")
    ends = page.locator("#attention .lines line").evaluate_all(
        "lines => lines.map(x => [+x.dataset.from, +x.dataset.to])"
    )
    assert ends and all(k <= t for t, k in ends)
    page = visit("modern", "#s=1&v=matrix&l=1&h=1")
    picture = page.locator("#attention .matrix canvas")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 4)
    assert "masked" in page.locator("#attention .readout").text_content()


# ---- 4, 5: the way through a block -------------------------------------------------------------

THROUGH = """async ([b, a, t, head]) => {
  const found = await walkHere(), values = through(found, t), one = found.attentions[a];
  const heads = one.query.shape[0], vector = (x, i) => Array.from(vectorOf(x, head, heads, i));
  return { query: vector(one.query, t), key: vector(one.key, 0), value: vector(one.value, 0),
           output: values.attentions[a].output, out: values.last.out,
           computed: scoresOf(found, a, head, t).computed,
           weights: scoresOf(found, a, head, t).weights };
}"""


@pytest.mark.parametrize("name", ["translation", "pre_norm", "modern", "masked"])
def test_a_block_is_the_models(visit, tasks, name):
    task, page = tasks[name], visit(name)
    example = EXAMPLES[name][0]
    if name == "modern":
        example += task(example, max_new_tokens=12, temperature=0)
    reading = read(task, task.inputs(example))
    layers = [one.layer for one in reading.attention]
    data = page.evaluate("DATA.layers.map((one) => [one.kind, one.number])")
    for b, (path, block) in enumerate(blocks_of(task.model).items()):
        expected = walk(block, reading.calls[path], reading)
        for a, own in enumerate(expected.attentions):
            kind, number = data[layers.index(own.path)]
            drawn(
                page,
                lambda kind=kind, number=number: page.evaluate(
                    f"location.hash = '#s=1&a={kind}&l={number}&h=2&t=1'"
                ),
            )
            t, head = len(expected.y) - 1, 1
            found = page.evaluate(THROUGH, [b, a, t, head])
            shared = head // (len(own.query) // len(own.key))
            for name_, value in [
                ("query", own.query[head, t]),
                ("key", own.key[shared, 0]),
                ("value", own.value[shared, 0]),
                ("output", own.output[t]),
                ("out", expected.y[t]),
            ]:
                assert np.allclose(found[name_], value, atol=5e-3, rtol=1e-3), (path, name_)
            assert np.allclose(found["computed"], found["weights"], atol=2e-3)


def test_products_add_up_to_the_query(visit):
    page = visit("translation", "#s=1&a=self&l=1&h=3&t=2&p=4")
    rows = page.locator("#block .products tr data").evaluate_all(
        "all => all.map(x => +x.dataset.value)"
    )
    assert len(rows) == 11  # eight products, the others, the bias, the entry
    assert abs(sum(rows[:-1]) - rows[-1]) < 5e-4
    assert page.locator("#block .fitting").first.locator("li").count() == 5


def test_the_learned_matrix_gives_the_query(visit):
    page = visit("pre_norm", "#s=1&a=cross&l=1&h=2&t=1&p=14")
    far = page.evaluate("""async () => {
      const found = await walkHere(), given = through(found, 0).attentions[1].given;
      const made = times(given, found.kernels['1.1'].query);
      const kept = vectorOf(found.attentions[1].query, 1, 4, 0);
      return Math.max(...made.map((x, i) => Math.abs(x - kept[i])));
    }""")
    assert far < 5e-3


def test_every_step_of_every_model_is_drawn(visit):
    for name in EXAMPLES:
        page = visit(name)
        page.locator("#block").get_by_label("read all").check()
        page.wait_for_function("() => document.querySelectorAll('#block .step').length > 10")
        steps = page.locator("#block .step").count()
        assert steps == page.locator("#block .steps button").count()
        for language in ("en", "pt"):
            page.evaluate(f"select({{lang: '{language}'}})")
            page.wait_for_function(
                "(x) => document.documentElement.lang.startsWith(x)", arg=language
            )


# ---- 6: generation -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "temperature, k, p", [(1.0, None, None), (0.5, 3, None), (1.7, None, 0.6), (0.8, 4, 0.7)]
)
def test_bars_are_the_rules_probabilities(visit, tasks, temperature, k, p):
    page, task = visit("modern", "#s=2&g=2&t=2"), tasks["modern"]
    example = EXAMPLES["modern"][1]
    example += task(example, max_new_tokens=12, temperature=0)
    logits = keras.ops.convert_to_tensor(read(task, task.inputs(example)).logits[1:2])
    rules = [kt.generation.Temperature(temperature)]
    rules += [kt.generation.TopK(k)] if k else []
    rules += [kt.generation.TopP(p)] if p else []
    for rule in rules:
        logits = rule(logits, None)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]
    for name, value in [
        ("temperature", round(10 * temperature)),
        ("k", k or 0),
        ("p", round(100 * (p or 1))),
    ]:
        slider = page.locator(f"[data-key=slider-{name}]")
        slider.evaluate(f"x => {{ x.value = {value}; x.dispatchEvent(new Event('input')); }}")
    found = page.locator("#generation .candidates tr[data-token]").evaluate_all(
        "rows => rows.map(r => [+r.dataset.token, +r.querySelector('data').dataset.value])"
    )
    assert len(found) == 10
    for token, probability in found:
        assert abs(probability - expected[token]) < 2e-5


def test_the_tree_is_the_search(visit, tasks, tokenizer):
    page, task = visit("translation", "#s=2"), tasks["translation"]
    [[text, score]] = task.n_best("a dog", n=1)
    beam = page.evaluate("DATA.generation[1].beam")
    ids = [step[rank][1] for step, rank in zip(beam["steps"], beam["winner"], strict=False)]
    assert tokenizer.decode([ids])[0] == text
    assert abs(beam["score"] - score) < 1e-4
    best = page.locator("#generation .hypotheses li data").first.get_attribute("data-value")
    assert abs(float(best) - score) < 1e-4
    assert page.locator("#generation .node.winner").count() == len(beam["winner"])


@pytest.mark.parametrize("early_stopping", ["never", False, True])
@pytest.mark.parametrize("beams", [2, 3])
def test_a_watched_search_is_the_search(tokenizer, early_stopping, beams):
    keras.utils.set_random_seed(beams)
    model = louder(kt.models.encoder_decoder(config(tokenizer, num_heads=2)))
    task = kt.tasks.Translator(
        model, tokenizer, beams=beams, early_stopping=early_stopping, length_penalty=0.6
    )
    lines = ["a dog runs", "corre e dorme .", "dog"]
    trees = beams_of(task, [task.inputs((line, "a"))[0] for line in lines])
    for line, tree in zip(lines, trees, strict=True):
        ids = [step[rank][1] for step, rank in zip(tree["steps"], tree["winner"], strict=False)]
        [[text, score]] = task.n_best(line, n=1)
        assert tokenizer.decode([ids])[0] == text
        assert abs(tree["score"] - score) < 1e-4


def test_the_last_layer_of_the_lens_is_the_model(visit):
    for name in ("translation", "pre_norm", "modern", "masked"):
        page = visit(name)
        same = page.evaluate("""async () => {
          const one = await candidatesHere(), { ids, shares } = one.lens;
          const [blocks, T, n] = ids.shape;
          return one.said.map((_, t) => {
            const first = ((blocks - 1) * T + t) * n, best = one.best(t)[0];
            return ids[first] === best.id && Math.abs(shares[first] - Math.exp(best.score)) < 2e-3;
          });
        }""")
        assert same and all(same)


# ---- 8, 10, 11: keys, address, pins ------------------------------------------------------------


def test_keys(visit):
    page = visit("translation", "#s=1&a=cross&l=1&h=1&t=2&v=matrix")
    state = lambda: page.evaluate("({...state})")  # noqa: E731
    for key, name, value in [
        ("ArrowRight", "t", 3), ("ArrowLeft", "t", 2), ("ArrowDown", "t", 3), ("ArrowUp", "t", 2),
        ("]", "l", 2), ("[", "l", 1), (".", "h", 2), (",", "h", 1), ("v", "v", "lines"),
        ("v", "v", "alignment"), ("v", "v", "matrix"), ("l", "lang", "pt"), ("l", "lang", "en"),
        ("Escape", "t", 0), ("s", "s", 2),
    ]:  # fmt: skip
        drawn(page, lambda key=key: page.keyboard.press(key))
        assert state()[name] == value, key
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    dialog.get_by_role("checkbox").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("]")
    page.wait_for_timeout(100)
    assert state()["l"] == 1


def test_the_focus_is_seen_and_survives_a_redraw(visit):
    page = visit("translation")
    button = page.locator("[data-key='h-more']").first
    button.focus()
    drawn(page, lambda: page.keyboard.press("Enter"))
    assert page.evaluate("document.activeElement.dataset.key") == "h-more"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_an_address_restores_the_selection_and_back_undoes_one_choice(visit):
    page = visit("translation", "#s=2&a=causal&l=2&h=3&t=1&v=lines&lang=pt")
    state = page.evaluate("({...state})")
    assert {k: state[k] for k in "salhtv"} == {
        "s": 2,
        "a": "causal",
        "l": 2,
        "h": 3,
        "t": 1,
        "v": "lines",
    }
    assert page.evaluate("document.documentElement.lang") == "pt-BR"
    drawn(page, lambda: page.keyboard.press("]"))
    assert page.evaluate("state.l") == 1
    drawn(page, lambda: page.go_back())
    assert page.evaluate("[state.l, state.t, state.s]") == [2, 1, 2]


def test_unknown_parts_of_an_address_fall_back_and_say_so(visit):
    page = visit("translation", "#s=99&l=2&a=cross&z=1&h=x")
    said = page.locator(".notice").text_content()
    assert all(f"{name}" in said for name in ("s", "z", "h"))
    assert page.evaluate("[state.l, state.a]") == [2, "cross"]
    assert page.evaluate("!!example() && state.h >= 1")


def test_pin_and_free(visit):
    page = visit("translation", "#s=1&a=cross&l=1&h=1")
    row = page.locator("#attention .row-label").nth(2)
    drawn(page, row.click)
    assert page.locator("header .pinned").is_visible()
    assert "pinned" in page.locator("#attention h3").text_content()
    drawn(page, lambda: page.locator("#attention .row-label").nth(2).click())
    assert page.evaluate("state.t") == 0
    drawn(page, lambda: page.locator("#attention .row-label").nth(1).click())
    drawn(page, lambda: page.keyboard.press("Escape"))
    assert page.evaluate("state.t") == 0
    drawn(page, lambda: page.locator("#attention .row-label").nth(1).click())
    drawn(page, lambda: page.locator("#overview-title").click())  # empty paper
    assert page.evaluate("state.t") == 0


def test_a_tap_needs_no_hover(visit):
    page = visit("translation", "#s=1&a=cross&l=1&h=1", width=390, has_touch=True, is_mobile=True)
    row = page.locator("#attention .row-label").nth(1)
    row.scroll_into_view_if_needed()
    drawn(page, row.tap)
    assert page.evaluate("state.t") == 2
    said = page.locator("#attention .readout").text_content()
    assert "looks at" in said
    drawn(page, lambda: page.locator("[data-key=free]").tap())
    assert page.evaluate("state.t") == 0


# ---- 12, 13: tables, words ---------------------------------------------------------------------


def test_a_readout_is_said_once_for_a_change(visit):
    page = visit("translation", "#s=1&a=cross&l=1&h=1&v=matrix")
    page.evaluate("""() => {
      window.said = [];
      const place = document.querySelector('#attention .readout');
      const keep = () => window.said.push(place.textContent);
      new MutationObserver(keep).observe(place, { childList: true });
    }""")
    picture = page.locator("#attention .matrix canvas")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.move(box["x"] + 7, box["y"] + 6)  # the same cell
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 5)
    page.wait_for_timeout(50)
    said = page.evaluate("window.said")
    assert len(said) == len({*said}) == 2


def test_languages(visit):
    portuguese = visit("translation", locale="pt-BR")
    assert portuguese.get_by_role("heading", name="Atenção", exact=False).first.is_visible()
    assert re.search(r"\d,\d{4}", portuguese.locator("#block").text_content())
    drawn(portuguese, lambda: portuguese.get_by_role("button", name="English").click())
    assert portuguese.get_by_role("heading", name="Overview", exact=False).first.is_visible()
    english = visit("translation")
    assert not re.search(r"\d,\d{4}", english.locator("#block").text_content())


def test_every_word_is_there_in_both_languages(visit):
    page = visit("translation")
    words = page.evaluate("WORDS")
    assert all(len(pair) == 2 and all(pair) for pair in words.values())
    for english, portuguese in words.values():
        names = [sorted(re.findall(r"\{(\w+)\}", text)) for text in (english, portuguese)]
        assert names[0] == names[1], english


# ---- 14: what is not there ---------------------------------------------------------------------


def test_what_is_missing_is_one_sentence(visit):
    assert "No beam" in visit("modern").locator("#generation").text_content()
    assert "each place is guessed" in visit("masked").locator("#generation").text_content()
    bars = visit("classes").locator("#generation .candidates tr")
    assert bars.count() == 3


# ---- 15: kinds of heads ------------------------------------------------------------------------

HANDMADE = """(rows) => {
  const map = mapOf(rows.length, rows[0].length, (t, k) => rows[t][k]);
  return headKind(headNumbers(map, KIND, TOKENS, new Set([rows[0].length - 1]), new Set())).name;
}"""


@pytest.mark.parametrize(
    "kind, weights, name",
    [
        ("self", np.eye(6, k=-1) + np.eye(6)[:, [0]] * np.eye(6)[0], "previous"),
        ("self", np.eye(6, k=1) + np.diag([0, 0, 0, 0, 0, 1]), "next"),
        ("self", np.eye(6), "self"),
        ("self", np.eye(6)[[0] * 6], "first"),
        ("self", np.eye(6)[[5] * 6], "end"),
        ("self", np.full((6, 6), 1 / 6), "broad"),
        ("causal", np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None], "broad"),
        ("cross", np.eye(6)[[2, 0, 1, 4, 3, 2]], "align"),
        ("cross", np.eye(6)[[5] * 6], "end"),
    ],
)
def test_kinds_of_heads(visit, kind, weights, name):
    page = visit("translation")
    weights = 0.98 * weights + 0.02 / 6 * (np.tril(np.ones((6, 6))) if kind == "causal" else 1)
    program = HANDMADE.replace("KIND", json.dumps(kind)).replace("TOKENS", "[...'abcdef']")
    assert page.evaluate(program, weights.tolist()) == name


def test_a_head_that_repeats(visit):
    page = visit("translation")
    weights = np.full((6, 6), 0.02)
    weights[3, 1] = weights[4, 2] = weights[5, 3] = 0.9  # after a, b, c came b, c, a
    weights[:3] = np.tril(np.full((3, 6), 0.3))
    program = HANDMADE.replace("KIND", '"causal"').replace("TOKENS", "[...'abcabc']")
    assert page.evaluate(program, np.tril(weights).tolist()) == "repeat"


# ---- the other sections ------------------------------------------------------------------------


def test_a_neuron_is_that_of_neurons(visit, tasks):
    page = visit("modern", "#f=2")
    task, texts = tasks["modern"], EXAMPLES["modern"]
    [first, *_] = kt.monitoring.neurons(task, texts, "decoder_block_1/feed_forward")
    section = page.locator("#neurons")
    assert section.locator(".stepper b").text_content() == str(first.index)
    value = section.locator(".excites data").first.get_attribute("data-value")
    assert abs(float(value) - first.examples[0][0]) < 1e-3
    pushed = section.locator(".promoted th").all_text_contents()
    assert pushed == [token for token, _ in first.promotes]
    drawn(page, lambda: page.locator("[data-key=n-more]").click())
    assert section.locator(".stepper b").text_content() != str(first.index)
    assert "nothing readable" in visit("translation", "#f=1").locator("#neurons").text_content()


def test_the_slider_over_checkpoints(visit, tasks, files, tmp_path):
    task, example = tasks["translation"], EXAMPLES["translation"][0]
    assert "--keep-checkpoints early" in visit("translation").locator("#training").text_content()
    before = kt.monitoring.attention_of(task, example)
    task.model.save_weights(tmp_path / "early.weights.h5")
    now = task.model.get_weights()
    try:
        task.model.set_weights([1.3 * x for x in now])
        saved = [(8, tmp_path / "early.weights.h5")]
        files["trained"] = kt.monitoring.explore(
            task, [example], tmp_path / "trained.html", checkpoints=saved
        )
        after = kt.monitoring.attention_of(task, example)
    finally:
        task.model.set_weights(now)
    page = visit("trained", "#a=cross&l=1&h=2")
    assert page.locator("#training .film button").count() == 2
    for step, found in ((2, after), (1, before)):
        drawn(page, lambda step=step: page.locator("[data-key=checkpoint]").fill(str(step)))
        expected = next(x for x in found if x.kind == "cross").weights[1]
        shown = page.evaluate(
            "async (c) => { const map = await mapAt(c, layerIndex(), 1);"
            " return Array.from({ length: map.T }, (_, t) => map.row(t)); }",
            step - 1,
        )
        assert np.abs(np.array(shown) - expected).max() < 2e-5
    assert "8" in page.locator("#training .slider").text_content()


@pytest.mark.parametrize("width", [7, 16])
def test_the_map_from_p_to_p_plus_k_is_exact(visit, width):
    page = visit("translation")
    rows = page.evaluate(f"Array.from({{ length: 9 }}, (_, p) => sinusoid(p, {width}))")
    table = kt.layers.sinusoidal_positions.sinusoids(np.arange(9), width)
    assert np.abs(np.array(rows) - np.asarray(table)).max() < 1e-5
    for k in (1, 5):
        assert page.evaluate(f"mapMisses({width}, {k}, 50)") < 1e-5
        whole = np.array(page.evaluate(f"stepMap({width}, {k}).map((row) => Array.from(row))"))
        wrong = np.array(rows)[: 9 - k] @ whole.T - np.array(rows)[k:]
        odd = width // 2 if width % 2 else -1
        assert np.abs(np.delete(wrong, odd, axis=1) if width % 2 else wrong).max() < 1e-5


def test_learned_and_rotary_positions(visit):
    assert "best linear one" in visit("pre_norm").locator("#positions").text_content()
    numbers = (
        visit("modern")
        .locator("#positions data")
        .evaluate_all("all => all.slice(0, 4).map((x) => +x.dataset.value)")
    )
    assert len(numbers) == 4 and max(numbers) - min(numbers) < 1e-6


def test_what_is_carried(visit, tasks):
    page, task = visit("translation", "#s=1&a=cross&l=1&h=2&v=matrix"), tasks["translation"]
    drawn(page, lambda: page.locator("[data-key=option-carried]").check())
    shown = np.array(table_of(page.locator("#attention")))
    reading = read(task, task.inputs(EXAMPLES["translation"][0]))
    block = blocks_of(task.model)["decoder_block_0"]
    own = walk(block, reading.calls[block.path], reading).attentions[1]
    weights = next(x for x in reading.attention if x.layer == own.path).weights[1]
    expected = weights * own.carried[1]
    assert np.allclose(shown, expected / expected.sum(axis=1, keepdims=True), atol=2e-3)


def test_the_masked_place_is_marked(visit):
    page = visit("masked", "#s=1&a=self&l=2&h=1")  # a [MASK] runs and a dog [MASK]
    assert page.locator("#generation mark").text_content() == "<mask>"
    assert page.locator("#overview .shaded .query").text_content() == "<mask>"
    assert page.locator("#attention .row-label").count() == 2
