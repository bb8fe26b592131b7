"""Greedy generation with a cache is the argmax loop without one, for every model and row."""

import keras
import numpy as np
import pytest
import tiny
from tiny import END, PAD, START, greedy_by_hand, padded, random_ids

import keras_transformer as kt
from keras_transformer.backend import compiling
from keras_transformer.backend.xla import in_xla
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenTokens,
    RandomSampler,
    TopK,
    cache,
    programs,
    room,
)

NEW = 6
PROMPTS = [[5, 7, 3, 9], [4], [8, 6]]
SOURCES = [[5, 7, 3, 9, 4], [4], [8, 6, 3]]


def continuations(model, prompts=PROMPTS, new=NEW, end_id=None):
    """What the generator must give, one row alone at a time."""
    rows = [[*prompt, *greedy_by_hand(model, prompt, new, end_id)] for prompt in prompts]
    return padded(rows, max(map(len, prompts)) + new)


def translations(model, sources=SOURCES, new=NEW, end_id=None):
    rows = [greedy_by_hand(model, [START], new, end_id, source) for source in sources]
    return padded(rows, new)


@pytest.mark.parametrize("name", [*tiny.ARCHITECTURES, "by_hand", "by_hand_implicit_mask"])
def test_greedy_is_the_argmax_loop_for_every_row_of_a_ragged_batch(name):
    if name in tiny.ARCHITECTURES:
        model = tiny.make_talkative("decoder_only", name)
    else:
        model = tiny.language_model_by_hand(mask_zero="implicit" in name)
    expected = continuations(model)
    assert len(np.unique(expected)) > 4
    with tiny.without_tracing():
        found = kt.Generator(model, end_id=None, max_new_tokens=NEW)(PROMPTS)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [*tiny.ARCHITECTURES, "by_hand", "by_hand_implicit_mask"])
def test_greedy_translation_is_the_argmax_loop_for_every_row(name):
    if name in tiny.ARCHITECTURES:
        model = tiny.make_talkative("encoder_decoder", name)
    else:
        model = tiny.translator_by_hand(mask_zero="implicit" in name)
    # Without any mask, rows can only be as alone when none is padded.
    sources = [row[:1] for row in SOURCES] if name == "by_hand" else SOURCES
    expected = translations(model, sources)
    with tiny.without_tracing():
        generator = kt.Generator(model, end_id=None, start_id=START, max_new_tokens=NEW)
        np.testing.assert_array_equal(generator(sources), expected)


@pytest.mark.parametrize("sampler", ["greedy", BeamSearch(3, n_best=3)], ids=["greedy", "beams"])
@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
def test_a_window_bounds_the_cache_and_changes_nothing(family, sampler):
    """The entries of a cache are as many for 6 new tokens as for 12, and as a window holds."""
    model = tiny.make_talkative(family, "window")
    start = {"start_id": START} if family == "encoder_decoder" else {}
    width = 1 if sampler == "greedy" else sampler.width
    sizes, append = [], kt.CacheScope.append

    def counted(scope, path, *tensors):
        entries = append(scope, path, *tensors)
        sizes.extend(x.shape[2] for x in scope.past[f"{path}#0"])
        return entries

    with tiny.without_tracing(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(kt.CacheScope, "append", counted)
        for new in (6, 12):
            sizes.clear()
            # Padding within a row would leave tokens with nothing to look at.
            arguments = {"sampler": sampler, "rules": [ForbiddenTokens([PAD])], **start}
            generator = kt.Generator(model, None, max_new_tokens=new, **arguments)
            rows, scores = generator.n_best(PROMPTS)
            assert set(sizes) == {3 * width}  # the window of 3, for each hypothesis
        sizes.clear()
        generator = kt.Generator(model, None, max_new_tokens=12, **arguments)
        generator.anatomy.window = None  # before anything is compiled
        expected_rows, expected_scores = generator.n_best(PROMPTS)
        prompt = 1 if start else max(map(len, PROMPTS)) - 1
        assert min(size for size in sizes if size != prompt) > 10
    np.testing.assert_array_equal(rows[:, 0], expected_rows[:, 0])  # later ones may be ties
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)


