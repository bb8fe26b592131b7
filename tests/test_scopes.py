"""A cache changes nothing but speed, and attention is shown by any model, however composed."""

import threading

import keras
import numpy as np
import pytest
import tiny
from keras import ops
from tiny import BACKEND, forward, numpy, random_ids

import keras_transformer as kt
from keras_transformer.generation.anatomy import Anatomy

B, T, LENGTH = 2, 7, 9
IDS = random_ids(B, T)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {name: tiny.make("decoder_only", name) for name in tiny.ARCHITECTURES}
    made["by_hand"] = tiny.language_model_by_hand(mask_zero=False)
    made["by_hand_implicit_mask"] = tiny.language_model_by_hand()
    return made


MODELS = pytest.mark.parametrize("name", [*tiny.ARCHITECTURES, "by_hand", "by_hand_implicit_mask"])


def step(model, length=LENGTH, sliding=False):
    """The pure function that a loop would repeat."""

    def run(token_ids, index, state):
        with kt.CacheScope(state, index, length, sliding=sliding) as scope:
            logits = model(token_ids, training=False)
        return logits, scope.state

    return run


def in_chunks(run, ids, sizes):
    """Logits of all tokens, some at a time; `run` is `step` as it is, or compiled."""
    found, state, index = [], None, 0
    for size in sizes:
        chunk = ops.convert_to_tensor(ids[:, index : index + size])
        logits, state = run(chunk, ops.convert_to_tensor(index, "int32"), state)
        found.append(numpy(logits))
        index += size
    return np.concatenate(found, axis=1)


def compilers():
    match BACKEND:
        case "tensorflow":
            import tensorflow as tf

            return {"tf.function": tf.function, "XLA": lambda f: tf.function(f, jit_compile=True)}
        case "jax":
            import jax

            return {"jax.jit": jax.jit}
        case "torch":
            import torch

            return {"torch.no_grad": torch.no_grad()}  # PyTorch runs eagerly


@MODELS
@pytest.mark.parametrize("sizes", [[1] * T, [4, 1, 2], [T]])
def test_cached_equals_uncached(models, name, sizes):
    model = models[name]
    found = in_chunks(step(model), IDS, sizes)
    np.testing.assert_allclose(found, forward(model, IDS), atol=2e-5)


@pytest.mark.parametrize("length", [3, 5])  # the window, and more than it
@pytest.mark.parametrize("sizes", [[1] * T, [4, 1, 2], [1, 5, 1], [T]])
def test_a_window_needs_no_more_than_its_own_length(models, sizes, length):
    model = models["window"]
    found = in_chunks(step(model, length, sliding=True), IDS, sizes)
    np.testing.assert_allclose(found, forward(model, IDS), atol=2e-5)


def test_less_than_the_window_is_too_little(models):
    found = in_chunks(step(models["window"], 1, sliding=True), IDS, [1] * T)
    assert np.abs(found - forward(models["window"], IDS)).max() > 0.01


@pytest.mark.parametrize("name", ["post_norm", "by_hand_implicit_mask"])
def test_cached_equals_uncached_with_padding_on_the_left(models, name):
    ids = IDS.copy()
    ids[1, :2] = 0
    found = in_chunks(step(models[name]), ids, [3, 1, 1, 2])
    np.testing.assert_allclose(found[ids > 0], forward(models[name], ids)[ids > 0], atol=2e-5)


@pytest.mark.parametrize("name", ["rotary_grouped_gated", "window", "by_hand_implicit_mask"])
@pytest.mark.parametrize("how", compilers())
def test_compiled_cached_equals_uncached(models, name, how):
    cache = {"length": 3, "sliding": True} if name == "window" else {}
    run = compilers()[how](step(models[name], **cache))
    np.testing.assert_allclose(
        in_chunks(run, IDS, [4, 1, 1, 1]), forward(models[name], IDS), atol=2e-5
    )


@pytest.mark.parametrize("name", ["window", "by_hand_implicit_mask"])
def test_a_reloaded_model_has_a_cache(models, name, tmp_path):
    model = tiny.reload(models[name], tmp_path)
    expected = forward(models[name], IDS)
    np.testing.assert_allclose(forward(model, IDS), expected, atol=1e-6)
    np.testing.assert_allclose(in_chunks(step(model), IDS, [3, 1, 3]), expected, atol=2e-5)


