"""The explorer's numbers, by hand, and what it refuses. Its page: test_explorer_page.py."""

import json
import re

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.monitoring.explorer import attention, blocks, opening, packing, positions
from keras_transformer.monitoring.explorer.reading import blocks_of, read
from keras_transformer.monitoring.explorer.walk import misses, walk

FAMILIES = {
    "post_norm": {},
    "pre_norm": {"normalize_first": True, "position": "learned", "activation": "gelu"},
    "modern": {
        "normalize_first": True,
        "norm": "rms_norm",
        "gated": True,
        "activation": "silu",
        "position": "rotary",
        "num_key_value_heads": 2,
        "use_bias": False,
    },
    "wide_heads": {"key_dim": 3, "scale_embedding": True},
    "windowed": {"window": 2},
    "bert": {"embedding_norm": True, "num_segments": 2, "position": "learned"},
}


@pytest.fixture(scope="module")
def tokenizer():
    return kt.text.train_tokenizer("whitespace", ["a dog runs", "um cachorro corre"], mask=True)


def config(tokenizer, **options):
    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 16, "intermediate_dim": 24}
    return kt.TransformerConfig(
        **{"vocabulary_size": tokenizer.vocabulary_size, "max_sequence_length": 20}
        | sizes
        | options
    )


def tasks_of(tokenizer, options):
    """A task of each kind whose config may have these options, and an example."""
    made = config(tokenizer, **options)
    if "num_segments" in options:
        model = kt.models.masked_language_model(made)
        yield kt.tasks.MaskFiller(model, tokenizer), "a [MASK] runs"
        classes = kt.models.sequence_classifier(made, 2)
        yield kt.tasks.TextClassifier(classes, tokenizer, labels=["x", "y"]), "a dog"
        return
    model = kt.models.encoder_decoder(made)
    yield kt.tasks.Translator(model, tokenizer), ("a dog runs", "um cachorro corre")
    yield kt.tasks.TextGenerator(kt.models.decoder_only(made), tokenizer), "a dog runs"


def data_of(file):
    """The JSON in a page."""
    page = file.read_text(encoding="utf-8")
    return json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])


# ---- a block, gone through again ---------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_walk_ends_where_the_block_does(tokenizer, name):
    keras.utils.set_random_seed(1)
    for task, example in tasks_of(tokenizer, FAMILIES[name]):
        reading = read(task, task.inputs(example))
        found = blocks_of(task.model)
        assert reading.calls.keys() == found.keys()
        for path, block in found.items():
            weight, number = misses(walk(block, reading.calls[path], reading), reading)
            assert weight < 2e-3 and number < 1e-3


def test_what_misses_is_seen(tokenizer):
    [(task, example), _] = tasks_of(tokenizer, {})
    reading = read(task, task.inputs(example))
    path, block = next(iter(blocks_of(task.model).items()))
    found = walk(block, reading.calls[path], reading)
    found.fed_forward[0, 0] += 1.0
    assert misses(found, reading)[1] > 0.01
    found.attentions[0].key[:] += np.arange(4).reshape(1, 4, 1)
    assert misses(found, reading)[0] > 0.01


def test_a_model_is_as_before_once_it_was_read(tokenizer):
    [(task, example), _] = tasks_of(tokenizer, {})
    read(task, task.inputs(example))
    assert all("call" not in vars(layer) for layer in task.model._flatten_layers())


def test_what_is_carried_is_the_value_after_the_output_map(tokenizer):
    [(task, example), _] = tasks_of(tokenizer, {})
    reading = read(task, task.inputs(example))
    path, block = next(iter(blocks_of(task.model).items()))
    own = walk(block, reading.calls[path], reading).attentions[0]
    kernel = ops.convert_to_numpy(block.self_attention.output_projection.kernel)
    size = block.self_attention.head_dim
    expected = own.value[2, 1] @ kernel[2 * size : 3 * size]
    assert np.isclose(own.carried[2, 1], np.linalg.norm(expected), rtol=1e-5)


