"""What pictures are drawn of: the weights of `AttentionScope`, between readable tokens."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.monitoring import alignment_of, attention_of, legible, position_table
from keras_transformer.monitoring.attention import token_texts

LINES = ["a dog runs far", "um cão corre", "one two three four five six"]
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


@pytest.fixture(scope="module")
def tokenizer():
    return kt.text.train_tokenizer("whitespace", LINES, mask=True)


def config(tokenizer, **others):
    return kt.TransformerConfig(
        vocabulary_size=tokenizer.vocabulary_size, max_sequence_length=12, **SIZES, **others
    )


@pytest.fixture(scope="module")
def translator(tokenizer):
    return kt.tasks.Translator(kt.models.encoder_decoder(config(tokenizer)), tokenizer, beams=1)


@pytest.mark.parametrize("target", ["um cão corre", "um cão corre corre"])  # as long as the source
def test_the_numbers_are_those_of_the_scope(translator, tokenizer, target):
    found = attention_of(translator, ("a dog runs far", target))
    source_ids, target_ids = translator.inputs(("a dog runs far", target))
    with kt.AttentionScope() as scope:
        translator.model([source_ids[None], target_ids[None]])
    assert [one.layer for one in found] == list(scope.weights)
    for one in found:
        recorded = ops.convert_to_numpy(scope.weights[one.layer])[0]
        np.testing.assert_allclose(one.weights, recorded, atol=1e-6)
    assert [one.kind for one in found] == ["self", "self", "causal", "cross", "causal", "cross"]
    source, written = LINES[0].split() + ["</s>"], ["<s>", *target.split()]
    assert all((one.queries, one.keys) == (source, source) for one in found[:2])
    assert all(one.queries == written for one in found[2:])
    assert [one.keys for one in found[2:]] == [written, source] * 2


def test_a_source_alone_is_translated(translator):
    found = attention_of(translator, "a dog")
    _, ids = translator.inputs(("a dog", translator("a dog")))
    assert found[-1].queries == token_texts(translator.tokenizer, ids)


def test_every_task(tokenizer):
    fill = kt.tasks.MaskFiller(kt.models.masked_language_model(config(tokenizer)), tokenizer)
    write = kt.tasks.TextGenerator(kt.models.decoder_only(config(tokenizer)), tokenizer, 3)
    classify = kt.tasks.TextClassifier(
        kt.models.sequence_classifier(config(tokenizer), num_classes=2), tokenizer
    )
    embed = kt.tasks.TextEmbedder(kt.models.encoder_only(config(tokenizer)), tokenizer)
    for task, kind in ((fill, "self"), (write, "causal"), (classify, "self"), (embed, "self")):
        found = attention_of(task, "a dog [MASK] far" if task is fill else "a dog")
        assert [one.kind for one in found] == [kind] * 2, task
        assert "dog" in found[0].queries and found[0].queries == found[0].keys
        assert found[1].keys == found[0].keys
        assert attention_of(task, "") == [] or len(task.inputs("")[0])
    # The last block computes nothing else.
    assert attention_of(fill, "a dog [MASK] far [MASK]")[1].queries == ["<mask>", "<mask>"]
    assert attention_of(fill, "a dog")[1].queries == attention_of(fill, "a dog")[1].keys
    assert attention_of(classify, "a dog")[1].queries == ["<s>"]


def test_text_that_is_too_long_is_cut(translator):
    found = attention_of(translator, (" ".join(["dog"] * 99), " ".join(["um"] * 99)))
    assert {len(one.queries) for one in found} == {12}


def test_an_alignment_is_by_words(tokenizer):
    """Of a word's pieces the source's weights add up; a row is by what it was chosen."""
    pieces = kt.text.train_tokenizer("whitespace", ["a pul@@ ley runs", "um cão corre"])
    model = kt.models.encoder_decoder(config(pieces))
    translate = kt.tasks.Translator(model, pieces, beams=1)
    weights, source, target = alignment_of(translate, ("a pul@@ ley", "um pul@@ ley"), layer=1)
    assert source == ["a", "pulley", "</s>"] and target == ["um", "pulley", "</s>"]
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    by_pieces = attention_of(translate, ("a pul@@ ley", "um pul@@ ley"))[-1].weights.mean(axis=0)
    assert weights[0, 0] == pytest.approx(by_pieces[0, 0])
    assert weights[0, 1] == pytest.approx(by_pieces[0, 1:3].sum())
    assert weights[1, 0] == pytest.approx(by_pieces[1:3, 0].mean())


def test_an_alignment_of_a_text_that_is_too_long_is_that_of_its_beginning(translator):
    weights, source, target = alignment_of(translator, " ".join(["dog"] * 99))
    assert weights.shape == (len(target), len(source)) and len(source) == 12


def test_what_does_not_align_is_refused(translator, tokenizer):
    write = kt.tasks.TextGenerator(kt.models.decoder_only(config(tokenizer)), tokenizer, 3)
    with pytest.raises(ValueError, match="Expected a task that translates"):
        alignment_of(write, "a dog")
    with pytest.raises(ValueError, match=r"one of 2 cross-attentions.*layer=2"):
        alignment_of(translator, ("a dog", "um"), layer=2)


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece", "bpe", "character", "whitespace"])
def test_tokens_can_be_read(kind):
    """Together they are the line; none is the bytes of a vocabulary."""
    lines = ["Olá, não há pão", "o cão", "não é"] * 9
    tokenizer = kt.text.train_tokenizer(kind, lines)
    [ids] = tokenizer.encode(["não há pão"])
    texts = token_texts(tokenizer, ids)
    joined = "".join(text.removeprefix("##").strip("␣ ") for text in texts)
    assert joined == "nãohápão"
    assert "" not in texts


def test_the_first_readable_example_is_taken(translator):
    long = " ".join(["dog"] * 30)
    pairs = [
        ("a", "um"),
        (long, "um cão corre"),
        ("a dog runs", "um cão corre"),
        ("a dog far", "a"),
    ]
    assert legible(translator, pairs, most=6) == [pairs[2]]
    assert legible(translator, pairs[:2], most=6) == [pairs[0]]
    assert legible(translator, []) == []


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_the_table_of_positions_is_what_is_added_to_tokens(tokenizer, kind):
    model = kt.models.encoder_only(config(tokenizer, position=kind))
    name, table = position_table(model, most=5)
    layer = next(x for x in model._flatten_layers() if isinstance(x, kt.PositionalEmbedding))
    ids = np.array([[4, 4, 4, 4, 4]])
    scale = 8**0.5 if layer.scale_embedding else 1.0
    tokens = ops.convert_to_numpy(layer.embeddings)[ids[0]] * scale
    assert name == kind
    np.testing.assert_allclose(ops.convert_to_numpy(layer(ids))[0] - tokens, table, atol=1e-5)
    assert position_table(kt.models.encoder_only(config(tokenizer, position="rotary"))) is None