@pytest.mark.skipif(tiny.BACKEND == "jax", reason="a program of JAX has a cache of one size")
@pytest.mark.parametrize("sampler", ["greedy", BeamSearch(3, n_best=3)], ids=["greedy", "beams"])
@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
def test_a_cache_has_room_for_some_tokens_ahead_and_no_more(family, sampler, monkeypatch):
    model, new = tiny.make_talkative(family), 8
    start = {"start_id": START} if family == "encoder_decoder" else {}
    width = 1 if sampler == "greedy" else sampler.width
    monkeypatch.setattr(room, "compiles", lambda: False)  # which rounds prompts up
    before = 0 if family == "encoder_decoder" else max(map(len, PROMPTS)) - 1
    sizes, append, found = [], kt.CacheScope.append, []

    def measured(scope, *args):
        entries = append(scope, *args)
        sizes.append(entries[0].shape[2])
        return entries

    monkeypatch.setattr(kt.CacheScope, "append", measured)
    monkeypatch.setattr(compiling, "is_faster_by_xla", lambda model: False)
    for block in (16, 4):
        sizes.clear()
        monkeypatch.setattr(cache, "BLOCK", block)
        with tiny.run_eagerly():
            generator = kt.Generator(model, None, max_new_tokens=new, sampler=sampler, **start)
            found.append(generator.n_best(PROMPTS))
    assert set(sizes) == {max(before, 1), before + 4 * width, before + 8 * width}
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-4)
    generator = kt.Generator(model, None, max_new_tokens=new, sampler=sampler, **start)
    np.testing.assert_array_equal(generator.n_best(PROMPTS)[0], found[0][0])  # compiled
    if sampler == "greedy":
        pieces = generator.stream(PROMPTS, lambda rows: ["".join(map(chr, row)) for row in rows])
        texts = ["".join(row) for row in zip(*pieces, strict=True)]
        new_tokens = found[0][0][0, 0, -new:] if start else found[0][0][0, 0][len(PROMPTS[0]) :]
        assert texts[0] == "".join(map(chr, new_tokens[:new]))


@pytest.mark.skipif(tiny.BACKEND != "tensorflow", reason="only TensorFlow may do without XLA")
def test_float32_is_compiled_by_xla_and_half_precision_is_not(precision, monkeypatch):
    model, seen, append = tiny.make("decoder_only"), [], kt.CacheScope.append
    monkeypatch.setattr(
        kt.CacheScope, "append", lambda *args: seen.append(in_xla()) or append(*args)
    )
    generator = kt.Generator(model, end_id=None, max_new_tokens=2)
    generator(PROMPTS)
    assert len("".join(piece for [piece] in generator.stream([[5]], lambda rows: map(str, rows))))
    assert set(seen) == {precision == "float32"}
    assert not in_xla()


def test_a_layer_without_a_window_needs_everything():
    assert kt.Generator(tiny.make("decoder_only", "window"), None).anatomy.window == 3
    assert kt.Generator(tiny.make("decoder_only"), None).anatomy.window is None
    assert (
        kt.Generator(tiny.language_model_by_hand(), None).anatomy.window is None
    )  # one of its two masks


def test_compiled_and_reloaded(language_model, translator, tmp_path):
    """And once more compiled, on models from files, with arrays in place of lists."""
    model = tiny.reload(tiny.language_model_by_hand(), tmp_path)
    generator = kt.Generator(model, end_id=None, max_new_tokens=NEW)
    expected = continuations(model)
    for _ in range(2):  # the second call is compiled already
        np.testing.assert_array_equal(generator(padded(PROMPTS, 4)), expected)
    found = generator(PROMPTS[:1])  # and another shape
    np.testing.assert_array_equal(found, expected[:1])
    assert found.dtype == np.int32

    model = tiny.reload(tiny.translator_by_hand(), tmp_path)
    generator = kt.Generator(model, end_id=None, start_id=START, max_new_tokens=NEW)
    expected = translations(model)
    for _ in range(2):
        np.testing.assert_array_equal(generator(padded(SOURCES, 5)), expected)


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
@pytest.mark.parametrize("new", [7, None])
@pytest.mark.parametrize(
    "sampler",
    [lambda: "greedy", lambda: BeamSearch(3, n_best=2), lambda: RandomSampler(seed=1, samples=2)],
    ids=["greedy", "beams", "samples"],
)
def test_rounding_shapes_up_changes_nothing(family, new, sampler, monkeypatch):
    model = tiny.make_talkative(family, "pre_norm_learned", max_sequence_length=45)
    context = 7 if family == "encoder_decoder" and new is None else None
    batch = PROMPTS if new else [[8] * 33, [4] * 40, [*range(3, 10)] * 5]
    found = []
    for rounds in (True, False):
        monkeypatch.setattr(room, "compiles", lambda rounds=rounds: rounds)
        generator = kt.Generator(model, END, START, None, new, sampler(), context=context)
        with tiny.without_tracing():
            for prompts in (batch, batch[:1], [[4] * 35, [5] * 39]):
                found.append([*generator.n_best(prompts)])
            if sampler() == "greedy":
                found.append([*generator.write(batch, lambda rows: [repr(r) for r in rows])])
    count = len(found) // 2
    for one, other in zip(found[:count], found[count:], strict=True):
        assert np.shape(one[0]) == np.shape(other[0])
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_allclose(one[1], other[1], atol=1e-4)


