"""Heads that are cut, or off for a while: what the others compute stays what it was."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops
from tiny import random_ids

import keras_transformer as kt
from keras_transformer.models import heads_off, prune_heads
from keras_transformer.models.pruning import attention_layers

B, T, S = 2, 6, 5
GROUPED = "rotary_grouped_gated"


def wrapped():
    """A block in a wrapper of Keras and a model inside, whose layer is called twice."""
    x = keras.Input((None, 8))
    shared = kt.MultiHeadSelfAttention(4, name="shared")
    inner = keras.Model(x, shared(shared(x)), name="inner")
    rows = keras.Input((3, None, 8))
    block = kt.EncoderBlock(2, 16, name="block")
    y = keras.layers.TimeDistributed(block)(rows)
    y = keras.layers.TimeDistributed(inner)(y)
    return tiny.randomize(keras.Model(rows, y))


def sequential():
    layers = [kt.EncoderBlock(2, 16, name="first"), kt.MultiHeadSelfAttention(2, name="second")]
    return tiny.randomize(keras.Sequential([keras.Input((None, 8)), *layers]))


# name: (the model, heads to cut)
CASES = {
    "translator": (
        lambda: tiny.make("encoder_decoder", num_heads=4),
        {
            "encoder_block_1/self_attention": [2, 0],
            "decoder_block_0/self_attention": [3],
            "decoder_block_0/cross_attention": [0, 1, 2],
        },
    ),
    "llama": (
        lambda: tiny.make("decoder_only", GROUPED),
        {"decoder_block_0/self_attention": [2, 3], "decoder_block_1/self_attention": [0, 1]},
    ),
    "bart": (
        lambda: tiny.make(
            "encoder_decoder", position="learned", embedding_norm=True, logits_bias=True
        ),
        {"encoder_block_0/self_attention": [0], "decoder_block_1/cross_attention": [1]},
    ),
    "gpt2": (
        lambda: tiny.randomize(kt.models.decoder_only(tiny.config(**tiny.GPT2))),
        {"decoder_block_1/self_attention": [1]},
    ),
    "bert": (
        lambda: tiny.randomize(
            kt.models.masked_language_model(
                tiny.config(**tiny.BERT, pooler=True, num_heads=4), next_sentence=True
            )
        ),
        {"encoder_block_0/self_attention": [0, 2], "encoder_block_1/self_attention": [1]},
    ),
    "window": (
        lambda: tiny.make("decoder_only", "window"),
        {"decoder_block_0/self_attention": [0]},
    ),
    "language_model_by_hand": (
        tiny.language_model_by_hand,
        {"multi_head_self_attention": [1], "encoder_block/self_attention": [0]},
    ),
    "translator_by_hand": (
        tiny.translator_by_hand,
        {"decoder_block/cross_attention": [1], "encoder_block_1/self_attention": [0]},
    ),
    "sequential": (sequential, {"sequential/first/self_attention": [1], "sequential/second": [0]}),
    "wrapped": (wrapped, {"time_distributed/block/self_attention": [1], "shared": [0, 3]}),
}


@pytest.fixture(params=CASES)
def case(request):
    make, heads = CASES[request.param]
    keras.utils.clear_session()  # names are counted from the first
    return make(), heads


def inputs_of(model):
    """Ids of other lengths for a source and a target, or arrays."""
    found = []
    for number, x in enumerate(model.inputs):
        shape = [B, *(size or S + number for size in x.shape[1:])]
        is_id = "int" in x.dtype
        ids = random_ids(*shape, seed=number)
        if x.name == "masked_positions":
            ids = ids[:, :2] % S
        if x.name == "segment_ids":
            ids = np.zeros((B, S), "int32")
        found.append(ids if is_id else tiny.random_array(*shape, seed=number))
    return found if len(found) > 1 else found[0]


def outputs_of(model):
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs_of(model))
    return [tiny.numpy(x) for x in keras.tree.flatten(model(inputs, training=False))]


def assert_close(found, expected, atol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


def attention_at(model, path):
    """Keras leaves out of a reloaded model's paths what a layer is wrapped in."""
    [layer] = [x for x in attention_layers(model) if path.endswith(x.path)]
    return layer