def test_the_cache_is_really_used(models):
    """Only new tokens go in, yet a change of an earlier one's cache changes the logits."""
    run = step(models["post_norm"])
    _, state = run(IDS[:, :3], 0, None)
    logits, _ = run(IDS[:, 3:4], 3, state)
    past = state["past"]
    attention = [key for key in past if "/self_attention#" in key]
    assert len(attention) == 2
    for key in attention:
        past[key] = tuple(ops.zeros_like(x) for x in past[key])
    other, _ = run(IDS[:, 3:4], 3, state)
    assert logits.shape[1] == 1 and np.abs(numpy(logits) - numpy(other)).max() > 0.01


def test_a_grouped_cache_holds_the_key_value_heads_only(models):
    _, state = step(models["rotary_grouped_gated"])(IDS, 0, None)
    found = [tuple(x.shape) for x in keras.tree.flatten(state) if len(x.shape) == 4]
    assert found == [(B, 2, LENGTH, 2)] * 4


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("sizes", [[1] * T, [3, 4]])
def test_an_encoder_decoder_is_cut_at_its_memory(by_hand, sizes, tmp_path):
    model = tiny.translator_by_hand() if by_hand else tiny.make("encoder_decoder")
    source = random_ids(B, 5, seed=1)
    source[1, 3:] = 0
    expected = forward(model, source, IDS)
    for each in (model, tiny.reload(model, tmp_path)):
        anatomy = Anatomy(each)
        memory, mask = anatomy.encode(ops.convert_to_tensor(source))
        mask = mask if by_hand else None  # explicit masks need none that comes with the memory

        def decode(token_ids, training, anatomy=anatomy, memory=memory, mask=mask):
            return anatomy.decode(token_ids, ops.convert_to_tensor(source), memory, mask)

        np.testing.assert_allclose(in_chunks(step(decode), IDS, sizes), expected, atol=2e-5)
    np.testing.assert_allclose(forward(model, source, IDS), expected, atol=1e-6)  # still whole


def test_cross_attention_projects_the_memory_once():
    model = tiny.make("encoder_decoder")
    anatomy = Anatomy(model)
    source = ops.convert_to_tensor(random_ids(B, 5))
    memory, calls = anatomy.encode(source), []
    for layer in model._flatten_layers():
        if isinstance(layer, kt.MultiHeadCrossAttention):
            layer.project = lambda m, project=layer.project: calls.append(1) or project(m)
    in_chunks(step(lambda ids, training: anatomy.decode(ids, source, *memory)), IDS, [1] * T)
    assert len(calls) == 2  # one for each of the two layers, not for each of the seven tokens


@MODELS
def test_attention_weights_of_any_model(models, name):
    model, ids = models[name], IDS.copy()
    ids[1, 5:] = 0
    with kt.AttentionScope() as scope:
        logits = forward(model, ids)
    layers = [x for x in model._flatten_layers() if isinstance(x, kt.MultiHeadSelfAttention)]
    again = {f"{layers[0].path}#1"} if "by_hand" in name else set()  # a block called twice
    assert set(scope.weights) == {layer.path for layer in layers} | again
    masked = name != "by_hand"
    for layer in layers:
        weights = numpy(scope.weights[layer.path])
        assert weights.shape == (B, layer.num_heads, T, T)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        assert (weights * np.triu(np.ones((T, T)), 1) == 0).all()
        if masked:
            assert (weights[1, ..., :5, 5:] == 0).all()
            assert (weights[1, :, 5:, 5:] == 0).all()
    np.testing.assert_array_equal(forward(model, ids), logits)  # recording changes nothing


def test_attention_weights_of_an_encoder_decoder(tmp_path):
    model = tiny.reload(tiny.translator_by_hand(), tmp_path)
    source = random_ids(B, 5)
    source[1, 3:] = 0
    with kt.AttentionScope() as scope:
        forward(model, source, IDS)
    kinds = (kt.MultiHeadSelfAttention, kt.MultiHeadCrossAttention)
    assert len(scope.weights) == sum(isinstance(x, kinds) for x in model._flatten_layers()) == 6
    for path, weights in scope.weights.items():
        encoder = "encoder" in path
        size = 5 if encoder or "cross" in path else T
        assert tuple(weights.shape) == (B, 2, 5 if encoder else T, size)
        if size == 5:
            assert (numpy(weights)[1, ..., 3:] == 0).all()
            assert (numpy(weights)[0] > 0).all()