def test_tokens_that_fit_a_query_best(tokenizer):
    rng = np.random.default_rng(0)
    query, keys = rng.normal(size=(4, 3, 5)), [rng.normal(size=(2, n, 5)) for n in (4, 6)]
    found = blocks._fitting(query, keys)
    assert found["places"]["shape"] == [4, 3, 5, 2]
    scores = np.concatenate([query[3] @ x[1].T for x in keys], axis=1)  # (3, 10)
    packed = packing.packed(np.sort(-scores, axis=1)[:, :5].astype("float16"))
    assert packed["shape"] == [3, 5]


# ---- what it opens with ------------------------------------------------------------------------


def test_kendall_tau():
    assert opening.kendall_tau([0, 1, 2, 3]) == 1.0
    assert opening.kendall_tau([3, 2, 1, 0]) == -1.0
    assert opening.kendall_tau([0, 0]) == 0.0
    assert opening.kendall_tau([0]) == 1.0


def test_a_page_opens_alike(tokenizer, tmp_path):
    [(task, _), _] = tasks_of(tokenizer, {})
    examples = [("a dog runs", "um cachorro corre"), ("dog a", "um")]
    pages = [kt.monitoring.explore(task, examples, tmp_path / f"{i}.html") for i in range(2)]
    assert pages[0].read_bytes() == pages[1].read_bytes()


# ---- positions ---------------------------------------------------------------------------------


def test_a_step_of_sinusoids_is_a_linear_map_and_one_of_noise_is_not():
    place = np.arange(60)[:, None] * 10000.0 ** (-np.arange(4) / 4)
    sinusoids = np.concatenate([np.sin(place), np.cos(place)], axis=1)
    assert positions.best_map_misses(sinusoids, 3) < 1e-3
    noise = np.random.default_rng(0).normal(size=(60, 8))
    assert positions.best_map_misses(noise, 3) > 0.7
    assert positions.best_map_misses(noise[:5], 3) is None


# ---- attention being learned -------------------------------------------------------------------


def test_checkpoints_are_read_and_the_model_stays(tokenizer, tmp_path):
    [(task, example), _] = tasks_of(tokenizer, {})
    rows = task.inputs(example)
    early = kt.monitoring.attention_of(task, example)
    task.model.save_weights(tmp_path / "early.weights.h5")
    for weight in task.model.weights:
        weight.assign(1.5 * weight.value)
    before = task.model.get_weights()
    saved = [(4, tmp_path / "early.weights.h5")]
    page = kt.monitoring.explore(task, [example], tmp_path / "x.html", checkpoints=saved)
    for now, then in zip(task.model.get_weights(), before, strict=True):
        assert (now == then).all()
    data = data_of(page)["training"]
    assert data["updates"] == [4, None]
    expected = np.concatenate([packing.as_steps(x.weights).ravel() for x in early])
    assert data["weights"][0] == packing.packed(expected)
    assert data["weights"][0] != data["weights"][1]
    scores = np.asarray(keras.ops.log_softmax(read(task, rows).logits))
    said = [*rows[1][1:], scores[-1].argmax()]
    expected = -np.mean([scores[place, i] for place, i in enumerate(said)])
    assert np.isclose(data["losses"][1], expected, rtol=1e-5)


# ---- models of other kinds ---------------------------------------------------------------------


def test_layers_put_together_by_hand(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(9, 8)(ids)
    x = x + kt.MultiHeadSelfAttention(2)(x, attention_mask=kt.CausalMask()(x))
    model = keras.Model(ids, keras.layers.Dense(9)(x))
    data = data_of(kt.monitoring.explore(model, [[2, 3, 4], [5]], tmp_path / "x.html"))
    assert data["blocks"] == [] and data["layers"][0]["heads"] == 2
    assert data["examples"][0]["texts"] == [["2", "3", "4"]]


def test_a_block_that_is_called_twice(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    embedding, block = kt.PositionalEmbedding(9, 8), kt.DecoderBlock(2, 16, name="shared")
    x = block(block(embedding(ids)))
    model = keras.Model(ids, embedding(x, reverse=True))
    data = data_of(kt.monitoring.explore(model, [[2, 3, 4]], tmp_path / "x.html"))
    first, second = [layer["path"] for layer in data["layers"]]
    assert second == f"{first}#1" and len(data["blocks"]) == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "bfloat16", "mixed_float16"])
