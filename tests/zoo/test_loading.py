"""Folders that the zoo writes and reads, and those that it refuses."""

import json
import shutil
import struct

import huggingface_hub
import keras
import ml_dtypes
import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file, save_file
from tiny import BERT, GPT2

import keras_transformer as kt
from keras_transformer.zoo import ZooError, checkpoint, writing
from keras_transformer.zoo.families import FAMILIES
from keras_transformer.zoo.inspection import count_parameters

LLAMA = {
    "position": "rotary",
    "norm": "rms_norm",
    "gated": True,
    "normalize_first": True,
    "scale_embedding": False,
    "activation": "silu",
    "use_bias": False,
    "dropout": 0.0,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 16,
    "pad_id": None,
}
BART = {"position": "learned", "embedding_norm": True, "activation": "gelu"}
DISTILBERT = {**BERT, "num_segments": 0}


def masked(config):
    return kt.models.masked_language_model(config)


def pairs(config):
    return kt.models.masked_language_model(config, next_sentence=True)


def classifier(config):
    return kt.models.sequence_classifier(config, num_classes=3)


# name: (family, how it is made, its config)
MODELS = {
    "bert": ("bert", kt.models.encoder_only, {**BERT, "pooler": True}),
    "bert_headless": ("bert", kt.models.encoder_only, {**BERT, "num_segments": 0}),
    "bert_masked": ("bert", masked, {**BERT, "pad_id": None}),
    "bert_untied": ("bert", masked, {**BERT, "tie_embeddings": False}),
    "bert_pairs": ("bert", pairs, {**BERT, "pooler": True}),
    "bert_classes": ("bert", classifier, {**BERT, "pooler": True}),
    "roberta": ("roberta", masked, {**BERT, "pad_id": 1}),
    "roberta_classes": ("roberta", classifier, {**BERT, "pooler": True}),
    "distilbert": ("distilbert", masked, DISTILBERT),
    "distilbert_classes": (
        "distilbert",
        classifier,
        {**DISTILBERT, "pooler": True, "pooler_activation": "relu"},
    ),
    "gpt2": ("gpt2", kt.models.decoder_only, GPT2),
    "llama": (
        "llama",
        kt.models.decoder_only,
        {**LLAMA, "rotary_scaling": {"rope_type": "linear", "factor": 2.0}},
    ),
    "llama_biases": (
        "llama",
        kt.models.decoder_only,
        {**LLAMA, "use_bias": ["expand", "contract"]},
    ),
    "mistral": ("mistral", kt.models.decoder_only, {**LLAMA, "window": 3, "key_dim": 6}),
    "qwen2": (
        "qwen2",
        kt.models.decoder_only,
        {**LLAMA, "use_bias": ["query_key_value"], "tie_embeddings": False},
    ),
    "gemma": (
        "gemma",
        kt.models.decoder_only,
        {**LLAMA, "scale_embedding": True, "activation": "gelu_tanh"},
    ),
    "marian": ("marian", kt.models.encoder_decoder, {"logits_bias": True, "num_decoder_layers": 1}),
    "marian_without_a_bias": ("marian", kt.models.encoder_decoder, {}),
    "bart": ("bart", kt.models.encoder_decoder, {**BART, "logits_bias": True}),
    "bart_untied": ("bart", kt.models.encoder_decoder, {**BART, "tie_embeddings": False}),
}


def make(name, **changes):
    family, build, fields = MODELS[name]
    model = tiny.randomize(build(tiny.config(**{**fields, **changes})))
    model.name = family
    return model


def say(model):
    """The outputs for some inputs, as NumPy arrays."""
    ids = tiny.random_ids(3, 6)
    ids[1, 4:] = 0
    arrays = {
        "segment_ids": np.arange(6) // 3 + 0 * ids,
        "masked_positions": 0 * ids + np.arange(6),
    }
    inputs = [arrays.get(tensor.name, ids).astype("int32") for tensor in model.inputs]
    outputs = model(inputs if isinstance(model.input, list) else inputs[0])
    return [tiny.numpy(x) for x in (outputs if isinstance(outputs, list) else [outputs])]


def assert_same(one, other, atol=0.0):
    for a, b in zip(say(one), say(other), strict=True):
        assert a.std() > 1e-3
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def tensors(folder):
    return {
        name: array
        for file in folder.glob("*.safetensors")
        for name, array in load_file(file).items()
    }


