"""Models that users put together in other ways generate what the plain ones do."""

import keras
import numpy as np
import pytest
import tiny
from keras import layers, ops
from tiny import END, START, VOCABULARY

import keras_transformer as kt
from keras_transformer.generation.anatomy import Anatomy

PROMPTS = [[5, 7, 3, 9], [4], [8, 6]]
SOURCES = [[5, 7, 3, 9, 4], [4], [8, 6, 3]]


def ids_input(name=None):
    return keras.Input((None,), dtype="int32", name=name)


def nested(model):
    inputs = [ids_input(x.name) for x in model.inputs]
    return keras.Model(inputs, model(inputs if len(inputs) > 1 else inputs[0]), name="outer")


def with_inputs(model, order):
    inputs = {name: ids_input(name) for name in order}
    return keras.Model(inputs, model([inputs["source_ids"], inputs["target_ids"]]))


def of_halves(kind):
    """An encoder-decoder of two models, of which one has the layer `memory`, or is it."""
    encoder = keras.Sequential(
        [
            ids_input(),
            kt.PositionalEmbedding(VOCABULARY, 8, mask_zero=True),
            kt.EncoderBlock(2, 16),
        ],
        name="memory" if kind == "encoder" else "first",
    )
    if kind == "inside the encoder":
        encoder.add(layers.Identity(name="memory"))
    target_ids = ids_input()
    memory = keras.Input((None, 8), name="memory" if kind == "input of the decoder" else "given")
    x = kt.PositionalEmbedding(VOCABULARY, 8, mask_zero=True)(target_ids)
    x = kt.DecoderBlock(2, 16)(x, memory)
    decoder = keras.Model([target_ids, memory], layers.Dense(VOCABULARY)(x), name="second")
    source_ids, target_ids = ids_input(), ids_input()
    memory = encoder(source_ids)
    if kind == "between":
        memory = layers.Identity(name="memory")(memory)
    model = keras.Model([target_ids, source_ids], decoder([target_ids, memory]))
    return tiny.randomize(model)


DECODER_ONLY = {
    "sequential": lambda model: keras.Sequential([ids_input(), model]),
    "nested": nested,
    "nested twice": lambda model: nested(nested(model)),
    "dict of inputs": lambda model: keras.Model({"x": (x := ids_input("x"))}, model(x)),
    "floats as ids": lambda model: keras.Model(x := keras.Input((None,)), model(x)),
    "dict of outputs": lambda model: keras.Model(
        model.input, {"hidden": model.get_layer("decoder_block_0").output, "logits": model.output}
    ),
    "dict with one output": lambda model: keras.Model(model.input, {"next": model.output}),
    "list with one output": lambda model: keras.Model(model.input, [model.output]),
}


@pytest.mark.parametrize("kind", DECODER_ONLY)
def test_language_models_however_they_are_wrapped(kind, language_model, tmp_path):
    model = DECODER_ONLY[kind](language_model)
    with tiny.without_tracing():
        expected = kt.Generator(language_model, None, max_new_tokens=6)(PROMPTS)
        for each in (model, tiny.reload(model, tmp_path)):
            generator = kt.Generator(each, None, max_new_tokens=6)
            np.testing.assert_array_equal(generator(PROMPTS), expected)
            with pytest.raises(ValueError, match="Expected ids from 0 to 10"):
                generator([[VOCABULARY]])


ENCODER_DECODER = {
    "nested": nested,
    "nested twice": lambda model: nested(nested(model)),
    "dict of inputs": lambda model: with_inputs(model, ["source_ids", "target_ids"]),
    "dict in another order": lambda model: with_inputs(model, ["target_ids", "source_ids"]),
    "target first": lambda model: keras.Model(model.inputs[::-1], model.output),
    "nested dict": lambda model: nested_dict(with_inputs(model, ["target_ids", "source_ids"])),
    "dict of outputs": lambda model: keras.Model(
        model.inputs, {"logits": model.output, "memory": model.get_layer("memory").output}
    ),
}


