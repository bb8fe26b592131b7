"""Neurons are what the layer's kernels say, by hand, and tokens are where they were."""

import keras
import numpy as np
import pytest
import tiny
from tiny import numpy

import keras_transformer as kt
from keras_transformer.monitoring import neurons
from keras_transformer.monitoring.attention import token_texts

WORDS = "a dog runs far um cão corre one two three four five six".split()
LINES = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(10)] + ["six dog", "five"]
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 24}
SECOND = "decoder_block_1/feed_forward"


@pytest.fixture(scope="module")
def tokenizer():
    return kt.text.train_tokenizer("whitespace", LINES, mask=True)


def make(family, tokenizer, *arguments, **changes):
    config = kt.TransformerConfig(
        vocabulary_size=tokenizer.vocabulary_size, max_sequence_length=20, **(SIZES | changes)
    )
    return tiny.randomize(getattr(kt.models, family)(config, *arguments))


def writer(tokenizer, **changes):
    return kt.tasks.TextGenerator(make("decoder_only", tokenizer, **changes), tokenizer, 3)


def into(model, layer):
    """A function from ids to what goes into a layer `(T, D)`, and the layer."""
    network = next(x for x in model._flatten_layers() if x.path == layer)
    seen, call = [], network.call

    def look(x, **kwargs):
        seen.append(numpy(x)[0])
        return call(x, **kwargs)

    def run(*rows):
        network.call = look
        try:
            inputs = [np.asarray(row, "int32")[None] for row in rows]
            model(inputs if len(inputs) > 1 else inputs[0], training=False)
        finally:
            network.call = call
        return seen.pop()

    return run, network


def by_hand(network, x, function):
    """Activations `(T, F)` of `x (T, D)`, from the kernels."""
    x = x @ numpy(network.expand.kernel) + numpy(network.expand.bias)
    if not network.gated:
        return function(x)
    one, gate = np.split(x, 2, axis=-1)
    return function(one) * gate


def relu(x):
    return np.maximum(x, 0)


def silu(x):
    return x / (1 + np.exp(-x))