def settings_of(folder):
    return json.loads((folder / "config.json").read_text())


def change(folder, **changes):
    (folder / "digests.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps({**settings_of(folder), **changes}))


def change_tensors(folder, function):
    file = folder / "model.safetensors"
    found = load_file(file)
    save_file(function(found) or found, file)


def refuse(folder, *parts, of=kt.zoo.load):
    """One sentence that names the folder and has these parts."""
    with pytest.raises(ZooError) as caught:
        of(folder)
    message = str(caught.value)
    assert message.startswith(str(folder)) and "\n" not in message, message
    assert message.count(str(folder)) == 1, message
    for part in parts:
        assert part in message, message


# ------------------------------------------------------------------------------------------------
# There and back
# ------------------------------------------------------------------------------------------------


# Published, these have rows and biases that ours leave out.
LARGER = ("bert_headless", "roberta", "roberta_classes", "marian_without_a_bias", "bart")


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(LARGER)])
def test_parameters_are_counted_without_reading_them(name, tmp_path, monkeypatch):
    model = make(name)
    kt.zoo.save(model, tmp_path)
    monkeypatch.setattr(checkpoint.PublishedFolder, "read", None)
    assert count_parameters(tmp_path) == model.count_params()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_after_a_folder(name, tmp_path):
    model = make(name)
    kt.zoo.save(model, tmp_path / "first")
    loaded = kt.zoo.load(tmp_path / "first")
    assert loaded.name == MODELS[name][0]
    assert_same(model, loaded)
    kt.zoo.save(loaded, tmp_path / "second")
    assert settings_of(tmp_path / "first") == settings_of(tmp_path / "second")
    first, second = tensors(tmp_path / "first"), tensors(tmp_path / "second")
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize("name", ["bert_pairs", "qwen2", "bart"])
def test_a_reloaded_model_is_saved_as_before(name, tmp_path):
    model = make(name)
    kt.zoo.save(model, tmp_path / "first")
    kt.zoo.save(tiny.reload(kt.zoo.load(tmp_path / "first"), tmp_path), tmp_path / "second")
    assert settings_of(tmp_path / "first") == settings_of(tmp_path / "second")
    assert_same(model, kt.zoo.load(tmp_path / "second"))


@pytest.mark.parametrize("name", ["bert_classes", "llama", "marian"])
def test_a_trained_model_is_saved_as_it_is_now(name, tmp_path):
    model = make(name)
    kt.zoo.save(model, tmp_path)
    loaded = kt.zoo.load(tmp_path)
    loaded.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids = tiny.random_ids(2, 6)
    labels = np.ones(2 if name == "bert_classes" else (2, 6), "int32")
    other = {"segment_ids": 0 * ids}
    inputs = [other.get(tensor.name, ids) for tensor in loaded.inputs]
    loaded.train_on_batch(inputs if len(inputs) > 1 else ids, labels)
    assert max(np.abs(a - b).max() for a, b in zip(say(model), say(loaded), strict=True)) > 1e-4
    kt.zoo.save(loaded, tmp_path)
    assert_same(loaded, kt.zoo.load(tmp_path))


def test_lora_is_saved_as_the_sum(tmp_path):
    model = make("gpt2")
    plain = say(model)[0]
    kt.training.enable_lora(model, rank=2)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "lora" in weight.path:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    assert np.abs(say(model)[0] - plain).max() > 1e-2
    kt.zoo.save(model, tmp_path)
    assert_same(model, kt.zoo.load(tmp_path), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("bert_masked", "bert"),
        ("distilbert_classes", "distilbert"),
        ("gpt2", "gpt2"),
        ("llama_biases", "llama"),
        ("mistral", "mistral"),
        ("qwen2", "qwen2"),
        ("gemma", "gemma"),
        ("marian_without_a_bias", "marian"),
        ("bart", "bart"),
    ],
)
def test_a_model_of_no_family_becomes_one_of_the_first_that_fits(name, family, tmp_path):
    model = make(name)
    model.name = "mine"
    kt.zoo.save(model, tmp_path)
    assert settings_of(tmp_path)["model_type"] == family
    assert_same(model, kt.zoo.load(tmp_path))


