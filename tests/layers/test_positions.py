"""Token tables and positions."""

import keras
import numpy as np
import pytest
from tiny import BACKEND, numpy, random_array, reload

import keras_transformer as kt
from keras_transformer.layers.sinusoidal_positions import sinusoids

V, D, T = 11, 8, 6
IDS = np.array([[3, 4, 5, 6, 7, 0], [9, 9, 1, 2, 0, 0]])


def test_a_sinusoid_further_on_is_a_linear_map_of_the_one_here():
    table = numpy(sinusoids(np.arange(60), D))
    frequency = np.arctan2(table[1, : D // 2], table[1, D // 2 :])
    for distance in (1, 7, 30):
        cos, sin = np.diag(np.cos(distance * frequency)), np.diag(np.sin(distance * frequency))
        linear = np.block([[cos, -sin], [sin, cos]])  # the same for every position
        np.testing.assert_allclose(table[:-distance] @ linear, table[distance:], atol=1e-4)


def test_sinusoids_are_the_papers():
    table = numpy(sinusoids(np.arange(50), D))
    frequency = 10000.0 ** -(np.arange(0, D, 2) / D)
    angle = np.arange(50)[:, None] * frequency
    np.testing.assert_allclose(table, np.hstack([np.sin(angle), np.cos(angle)]), atol=1e-5)
    assert numpy(sinusoids(np.arange(3), 7)).shape == (3, 7)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", None])
@pytest.mark.parametrize("scale", [True, False])
def test_tokens_plus_positions(kind, scale):
    layer = kt.PositionalEmbedding(V, D, 16, position=kind, scale_embedding=scale)
    x = numpy(layer(IDS))
    tokens = numpy(layer.embeddings)[IDS] * (D**0.5 if scale else 1)
    positions = {
        "sinusoidal": lambda: numpy(sinusoids(np.arange(T), D)),
        "learned": lambda: numpy(layer.add_positions.embeddings)[:T],
        None: lambda: 0,
    }[kind]()
    np.testing.assert_allclose(x, tokens + positions, atol=1e-6)


def test_both_tables_start_different():
    layer = kt.PositionalEmbedding(V, D, V, position="learned", embeddings_initializer="uniform")
    layer(IDS)
    assert not np.allclose(numpy(layer.embeddings), numpy(layer.add_positions.embeddings))


def test_tied_logits_use_the_one_table():
    layer = kt.PositionalEmbedding(V, D)
    x = layer(IDS)
    logits = numpy(layer(x, reverse=True))
    np.testing.assert_allclose(logits, numpy(x) @ numpy(layer.embeddings).T, atol=1e-5)
    assert [tuple(w.shape) for w in layer.weights] == [(V, D)]
    assert layer.count_params() == V * D


def test_mask_zero_marks_padding():
    x = kt.PositionalEmbedding(V, D, mask_zero=True)(IDS)
    np.testing.assert_array_equal(numpy(keras.src.backend.get_keras_mask(x)), IDS != 0)
    x = kt.PositionalEmbedding(V, D)(IDS)
    assert keras.src.backend.get_keras_mask(x) is None


def test_sinusoids_have_no_limit_and_the_learned_table_has():
    ids = np.ones((1, 9), "int32")
    assert tuple(kt.PositionalEmbedding(V, D, 8)(ids).shape) == (1, 9, D)
    learned = kt.PositionalEmbedding(V, D, 8, position="learned")
    assert tuple(learned(ids[:, :8]).shape) == (1, 8, D)
    with pytest.raises(ValueError, match=r"at most max_sequence_length=8 tokens.*length=9"):
        learned(ids)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("call", ["predict", "evaluate", "fit"])
def test_the_table_ends_in_compiled_programs_of_any_length_too(call, jit_compile):
    token_ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(9, 4, max_sequence_length=16, position="learned")(token_ids)
    model = keras.Model(token_ids, x)
    model.compile("sgd", "mse", jit_compile=jit_compile and keras.backend.backend() != "torch")

    def run(length):
        ids, y = np.ones((2, length), "int32"), np.ones((2, length, 4))
        getattr(model, call)(*[ids] if call == "predict" else [ids, y], verbose=0)

    for length in (8, 16, 7):
        run(length)
    with pytest.raises(Exception, match=r"xpected.sequences.of.at.most.max_sequence_length.16"):
        run(17)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"position": "rotary"}, "position to be one of .*position='rotary'"),
        ({"vocabulary_size": 0}, "positive sizes.*vocabulary_size=0"),
        ({"hidden_dim": -1}, "positive sizes.*hidden_dim=-1"),
        ({"max_sequence_length": 0}, "positive sizes.*max_sequence_length=0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        kt.PositionalEmbedding(**{"vocabulary_size": V, "hidden_dim": D, **arguments})


@pytest.mark.parametrize("base", [10000, 100.0])
def test_rotary_scores_depend_on_the_distance_alone(base):
    query, key = random_array(D, seed=1), random_array(D, seed=2)
    rotate = kt.RotaryEmbedding(base)

    def everywhere(vector):
        return numpy(rotate(np.tile(vector, (1, 20, 1, 1))))[0, :, 0]  # (positions, D)

    scores = everywhere(query) @ everywhere(key).T
    for distance in range(-19, 20):
        diagonal = np.diagonal(scores, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-4)
    assert np.ptp(scores[0]) > 0.5  # and they do depend on it
    np.testing.assert_allclose(scores[0, 0], query @ key, atol=1e-5)


def test_rotary_turns_pairs_by_the_papers_angles():
    x = np.zeros((1, 5, 1, D), "float32")
    x[..., : D // 2] = 1
    y = numpy(kt.RotaryEmbedding(100.0)(x))[0, :, 0]
    angle = np.arange(5)[:, None] * 100.0 ** (-2 * np.arange(D // 2) / D)
    np.testing.assert_allclose(y, np.hstack([np.cos(angle), np.sin(angle)]), atol=1e-6)


def test_rotary_needs_an_even_head():
    with pytest.raises(ValueError, match=r"Expected an even head size.*key_dim=5"):
        kt.RotaryEmbedding()(np.ones((1, 2, 1, 5)))


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_positions_may_be_given(kind):
    layer = kt.PositionalEmbedding(V, D, 16, position=kind)
    positions = np.array([[0, 1, 2, 0, 1, 2], [7, 7, 0, 15, 2, 3]])
    x = numpy(layer(IDS, positions=positions))
    for row, column in np.ndindex(positions.shape):
        length = positions[row, column] + 1
        alone = numpy(layer(np.full((1, length), IDS[row, column])))[0, -1]
        np.testing.assert_allclose(x[row, column], alone, atol=1e-6)
    counted = numpy(layer(IDS, positions=np.tile(np.arange(T), (2, 1))))
    np.testing.assert_array_equal(counted, numpy(layer(IDS)))


LARGE = np.array([[257, 2049, 2051, 2999, 0], [2998, 4, 300, 1, 0]])  # half precision rounds them
POLICIES = pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])


def float32(x):
    return numpy(keras.ops.cast(x, "float32"))


@POLICIES
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint32", "int64", "float32", "float64"])
def test_large_ids_and_positions_are_exact(policy, dtype):
    layer = kt.PositionalEmbedding(3000, D, 3000, position="learned", mask_zero=True, dtype=policy)
    expected = float32(layer(LARGE, positions=LARGE))
    table, places = numpy(layer.embeddings), numpy(layer.add_positions.embeddings)
    np.testing.assert_allclose(expected, table[LARGE] + places[LARGE], atol=0.02)
    ids = LARGE.astype(dtype)
    found = layer(ids, positions=ids)
    np.testing.assert_array_equal(float32(found), expected)
    np.testing.assert_array_equal(numpy(keras.src.backend.get_keras_mask(found)), LARGE != 0)
    x = random_array(2, 3000, D)
    for taker in (kt.MultiHeadSelfAttention(2, dtype=policy), kt.EncoderBlock(2, 4, dtype=policy)):
        found, expected = taker(x, positions=ids), taker(x, positions=LARGE)
        np.testing.assert_array_equal(float32(found), float32(expected))
        assert found.dtype == expected.dtype


@POLICIES
def test_a_sequential_model_may_begin_with_the_embedding(policy):
    keras.config.set_dtype_policy(policy)
    try:
        embedding, last = kt.PositionalEmbedding(3000, D), keras.layers.Dense(2)
        pooling = keras.layers.GlobalAveragePooling1D()
        model = keras.Sequential([embedding, kt.EncoderBlock(2, 16), pooling, last])
        first = keras.Sequential([embedding])
        for dtype in ("uint16", "int64", "float32"):
            expected = float32(embedding(LARGE))
            np.testing.assert_array_equal(float32(first(LARGE.astype(dtype))), expected)
        model.compile("sgd", "mse")
        model.fit(LARGE, np.ones((2, 2)), verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert embedding.activation_dtype == policy.removeprefix("mixed_")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """What a user writes: Keras knows the shapes of its inputs and thinks of them as floats."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = kt.PositionalEmbedding(3000, D, position="learned", mask_zero=True)
        self.lines = kt.layers.PackedLines(300)
        self.encoder, self.decoder = kt.EncoderBlock(2, 16), kt.DecoderBlock(2, 16)
        self.head = kt.layers.MaskedLMHead()

    def call(self, inputs):
        positions, attention_mask = self.lines(inputs["source"])
        x = self.embedding(inputs["source"], positions=positions)
        memory = self.encoder(x, attention_mask=attention_mask, wanted=inputs["wanted"])
        x = self.decoder(self.embedding(inputs["target"]), memory)
        return self.embedding(self.head(x), reverse=True)


INPUTS = {"source": LARGE, "target": LARGE[:, :3], "wanted": np.array([[3, 1], [0, 4]])}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_subclassed_model_is_the_same_after_a_keras_file(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = Subclassed()
        expected = float32(model(INPUTS))
        again = reload(model, tmp_path)
        np.testing.assert_array_equal(float32(again(INPUTS)), expected)
        np.testing.assert_array_equal(
            again.predict(INPUTS, verbose=0), model.predict(INPUTS, verbose=0)
        )
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.skipif(BACKEND == "torch", reason="Keras exports SavedModels from the others")
def test_a_subclassed_model_is_exported(tmp_path):
    import tensorflow as tf

    model = Subclassed()
    expected = float32(model(INPUTS))
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    found = exported.serve({name: tf.cast(ids, "float32") for name, ids in INPUTS.items()})
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)