KINDS = {
    "relu_tied": ({}, relu),
    "relu_untied": ({"tie_embeddings": False}, relu),
    "gated_tied": ({"gated": True, "activation": "silu", "normalize_first": True}, silu),
    "gated_untied": (
        {"gated": True, "activation": "silu", "tie_embeddings": False, "logits_bias": True},
        silu,
    ),
    "gated_relu": ({"gated": True, "activation": "relu"}, relu),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_the_kernels(tokenizer, kind):
    changes, function = KINDS[kind]
    write = writer(tokenizer, **changes)
    run, network = into(write.model, SECOND)
    rows = [write.inputs(line)[0] for line in LINES]
    active = [by_hand(network, run(row), function) for row in rows]
    every = np.concatenate(active)
    limit = 0 if kind.startswith("relu") else every.max(axis=0) / 10
    shares = (every > limit).mean(axis=0)
    if changes.get("tie_embeddings", True):
        table = numpy(write.model.get_layer("embedding").embeddings).T
    else:
        table = numpy(write.model.get_layer("logits_projection").kernel)
    products = numpy(network.contract.kernel) @ table  # (F, V)
    found = neurons(write, LINES, SECOND, range(24))
    assert [one.index for one in found] == list(range(24)) and found[0].layer == SECOND
    for one in found:
        assert one.share == pytest.approx(shares[one.index])
        peaks = sorted((a[:, one.index].max() for a in active), reverse=True)[:8]
        peaks = [peak for peak in peaks if peak > 0]
        assert [example[0] for example in one.examples] == pytest.approx(peaks, abs=1e-5)
        for activation, tokens, place in one.examples:
            i = next(
                i for i, a in enumerate(active) if abs(a[:, one.index].max() - activation) < 1e-6
            )
            there = int(active[i][:, one.index].argmax())
            texts = token_texts(tokenizer, rows[i])
            assert tokens[place] == texts[there] and len(tokens) == min(12, len(texts))
            first = there - place
            assert tokens == texts[first : first + 12]
        order = np.argsort(-products[one.index], kind="stable")
        names = token_texts(tokenizer, order)
        values = products[one.index][order]
        assert [token for token, _ in one.promotes] == names[:10]
        assert [product for _, product in one.promotes] == pytest.approx(values[:10], abs=1e-5)
        assert [token for token, _ in one.suppresses] == names[:-6:-1]
        assert [product for _, product in one.suppresses] == pytest.approx(values[:-6:-1], abs=1e-5)


def test_the_most_selective_come_first(tokenizer):
    write = writer(tokenizer)
    run, network = into(write.model, SECOND)
    active = [by_hand(network, run(write.inputs(line)[0]), relu) for line in LINES]
    weakest = np.sort([a.max(axis=0) for a in active], axis=0)[-8]
    ratio = weakest / np.maximum(np.concatenate(active).mean(axis=0), 1e-30)
    found = neurons(write, LINES, SECOND, most=5)
    assert [one.index for one in found] == np.argsort(-ratio, kind="stable")[:5].tolist()
    assert len(neurons(write, LINES, SECOND)) == 24  # 32 at most


def test_a_neuron_that_nothing_wakes(tokenizer):
    write = writer(tokenizer)
    _, network = into(write.model, SECOND)
    bias = numpy(network.expand.bias).copy()
    bias[3] = -1e6
    network.expand.bias.assign(bias)
    assert 3 not in [one.index for one in neurons(write, LINES, SECOND, most=10)]
    [one] = neurons(write, LINES, SECOND, [3])
    assert one.share == 0 and one.examples == [] and len(one.promotes) == 10


def test_both_sides_of_a_translator(tokenizer):
    """Also where source and target have one length."""
    model = make("encoder_decoder", tokenizer)
    translate = kt.tasks.Translator(model, tokenizer, beams=1)
    pair = ("a dog runs", "um cão corre")
    source_ids, target_ids = translate.inputs(pair)
    assert len(source_ids) == len(target_ids)
    for layer, ids in (("encoder_block_1/feed_forward", source_ids), (SECOND, target_ids)):
        run, network = into(model, layer)
        active = by_hand(network, run(source_ids, target_ids), relu)
        [one] = neurons(translate, [pair], layer, most=1)
        [(activation, tokens, place)] = one.examples
        assert tokens == token_texts(tokenizer, ids)
        assert activation == pytest.approx(active[place, one.index], abs=1e-5)
        assert len(one.promotes) == (0 if "encoder" in layer else 10)
        assert len(one.suppresses) == (0 if "encoder" in layer else 5)


def test_tasks_without_logits_and_blocks_of_some_tokens(tokenizer):
    fill = kt.tasks.MaskFiller(make("masked_language_model", tokenizer), tokenizer)
    pooled = {"pooler": True, "num_segments": 2}
    pairs = kt.tasks.MaskFiller(make("masked_language_model", tokenizer, True, **pooled), tokenizer)
    classify = kt.tasks.TextClassifier(make("sequence_classifier", tokenizer, 2), tokenizer)
    embed = kt.tasks.TextEmbedder(make("encoder_only", tokenizer), tokenizer)
    for task in (fill, pairs, classify, embed):
        text = "a dog [MASK] far" if task in (fill, pairs) else "a dog runs far"
        ids, *others = task.inputs(text)
        others = [
            np.arange(len(ids)) if tensor.name == "masked_positions" else row
            for tensor, row in zip(task.model.inputs[1:], others, strict=True)
        ]
        run, network = into(task.model, "encoder_block_1/feed_forward")
        active = by_hand(network, run(ids, *others), relu)
        tokens = token_texts(tokenizer, ids)
        size = 1 if task is classify else len(tokens)
        assert len(active) == size + (task is pairs)
        found = neurons(task, [text], "encoder_block_1/feed_forward", most=24)
        for one in found:
            values = active[-size:, one.index]
            assert one.share == pytest.approx((values > 0).mean())
            assert len(one.promotes) == (10 if task in (fill, pairs) else 0)
            for activation, around, place in one.examples:
                assert around == tokens[:size]
                assert activation == pytest.approx(values[place], abs=1e-5)
        assert any(one.examples for one in found)


def test_kernels_of_8_bits_and_of_lora(tokenizer):
    write = writer(tokenizer)
    expected = neurons(write, LINES, SECOND, [5])[0].promotes
    kt.training.enable_lora(write.model, 2)
    _, network = into(write.model, SECOND)
    network.contract.lora_kernel_b.assign(np.ones((2, 8)))
    changed = neurons(write, LINES, SECOND, [5])[0].promotes
    table = numpy(write.model.get_layer("embedding").embeddings).T
    best = np.sort(numpy(network.contract.kernel)[5] @ table)[::-1][:10]
    assert [product for _, product in changed] == pytest.approx(best, abs=1e-5)
    assert changed != expected
    rough = writer(tokenizer)
    rough.model.quantize("int8")
    found = dict(neurons(rough, LINES, SECOND, [5])[0].promotes)
    for token, product in expected[:5]:
        assert found[token] == pytest.approx(product, abs=0.1)


def test_a_model_by_hand_with_a_block_as_wide_as_the_vocabulary(tokenizer):
    size = tokenizer.vocabulary_size
    token_ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(size, 8)(token_ids)
    x = kt.DecoderBlock(2, size, name="block")(x)
    model = tiny.randomize(keras.Model(token_ids, keras.layers.Dense(size, name="words")(x)))
    write = kt.tasks.TextGenerator(model, tokenizer, 3)
    _, network = into(model, "block/feed_forward")
    products = numpy(network.contract.kernel)[2] @ numpy(model.get_layer("words").kernel)
    [one] = neurons(write, LINES, "block/feed_forward", [2])
    best = np.sort(products)[::-1][:10]
    assert [product for _, product in one.promotes] == pytest.approx(best, abs=1e-5)


def test_what_cannot_be(tokenizer):
    write = writer(tokenizer)
    with pytest.raises(ValueError, match=r"decoder_block_1/feed_forward\. Received: layer='x'"):
        neurons(write, LINES, "x")
    with pytest.raises(ValueError, match=r"indices from 0 to 23\. Received: index=24"):
        neurons(write, LINES, SECOND, [3, 24])
    with pytest.raises(ValueError, match="a text with a token"):
        neurons(write, [], SECOND)