def test_rows_of_several_lines_are_no_matter_of_the_checkpoint(tmp_path):
    model = make("gpt2", line_start_id=tiny.START)
    kt.zoo.save(model, tmp_path)
    assert kt.models.config_of(kt.zoo.load(tmp_path)).line_start_id is None


def test_dtype(tmp_path):
    kt.zoo.save(make("gpt2"), tmp_path)
    model = kt.zoo.load(tmp_path, dtype="mixed_bfloat16")
    assert model.get_layer("decoder_block_0").dtype_policy.name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="float31"):
        kt.zoo.load(tmp_path, dtype="float31")


def test_shards(tmp_path, monkeypatch):
    model = make("llama")
    monkeypatch.setattr(writing, "SHARD_BYTES", 2000)
    kt.zoo.save(model, tmp_path)
    shards = sorted(file.name for file in tmp_path.glob("*.safetensors"))
    assert len(shards) > 3 and shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    assert max(sum(a.nbytes for a in load_file(tmp_path / s).values()) for s in shards) <= 2000
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in tensors(tmp_path).values())
    assert_same(model, kt.zoo.load(tmp_path))
    monkeypatch.undo()
    kt.zoo.save(make("gpt2"), tmp_path)  # over the first: nothing of it stays
    names = ["config.json", "digests.json", "model.safetensors"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert_same(make("gpt2"), kt.zoo.load(tmp_path))


@pytest.mark.parametrize("moment", ["before", "while it is moved"])
def test_interrupted_saving_leaves_the_old_or_nothing_that_looks_whole(
    moment, tmp_path, monkeypatch
):
    old = make("gpt2")
    kt.zoo.save(old, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    if moment == "before":
        monkeypatch.setattr(writing.json, "dumps", interrupt)
    else:
        replace, calls = writing.Path.replace, iter([False, True])
        monkeypatch.setattr(  # the second file stays where it is
            writing.Path,
            "replace",
            lambda *paths: interrupt() if next(calls) else replace(*paths),
        )
    with pytest.raises(KeyboardInterrupt):
        kt.zoo.save(make("llama"), tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "notes.txt").exists() and not list(tmp_path.glob(".saving*"))
    if moment == "before":
        assert_same(old, kt.zoo.load(tmp_path))
    else:
        refuse(tmp_path, "no config.json")


def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path):
    old = make("gpt2")
    kt.zoo.save(old, tmp_path)
    nothing = tiny.language_model_by_hand()
    for model, parts in [
        (make("gpt2", position="sinusoidal"), ("gpt2: expected position='learned'", "sinusoidal")),
        (make("gpt2", activation="elu"), ("gpt2: expected an activation among", "elu")),
        (make("qwen2", use_bias=True), ("expected use_bias=['query_key_value']",)),
        (make("gemma", use_bias=["expand", "contract"]), ("expected mlp_bias to be False",)),
        (make("bert_classes", pooler=False), ("expected pooler=True", "pooler=False")),
        (make("bert_classes", pooler_activation="relu"), ("expected pooler_activation='tanh'",)),
        (make("bert", pooler_activation="relu"), ("expected pooler_activation='tanh'",)),
        (make("roberta", pad_id=None), ("expected pad_token_id",)),
        (nothing, ("Expected a model of keras_transformer.models",)),
    ]:
        with pytest.raises(ZooError) as caught:
            kt.zoo.save(model, tmp_path)
        assert all(part in str(caught.value) for part in parts), caught.value
    for family, name in (("bert", "gpt2"), ("distilbert", "bert_pairs"), ("marian", "bert")):
        model = make(name)
        model.name = family
        with pytest.raises(ZooError, match=f"{family}: expected a model of kind"):
            kt.zoo.save(model, tmp_path)
    assert_same(old, kt.zoo.load(tmp_path))


def test_a_model_of_none_of_the_families_hears_why_from_each(tmp_path):
    model = make("gpt2", position="sinusoidal")
    model.name = "mine"
    with pytest.raises(ZooError) as caught:
        kt.zoo.save(model, tmp_path / "new")
    assert all(f"{family}: expected" in str(caught.value) for family in FAMILIES)
    assert not (tmp_path / "new").exists()


def test_int8_weights_are_not_written(tmp_path):
    model = make("gpt2")
    model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    with pytest.raises(ZooError, match=r"as gpt2 has it.*kernel_scale"):
        kt.zoo.save(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "model").write_text("")
    refuse(tmp_path / "model", of=lambda path: kt.zoo.save(make("gpt2"), path))


def test_a_tokenizer_goes_along(tmp_path):
    lines = ["the cat sat on the mat", "a dog"]
    tokenizer = kt.text.train_tokenizer("bpe", lines, 270)
    model = make("gpt2", vocabulary_size=tokenizer.vocabulary_size)
    for stale in ("vocab.txt", "special_tokens_map.json", "source.spm"):  # of an older one
        (tmp_path / stale).write_text("[]")
    kt.zoo.save(model, tmp_path, tokenizer)
    settings = settings_of(tmp_path)
    names = ["config.json", "digests.json", "model.safetensors"]
    names += ["tokenizer.json", "tokenizer_config.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert (settings["bos_token_id"], settings["eos_token_id"]) == (2, 3)
    [ids] = kt.zoo.load_tokenizer(tmp_path).encode(["the cat"])
    np.testing.assert_array_equal(ids, tokenizer.encode(["the cat"])[0])
    assert_same(model, kt.zoo.load(tmp_path))


# ------------------------------------------------------------------------------------------------
# Another head
# ------------------------------------------------------------------------------------------------


def test_load_config(tmp_path):
    kt.zoo.save(make("bert_masked"), tmp_path)
    config = kt.zoo.load_config(tmp_path, dropout=0.3)
    assert (config.dropout, config.hidden_dim, config.num_segments) == (0.3, 8, 2)


@pytest.mark.parametrize(
    ("folder", "model", "new"),
    [
        ("bert", "bert_classes", ["logits/bias", "logits/kernel"]),
        ("bert_pairs", "bert_classes", ["logits/bias", "logits/kernel"]),
        (
            "bert_masked",
            "bert_classes",
            ["logits/bias", "logits/kernel", "pooled_output/bias", "pooled_output/kernel"],
        ),
        ("bert_pairs", "bert_masked", []),
        ("bert_masked", "bert_headless", []),
        ("bert_classes", "bert_classes", []),
        (
            "distilbert",
            "distilbert_classes",
            ["logits/bias", "logits/kernel", "pooled_output/bias", "pooled_output/kernel"],
        ),
        ("gpt2", "gpt2", []),
    ],
)
def test_load_weights_into_another_head(folder, model, new, tmp_path):
    source = make(folder, pad_id=0, num_segments=MODELS[model][2].get("num_segments", 0))
    kt.zoo.save(source, tmp_path)
    _, build, fields = MODELS[model]
    target = tiny.randomize(build(tiny.config(**{**fields, "pad_id": 0})), seed=1)
    before = {weight.path: tiny.numpy(weight) for weight in target.weights}
    assert sorted(kt.zoo.load_weights(target, tmp_path)) == new
    after = {weight.path: tiny.numpy(weight) for weight in target.weights}
    theirs = {weight.path: tiny.numpy(weight) for weight in source.weights}
    for path in after:
        expected = before[path] if path in new or path not in theirs else theirs[path]
        np.testing.assert_array_equal(after[path], expected)


def test_load_weights_changes_nothing_where_it_fails(tmp_path):
    kt.zoo.save(make("gpt2"), tmp_path)
    deeper, shallower = make("gpt2", num_layers=3), make("gpt2", num_layers=1)
    for model, part in (
        (deeper, "expected all tensors of such a gpt2. Received: all but transformer.h.2"),
        (shallower, "and no others. Received: also transformer.h.1"),
        (make("gpt2", intermediate_dim=18), "mlp.c_fc.weight of shape (8, 18)"),
        (make("bert"), "expected a model of kind decoder. Received: encoder"),
    ):
        tiny.randomize(model, seed=5)
        before = say(model)
        refuse(tmp_path, part, of=lambda folder, model=model: kt.zoo.load_weights(model, folder))
        for a, b in zip(before, say(model), strict=True):
            np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------------------------
# Broken folders
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Whole folders, by name of the model; not to be changed."""
    root = tmp_path_factory.mktemp("zoo")
    for name in MODELS:
        kt.zoo.save(make(name), root / name)
    return root


@pytest.fixture
def folder_of(folders, tmp_path):
    """Makes a folder that may be changed, of which nothing says what it held."""
    without = shutil.ignore_patterns("digests.json")
    return lambda name: shutil.copytree(folders / name, tmp_path / name, ignore=without)


@pytest.mark.parametrize("how", ["removed", "not JSON", "cut", "a list", "not text", "deep"])
def test_config_json(how, folder_of):
    folder = folder_of("gpt2")
    file = folder / "config.json"
    if how == "removed":
        file.unlink()
        return refuse(folder, "no config.json")
    text = {
        "not JSON": "vocab_size=3",
        "cut": file.read_text()[:50],
        "a list": "[]",
        "deep": "[" * 10**5,
    }
    file.write_bytes(b"\xff\xfe\x00" if how == "not text" else text[how].encode())
    kind = "an object" if how == "a list" else "JSON"
    for of in (kt.zoo.load, kt.zoo.load_config, kt.zoo.model_type):
        refuse(folder, f"config.json: expected {kind}. Received: ", of=of)


def test_only_a_pickle(folder_of):
    folder = folder_of("gpt2")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refuse(folder, "no model.safetensors", "pytorch_model.bin", "any code", "save_pretrained(")


def lie(data, **changes):
    """A safetensors file with other things in the header of its first tensor."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    name = next(name for name in header if name != "__metadata__")
    header[name] |= changes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: b"",
        lambda data: data[:4],
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"more",
        lambda data: b"PK" + data,
        lambda data: np.random.default_rng(0).bytes(len(data)),
        lambda data: struct.pack("<Q", 2**62) + data[8:],
        lambda data: lie(data, shape=[10**6, 10**6]),
        lambda data: lie(data, data_offsets=[0, 10**9]),
        lambda data: lie(data, data_offsets=[8, 4]),
        lambda data: lie(data, dtype="F31"),
        lambda data: lie(data, dtype="a\nb"),
    ],
)
def test_files_that_are_not_whole(broken, folder_of):
    folder = folder_of("gpt2")
    file = folder / "model.safetensors"
    file.write_bytes(broken(file.read_bytes()))
    refuse(folder, "model.safetensors: expected a whole safetensors file. Received: ")


