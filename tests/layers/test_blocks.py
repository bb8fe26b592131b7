"""Blocks: order of norms, masks of both kinds, permutations."""

import keras
import numpy as np
import pytest
import tiny
from tiny import numpy, random_array, randomize

import keras_transformer as kt

B, T, S, D = 2, 5, 7, 8
X, MEMORY = random_array(B, T, D), random_array(B, S, D, seed=1)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
MEMORY_MASK = np.arange(S) < np.array([[S], [3]])


def with_mask(x, mask):
    x = keras.ops.convert_to_tensor(x)
    keras.src.backend.set_keras_mask(x, keras.ops.convert_to_tensor(mask))
    return x


def implicit_mask(x):
    mask = keras.src.backend.get_keras_mask(x)
    return None if mask is None else numpy(mask)


def block(layer_class, *inputs, **kwargs):
    layer = layer_class(2, 16, **kwargs)
    layer.build(*(x.shape for x in inputs))
    return randomize(layer)


@pytest.mark.parametrize("normalize_first", [True, False])
def test_the_order_of_norm_sublayer_and_residual(normalize_first):
    layer = block(kt.DecoderBlock, X, MEMORY, normalize_first=normalize_first)
    x = keras.ops.convert_to_tensor(X)
    causal = np.tril(np.ones((1, T, T), bool))
    for sublayer, norm in (
        (lambda x: layer.self_attention(x, attention_mask=causal), layer.self_attention_norm),
        (lambda x: layer.cross_attention(x, MEMORY), layer.cross_attention_norm),
        (layer.feed_forward, layer.feed_forward_norm),
    ):
        x = x + sublayer(norm(x)) if normalize_first else norm(x + sublayer(x))
    np.testing.assert_allclose(numpy(layer(X, MEMORY)), numpy(x), atol=1e-5)


@pytest.mark.parametrize("gated", [True, False])
def test_feed_forward_is_two_maps_and_a_nonlinearity(gated):
    layer = kt.FeedForward(16, activation="silu", gated=gated)
    layer.build(X.shape)
    w1, b1, w2, b2 = randomize(layer).get_weights()
    x = X @ w1 + b1
    x, gate = (x[..., :16], x[..., 16:]) if gated else (x, 1)
    expected = (x / (1 + np.exp(-x)) * gate) @ w2 + b2
    np.testing.assert_allclose(numpy(layer(X)), expected, atol=1e-4)


def test_gelu_tanh_is_gpt2s_formula():
    x = np.linspace(-3, 3, 13).astype("float32")
    found = numpy(kt.FeedForward(4, activation="gelu_tanh").activation(x))
    expected = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    exact = numpy(kt.FeedForward(4, activation="gelu").activation(x))
    assert 1e-5 < np.abs(found - exact).max() < 1e-2


def test_rms_norm_and_layer_norm_are_the_ones_asked_for():
    for norm, expected in (
        ("layer_norm", keras.layers.LayerNormalization),
        ("rms_norm", keras.layers.RMSNormalization),
    ):
        layer = kt.DecoderBlock(2, 16, norm=norm, layer_norm_epsilon=0.5)
        layer(X, MEMORY)
        for name in ("self_attention_norm", "cross_attention_norm", "feed_forward_norm"):
            assert isinstance(getattr(layer, name), expected)
            assert getattr(layer, name).epsilon == 0.5


def test_without_biases_only_norms_have_vectors():
    layer = block(kt.DecoderBlock, X, MEMORY, use_bias=False)
    assert {w.path.split("/")[-2] for w in layer.weights if len(w.shape) == 1} == {
        "self_attention_norm",
        "cross_attention_norm",
        "feed_forward_norm",
    }


def test_biases_by_name():
    layer = block(kt.EncoderBlock, X, use_bias=["query_key_value", "contract"], norm="rms_norm")
    biases = [v.path.split("/", 1)[1] for v in layer.weights if v.name == "bias"]
    assert biases == ["self_attention/query_key_value/bias", "feed_forward/contract/bias"]
    with pytest.raises(ValueError, match=r"use_bias to name some of .*'value'"):
        block(kt.EncoderBlock, X, use_bias=["value"])


