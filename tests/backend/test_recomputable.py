"""Under keras.RematScope layers are computed again for the gradient, which stays what it is."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests import tiny

SOURCE = np.array([[5, 7, 3, 9, 4], [6, 8, 0, 0, 0]])
IDS = np.array([[2, 4, 6, 0], [2, 3, 5, 9]])
JAX = tiny.BACKEND == "jax"
EAGERLY = [False] if JAX else [True, False]  # JAX would take a minute
BLOCKS = ["embedding", "encoder_block_0", "decoder_block_0", "self_attention", "logits_projection"]
# One for every kind of call: memory and masks, keywords and slices, arguments that are no floats.
MODELS = {
    "encoder_decoder": ([SOURCE, IDS], {"position": "learned", "tie_embeddings": False}),
    "decoder_only": (IDS, {"normalize_first": True, "line_start_id": 6, "activation": "gelu"}),
    "encoder_only": (IDS, {"pooler": True, "position": "rotary", "gated": True}),
    "masked_language_model": ([IDS, np.array([[1, 2], [0, 3]])], {"norm": "rms_norm"}),
}


def build(family, scope, **changes):
    keras.utils.set_random_seed(3)
    with scope:
        dropout = {"dropout": 0.3, "attention_dropout": 0.3}
        return tiny.make(family, **{"num_layers": 1, **dropout, **MODELS[family][1], **changes})


def trained(model, inputs, eagerly=EAGERLY[0], jit_compile=JAX):
    """The weights after two steps."""
    before = model.get_weights()
    keras.utils.set_random_seed(3)  # PyTorch's dropout draws from the one generator of all
    loss = {name: lambda y, x: ops.mean(ops.square(x - 1)) for name in model.output_names}
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly, jit_compile=jit_compile)
    targets = [np.zeros(2)] * len(model.outputs)
    model.fit(
        inputs, targets if len(targets) > 1 else targets[0], epochs=2, shuffle=False, verbose=0
    )
    after = model.get_weights()
    assert not all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    return after


def assert_equal(weights, expected, tolerance=1e-5):
    for weight, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=tolerance)


def check(family, scope, eagerly, jit_compile=JAX, **changes):
    inputs, _ = MODELS[family]
    expected = trained(build(family, keras.RematScope(None), **changes), inputs, eagerly)
    model = build(family, scope, **changes)
    assert_equal(trained(model, inputs, eagerly, jit_compile), expected)


@pytest.mark.parametrize("eagerly", EAGERLY)
@pytest.mark.parametrize("family", MODELS)
def test_gradients_are_those_without_recomputation(family, eagerly):
    check(family, keras.RematScope("full"), eagerly)


@pytest.mark.parametrize(
    "scope",
    [
        {"mode": "activations"},
        {"mode": "larger_than", "output_size_threshold": 100},
        {"mode": "list_of_layers", "layer_names": BLOCKS},
    ],
    ids=lambda scope: scope["mode"],
)
def test_in_every_mode(scope):
    check("encoder_decoder", keras.RematScope(**scope), EAGERLY[0])


def test_in_half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        check("encoder_decoder", keras.RematScope("full"), EAGERLY[0])
    finally:
        keras.config.set_dtype_policy(before)


def test_by_a_compiler():
    still = {"dropout": 0, "attention_dropout": 0}  # XLA draws other numbers
    check("decoder_only", keras.RematScope("full"), False, tiny.BACKEND != "torch", **still)


def by_hand(scope):
    """A plain Functional model with implicit masks, made outside of the scope of its layers."""
    keras.utils.set_random_seed(3)
    token_ids = keras.Input((None,), dtype="int32")
    with scope:
        embedding = kt.PositionalEmbedding(tiny.VOCABULARY, 8, mask_zero=True, dropout=0.3)
        encoder, decoder = kt.EncoderBlock(2, 16, dropout=0.3), kt.DecoderBlock(2, 16, dropout=0.3)
        memory = encoder(embedding(token_ids))
        x = decoder(decoder(embedding(token_ids), memory), memory=memory)
        x = kt.MultiHeadSelfAttention(2)(x, attention_mask=kt.CausalMask(window=2)(x))
        x = embedding(x, reverse=True)
    return tiny.randomize(keras.Model(token_ids, x))


@pytest.mark.parametrize("eagerly", EAGERLY)
def test_layers_put_together_by_hand(eagerly):
    expected = by_hand(keras.RematScope(None))
    model = by_hand(keras.RematScope("full"))
    mask = ops.convert_to_numpy(model(IDS)._keras_mask)
    np.testing.assert_array_equal(mask, IDS != 0)
    assert_equal(trained(model, IDS, eagerly), trained(expected, IDS, eagerly))


@pytest.mark.skipif(JAX, reason="its Python runs once, whatever is computed")
def test_a_layer_is_computed_twice_and_not_more_often():
    calls = []

    def activation(x):
        calls.append(1)
        return ops.relu(x)

    with keras.RematScope("full"):
        block = kt.EncoderBlock(2, 16, activation=activation)
        x = keras.Input((4, 8))
        model = kt.TransformerModel(x, block(x))
    model.compile("sgd", "mse", run_eagerly=True)
    batch = np.ones((1, 4, 8)), np.zeros((1, 4, 8))
    model.train_on_batch(*batch)  # in which the trainer may try the model
    del calls[:]
    model.train_on_batch(*batch)
    assert len(calls) == 2


def test_scopes_and_files_do_not_notice(tmp_path):
    still = {"dropout": 0, "attention_dropout": 0}
    plain = build("encoder_decoder", keras.RematScope(None), **still)
    expected = kt.Generator(plain, end_id=1, start_id=2, max_new_tokens=3)(SOURCE)
    models = [build("encoder_decoder", keras.RematScope("full"), **still)]
    with keras.RematScope("full"):
        models.append(tiny.reload(plain, tmp_path))
    for model in models:
        with kt.AttentionScope() as scope:
            model([SOURCE, IDS])
        assert len(scope.weights) == 3
        assert all(np.isfinite(tiny.numpy(weights)).all() for weights in scope.weights.values())
        generator = kt.Generator(model, end_id=1, start_id=2, max_new_tokens=3)
        np.testing.assert_array_equal(generator(SOURCE), expected)
    assert_equal(trained(models[1], [SOURCE, IDS]), trained(plain, [SOURCE, IDS]))