@pytest.fixture
def sharded(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SHARD_BYTES", 1000)
    kt.zoo.save(make("gpt2"), tmp_path / "sharded")
    (tmp_path / "sharded" / "digests.json").unlink()
    return tmp_path / "sharded"


def test_a_shard_is_missing(sharded):
    gone = sorted(sharded.glob("*.safetensors"))[1]
    gone.unlink()
    refuse(sharded, f"{gone.name} is missing")


def test_a_shard_is_that_of_another(sharded):
    files = sorted(sharded.glob("*.safetensors"))
    shutil.copy(files[0], files[1])
    refuse(
        sharded,
        f"{files[1].name}: expected a tensor ",
        f" in one file. Received: in {files[0].name}",
    )


@pytest.mark.parametrize(
    "found",
    [{}, {"weight_map": []}, {"weight_map": {"a": 3}}, {"weight_map": {"a": "../b.safetensors"}}],
)
def test_an_index_of_something_else(found, sharded):
    (sharded / "model.safetensors.index.json").write_text(json.dumps(found))
    refuse(sharded, "index.json: expected a weight_map from tensors to files of the folder")


def test_missing_tensors_are_named(folder_of):
    folder = folder_of("llama")
    gone = "model.layers.1.mlp.up_proj.weight"
    change_tensors(folder, lambda found: {n: array for n, array in found.items() if n != gone})
    refuse(folder, f"expected all tensors of such a llama. Received: all but {gone}")
    change_tensors(folder, lambda found: {"model.norm.weight": found["model.norm.weight"]})
    refuse(folder, "Received: all but model.embed_tokens.weight, ", " and ", " more")


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("llama", "model.layers.0.self_attn.q_proj.bias"),
        ("llama", "model.layers.2.mlp.up_proj.weight"),
        ("llama", "model.layers.0.self_attn.q_norm.weight"),
        ("llama", "lm_head.bias"),
        ("bert_classes", "bert.encoder.layer.0.crossattention.self.query.weight"),
        ("gpt2", "transformer.h.0.adapter.weight"),
        ("bart", "model.encoder.layer_norm.weight"),
    ],
)
def test_left_over_tensors_are_named(name, left, folder_of):
    folder = folder_of(name)
    change_tensors(folder, lambda found: found | {left: np.zeros(3, "float32")})
    family = MODELS[name][0]
    refuse(folder, f"expected all tensors of such a {family}, and no others. Received: also {left}")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("gpt2", "transformer.h.0.attn.bias"),
        ("gpt2", "transformer.h.0.attn.masked_bias"),
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq"),
        ("bert", "embeddings.position_ids"),
        ("bert", "cls.predictions.transform.dense.weight"),
        ("bert_masked", "bert.pooler.dense.weight"),
        ("bert_masked", "cls.seq_relationship.bias"),
    ],
)
def test_tensors_that_say_nothing_new_or_are_of_other_heads_may_stay(name, more, folder_of):
    folder = folder_of(name)
    change_tensors(folder, lambda found: found | {more: np.zeros((2, 2), "int64")})
    assert_same(make(name), kt.zoo.load(folder))