def test_kernels_of_one_shape_do_not_start_equal():
    layer = kt.EncoderBlock(2, 8, gated=False, kernel_initializer="glorot_uniform")
    layer.build((B, T, D))
    kernels = [numpy(w) for w in layer.weights if w.shape == (D, D)]
    assert len(kernels) == 3
    assert not np.allclose(kernels[0], kernels[1]) and not np.allclose(kernels[1], kernels[2])


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize(
    "masks", [{}, {"mask": MASK, "attention_mask": np.tril(np.ones((1, T, T), bool))}]
)
def test_an_encoder_computes_wanted_positions_as_if_it_computed_all(normalize_first, masks):
    rotary = kt.RotaryEmbedding()
    layer = block(kt.EncoderBlock, X, normalize_first=normalize_first, rotary=rotary)
    wanted = np.array([[4, 0], [2, 2]])
    expected = np.take_along_axis(numpy(layer(X, **masks)), wanted[..., None], axis=1)
    np.testing.assert_allclose(numpy(layer(X, **masks, wanted=wanted)), expected, atol=1e-6)


def test_an_encoder_without_positions_is_permutation_equivariant():
    embedding = kt.PositionalEmbedding(11, D, position=None)
    blocks = [block(kt.EncoderBlock, X, normalize_first=first) for first in (True, False)]

    def encode(ids):
        x = embedding(ids)
        for each in blocks:
            x = each(x)
        return numpy(x)

    ids, order = np.array([[3, 4, 5, 6, 7], [9, 9, 1, 2, 0]]), [4, 2, 0, 1, 3]
    np.testing.assert_allclose(encode(ids[:, order]), encode(ids)[:, order], atol=1e-5)
    embedding = kt.PositionalEmbedding(11, D)  # and with positions it is not
    assert np.abs(encode(ids[:, order]) - encode(ids)[:, order]).max() > 0.1


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize(
    "layer_class", [kt.EncoderBlock, kt.DecoderBlock, kt.MultiHeadSelfAttention]
)
def test_padding_is_not_looked_at(layer_class, explicit):
    layer = layer_class(2) if layer_class is kt.MultiHeadSelfAttention else layer_class(2, 16)
    changed = np.where(MASK[..., None], X, 100.0).astype("float32")
    found, expected = (
        numpy(layer(x, mask=MASK) if explicit else layer(with_mask(x, MASK))) for x in (changed, X)
    )
    np.testing.assert_allclose(found[MASK], expected[MASK], atol=1e-5)
    if layer_class is not kt.DecoderBlock:  # there causality hides what lies right
        assert np.abs(numpy(layer(changed))[MASK] - expected[MASK]).max() > 0.01


@pytest.mark.parametrize("layer_class", [kt.EncoderBlock, kt.MultiHeadSelfAttention])
def test_an_implicit_mask_counts_beside_an_explicit_attention_mask(layer_class):
    layer = layer_class(2) if layer_class is kt.MultiHeadSelfAttention else layer_class(2, 16)
    changed = np.where(MASK[..., None], X, 100.0).astype("float32")
    everywhere = np.ones((1, T, T), bool)
    found, expected = (
        numpy(layer(with_mask(x, MASK), attention_mask=everywhere)) for x in (changed, X)
    )
    np.testing.assert_allclose(found[MASK], expected[MASK], atol=1e-5)