def nested_dict(model):
    inputs = {"source_ids": ids_input("a"), "target_ids": ids_input("b")}
    return keras.Model([inputs["target_ids"], inputs["source_ids"]], model(inputs))


@pytest.mark.parametrize("kind", ENCODER_DECODER)
def test_translators_however_they_are_wrapped(kind, translator, tmp_path):
    model = ENCODER_DECODER[kind](translator)
    arguments = {"end_id": None, "start_id": START, "max_new_tokens": 6}
    with tiny.without_tracing():
        expected = kt.Generator(translator, **arguments)(SOURCES)
        for each in (model, tiny.reload(model, tmp_path)):
            np.testing.assert_array_equal(kt.Generator(each, **arguments)(SOURCES), expected)


KINDS = ("encoder", "inside the encoder", "between", "input of the decoder")


@pytest.mark.parametrize("kind", KINDS)
def test_two_models_and_implicit_masks(kind, tmp_path):
    model = of_halves(kind)
    source = np.array([[5, 7, 3], [4, 0, 0]])
    ids = np.full((2, 1), START)
    for _ in range(4):
        logits = model([ops.convert_to_tensor(ids), ops.convert_to_tensor(source)])
        ids = np.concatenate([ids, tiny.numpy(logits)[:, -1:].argmax(-1)], axis=1)
    with tiny.without_tracing():
        generator = kt.Generator(model, None, START, max_new_tokens=4)
        np.testing.assert_array_equal(generator(source), ids[:, 1:])
        pieces = list(generator.stream(source, lambda rows: [" ".join(map(str, r)) for r in rows]))
        texts = [" ".join("".join(row).split()) for row in zip(*pieces, strict=True)]
    assert texts == [" ".join(map(str, row)) for row in ids[:, 1:].tolist()]
    again = tiny.reload(model, tmp_path)  # the graph is as it was
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(tiny.numpy(one), tiny.numpy(other))


def test_the_decoder_runs_without_the_encoder():
    model = nested(of_halves("inside the encoder"))
    anatomy = Anatomy(model)
    assert anatomy.encoder.operations == Anatomy(model.layers[-1]).encoder.operations
    types = [type(x) for x in anatomy.decoder.operations]
    assert kt.EncoderBlock not in types and types.count(keras.Model) <= 1


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
@pytest.mark.parametrize("sampler", ["greedy", kt.generation.BeamSearch(2)])
def test_no_rows(family, sampler, language_model, translator):
    model = language_model if family == "decoder_only" else translator
    with tiny.without_tracing():
        generator = kt.Generator(model, END, START, max_new_tokens=4, sampler=sampler)
        found, scores = generator.n_best(np.zeros((0, 3), int))
        assert found.shape == (0, 1, 7 if family == "decoder_only" else 4)
        assert scores.shape == (0, 1)
        assert generator([]).shape[0] == 0
        if sampler == "greedy":
            assert generator.write([], lambda rows: ["" for _ in rows]) == ([], [])


class Subclass(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, token_ids):
        return self.inner(token_ids)


def test_models_that_are_refused(language_model, translator):
    inputs = language_model.input
    block = language_model.get_layer("decoder_block_0").output
    refused = {
        "a model whose layers are known.*type Subclass": Subclass(language_model),
        "a model whose layers are known.*keras.Input": keras.Sequential([language_model]),
        r"logits \(B, T, V\) as the only": keras.Model(inputs, [language_model.output, block]),
        r"logits \(B, T, V\).*\(None, 8\)": keras.Model(inputs, block[:, 0]),
        "one input of token ids, or": keras.Model(
            [inputs, more := ids_input("more")],
            language_model.output + layers.Embedding(VOCABULARY, VOCABULARY, name="table")(more),
        ),
    }
    for message, model in refused.items():
        with pytest.raises(ValueError, match=message):
            kt.Generator(model, END, START)
    one, other = ids_input(), ids_input()
    memory = layers.Embedding(VOCABULARY, 8, name="memory")(one + other)
    with pytest.raises(ValueError, match="the source as the encoder's only input"):
        logits = layers.Dense(VOCABULARY)(memory + layers.Embedding(VOCABULARY, 8)(inputs))
        kt.Generator(keras.Model([one, other, inputs], logits), END, START)
    twice = nested(translator)
    two = keras.Model(twice.inputs, twice.output + translator(twice.inputs[::-1]))
    with pytest.raises(ValueError, match=r"one layer named 'memory', called once.*calls=2"):
        kt.Generator(two, END, START)