@pytest.mark.skipif(not compiling.compiles(), reason="PyTorch compiles nothing")
@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
@pytest.mark.parametrize("new", [3, None])
def test_programs_are_few_whatever_the_prompts_and_batches(family, new, monkeypatch):
    model = tiny.make(family, "pre_norm_learned", max_sequence_length=300)
    shapes = set()

    def program(ids, lengths, random, count, steps):
        shapes.add((ids.shape, lengths.shape, random.shape, steps))
        assert ids.shape[1] <= 300 and len(random) == steps >= count
        return np.zeros((len(ids), 1, steps), "int32"), np.zeros((len(ids), 1))

    monkeypatch.setattr(programs, "compile_for", lambda model, function, static: program)
    generator = kt.Generator(model, END, START, max_new_tokens=new)
    rng = np.random.default_rng(0)
    for _ in range(300):
        batch, length = rng.integers(1, 17), rng.integers(1, 257)
        assert len(generator(np.full((batch, length), 3))) == batch
    assert len(shapes) == 16


@pytest.mark.skipif(not compiling.compiles(), reason="PyTorch compiles nothing")
def test_a_stream_beyond_the_context_has_few_programs():
    model = tiny.make("decoder_only", "pre_norm_learned", max_sequence_length=80)
    generator = kt.Generator(model, END, START, max_new_tokens=200)
    shapes = [generator.room.shape(1, length) for length in range(1, 81)]
    assert len(set(shapes)) == 3
    for length, (_, filled, steps) in enumerate(shapes, 1):
        assert 80 >= filled >= length and steps >= 81 - length


def test_sources_of_layers_put_together_keep_their_length():
    """Nobody knows whether their padding is hidden."""
    for model, length in ((tiny.translator_by_hand(), 5), (tiny.make("encoder_decoder"), 32)):
        generator = kt.Generator(model, END, START, max_new_tokens=2)
        assert generator.room.shape(1, 5) == (1, length if compiling.compiles() else 5, 2)


def test_after_the_end_there_is_only_padding(language_model, translator):
    endless = continuations(language_model)
    end = int(endless[0, len(PROMPTS[0]) + 2])  # so the first row ends within the loop
    expected = continuations(language_model, end_id=end)
    assert (expected[0] == PAD).any() and not np.array_equal(expected, endless)
    with tiny.without_tracing():
        generator = kt.Generator(language_model, end, max_new_tokens=NEW)
        np.testing.assert_array_equal(generator(PROMPTS), expected)
        generator = kt.Generator(language_model, end, pad_id=10, max_new_tokens=NEW)
        rows = generator(PROMPTS)  # whatever the padding is
    expected = [
        [*row[: len(p)], *greedy_by_hand(language_model, p, NEW, end)]
        for row, p in zip(expected.tolist(), PROMPTS, strict=True)
    ]
    np.testing.assert_array_equal(rows, padded(expected, 4 + NEW, pad_id=10))

    end = int(translations(translator)[1, 1])
    expected = translations(translator, end_id=end)
    with tiny.without_tracing():
        generator = kt.Generator(translator, end, START, max_new_tokens=NEW)
        np.testing.assert_array_equal(generator(SOURCES), expected)