@pytest.mark.parametrize(
    ("name", "copy", "table"),
    [
        ("gpt2", "lm_head.weight", "transformer.wte.weight"),
        ("llama", "lm_head.weight", "model.embed_tokens.weight"),
        ("bert_masked", "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("bert_masked", "cls.predictions.decoder.bias", "cls.predictions.bias"),
        ("roberta", "lm_head.decoder.bias", "lm_head.bias"),
        ("distilbert", "vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
        ("bart", "lm_head.weight", "model.shared.weight"),
        ("bart_untied", "model.encoder.embed_tokens.weight", "model.shared.weight"),
        ("marian", "model.decoder.embed_tokens.weight", "model.shared.weight"),
    ],
)
def test_repeated_tensors_stand_for_the_first_and_may_not_differ(name, copy, table, folder_of):
    folder = folder_of(name)
    change_tensors(folder, lambda found: found | {copy: found[table].copy()})
    assert_same(make(name), kt.zoo.load(folder))
    change_tensors(folder, lambda found: found.update({copy: found[copy] + 1}))
    refuse(folder, f"expected {copy} to have the values of {table}")
    change_tensors(folder, lambda found: found.update({copy: found.pop(table)}))
    if name != "bart_untied":
        assert_same(make(name), kt.zoo.load(folder))


def test_a_tensor_of_another_shape(folder_of):
    folder = folder_of("gpt2")
    name = "transformer.h.1.mlp.c_fc.weight"
    change_tensors(folder, lambda found: found.update({name: found[name].T.copy()}))
    refuse(folder, f"expected {name} of shape (8, 16). Received: (16, 8)")


@pytest.mark.parametrize("dtype", ["int8", "int64", "bool"])
def test_a_tensor_of_another_type(dtype, folder_of):
    folder = folder_of("gpt2")
    name = "transformer.h.1.mlp.c_fc.weight"
    change_tensors(folder, lambda found: found.update({name: found[name].astype(dtype)}))
    refuse(folder, f"expected {name} to be of type F64 or F32 or F16 or BF16. Received: ")


# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["t5", None, ["bert"], 3])
def test_another_model_type(kind, folder_of):
    folder = folder_of("gpt2")
    change(folder, model_type=kind)
    refuse(folder, f"expected a model_type among {', '.join(FAMILIES)}. Received: {kind!r}")
    refuse(folder, f"{kind!r}", of=kt.zoo.load_config)


@pytest.mark.parametrize(
    "architectures", [["GPT2ForSequenceClassification"], [["GPT2Model"]], "GPT2Model", {"a": 1}]
)
def test_another_architecture(architectures, folder_of):
    folder = folder_of("gpt2")
    change(folder, architectures=architectures)
    refuse(folder, "expected an architecture among GPT2LMHeadModel, GPT2Model. Received: ")


def test_no_architecture_is_the_first_of_the_family(folder_of):
    folder = folder_of("gpt2")
    change(folder, architectures=None)
    assert_same(make("gpt2"), kt.zoo.load(folder))


REFUSED = [  # model, settings, parts of what is said
    ("gpt2", {"quantization_config": {"bits": 4}}, ["a quantization_config"]),
    ("gpt2", {"activation_function": "mish"}, ["an activation among", "'mish'"]),
    ("gpt2", {"activation_function": "quick_gelu"}, ["an activation among", "'quick_gelu'"]),
    ("gpt2", {"n_head": 3}, ["hidden_dim to be a multiple of num_heads", "num_heads=3"]),
    ("gpt2", {"n_layer": 0}, ["num_layers", "num_layers=0"]),
    ("gpt2", {"attn_pdrop": 1.5}, ["attention_dropout=1.5"]),
    ("gpt2", {"vocab_size": 12}, ["transformer.wte.weight of shape (12, 8)", "(11, 8)"]),
    ("bert_classes", {"id2label": {}}, ["num_classes to be positive"]),
    ("bert_classes", {"id2label": {"0": "one"}}, ["classifier.weight of shape (1, 8)"]),
    ("bert_classes", {"id2label": None, "num_labels": 4}, ["classifier.weight of shape (4, 8)"]),
    ("bert_classes", {"id2label": None, "num_labels": "3"}, ["num_labels to be of type int"]),
    ("bert_classes", {"id2label": 3}, ["id2label to be of type dict. Received: 3"]),
    ("bert_classes", {"id2label": None}, ["classifier.weight of shape (2, 8). Received: (3, 8)"]),
    ("bert", {"pad_token_id": 11}, ["pad_id to be a token of the vocabulary", "pad_id=11"]),
    ("bert", {"pad_token_id": -1}, ["pad_id=-1"]),
    ("roberta", {"pad_token_id": None}, ["expected pad_token_id"]),
    ("llama", {"num_key_value_heads": 3}, ["num_key_value_heads to divide num_heads"]),
    ("llama", {"head_dim": 5}, ["an even head size"]),
    (
        "llama",
        {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        ["rope_type", "'dynamic'"],
    ),
    ("llama", {"rope_scaling": {"rope_type": "linear"}}, ["factor"]),
    ("llama", {"rope_scaling": {"type": "linear", "factor": "2"}}, ["factor", "'2'"]),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0, "mscale": 1}}, ["mscale=1"]),
    ("llama", {"rope_scaling": {"type": ["linear"], "factor": 2.0}}, ["rope_type"]),
    (
        "llama",
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}},
        ["partial_rotary_factor=0.5"],
    ),
    (
        "llama",
        {"rope_scaling": {"rope_type": "default", "rope_theta": None, "factor": 0}},
        ["factor"],
    ),
    ("mistral", {"sliding_window": 0}, ["window=0"]),
    ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, ["all layers or in none"]),
    ("qwen2", {"layer_types": ["chunked_attention"] * 2}, ["chunked_attention"]),
    ("qwen2", {"layer_types": ["full_attention"]}, ["all layers or in none"]),
    (
        "qwen2",
        {
            "layer_types": None,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
        ["all layers or in none"],
    ),
    (
        "bart",
        {"decoder_attention_heads": 4},
        ["encoder_attention_heads and decoder_attention_heads"],
    ),
    ("marian", {"encoder_ffn_dim": 20}, ["encoder_ffn_dim and decoder_ffn_dim", "(20, 16)"]),
]