def test_scopes_of_both_kinds_work_together(models):
    with kt.AttentionScope() as attention, kt.CacheScope(None, 0, LENGTH):
        models["post_norm"](IDS)
    assert {tuple(w.shape) for w in attention.weights.values()} == {(B, 2, T, LENGTH)}


@pytest.mark.parametrize("make", [kt.AttentionScope, lambda: kt.CacheScope(None, 0, LENGTH)])
def test_scopes_nest_end_with_an_exception_and_stay_in_their_thread(make):
    outer, inner, seen = make(), make(), []
    current = type(outer).current
    with outer:
        with pytest.raises(RuntimeError, match="inside"), inner:
            assert current() is inner
            raise RuntimeError("inside")
        assert current() is outer
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert current() is None and seen == [None]


def test_every_call_of_a_layer_is_recorded():
    layer, other = kt.MultiHeadSelfAttention(2), kt.DecoderBlock(2, 16)
    inputs = [tiny.random_array(B, T, 8, seed=seed) for seed in range(3)]
    alone = []
    for x in inputs:
        with kt.AttentionScope() as scope:
            layer(x)
        alone.append(numpy(scope.weights[layer.path]))
    x = keras.Input((None, 8))
    nested = keras.Model(x, layer(x))
    with kt.AttentionScope() as scope:
        layer(inputs[0])
        other(inputs[0])
        nested(inputs[1])  # which shares the layer
        layer(inputs[2])
    paths = [layer.path, f"{layer.path}#1", f"{layer.path}#2"]
    assert set(scope.weights) == {*paths, other.self_attention.path}
    for path, expected in zip(paths, alone, strict=True):
        np.testing.assert_array_equal(numpy(scope.weights[path]), expected)


@pytest.mark.parametrize("layer_class", [kt.DecoderBlock, kt.MultiHeadSelfAttention])
@pytest.mark.parametrize("sizes", [[4, 3], [1] * T])
def test_one_mask_for_all_rows_in_a_cache(layer_class, sizes):
    x, mask = tiny.random_array(B, T, 8), np.arange(T)[None] != 2
    layer = layer_class(2, 16) if layer_class is kt.DecoderBlock else layer_class(2)
    causal = {} if layer_class is kt.DecoderBlock else {"attention_mask": kt.CausalMask()(x)}
    expected = numpy(layer(x, mask=np.repeat(mask, B, axis=0), **causal))
    found, state, index = [], None, 0
    for size in sizes:
        with kt.CacheScope(state, index, LENGTH) as scope:
            new = x[:, index : index + size]
            causal = {"attention_mask": kt.CausalMask()(new)} if causal else {}
            found.append(numpy(layer(new, mask=mask[:, index : index + size], **causal)))
        state, index = scope.state, index + size
        assert {each.shape[0] for each in keras.tree.flatten(state)} == {B}
    real = mask[0]
    np.testing.assert_allclose(np.concatenate(found, axis=1)[:, real], expected[:, real], atol=2e-5)


def test_nothing_is_recorded_outside(models):
    scope = kt.AttentionScope()
    with scope:
        pass
    models["post_norm"](IDS)
    assert scope.weights == {}


def test_a_cache_needs_a_length():
    with pytest.raises(ValueError, match=r"Expected a length for the cache.*length=None"):
        kt.CacheScope()


def test_activations_are_those_between_the_two_maps():
    network = kt.FeedForward(6, gated=True, activation="silu", name="network")
    x = tiny.random_array(2, 3, 4)
    with kt.ActivationScope() as scope:
        network(network(x))
    network(x)  # is not recorded
    assert list(scope.activations) == ["network", "network#1"]
    one, gate = np.split(x @ numpy(network.expand.kernel), 2, axis=-1)  # the biases are 0
    expected = one / (1 + np.exp(-one)) * gate
    np.testing.assert_allclose(numpy(scope.activations["network"]), expected, atol=1e-5)


def test_activations_are_kept_where_layers_are_computed_again():
    with keras.RematScope(mode="full"):
        network = kt.FeedForward(6)
    x = tiny.random_array(2, 3, 4)
    with kt.ActivationScope() as scope:
        y = network(x, training=True)
    by_hand = numpy(scope.activations[network.path]) @ numpy(network.contract.kernel)
    np.testing.assert_allclose(by_hand, numpy(y), atol=1e-5)