def test_any_of_several_ends_ends_a_row(language_model):
    endless = continuations(language_model)
    new = [row[len(p) : len(p) + NEW] for row, p in zip(endless.tolist(), PROMPTS, strict=True)]
    ends = [new[0][2], new[1][3]]
    assert ends[0] != ends[1]
    expected = []
    for prompt, tokens in zip(PROMPTS, new, strict=True):
        stop = next((i for i, token in enumerate(tokens, 1) if token in ends), NEW)
        expected.append([*prompt, *tokens[:stop]])
    with tiny.without_tracing():
        found = kt.Generator(language_model, ends, max_new_tokens=NEW)(PROMPTS)
        rows = kt.Generator(language_model, ends, max_new_tokens=NEW).stream(
            PROMPTS, lambda rows: ["".join(f" {token}" for token in row) for row in rows]
        )
        texts = ["".join(row) for row in zip(*rows, strict=True)]
    np.testing.assert_array_equal(found, padded(expected, 4 + NEW))
    lengths = [len(row) - len(prompt) for row, prompt in zip(expected, PROMPTS, strict=True)]
    assert [len(text.split()) for text in texts] == lengths


def test_as_many_new_tokens_as_fit(language_model, translator):
    prompts = [np.array(row) for row in PROMPTS]  # a list of arrays
    with tiny.without_tracing():
        generator = kt.Generator(language_model, None, max_new_tokens=None, context=7)
        np.testing.assert_array_equal(generator(prompts), continuations(language_model, new=4))
        assert generator(prompts[1:2]).shape == (1, 8)  # the last token is never read
        with pytest.raises(ValueError, match="fit the context of 7"):
            generator([[3] * 8])
        pieces = generator.stream([[3] * 5], lambda rows: ["x" * len(row) for row in rows])
        assert len("".join(piece for [piece] in pieces)) == 3
        generator = kt.Generator(translator, None, START, max_new_tokens=None, context=5)
        np.testing.assert_array_equal(generator(SOURCES), translations(translator, new=5))


@pytest.mark.parametrize("sampler", ["greedy", RandomSampler(seed=1), BeamSearch(2)])
def test_without_an_end_every_token_is_generated(language_model, sampler):
    with tiny.without_tracing():
        generator = kt.Generator(
            language_model, None, pad_id=-7, max_new_tokens=NEW, sampler=sampler
        )
        found = generator([PROMPTS[0]])
    assert found.shape == (1, 4 + NEW) and (found != -7).all()


@pytest.mark.parametrize("sampler", ["greedy", BeamSearch(3), RandomSampler()])
def test_one_new_token_for_one_row(language_model, translator, sampler):
    with tiny.without_tracing():
        one = {"max_new_tokens": 1, "sampler": sampler, "rules": [TopK(1)]}
        found = kt.Generator(language_model, None, **one)([PROMPTS[0]])
        np.testing.assert_array_equal(found, continuations(language_model, PROMPTS[:1], new=1))
        found = kt.Generator(translator, None, START, **one)([SOURCES[0]])
        np.testing.assert_array_equal(found, translations(translator, SOURCES[:1], new=1))


def test_scores_are_log_probabilities_up_to_the_end(language_model):
    end = int(continuations(language_model)[0, len(PROMPTS[0]) + 2])
    with tiny.without_tracing():
        generator = kt.Generator(language_model, end, max_new_tokens=NEW)
        rows, scores = generator.n_best(PROMPTS)
    lengths = set()
    for prompt, row, score in zip(PROMPTS, rows[:, 0].tolist(), scores[:, 0], strict=True):
        start = len(prompt)
        stop = row.index(end, start) + 1 if end in row[start:] else start + NEW
        logp = tiny.log_probabilities(language_model, [row[:stop]])[0]
        expected = sum(logp[i - 1, row[i]] for i in range(start, stop))
        np.testing.assert_allclose(score, expected, atol=1e-4)
        lengths.add(stop - start)
    assert len(lengths) > 1  # some end before others, whose steps must not count for them