@pytest.mark.parametrize(("name", "settings", "parts"), REFUSED)
def test_settings_that_our_layers_do_not_have_are_named(name, settings, parts, folder_of):
    folder = folder_of(name)
    change(folder, **settings)
    refuse(folder, *parts)


@pytest.mark.parametrize(
    ("name", "settings", "same"),
    [
        (
            "llama",
            {"rope_scaling": {"type": "yarn", "factor": 2.0, "truncate": True, "beta_slow": None}},
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "partial_rotary_factor": 1.0}},
        ),
        (
            "llama",
            {"rope_scaling": None, "rope_parameters": {"rope_theta": 50.0, "rope_type": "default"}},
            {"rope_scaling": None, "rope_parameters": None, "rope_theta": 50.0},
        ),
        ("qwen2", {"layer_types": None, "use_sliding_window": False, "sliding_window": 3}, {}),
        ("gemma", {"hidden_act": "gelu"}, {"hidden_act": "gelu_pytorch_tanh"}),
        ("gpt2", {"n_inner": None, "n_embd": 4, "n_head": 2}, {"n_inner": 16, "n_embd": 4}),
        ("bert", {"quantization_config": None}, {}),
    ],
)
def test_settings_that_mean_the_same(name, settings, same, folder_of):
    folder = folder_of(name)
    whole = settings_of(folder)
    change(folder, **settings)
    found = kt.zoo.load_config(folder)
    (folder / "config.json").write_text(json.dumps({**whole, **same}))
    assert found == kt.zoo.load_config(folder)