@pytest.mark.parametrize("explicit", [True, False])
def test_left_padding_is_not_looked_at_by_a_decoder(explicit):
    layer, mask = block(kt.DecoderBlock, X), MASK[:, ::-1].copy()
    changed = np.where(mask[..., None], X, 100.0).astype("float32")
    found, expected = (
        numpy(layer(x, mask=mask) if explicit else layer(with_mask(x, mask))) for x in (changed, X)
    )
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-5)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("layer_class", [kt.DecoderBlock, kt.MultiHeadCrossAttention])
def test_padding_of_the_memory_is_not_looked_at(layer_class, explicit):
    layer = layer_class(2) if layer_class is kt.MultiHeadCrossAttention else layer_class(2, 16)
    changed = np.where(MEMORY_MASK[..., None], MEMORY, 100.0).astype("float32")
    found, expected = (
        numpy(
            layer(X, memory, memory_mask=MEMORY_MASK)
            if explicit
            else layer(X, with_mask(memory, MEMORY_MASK))
        )
        for memory in (changed, MEMORY)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(numpy(layer(X, changed)) - expected).max() > 0.01


@pytest.mark.filterwarnings("error:Layer")  # Keras warns where a mask is destroyed
@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("normalize_first", [True, False])
def test_implicit_masks_stay_on_the_callers_tensors_and_reach_the_output(normalize_first, norm):
    encoder = kt.EncoderBlock(2, 16, normalize_first=normalize_first, norm=norm)
    decoder = kt.DecoderBlock(2, 16, normalize_first=normalize_first, norm=norm)
    x, memory = with_mask(X, MASK), with_mask(MEMORY, MEMORY_MASK)
    for layer, inputs in (
        (encoder, (x,)),
        (decoder, (x,)),
        (kt.DecoderBlock(2, 16), (x, memory)),
        (kt.MultiHeadSelfAttention(2), (x,)),
        (kt.MultiHeadCrossAttention(2), (x, memory)),
        (kt.FeedForward(16), (x,)),
    ):
        np.testing.assert_array_equal(implicit_mask(layer(*inputs)), MASK)
        np.testing.assert_array_equal(implicit_mask(x), MASK)
        np.testing.assert_array_equal(implicit_mask(memory), MEMORY_MASK)
    assert implicit_mask(kt.CausalMask()(x)) is None  # a (1, T, S) mask is no padding mask


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize("rotary", [False, True])
def test_changing_a_token_leaves_earlier_outputs_bit_equal(normalize_first, rotary):
    layer = block(
        kt.DecoderBlock,
        X,
        normalize_first=normalize_first,
        rotary=kt.RotaryEmbedding() if rotary else None,
    )
    before = numpy(layer(X))
    for t in range(T):
        changed = X.copy()
        changed[:, t] += random_array(D, seed=9)
        after = numpy(layer(changed))
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert (np.abs(after - before)[:, t:].max(axis=-1) > 0).all()  # and reaches later ones


def test_a_window_hides_what_lies_further_back():
    window = 3
    layer = block(kt.DecoderBlock, X, window=window)
    before = numpy(layer(X))
    for t in range(T):
        changed = X.copy()
        changed[:, t] += random_array(D, seed=9)
        difference = np.abs(numpy(layer(changed)) - before).max(axis=(0, 2))
        assert [t <= query < t + window for query in range(T)] == (difference > 0).tolist()


def test_causal_mask():
    mask = numpy(kt.CausalMask(window=2)(X, mask=MASK))
    t, s = np.mgrid[:T, :T]
    np.testing.assert_array_equal(mask, ((s <= t) & (t - s < 2)) & MASK[:, None])


@pytest.mark.parametrize("shape", [(B, T + 1), (3, T), (B, T, T), (T,)])
@pytest.mark.parametrize("layer_class", [kt.EncoderBlock, kt.DecoderBlock, kt.CausalMask])
def test_a_mask_of_a_wrong_shape_is_refused(layer_class, shape):
    layer = kt.CausalMask() if layer_class is kt.CausalMask else layer_class(2, 16)
    with pytest.raises(ValueError, match=r"Expected mask of shape \(2, 5\)"):
        layer(X, mask=np.ones(shape, bool))


def test_a_memory_mask_of_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"Expected mask of shape \(2, 7\)"):
        kt.DecoderBlock(2, 16)(X, MEMORY, memory_mask=np.ones((B, T), bool))


