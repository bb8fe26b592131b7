"""What holds for every layer: saving, shapes, training, precision."""

import json
import warnings

import keras
import numpy as np
import pytest
from tiny import BACKEND, random_array, random_ids, reload

import keras_transformer as kt

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Keras itself, when it saves a TensorFlow variable.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
]

B, T, S, D, V = 2, 5, 7, 8, 11
X, MEMORY = random_array(B, T, D), random_array(B, S, 6, seed=1)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
MEMORY_MASK = np.arange(S) < np.array([[S], [3]])
MAY_LOOK = np.tril(np.ones((1, T, T), bool))

POSITIONS = np.array([[4, 0, 2], [1, 1, 0]], "int32")

# name: (layer class, constructor arguments, call arguments)
IDS = {"token_ids": random_ids(B, T)}
GROUPED = {"num_heads": 4, "num_key_value_heads": 2, "key_dim": 6, "use_bias": False}
BLOCK = {"num_heads": 2, "intermediate_dim": 16, "dropout": 0.1, "attention_dropout": 0.1}
LLAMA = {
    "normalize_first": True,
    "norm": "rms_norm",
    "gated": True,
    "activation": "gelu_tanh",
    "layer_norm_epsilon": 1e-3,
    "kernel_initializer": "he_normal",
}
CASES = {
    "embedding": (
        kt.PositionalEmbedding,
        {"vocabulary_size": V, "hidden_dim": D, "scale_embedding": True, "dropout": 0.1},
        IDS,
    ),
    "learned_embedding": (
        kt.PositionalEmbedding,
        {
            "vocabulary_size": V,
            "hidden_dim": 7,
            "max_sequence_length": T,
            "position": "learned",
            "mask_zero": True,
            "embeddings_initializer": "uniform",
        },
        IDS,
    ),
    "embedding_at_positions": (
        kt.PositionalEmbedding,
        {"vocabulary_size": V, "hidden_dim": D, "max_sequence_length": T, "position": "learned"},
        {**IDS, "positions": np.array([[0, 1, 2, 3, 4], [3, 4, 0, 1, 2]], "int32")},
    ),
    "sinusoids_at_positions": (
        kt.PositionalEmbedding,
        {"vocabulary_size": V, "hidden_dim": D},
        {**IDS, "positions": np.array([[0, 1, 0, 1, 2], [0, 0, 1, 2, 600]], "int32")},
    ),
    "learned_positions": (
        kt.layers.LearnedPositions,
        {"max_sequence_length": T, "embeddings_initializer": "he_normal"},
        {"x": X},
    ),
    "bias": (kt.layers.Bias, {}, {"x": X}),
    "masked_lm_head": (kt.layers.MaskedLMHead, {}, {"x": X}),
    "other_masked_lm_head": (
        kt.layers.MaskedLMHead,
        {
            "activation": "gelu_tanh",
            "norm": "rms_norm",
            "layer_norm_epsilon": 1e-3,
            "kernel_initializer": "he_normal",
        },
        {"x": X},
    ),
    "rotary": (
        kt.RotaryEmbedding,
        {"rotary_base": 500.0, "rotary_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"x": random_array(B, T, 3, 4)},
    ),
    "causal_mask": (kt.CausalMask, {"window": 2}, {"x": X}),
    "causal_mask_with_mask": (kt.CausalMask, {}, {"x": X, "mask": MASK}),
    "self_attention": (kt.MultiHeadSelfAttention, {"num_heads": 2}, {"x": X}),
    "grouped_self_attention": (
        kt.MultiHeadSelfAttention,
        {**GROUPED, "rotary": kt.RotaryEmbedding(500.0), "attention_dropout": 0.1},
        {"x": X, "attention_mask": MAY_LOOK, "mask": MASK, "wanted": POSITIONS},
    ),
    "cross_attention": (kt.MultiHeadCrossAttention, {"num_heads": 2}, {"x": X, "memory": MEMORY}),
    "grouped_cross_attention": (
        kt.MultiHeadCrossAttention,
        GROUPED,
        {"x": X, "memory": MEMORY, "memory_mask": MEMORY_MASK},
    ),
    "feed_forward": (kt.FeedForward, {"intermediate_dim": 16, "dropout": 0.1}, {"x": X}),
    "gated_feed_forward": (
        kt.FeedForward,
        {"intermediate_dim": 16, "gated": True, "activation": "gelu_tanh", "use_bias": False},
        {"x": X},
    ),
    "encoder_block": (
        kt.EncoderBlock,
        {**BLOCK, "use_bias": ["query_key_value", "contract"]},
        {"x": X},
    ),
    "llama_encoder_block": (
        kt.EncoderBlock,
        {**BLOCK, **GROUPED, **LLAMA, "rotary": kt.RotaryEmbedding()},
        {"x": X, "mask": MASK},
    ),
    "encoder_block_at_positions": (
        kt.EncoderBlock,
        BLOCK,
        {"x": X, "attention_mask": MAY_LOOK, "wanted": POSITIONS},
    ),
    "decoder_block": (
        kt.DecoderBlock,
        BLOCK,
        {"x": X, "memory": MEMORY, "mask": MASK, "memory_mask": MEMORY_MASK},
    ),
    "pruned_decoder_block": (
        kt.DecoderBlock,
        {
            **BLOCK,
            "num_heads": {"self_attention": 3, "cross_attention": 4},
            "num_key_value_heads": {"self_attention": 1, "cross_attention": 2},
            "key_dim": 4,
        },
        {"x": X, "memory": MEMORY, "mask": MASK, "memory_mask": MEMORY_MASK},
    ),
    "llama_decoder_block": (kt.DecoderBlock, {**BLOCK, **GROUPED, **LLAMA, "window": 2}, {"x": X}),
}


@pytest.fixture(params=CASES)
def case(request):
    layer_class, arguments, inputs = CASES[request.param]

    def make(**kwargs):
        if "rotary" in arguments:
            kwargs["rotary"] = kt.RotaryEmbedding(arguments["rotary"].rotary_base)
        return layer_class(**{**arguments, "name": "layer", **kwargs})

    return make, inputs


def test_the_cases_hold_every_layer():
    assert {layer_class for layer_class, *_ in CASES.values()} == {
        getattr(kt.layers, name) for name in kt.layers.__all__
    } - {kt.layers.PackedLines, kt.layers.PaddingMask}  # of ids alone, see their own tests


def symbolic(inputs, dynamic=False):
    """Functional inputs like these arrays; with `dynamic`, of unknown batch size and length."""
    return {
        name: keras.Input(
            batch_shape=tuple(
                None if dynamic and (axis < 2 or name == "attention_mask") else size
                for axis, size in enumerate(value.shape)
            ),
            dtype=keras.backend.standardize_dtype(value.dtype),
            name=name,
        )
        for name, value in inputs.items()
    }


def model_of(layer, inputs):
    tensors = symbolic(inputs)
    return keras.Model(tensors, layer(**tensors))


def float32(x):
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


def test_config_round_trip(case):
    make, inputs = case
    layer = make()
    layer(**inputs)
    config = layer.get_config()
    again = type(layer).from_config(config)
    again(**inputs)
    assert again.get_config() == config
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    through_keras = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert through_keras.get_config() == config
    for name, value in make().__dict__.items():  # every simple argument is really in the config
        if name in config and isinstance(value, (int, float, str, bool)):
            assert config[name] == value


@pytest.mark.parametrize("dynamic", [False, True])
def test_symbolic_shape_is_the_eager_shape(case, dynamic):
    make, inputs = case
    eager, symbolic_output = make()(**inputs), make()(**symbolic(inputs, dynamic))
    assert keras.backend.standardize_dtype(eager.dtype) == symbolic_output.dtype
    assert len(symbolic_output.shape) == len(eager.shape)
    for known, size in zip(symbolic_output.shape, eager.shape, strict=True):
        assert known == size or (dynamic and known is None)


def test_one_step_of_fit_reaches_every_weight(case):
    make, inputs = case
    layer = make()
    if "attention_mask" in inputs:  # one row for the whole batch does not fit into fit
        inputs = {**inputs, "attention_mask": np.repeat(inputs["attention_mask"], B, axis=0)}
    tensors = symbolic(inputs, dynamic=True)
    x = keras.ops.cast(layer(**tensors), "float32")
    x = keras.ops.sum(keras.ops.tanh(x) ** 2 + x, axis=tuple(range(1, len(x.shape))))
    model = keras.Model(tensors, keras.layers.Dense(1)(keras.ops.expand_dims(x, 1)))
    model.compile("sgd", "mse")
    before = layer.get_weights()
    model.fit(inputs, np.ones((B, 1)), batch_size=B, verbose=0)
    for weight, old, new in zip(layer.weights, before, layer.get_weights(), strict=True):
        assert np.isfinite(new).all() and not np.array_equal(old, new), weight.path


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(case, policy):
    make, inputs = case
    layer = make(dtype=policy)
    compute_dtype = policy.removeprefix("mixed_")
    if isinstance(layer, kt.RotaryEmbedding):  # has no precision of its own
        inputs = {"x": keras.ops.cast(inputs["x"], compute_dtype)}
    output = layer(**inputs)
    dtype = keras.backend.standardize_dtype(output.dtype)
    assert dtype == ("bool" if isinstance(layer, kt.CausalMask) else compute_dtype)
    assert make(dtype=policy)(**symbolic(inputs)).dtype == dtype
    assert {w.dtype for w in layer.weights} <= {"float32"}
    assert np.isfinite(float32(output)).all()
    own = make(dtype="float32")
    own(**inputs)
    own.set_weights(layer.get_weights())
    np.testing.assert_allclose(float32(output), float32(own(**inputs)), atol=0.2)


def test_dtype_reaches_every_sublayer(case):
    make, inputs = case
    layer = make(dtype="mixed_bfloat16")
    layer(**inputs)
    for sublayer in layer._flatten_layers():
        if not isinstance(sublayer, (kt.RotaryEmbedding, kt.CausalMask)):  # no weights, no products
            assert sublayer.dtype_policy.name == "mixed_bfloat16", sublayer.path


def test_keras_file_round_trip(case, tmp_path):
    make, inputs = case
    model = model_of(make(), inputs)
    again = reload(model, tmp_path)
    configs = [json.dumps(m.get_layer("layer").get_config()) for m in (model, again)]
    assert configs[0] == configs[1]
    for weight, copy in zip(model.weights, again.weights, strict=True):
        assert weight.path == copy.path
        np.testing.assert_array_equal(weight.numpy(), copy.numpy())
    np.testing.assert_array_equal(float32(model(inputs)), float32(again(inputs)))


def test_trainable_false_freezes(case):
    make, inputs = case
    layer = make(trainable=False)
    layer(**inputs)
    assert layer.trainable_weights == [] and layer.get_config()["trainable"] is False
    again = type(layer).from_config(layer.get_config())
    again(**inputs)
    assert again.trainable_weights == []
    assert len(again.non_trainable_weights) == len(layer.weights)


def test_dropout_only_in_training(case):
    make, inputs = case
    layer = make()
    first, second = float32(layer(**inputs)), float32(layer(**inputs))
    np.testing.assert_array_equal(first, second)
    if not any(getattr(layer, n, 0) for n in ("dropout", "attention_dropout")):
        return
    tensors = symbolic(inputs)
    model = keras.Model(tensors, layer(**tensors))
    assert not np.array_equal(first, float32(model(inputs, training=True)))


WHOLE_NUMBERS = ["int8", "int16", "int64", "uint8", "uint16", "uint32"]
WHOLE_NUMBERS += ["uint64"] if BACKEND != "torch" else []  # which Keras does not take there
FLOATS = ["float16", "float32", "float64"]  # Keras feeds them to subclassed models


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_ids_may_have_any_dtype(case, policy):
    make, inputs = case
    ids = [name for name in inputs if name in ("token_ids", "positions", "wanted")]
    layer = make(dtype=policy)
    small = {**inputs, **{name: np.minimum(inputs[name], 99) for name in ids}}
    expected = float32(layer(**small))
    for dtype in WHOLE_NUMBERS + FLOATS if ids else []:
        others = {**small, **{name: small[name].astype(dtype) for name in ids}}
        np.testing.assert_array_equal(float32(layer(**others)), expected, err_msg=dtype)
        if dtype in ("uint8", "float32"):
            found = model_of(layer, others)(others)
            np.testing.assert_array_equal(float32(found), expected, err_msg=dtype)


@pytest.mark.parametrize("what", ["rows", "tokens"])
def test_nothing_is_a_batch_too(case, what):
    make, inputs = case
    nothing = {}
    for name, value in inputs.items():
        if what == "rows":
            nothing[name] = value[:0] if len(value) == B else value
        else:
            nothing[name] = value[:, :0, :0] if name == "attention_mask" else value[:, :0]
    layer, fresh = make(), make()
    shape = layer(**symbolic(nothing)).shape
    for each in (layer, fresh):
        assert tuple(each(**nothing).shape) == shape
    tensors = symbolic(nothing)
    output = keras.ops.cast(layer(**tensors), "float32")
    output = keras.ops.sum(output, axis=tuple(range(1, len(output.shape))))
    model = keras.Model(tensors, keras.layers.Dense(1)(keras.ops.expand_dims(output, 1)))
    model.compile("sgd", lambda truth, predicted: keras.ops.sum(predicted))
    before = layer.get_weights()
    model.train_on_batch(nothing, np.zeros((shape[0], 1)))
    for old, new in zip(before, layer.get_weights(), strict=True):
        assert np.isfinite(new).all()
        if what == "rows":
            np.testing.assert_array_equal(old, new)


def test_masks_are_broadcast(case):
    make, inputs = case
    layer = make()
    layer(**inputs)
    for name in [name for name in inputs if name.endswith("mask")]:
        one = np.asarray(inputs[name][-1:])
        expected = float32(layer(**{**inputs, name: np.repeat(one, B, axis=0)}))
        for mask in (one, one.astype("int32"), one.astype("uint8")):
            others = {**inputs, name: mask}
            found, model = layer(**others), model_of(layer, others)
            np.testing.assert_allclose(*np.broadcast_arrays(float32(found), expected), atol=1e-6)
            assert tuple(model.output.shape) == tuple(found.shape)
            np.testing.assert_allclose(float32(model(others)), float32(found), atol=1e-6)


def test_warnings_are_errors_here():
    with pytest.raises(UserWarning):
        warnings.warn("as in every test of this module", stacklevel=1)
    assert BACKEND in ("tensorflow", "jax", "torch")