SUPPORTED = [
    (name, option) for name in MODELS if name in FAMILIES for option in FAMILIES[name].supported
]


@pytest.mark.parametrize(("name", "option"), SUPPORTED)
def test_every_option_is_refused_but_for_what_our_layers_do(name, option, folder_of):
    folder = folder_of(name)
    expected = kt.zoo.load_config(folder)
    for value in FAMILIES[name].supported[option]:
        change(folder, **{option: value})
        assert kt.zoo.load_config(folder) == expected
    value = FAMILIES[name].supported[option][0]
    change(folder, **{option: not value if isinstance(value, bool) else "another"})
    refuse(folder, f"expected {option} to be ", "Received: ")


@pytest.mark.parametrize("name", ["bert", "distilbert", "gpt2", "qwen2", "marian"])
def test_settings_of_another_type_are_named(name, folders):
    family = FAMILIES[name]
    settings = settings_of(folders / name)
    for option, default in family.defaults.items():
        kind = family.nullable.get(option, type(default))
        wrong = [value for value in ("1", [1], {"a": 1}, True, 1, 0.5) if type(value) is not kind]
        for value in wrong if option in family.nullable else [None, *wrong]:
            if kind is float and type(value) is int:
                continue
            with pytest.raises(
                ZooError, match=rf"^Expected {option} to be of type {kind.__name__}"
            ):
                family.to_config({**settings, option: value})