def test_a_pruned_model_computes_what_the_whole_one_does_with_the_heads_off(case, tmp_path):
    model, heads = case
    before, weights = outputs_of(model), model.get_weights()
    pruned = prune_heads(model, heads)
    with heads_off(model, heads):
        off = outputs_of(model)
    found = outputs_of(pruned)
    assert_close(found, off)
    assert max(np.abs(x - y).max() for x, y in zip(found, before, strict=True)) > 1e-3
    assert type(pruned) is type(model) and pruned.count_params() < model.count_params()
    for now, then in zip(outputs_of(model), before, strict=True):
        np.testing.assert_array_equal(now, then)
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    reloaded = tiny.reload(pruned, tmp_path)
    assert_close(outputs_of(reloaded), found, atol=1e-6)
    for path, cut in heads.items():
        old, new = attention_at(model, path), attention_at(reloaded, path)
        assert new.num_heads == old.num_heads - len(cut) and new.head_dim == old.head_dim
        assert new.num_heads / new.num_key_value_heads == old.num_heads / old.num_key_value_heads


def test_nothing_else_changes():
    make, heads = CASES["translator"]
    model = make()
    model.get_layer("encoder_block_0").trainable = False
    pruned = prune_heads(model, heads)
    assert pruned.name == model.name
    assert not pruned.get_layer("encoder_block_0").trainable
    for old, new in zip(model.weights, pruned.weights, strict=True):
        assert old.path == new.path and old is not new
        if old.shape == new.shape and not any(path in old.path for path in heads):
            np.testing.assert_array_equal(tiny.numpy(old), tiny.numpy(new))
    for weight in pruned.weights:
        weight.assign(np.zeros(weight.shape))
    assert any(tiny.numpy(weight).any() for weight in model.weights)  # they are copies


def test_heads_off_is_by_hand():
    """`y = sum over heads of weights @ value @ rows`, without the terms of those that are off."""
    layer = kt.MultiHeadSelfAttention(4, name="attention")
    x = keras.Input((None, 8))
    model = tiny.randomize(keras.Model(x, layer(x)))
    x = tiny.random_array(B, T, 8)
    with kt.AttentionScope() as scope:
        model(x)
    weights = tiny.numpy(scope.weights["attention"])  # (B, N, T, S)
    maps = [tiny.numpy(w) for w in layer.query_key_value.weights]
    value = (x @ maps[0] + maps[1])[..., 16:].reshape(B, T, 4, 2)
    kernel, bias = (tiny.numpy(w) for w in layer.output_projection.weights)
    kernel = kernel.reshape(4, 2, 8)
    for off in ([], [1], [0, 3], [0, 1, 2, 3]):
        on = [head for head in range(4) if head not in off]
        terms = [weights[:, n] @ value[:, :, n] @ kernel[n] for n in on]
        with heads_off(model, {"attention": off}):
            expected = sum(terms) + np.broadcast_to(bias, x.shape)
            np.testing.assert_allclose(tiny.numpy(model(x)), expected, atol=1e-5)


def test_heads_are_on_again_whatever_happens():
    model = tiny.make("decoder_only", GROUPED)
    ids = random_ids(B, T)
    model.compile("sgd", "mse")
    before = model.predict_on_batch(ids)  # compiled now
    path = "decoder_block_0/self_attention"
    with pytest.raises(KeyError), heads_off(model, {path: [1]}):  # a part of a group may be off
        off = model.predict_on_batch(ids)
        raise KeyError
    assert np.abs(off - before).max() > 1e-3
    np.testing.assert_array_equal(model.predict_on_batch(ids), before)
    with heads_off(model, {path: [1]}):
        with heads_off(model, {path: [1, 2]}):
            both = model.predict_on_batch(ids)
        np.testing.assert_array_equal(model.predict_on_batch(ids), off)
    assert np.abs(both - off).max() > 1e-3
    np.testing.assert_array_equal(model.predict_on_batch(ids), before)
    kernel, *_ = model.get_layer("decoder_block_0").self_attention.output_projection.weights
    with heads_off(model, {path: [0]}):  # what others learn meanwhile stays
        kernel.assign(np.ones(kernel.shape))
    assert (tiny.numpy(kernel)[2:] == 1).all() and (tiny.numpy(kernel)[:2] != 1).all()