def decoder_with(layer):
    ids = ids_input()
    x = kt.PositionalEmbedding(VOCABULARY, 8)(ids)
    return keras.Model(ids, layers.Dense(VOCABULARY)(kt.DecoderBlock(2, 16)(layer(x))))


class Custom(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.MultiHeadAttention(2, 4)

    def call(self, x):
        return self.inner(x, x, use_causal_mask=True)


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
        lambda x: layers.GroupQueryAttention(4, 2, 1)(x, x, use_causal_mask=True),
        lambda x: layers.Attention()([x, x], use_causal_mask=True),
        lambda x: layers.AdditiveAttention()([x, x], use_causal_mask=True),
        lambda x: layers.LSTM(8, return_sequences=True)(x),
        lambda x: layers.Conv1D(8, 3, padding="causal")(x),
        lambda x: layers.AveragePooling1D(2, 1, padding="same")(x),
        lambda x: Custom()(x),
        lambda x: layers.Lambda(lambda y: y + ops.mean(y, axis=1, keepdims=True))(x),
        lambda x: ops.cumsum(x, axis=1),
        lambda x: kt.EncoderBlock(2, 16)(kt.EncoderBlock(2, 16)(x)),
        lambda x: kt.MultiHeadSelfAttention(2)(kt.MultiHeadSelfAttention(2)(x)),
        lambda x: keras.Sequential([keras.Input((None, 8)), Custom()])(x),
    ],
)
def test_layers_that_know_no_cache_are_refused_in_a_decoder(layer):
    with pytest.raises(ValueError, match="Expected a decoder of layers that go token by token"):
        kt.Generator(tiny.randomize(decoder_with(layer)), END)


def test_what_goes_token_by_token_is_accepted():
    def layer(x):
        x = kt.EncoderBlock(2, 16)(x, attention_mask=kt.CausalMask()(x))
        x = kt.MultiHeadSelfAttention(2)(x, attention_mask=kt.CausalMask()(x))
        x = layers.Conv1D(8, 1)(x)  # a linear map, as GPT-2 was written
        x = layers.Lambda(lambda y: 2 * y)(x)
        return layers.TimeDistributed(layers.Dense(8))(layers.LayerNormalization()(x))

    model = tiny.randomize(decoder_with(layer))
    assert kt.Generator(model, None, max_new_tokens=3)([[3, 4]]).shape == (1, 5)


def test_an_encoder_may_have_any_layers_and_a_decoder_may_look_at_its_memory_by_any():
    source_ids, target_ids = ids_input(), ids_input()
    x = layers.Embedding(VOCABULARY, 8)(source_ids)
    x = layers.Conv1D(8, 3, padding="same")(
        layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
    )
    memory = layers.Identity(name="memory")(layers.MultiHeadAttention(2, 4)(x, x))
    x = kt.PositionalEmbedding(VOCABULARY, 8)(target_ids)
    x = kt.DecoderBlock(2, 16)(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, memory) + layers.Attention()([x, memory])
    model = tiny.randomize(keras.Model([source_ids, target_ids], layers.Dense(VOCABULARY)(x)))
    source, ids = np.array([[3, 4, 5], [6, 7, 8]]), np.full((2, 1), START)
    for _ in range(4):
        logits = model([ops.convert_to_tensor(source), ops.convert_to_tensor(ids)])
        ids = np.concatenate([ids, tiny.numpy(logits)[:, -1:].argmax(-1)], axis=1)
    found = kt.Generator(model, None, START, max_new_tokens=4)(source)
    np.testing.assert_array_equal(found, ids[:, 1:])
