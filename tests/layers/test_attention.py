"""Attention is what the paper's formula says, with any heads and masks."""

import keras
import numpy as np
import pytest
from tiny import numpy, random_array, randomize

import keras_transformer as kt

B, T, S, D, N, H = 2, 5, 7, 8, 4, 3
X, MEMORY = random_array(B, T, D), random_array(B, S, 6, seed=1)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
MEMORY_MASK = np.array([[1] * S, [0, 1, 1, 0, 0, 0, 0]], bool)
MAY_LOOK = random_array(B, T, T, seed=2) > -0.5


def self_attention(**kwargs):
    layer = kt.MultiHeadSelfAttention(N, key_dim=H, **kwargs)
    layer.build((B, T, D))
    return randomize(layer)


def cross_attention(**kwargs):
    layer = kt.MultiHeadCrossAttention(N, key_dim=H, **kwargs)
    layer.build((B, T, D), (B, S, 6))
    return randomize(layer)


def projections(layer):
    """Kernels `(D, heads, H)` and biases `(heads, H)` of query, key and value."""
    if isinstance(layer, kt.MultiHeadSelfAttention):
        heads = [N, N + layer.num_key_value_heads]
        maps = [(layer.query_key_value, heads)]
    else:
        maps = [(layer.query, []), (layer.key_value, [layer.num_key_value_heads])]
    found = []
    for dense, heads in maps:
        kernel = numpy(dense.kernel).reshape(dense.kernel.shape[0], -1, H)
        bias = numpy(dense.bias).reshape(-1, H) if dense.use_bias else np.zeros_like(kernel[0])
        kernels, biases = np.split(kernel, heads, axis=1), np.split(bias, heads)
        found += zip(kernels, biases, strict=True)
    return found


def reference(layer, x, memory, may_look):
    """Vaswani et al. 2017, equation 1, one head at a time."""
    (wq, bq), (wk, bk), (wv, bv) = projections(layer)
    heads = []
    for n in range(N):
        shared = n * layer.num_key_value_heads // N
        query, key = x @ wq[:, n] + bq[n], memory @ wk[:, shared] + bk[shared]
        scores = query @ key.swapaxes(1, 2) / np.sqrt(H)
        weights = np.exp(scores) * np.broadcast_to(may_look, scores.shape)
        weights /= weights.sum(axis=-1, keepdims=True)
        heads.append(weights @ (memory @ wv[:, shared] + bv[shared]))
    output = layer.output_projection
    bias = numpy(output.bias) if output.use_bias else 0
    return np.concatenate(heads, axis=-1) @ numpy(output.kernel) + bias


GROUPS = pytest.mark.parametrize("groups", [None, 2, 1])
BIAS = pytest.mark.parametrize("use_bias", [True, False])


@GROUPS
@BIAS
@pytest.mark.parametrize(
    "masks",
    [{}, {"mask": MASK}, {"attention_mask": MAY_LOOK[:1]}, {"attention_mask": MAY_LOOK}]
    + [{"mask": MASK, "attention_mask": np.tril(MAY_LOOK) | np.eye(T, dtype=bool)}],
)
def test_self_attention_is_the_formula(groups, use_bias, masks):
    layer = self_attention(num_key_value_heads=groups, use_bias=use_bias)
    may_look = masks.get("attention_mask", True) & masks.get("mask", MASK | True)[:, None]
    seen = may_look.any(axis=-1) | np.zeros((B, T), bool)  # the formula divides others by zero
    with np.errstate(invalid="ignore"):
        expected = reference(layer, X, X, may_look)
    np.testing.assert_allclose(numpy(layer(X, **masks))[seen], expected[seen], atol=2e-5)