def test_training_after_compilation_is_seen():
    model = tiny.make_talkative("decoder_only")
    generator = kt.Generator(model, None, max_new_tokens=NEW)
    before = generator(PROMPTS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss)
    model.fit(random_ids(4, 5), random_ids(4, 5, seed=1), verbose=0)
    after = generator(PROMPTS)
    np.testing.assert_array_equal(after, continuations(model))
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("sampler", ["greedy", BeamSearch(3)])
def test_the_encoder_runs_once_and_the_memory_is_projected_once(sampler):
    model, calls = tiny.make_talkative("encoder_decoder"), []

    def count(layer, name):
        def counted(x, *others, function=layer.project):
            calls.append((name, tuple(x.shape)))
            return function(x, *others)

        layer.project = counted

    count(model.get_layer("encoder_block_0").self_attention, "encoder")
    count(model.get_layer("decoder_block_0").cross_attention, "memory")
    count(model.get_layer("decoder_block_0").self_attention, "decoder")
    with tiny.run_eagerly():
        kt.Generator(model, None, START, max_new_tokens=4, sampler=sampler)(SOURCES)
    width = 3 if sampler != "greedy" else 1
    rows, length = (4, 32) if compiling.compiles() else (3, 5)
    assert [c for c in calls if c[0] != "decoder"] == [
        ("encoder", (rows, length, 8)),
        ("memory", (rows, length, 8)),  # not repeated for each hypothesis
    ]
    decoded = [shape for name, shape in calls if name == "decoder"]
    # Only new tokens go in, after one for the memory alone.
    assert decoded == [(rows, 1, 8)] + [(rows, width, 8)] * 4


@pytest.mark.parametrize("beams", [None, 2])
def test_a_learned_table_is_used_to_its_end_and_no_further(beams):
    sampler = BeamSearch(beams) if beams else "greedy"
    model = tiny.make_talkative("decoder_only", "pre_norm_learned", max_sequence_length=6)
    with tiny.without_tracing():
        generator = kt.Generator(model, None, max_new_tokens=4, sampler=sampler)
        assert generator([[3, 4, 5]]).shape == (1, 7)  # the last new token is never read
        with pytest.raises(ValueError, match=r"fit the context of 6\..*tokens=7"):
            generator([[3, 4, 5, 6]])
        model = tiny.make_talkative("encoder_decoder", "pre_norm_learned", max_sequence_length=6)
        arguments = {"end_id": None, "start_id": START, "sampler": sampler}
        assert kt.Generator(model, max_new_tokens=6, **arguments)([[3, 4]]).shape == (1, 6)
        with pytest.raises(ValueError, match=r"fit the context of 6\..*tokens=7"):
            kt.Generator(model, max_new_tokens=7, **arguments)([[3, 4]])


def test_only_the_decoders_table_limits_new_tokens():
    source_ids, target_ids = (keras.Input((None,), dtype="int32") for _ in range(2))
    x = kt.PositionalEmbedding(11, 8, max_sequence_length=3, position="learned")(source_ids)
    memory = keras.layers.Identity(name="memory")(x)
    embedding = kt.PositionalEmbedding(11, 8, max_sequence_length=8, position="learned")
    x = kt.DecoderBlock(2, 16)(embedding(target_ids), memory)
    model = keras.Model([source_ids, target_ids], embedding(x, reverse=True))
    with tiny.without_tracing():
        found = kt.Generator(model, None, START, max_new_tokens=8)([[3, 4, 5]])
    assert found.shape == (1, 8)


def test_errors(language_model, translator):
    with pytest.raises(ValueError, match=r"Expected a start_id for an encoder-decoder"):
        kt.Generator(translator, END)
    with pytest.raises(ValueError, match=r"Expected max_new_tokens to be positive.*=0"):
        kt.Generator(language_model, END, max_new_tokens=0)
    with pytest.raises(ValueError, match=r"Expected max_new_tokens or a context.*context=None"):
        kt.Generator(language_model, END, max_new_tokens=None)
    with pytest.raises(ValueError, match=r"Expected sampler to be .*sampler='best'"):
        kt.Generator(language_model, END, sampler="best")
    generator = kt.Generator(language_model, END)
    for empty in ([[5, 6], []], [[]], np.zeros((2, 3), int)):
        with pytest.raises(ValueError, match="Expected prompts of at least one token"):
            generator(empty)
    with pytest.raises(ValueError, match=r"Expected ids of shape \(B, T\).*shape=\(3,\)"):
        generator(np.array([3, 4, 5]))
    with pytest.raises(ValueError, match=r"Expected a list of rows.*ids=\[5, 7\]"):
        generator([5, 7])
    with pytest.raises(ValueError, match=r"Expected context to be positive or None.*context=0"):
        kt.Generator(language_model, END, context=0)


def test_a_context_is_never_more_than_the_learned_table():
    model = tiny.make("decoder_only", "pre_norm_learned", max_sequence_length=6)
    assert kt.Generator(model, END, context=20).context == 6
    assert kt.Generator(model, END, context=4).context == 4