# ------------------------------------------------------------------------------------------------
# The hub
# ------------------------------------------------------------------------------------------------


def test_a_hub_id_without_a_network(monkeypatch):
    def offline(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("Cannot reach the hub.\nMore of it.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    for name, hub_id in (("a/b", "a/b"), ("gpt2", "openai-community/gpt2")):
        with pytest.raises(
            ZooError, match=f"^{hub_id}: no such folder.*config.json, .*give its"
        ) as e:
            kt.zoo.load(name)
        assert "(Cannot reach the hub.)" in str(e.value)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: 1 / 0)
    refuse("someone/something", "division by zero")


def test_a_hub_id_where_only_the_cache_may_be_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    refuse("someone/something", "no such folder, and not to be had from the Hugging Face hub (")


@pytest.mark.parametrize("path", ["/no/such/folder", "./runs/a/b", "a b", "../up"])
def test_neither_a_folder_nor_an_id(path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ZooError, match="Expected a folder, a name among") as caught:
        kt.zoo.load(path)
    assert repr(path) in str(caught.value)


def test_a_hub_id_and_a_preset_are_downloaded(folders, monkeypatch):
    asked = []

    def download(hub_id, revision, allow_patterns):
        asked.append(hub_id)
        assert revision is None
        assert not any("bin" in pattern or pattern == "*" for pattern in allow_patterns)
        return str(folders / "gpt2")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert_same(make("gpt2"), kt.zoo.load("someone/something"))
    assert kt.zoo.load_config("gpt2").hidden_dim == 8
    assert asked == ["someone/something", "openai-community/gpt2"]


def test_a_folder_comes_before_a_preset(folders, monkeypatch):
    monkeypatch.chdir(folders)
    assert kt.zoo.load("gpt2").name == "gpt2"


def test_presets():
    presets = kt.zoo.presets()
    assert presets["bert_base_uncased"] == "google-bert/bert-base-uncased"
    assert len(set(presets.values())) == len(presets)
    assert all(hub_id.count("/") == 1 and "/" not in name for name, hub_id in presets.items())
    presets.clear()
    assert kt.zoo.presets()


def sinusoids(rows, size):
    """A table of positions as such folders hold it, though it can be computed."""
    angle = np.arange(rows)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype("float32")


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_a_stored_table_of_sinusoids(dtype, side, tmp_path):
    kt.zoo.save(make("marian"), tmp_path)
    (tmp_path / "digests.json").unlink()
    name = f"model.{side}.embed_positions.weight"
    config = kt.zoo.load_config(tmp_path)
    right = sinusoids(config.max_sequence_length, config.hidden_dim)
    change_tensors(tmp_path, lambda found: found.update({name: right.astype(dtype)}))
    assert_same(make("marian"), kt.zoo.load(tmp_path))
    for wrong in (np.roll(right, 1, axis=0), right * 1.1, 0 * right, right * np.nan):
        change_tensors(
            tmp_path, lambda found, wrong=wrong: found.update({name: wrong.astype(dtype)})
        )
        refuse(tmp_path, f"expected {name} to be sinusoids")