@pytest.mark.parametrize("name", ["translator", "llama", "bart", "gpt2", "window"])
@pytest.mark.parametrize("sampler", ["greedy", "beam"])
def test_it_generates(name, sampler):
    """With a cache as without one, and as the whole model with the heads off."""
    make, heads = CASES[name]
    model = make()
    pruned = prune_heads(model, heads)
    is_translator = len(model.inputs) == 2
    arguments = {"end_id": None, "max_new_tokens": 5, "pad_id": tiny.PAD}
    arguments |= {"start_id": tiny.START} if is_translator else {}
    arguments["sampler"] = kt.generation.BeamSearch(beams=3) if sampler == "beam" else sampler
    ids = random_ids(B, 4)
    with tiny.without_tracing():
        found = kt.Generator(pruned, **arguments)(ids)
        whole = kt.Generator(model, **arguments)
        with heads_off(model, heads):
            np.testing.assert_array_equal(whole(ids), found)
    if sampler == "greedy":
        for row, new in zip(ids.tolist(), found.tolist(), strict=True):
            source = row if is_translator else None
            prompt = [tiny.START] if is_translator else row
            by_hand = tiny.greedy_by_hand(pruned, prompt, 5, source=source)
            assert new == (by_hand if is_translator else [*row, *by_hand])


def test_a_compiled_generator_sees_that_heads_are_off():
    model = tiny.make_talkative("decoder_only")
    heads = {f"decoder_block_{i}/self_attention": [0, 1] for i in range(2)}
    generator = kt.Generator(model, end_id=None, max_new_tokens=5)
    before = generator(random_ids(B, 4))
    with heads_off(model, heads):
        off = generator(random_ids(B, 4))
    assert (off != before).any()
    np.testing.assert_array_equal(generator(random_ids(B, 4)), before)


@pytest.mark.slow
def test_it_goes_on_training(precision):
    model = tiny.make("encoder_decoder", num_heads=4)
    pruned = prune_heads(model, CASES["translator"][1])
    assert pruned.get_layer("decoder_block_0").compute_dtype == model.layers[-1].compute_dtype
    pruned.compile(keras.optimizers.Adam(0.01), kt.training.MaskedCrossentropy())
    before = pruned.get_weights()
    inputs, labels = inputs_of(pruned), random_ids(B, S + 1, seed=2)
    losses = [float(pruned.train_on_batch(inputs, labels)) for _ in range(9)]
    assert losses[-1] < losses[0]
    for old, new in zip(before, pruned.get_weights(), strict=True):
        assert np.isfinite(new).all() and not np.array_equal(old, new)


def test_pruning_again_counts_the_heads_that_are_left(tmp_path):
    model = tiny.make("encoder_decoder", num_heads=4)
    path, other = "decoder_block_0/cross_attention", "decoder_block_0/self_attention"
    again = prune_heads(tiny.reload(prune_heads(model, {path: [1]}), tmp_path), {path: [1]})
    again = prune_heads(again, {other: [3]})
    assert_close(outputs_of(again), outputs_of(prune_heads(model, {path: [1, 2], other: [3]})))
    block = again.get_layer("decoder_block_0")
    assert block.num_heads == {"self_attention": 3, "cross_attention": 2}
    assert again.get_layer("decoder_block_1").num_heads == 4