@GROUPS
@BIAS
@pytest.mark.parametrize("mask", [None, MEMORY_MASK])
def test_cross_attention_is_the_formula(groups, use_bias, mask):
    layer = cross_attention(num_key_value_heads=groups, use_bias=use_bias)
    expected = reference(layer, X, MEMORY, True if mask is None else mask[:, None])
    np.testing.assert_allclose(numpy(layer(X, MEMORY, memory_mask=mask)), expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_equals_keras_multi_head_attention_with_the_same_weights(kind):
    layer = self_attention() if kind == "self" else cross_attention()
    memory, memory_mask = (X, MASK) if kind == "self" else (MEMORY, MEMORY_MASK)
    peer = keras.layers.MultiHeadAttention(N, key_dim=H)
    peer.build(X.shape, memory.shape, memory.shape)
    output = layer.output_projection
    weights = [w for pair in projections(layer) for w in pair]
    peer.set_weights([*weights, numpy(output.kernel).reshape(N, H, D), numpy(output.bias)])
    expected = peer(X, memory, attention_mask=np.repeat(memory_mask[:, None], T, axis=1))
    masks = {"mask": MASK} if kind == "self" else {"memory_mask": MEMORY_MASK}
    found = layer(X, **masks) if kind == "self" else layer(X, MEMORY, **masks)
    np.testing.assert_allclose(numpy(found), numpy(expected), atol=2e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_attention_is_full_attention_with_repeated_keys_and_values(groups):
    grouped, full = self_attention(num_key_value_heads=groups), self_attention()
    repeats = (1, N // groups, N // groups)
    parts = [
        (np.repeat(kernel, r, axis=1), np.repeat(bias, r, axis=0))
        for r, (kernel, bias) in zip(repeats, projections(grouped), strict=True)
    ]
    kernels, biases = zip(*parts, strict=True)
    full.query_key_value.set_weights(
        [np.concatenate(kernels, axis=1).reshape(D, -1), np.concatenate(biases).reshape(-1)]
    )
    full.output_projection.set_weights(grouped.output_projection.get_weights())
    assert grouped.count_params() < full.count_params()
    np.testing.assert_allclose(numpy(grouped(X)), numpy(full(X)), atol=2e-5)


def test_cross_attention_projects_a_memory_of_any_width():
    assert tuple(cross_attention()(X, MEMORY).shape) == (B, T, D)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", ["self", "cross", "encoder", "decoder"])
def test_a_row_that_may_look_at_nothing_stays_finite(kind, dtype):
    nothing, no_memory = np.zeros((B, T), bool), np.zeros((B, S), bool)
    x = X * 30
    match kind:
        case "self":
            y = kt.MultiHeadSelfAttention(2, dtype=dtype)(x, mask=nothing)
        case "cross":
            y = kt.MultiHeadCrossAttention(2, dtype=dtype)(x, MEMORY, memory_mask=no_memory)
        case "encoder":
            y = kt.EncoderBlock(2, 16, dtype=dtype)(x, mask=nothing)
        case "decoder":
            y = kt.DecoderBlock(2, 16, dtype=dtype)(x, MEMORY, mask=nothing, memory_mask=no_memory)
    assert np.isfinite(numpy(keras.ops.cast(y, "float32"))).all()


def test_a_token_that_may_look_at_nothing_gets_the_mean_of_all_values():
    layer = self_attention()
    nothing, everything = (np.full((B, T, T), allowed) for allowed in (False, True))
    zero = np.zeros_like(X)
    for x in (X, zero):
        y = numpy(layer(x, attention_mask=nothing))
        assert np.allclose(y, y[:, :1], atol=1e-6)  # whatever the query
    np.testing.assert_allclose(
        numpy(layer(zero, attention_mask=nothing)), numpy(layer(zero, attention_mask=everything))
    )


@pytest.mark.parametrize(
    "arguments, inputs, message",
    [
        ({"num_heads": 3}, {}, "hidden_dim to be a multiple of num_heads.*hidden_dim=8"),
        ({"num_heads": 0}, {}, "num_heads to be positive"),
        ({"num_heads": 2, "num_key_value_heads": 4}, {}, "num_key_value_heads to divide num_heads"),
        ({"num_heads": 4, "num_key_value_heads": 3}, {}, "num_key_value_heads to divide num_heads"),
        ({"num_heads": 4, "num_key_value_heads": 0}, {}, "num_key_value_heads to divide num_heads"),
        ({"num_heads": 2}, {"mask": np.ones((B, T + 1), bool)}, "mask of shape"),
        ({"num_heads": 2}, {"mask": np.ones((B, T, T), bool)}, "mask of shape"),
    ],
)
@pytest.mark.parametrize("kind", ["self", "cross"])
def test_errors(arguments, inputs, message, kind):
    layer_class = kt.MultiHeadSelfAttention if kind == "self" else kt.MultiHeadCrossAttention
    memory = () if kind == "self" else (X,)
    if kind == "cross":
        inputs = {f"memory_{name}": mask for name, mask in inputs.items()}
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        layer_class(**arguments)(X, *memory, **inputs)


@pytest.mark.parametrize("shape", [(B, T, T + 1), (B, T + 1, T), (3, T, T), (T, T)])
def test_an_attention_mask_of_a_wrong_shape_is_refused(shape):
    for layer in (kt.MultiHeadSelfAttention(2), kt.EncoderBlock(2, 16)):
        with pytest.raises(ValueError, match=r"Expected attention_mask of shape \(2, 5, 5\)"):
            layer(X, attention_mask=np.ones(shape, bool))


def test_cross_attention_refuses_rotary_positions():
    with pytest.raises(ValueError, match="no rotary positions"):
        kt.MultiHeadCrossAttention(2, rotary=kt.RotaryEmbedding())(X, X)