def test_half_precision_is_followed_in_float32(tokenizer, tmp_path, precision):
    model = kt.models.encoder_decoder(config(tokenizer), dtype=precision)
    task = kt.tasks.Translator(model, tokenizer, beams=2)
    kt.monitoring.explore(task, [("a dog", "um cachorro")], tmp_path / "x.html")
    assert task.model is model


@pytest.mark.slow
def test_int8_and_lora(tokenizer, tmp_path):
    model = kt.models.decoder_only(config(tokenizer))
    kt.training.enable_lora(model, rank=2)
    task = kt.tasks.TextGenerator(model, tokenizer)
    kt.monitoring.explore(task, ["a dog"], tmp_path / "lora.html")
    model = kt.models.decoder_only(config(tokenizer))
    model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    task = kt.tasks.TextGenerator(model, tokenizer)
    kt.monitoring.explore(task, ["a dog"], tmp_path / "int8.html")


def test_ids_of_any_type(tmp_path):
    made = kt.TransformerConfig(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
    )
    model = kt.models.encoder_decoder(made)
    pair = np.array([2, 3], "int64"), np.array([1, 4, 5], "uint8")
    data = data_of(kt.monitoring.explore(model, [pair], tmp_path / "x.html"))
    assert data["examples"][0]["texts"] == [["2", "3"], ["1", "4", "5"]]


# ---- what it refuses ---------------------------------------------------------------------------


def test_refusals(tokenizer, tmp_path):
    [(task, _), _] = tasks_of(tokenizer, {})
    path = tmp_path / "x.html"

    def refused(*arguments):
        with pytest.raises(ValueError, match="Expected") as error:
            kt.monitoring.explore(*arguments, path)
        assert not path.exists()
        return str(error.value)

    assert "at least one example" in refused(task, [])
    assert "example 2 of 0 tokens" in refused(task, ["a dog", ""])
    assert "a task of" in refused("model", ["a"])
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert "attention layers" in refused(dense, [[1, 2, 3]])

    class Own(keras.Model):
        pass

    assert "Functional" in refused(Own(), [[1]])
    long = kt.TransformerConfig(
        vocabulary_size=9, num_layers=1, num_heads=1, hidden_dim=8, intermediate_dim=16
    )
    model = kt.models.decoder_only(long)
    assert "of 200 tokens" in refused(model, [[2] * 200])


def test_too_much_says_what_fits(monkeypatch, tmp_path):
    made = kt.TransformerConfig(
        vocabulary_size=9, num_layers=2, num_heads=4, hidden_dim=8, intermediate_dim=16
    )
    model = kt.models.decoder_only(made)
    monkeypatch.setattr(attention, "ROOM", 20_000)
    with pytest.raises(ValueError, match="of them fit, or 12 of at most") as error:
        kt.monitoring.explore(model, [[2] * 20] * 12, tmp_path / "x.html")
    shorter = int(re.search(r"at most (\d+) tokens", str(error.value))[1])
    kt.monitoring.explore(model, [[2] * shorter] * 12, tmp_path / "x.html")


@pytest.mark.slow
def test_ten_sentences_of_a_model_of_the_papers_size_fit(tmp_path):
    words = [f"w{i}" for i in range(3996)]
    tokenizer = kt.text.train_tokenizer("whitespace", [" ".join(words)])
    sizes = {"num_layers": 6, "num_heads": 8, "hidden_dim": 512, "intermediate_dim": 2048}
    task = kt.tasks.Translator(
        kt.models.encoder_decoder(config(tokenizer, **sizes, max_sequence_length=32)), tokenizer
    )
    rng = np.random.default_rng(1)
    pairs = [tuple(" ".join(rng.choice(words, 29)) for _ in range(2)) for _ in range(10)]
    file = kt.monitoring.explore(task, pairs, tmp_path / "x.html")
    assert file.stat().st_size <= 5e6
    data = data_of(file)
    assert data["examples"][data["opening"]["example"]]["walks"]