def test_no_config_describes_it(tmp_path):
    """What generation and tasks ask a model for is known all the same."""
    config = tiny.config(num_heads=4, pad_id=7, max_sequence_length=9)
    heads = {"decoder_block_1/self_attention": [1]}
    pruned = tiny.reload(prune_heads(kt.models.encoder_decoder(config), heads), tmp_path)
    with pytest.raises(ValueError, match=r"heads were not pruned.*\['decoder_block_1'\]"):
        kt.models.config_of(pruned)
    assert kt.generation.anatomy.known_config(pruned) is None
    assert kt.generation.anatomy.known_length(pruned) == 9
    generator = kt.Generator(pruned, end_id=1, start_id=2, max_new_tokens=3)
    assert generator.pad_id == 7


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.slow
def test_lora_and_8_bits(rank, int8, tmp_path):
    model = tiny.make("decoder_only", GROUPED, hidden_dim=16)
    if rank:
        kt.training.enable_lora(model, rank)
        tiny.randomize(model, scale=0.2)
    if int8:
        model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    heads, before = CASES["llama"][1], outputs_of(model)
    with heads_off(model, heads):
        off = outputs_of(model)
    np.testing.assert_array_equal(outputs_of(model), before)
    pruned = prune_heads(model, heads)
    # In 8 bits the largest of other inputs rounds them, and with LoRA a kernel is rounded again.
    assert_close(outputs_of(pruned), off, atol=0.1 if int8 else 1e-5)
    assert np.abs(off[0] - before[0]).max() > 0.2
    assert_close(outputs_of(tiny.reload(pruned, tmp_path)), outputs_of(pruned), atol=1e-6)
    assert not any(getattr(x, "lora_enabled", False) for x in pruned._flatten_layers())


class Mine(keras.layers.Layer):
    """Says nothing of what is inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = kt.MultiHeadSelfAttention(2, name="attention")

    def call(self, x):
        return self.attention(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.attention = kt.MultiHeadSelfAttention(2, name="attention")

    def call(self, x):
        return self.attention(x)


def test_what_cannot_be_done_is_refused():
    grouped = tiny.make("decoder_only", GROUPED)
    path = "decoder_block_0/self_attention"
    for heads, words in (
        ({"decoder_block_0": [0]}, rf"one attention layer at each path, of {path}.*_block_0'$"),
        ({path: [4]}, rf"heads 0 to 3 of {path}. Received: heads=\[4\]"),
        ({path: [-1]}, r"heads 0 to 3 of .*\[-1\]"),
        ({path: [0]}, r"whole groups of 2 heads.*heads=\[0\]"),
        ({path: [1, 2]}, r"whole groups of 2 heads.*heads=\[1, 2\]"),
        ({path: range(4)}, rf"at least one head of {path} to be left"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {words}"):
            prune_heads(grouped, heads)
    with pytest.raises(ValueError, match="one attention layer at each path"):
        heads_off(grouped, {"attention": [0]}).__enter__()
    x = keras.Input((3, 8))
    for layer, words in (
        (Mine(name="mine"), "that the model's config tells of.*path='mine/attention'"),
        (keras.layers.MultiHeadAttention(2, 4, name="mine"), "one attention layer at each path"),
    ):
        model = keras.Model(x, layer(x, x) if "Multi" in type(layer).__name__ else layer(x))
        with pytest.raises(ValueError, match=words):
            prune_heads(model, {"mine/attention" if isinstance(layer, Mine) else "mine": [0]})
    model = Subclassed()
    model(np.ones((1, 3, 8), "float32"))
    with pytest.raises(ValueError, match=r"a Functional or Sequential model. .*a Subclassed"):
        prune_heads(model, {model.attention.path: [0]})
    with pytest.raises(ValueError, match="heads of cross_attention"):
        block = kt.DecoderBlock({"self_attention": 1}, 16, key_dim=4)
        block.build((1, 3, 8), (1, 3, 8))


def test_kernels_of_4_bits_are_refused():
    model = tiny.make("decoder_only", num_heads=4)
    model.quantize("int4", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    heads = {"decoder_block_0/self_attention": [0]}
    for use in (lambda: heads_off(model, heads).__enter__(), lambda: prune_heads(model, heads)):
        with pytest.raises(ValueError, match="kernels of floats or of 8 bits"):
            use()
