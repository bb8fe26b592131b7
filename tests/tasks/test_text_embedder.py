"""Vectors of texts: what the folders of sentence-transformers say is done, or refused."""

import functools
import json

import keras
import making
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.tasks import TextEmbedder

WORDS = "a dog runs the house is small and old".split()
LINES = ["a dog", "the house is small and old", "a", "", "A Dog RUNS the house is small and old"]
MODES = ["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"]


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".").replace("POOLING", "1_Pooling/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))


def modules(*names):
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    kinds = [{"type": f"sentence_transformers.models.{n}", "path": paths.get(n, n)} for n in names]
    return [{"idx": i, **kind} for i, kind in enumerate(kinds)]


@pytest.fixture(scope="module")
def tokenizer():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    return kt.text.KINDS["bert"]("bert", False, tokens)


def make(family="bert", kind=kt.models.encoder_only, **more):
    preset = {"bert": "bert_tiny", "distilbert": "distilbert_base", "gpt2": "gpt2_small"}[family]
    config = kt.TransformerConfig.preset(
        preset, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, vocabulary_size=13,
        max_sequence_length=16, **more,
    )  # fmt: skip
    model = tiny.randomize(kind(config))
    model.name = family
    return model


@pytest.fixture
def folder(tokenizer, tmp_path):
    kt.zoo.save(make(), tmp_path, tokenizer)
    write(
        tmp_path,
        modules__json=modules("Transformer", "Pooling", "Normalize"),
        sentence_bert_config__json={"max_seq_length": 6},
        POOLINGconfig__json={"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True},
    )
    return tmp_path


def by_hand(model, tokenizer, line, pool, max_length=6):
    """Of one text alone, without padding."""
    [ids] = tokenizer.frame([line], max_length=max_length)
    inputs = [np.array(x, "int32") for x in (ids[None], 0 * ids[None])][: len(model.inputs)]
    outputs = model(keras.tree.pack_sequence_as(model.input, inputs))
    states = tiny.numpy(outputs[0] if isinstance(outputs, list) else outputs)[0]  # (T, D)
    places = np.arange(1, len(ids) + 1)
    return {
        "cls": states[0],
        "lasttoken": states[-1],
        "max": states.max(axis=0),
        "mean": states.mean(axis=0),
        "mean_sqrt_len_tokens": states.sum(axis=0) / len(ids) ** 0.5,
        "weightedmean": np.average(states, axis=0, weights=places),
    }[pool]


@pytest.mark.parametrize("spelling", ["old", "new"])
@pytest.mark.parametrize("mode", MODES)
def test_pooling(mode, spelling, folder, tokenizer):
    tokens = mode if mode in ("lasttoken", "mean_sqrt_len_tokens") else f"{mode}_tokens"
    tokens = "cls_token" if mode == "cls" else tokens
    old = {"pooling_mode_mean_tokens": False, f"pooling_mode_{tokens}": True}
    write(folder, POOLINGconfig__json=old if spelling == "old" else {"pooling_mode": mode})
    write(folder, modules__json=modules("Transformer", "Pooling"))
    embed = TextEmbedder.load(folder)
    expected = [by_hand(embed.model, tokenizer, line, mode) for line in LINES]
    vectors = embed(LINES, truncate=True)
    assert vectors.shape == (len(LINES), 8) and vectors.dtype == "float32"
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(embed(LINES[1], truncate=True), expected[1], rtol=0, atol=1e-5)
    assert embed([]).shape == (0, 8)


def test_normalisation_two_ways_of_pooling_and_prompts(folder, tokenizer):
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    prompts = {"prompts": {"query": "the "}, "default_prompt_name": "query"}
    write(folder, POOLINGconfig__json=pooling, config_sentence_transformers__json=prompts)
    embed = TextEmbedder.load(folder)
    texts = [f"the {line}" for line in LINES]
    both = [
        np.concatenate([by_hand(embed.model, tokenizer, text, mode) for mode in ("cls", "mean")])
        for text in texts
    ]
    expected = both / np.linalg.norm(both, axis=-1, keepdims=True)
    np.testing.assert_allclose(embed(LINES, truncate=True), expected, rtol=0, atol=1e-5)


def test_the_longest_text(folder, tokenizer):
    assert TextEmbedder.load(folder).max_length == 6
    write(folder, sentence_bert_config__json={"max_seq_length": 400})
    assert TextEmbedder.load(folder).max_length == 16  # the model's positions
    write(folder, sentence_bert_config__json={"max_seq_length": None, "do_lower_case": True})
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "digests.json").unlink()
    write(folder, tokenizer_config__json=settings | {"model_max_length": 9})
    embed = TextEmbedder.load(folder)
    assert embed.max_length == 9
    found = embed(["A DOG", "the " * 50], truncate=True)
    np.testing.assert_allclose(found, embed(["a dog", "the " * 7]))
    with pytest.raises(ValueError, match="line 2: 52 tokens, the model reads 9"):
        embed(["A DOG", "the " * 50])
    write(folder, sentence_bert_config__json={"max_seq_length": 1})
    with pytest.raises(ValueError, match=f"{folder}: Expected max_length of at least 2"):
        TextEmbedder.load(folder)


@pytest.mark.parametrize("kind", ["masked_language_model", "sequence_classifier"])
def test_heads_are_left_out(kind, tokenizer, tmp_path):
    classes = {"num_classes": 3} if kind == "sequence_classifier" else {}
    build = functools.partial(getattr(kt.models, kind), **classes)
    model = make("distilbert", build, pooler=bool(classes), pooler_activation="relu")
    kt.zoo.save(model, tmp_path, tokenizer)
    embed = TextEmbedder.load(tmp_path)  # without modules.json: the mean, as it is
    expected = by_hand(embed.model, tokenizer, LINES[0], "mean")
    np.testing.assert_allclose(embed(LINES)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"modules__json": modules("Transformer", "Pooling", "Dense")}, "Received: .*Dense"),
        ({"modules__json": modules("Transformer", "Normalize", "Pooling")}, "Received: "),
        ({"modules__json": modules("Pooling")}, "expected the modules Transformer, Pooling"),
        ({"modules__json": {"a": 1}}, "modules.json: expected a list of objects"),
        ({"POOLINGconfig__json": {"pooling_mode": "sum"}}, r"pooling to be of .*pooling=.*'sum'"),
        ({"POOLINGconfig__json": []}, "config.json: expected an object"),
        (
            {
                "POOLINGconfig__json": {"include_prompt": False},
                "config_sentence_transformers__json": {
                    "prompts": {"q": "a "},
                    "default_prompt_name": "q",
                },
            },
            "include_prompt=False",
        ),
    ],
)
def test_what_is_refused(files, message, folder):
    write(folder, **files)
    with pytest.raises(ValueError, match=message) as error:
        TextEmbedder.load(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_model_that_writes_is_refused(tmp_path):
    tokenizer = kt.text.train_tokenizer("character", ["abcdefghi"])
    kt.zoo.save(make("gpt2", kt.models.decoder_only), tmp_path, tokenizer)
    with pytest.raises(kt.zoo.ZooError, match=r"a TextEmbedder\. Received: GPT2LMHeadModel"):
        TextEmbedder.load(tmp_path)


def test_texts_without_tokens_have_zeros(tmp_path):
    kt.zoo.tokenizers.save_tokenizer(kt.text.train_tokenizer("character", ["abcdef"]), tmp_path)
    tokenizer = kt.zoo.load_tokenizer(tmp_path)  # which puts nothing around a text
    embed = TextEmbedder(make(), tokenizer, MODES, normalize=True)
    vectors = embed(["", "abc", ""])
    assert vectors.shape == (3, 48) and not vectors[[0, 2]].any()
    np.testing.assert_allclose(vectors[1], embed("abc"), atol=1e-6)
    assert abs(np.linalg.norm(vectors[1]) - 1) < 1e-5


def test_hidden_states_of_a_decoder(tmp_path):
    tokenizer = kt.text.train_tokenizer("character", ["abcdefghi"])
    build = functools.partial(kt.models.decoder_only, logits=False)
    kt.zoo.save(make("gpt2", build), tmp_path, tokenizer)
    embed = TextEmbedder.load(tmp_path, pooling="lasttoken")
    expected = [by_hand(embed.model, embed.tokenizer, text, "lasttoken") for text in ("ab", "cde")]
    np.testing.assert_allclose(embed(["ab", "cde"]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", [making.MaskFiller, making.TextClassifier])
def test_encoders_of_runs(task, tmp_path):
    folder = making.make_run(task, tmp_path / "run", row_length=10, max_length=9)
    embed = TextEmbedder.load(folder)
    assert embed.max_length == 9
    trained = keras.models.load_model(folder / "model.keras")
    for line in making.LINES[:2]:
        [ids] = embed.tokenizer.encode([line])
        ids = np.array([[2, *ids, 3]])
        block = trained.get_layer("encoder_block_0")
        x = trained.get_layer("embedding")(ids)
        expected = tiny.numpy(block(x))[0].mean(axis=0)
        np.testing.assert_allclose(embed(line), expected, rtol=0, atol=1e-5)