@pytest.mark.parametrize("layer_class", [kt.EncoderBlock, kt.DecoderBlock])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 3}, "hidden_dim to be a multiple of num_heads"),
        ({"num_key_value_heads": 3}, "num_key_value_heads to divide num_heads"),
        ({"norm": "batch_norm"}, "norm to be one of .*norm='batch_norm'"),
        ({"intermediate_dim": 0}, "intermediate_dim to be positive"),
        ({"key_dim": 3, "rotary": kt.RotaryEmbedding()}, "an even head size"),
    ],
)
def test_errors(layer_class, arguments, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        layer_class(**{"num_heads": 2, "intermediate_dim": 16, **arguments})(X)


@pytest.mark.parametrize("wanted", [None, np.array([[0, 3], [4, 1]])])
def test_an_encoder_s_window_has_two_sides(wanted):
    layer = kt.EncoderBlock(2, 16, window=2)
    x, mask = random_array(2, 5, D), np.ones((2, 5), bool)
    near = np.abs(np.arange(5)[:, None] - np.arange(5)) < 2
    y = numpy(layer(x, mask=mask, wanted=wanted))
    other = kt.EncoderBlock.from_config({**layer.get_config(), "window": None})
    other.build(x.shape)
    other.set_weights(layer.get_weights())
    expected = other(x, mask=mask, attention_mask=near[None], wanted=wanted)
    np.testing.assert_allclose(y, numpy(expected), atol=1e-6)
    assert not np.allclose(y, numpy(other(x, mask=mask, wanted=wanted)), atol=1e-3)
    # A mask of the caller's narrows it further.
    alone = layer(x, attention_mask=np.eye(5, dtype=bool)[None], wanted=wanted)
    expected = other(x, attention_mask=np.eye(5, dtype=bool)[None], wanted=wanted)
    np.testing.assert_allclose(numpy(alone), numpy(expected), atol=1e-6)


def test_a_window_must_be_positive():
    for make in (lambda: kt.CausalMask(0), lambda: kt.DecoderBlock(2, 16, window=0)):
        with pytest.raises(ValueError, match=r"Expected window to be .*positive.*window=0"):
            make()


def test_a_memory_is_refused_by_a_block_that_was_built_without(tmp_path):
    x, memory = keras.Input((T, D)), keras.Input((S, D))
    layers = {"called": kt.DecoderBlock(2, 16), "built": kt.DecoderBlock(2, 16)}
    layers["called"](X)
    layers["built"].build((None, T, D))
    layers["reloaded"] = tiny.reload(keras.Model(x, kt.DecoderBlock(2, 16)(x)), tmp_path).layers[1]
    for layer in layers.values():
        for inputs in ((X, MEMORY), (x, memory)):
            with pytest.raises(ValueError, match=r"Expected no memory, as .*memory_shape=\(.*7, 8"):
                layer(*inputs)
            with pytest.raises(ValueError, match="Expected no memory, as when the block was built"):
                layer(inputs[0], memory=inputs[1])


def test_cross_attention_is_passed_over_without_a_memory():
    layer, plain = block(kt.DecoderBlock, X, MEMORY), block(kt.DecoderBlock, X)
    for name in ("self_attention", "self_attention_norm", "feed_forward", "feed_forward_norm"):
        getattr(plain, name).set_weights(getattr(layer, name).get_weights())
    np.testing.assert_allclose(numpy(layer(X)), numpy(plain(X)), atol=1e-6)


POSITIONS = np.array([[4, 0, 2], [1, 4, 3]])


@pytest.mark.parametrize("layer_class", [kt.EncoderBlock, kt.MultiHeadSelfAttention])
@pytest.mark.parametrize("mask", [MASK, MASK[1:], MASK.astype("int32")])
def test_the_implicit_mask_is_that_of_the_wanted_positions(layer_class, mask):
    layer = layer_class(2) if layer_class is kt.MultiHeadSelfAttention else layer_class(2, 16)
    expected = np.take_along_axis(np.repeat(mask, B // len(mask), axis=0), POSITIONS, axis=1)
    for y in (
        layer(X, mask=mask, wanted=POSITIONS),
        layer(with_mask(X, mask), wanted=POSITIONS),
    ):
        np.testing.assert_array_equal(implicit_mask(y), expected)
    assert implicit_mask(layer(X, wanted=POSITIONS)) is None


@pytest.mark.parametrize("length", [T, None])  # Keras checks what it knows
def test_layers_behind_wanted_positions_use_their_mask(length):
    ids = np.array([[3, 4, 5, 6, 7], [3, 4, 0, 0, 0]])
    token_ids = keras.Input((length,), dtype="int32")
    wanted = keras.Input((length and 3,), dtype="int32")
    embedding = kt.PositionalEmbedding(11, D, mask_zero=True)
    x = kt.EncoderBlock(2, 16)(embedding(token_ids), wanted=wanted)
    encoder = keras.Model([token_ids, wanted], x)
    x = keras.layers.GlobalAveragePooling1D()(kt.DecoderBlock(2, 16)(x))
    model = keras.Model([token_ids, wanted], x)
    found = numpy(model([ids, POSITIONS]))
    last = model.layers[-2]
    y = numpy(last(numpy(encoder([ids, POSITIONS]))[1:, :1]))  # 1 is real; 4 and 3 are padding
    np.testing.assert_allclose(found[1:], y[:, 0], atol=1e-5)
    assert model.predict([ids, POSITIONS], verbose=0).shape == (B, D)


@pytest.mark.parametrize("layer_class", [kt.EncoderBlock, kt.DecoderBlock])
def test_one_mask_for_all_rows_is_given_on_whole(layer_class):
    y = layer_class(2, 16)(X, mask=MASK[1:])
    np.testing.assert_array_equal(implicit_mask(y), np.repeat(MASK[1:], B, axis=0))
    keras.layers.TimeDistributed(keras.layers.Dense(2))(y)


@pytest.mark.parametrize("shape", [(B, T, T + 1), (3, T, T), (T, T)])
def test_a_decoder_refuses_an_attention_mask_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"Expected attention_mask of shape \(2, 5, 5\)"):
        kt.DecoderBlock(2, 16)(X, mask=MASK, attention_mask=np.ones(shape, bool))


def test_a_dynamic_length_is_allowed():
    x = keras.Input((None, D))
    model = keras.Model(x, kt.DecoderBlock(2, 16, rotary=kt.RotaryEmbedding())(x))
    for length in (1, 3, 6):
        assert model.predict(X[:, :1].repeat(length, 1), verbose=0).shape == (B, length, D)
