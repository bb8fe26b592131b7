"""Folders of runs and of published models, one file of which is broken."""

import functools
import json

import numpy as np

import keras_transformer as kt
from fuzzing import mutation
from fuzzing.judging import Target
from keras_transformer.zoo.checkpoint import PublishedFolder
from keras_transformer.zoo.generation import generation_settings
from keras_transformer.zoo.inspection import count_parameters, kind_of

WORDS = "a dog runs the house is small and old".split()
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
GPT = {"scale_embedding": False, "normalize_first": True, "pad_id": None, "position": "learned"}
BERT = {"position": "learned", "scale_embedding": False, "embedding_norm": True, "num_segments": 2}
LLAMA = {
    "position": "rotary",
    "norm": "rms_norm",
    "activation": "silu",
    "gated": True,
    "use_bias": False,
    "scale_embedding": False,
    "normalize_first": True,
    "pad_id": None,
}
FAMILIES = {  # name: (function of `models`, config)
    "gpt2": ("decoder_only", {**GPT, "activation": "gelu_tanh"}),
    "bert": ("masked_language_model", {**BERT, "activation": "gelu", "layer_norm_epsilon": 1e-12}),
    "marian": ("encoder_decoder", {"logits_bias": True, "activation": "silu"}),
    "llama": ("decoder_only", LLAMA),
}


def broken(rng, files):
    """`(name, bytes or None for no such file)` of one of `files`, a dict."""
    name = rng.choice(list(files))
    data = files[name]
    if name.endswith(".json") and rng.random() < 0.8:
        return name, mutation.broken_json(rng, json.loads(data))
    return name, None if rng.random() < 0.02 else mutation.mutated(rng, data)


def with_broken(folder, files, read):
    """A check of `(name, bytes)` that reads the folder with such a file in it."""

    def check(example):
        name, data = example
        path = folder / name
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)
        try:
            read(name)
        finally:
            if name in files:
                path.write_bytes(files[name])
            else:
                path.unlink(missing_ok=True)

    return check


def contents(folder):
    """The files below a folder: bytes by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def runs(folder):
    tokenizer = kt.text.train_tokenizer("whitespace", [" ".join(WORDS)])
    run = kt.training.Run.create(folder / "run", {"recipe": "translation", "max_length": 12})
    tokenizer.save(run.folder)
    config = kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **SIZES)
    run.config_file.write_text(config.to_json())
    run.save_metrics({"bleu": 41.0, "parameters": 100})
    position = {"epoch": 1, "batches": 0, "updates": 7, "seconds": 1.0}
    path = run.checkpoints_folder / "update-0000000007.npz"
    np.savez(path, position=json.dumps(position), **{"model/0": np.zeros(3)})
    files = contents(run.folder)
    npz = files["checkpoints/update-0000000007.npz"]
    names = "", "x", "update-", "update-x", "update-8_x", "update-99999999999999", "update-8 (1)"

    def source(rng):
        if rng.random() < 0.1:
            name = rng.choice(names)
            return f"checkpoints/{name}.npz", rng.choice((npz, b"", mutation.mutated(rng, npz)))
        return broken(rng, files)

    def read(name):
        opened = kt.training.Run.open(run.folder, "translation")
        assert isinstance(opened.settings, dict) and isinstance(opened.metrics, dict)
        opened.checkpoints()
        if name == "config.json":
            assert opened.config.vocabulary_size
        json.dumps(kt.tasks.info(run.folder))

    return source, with_broken(run.folder, files, read)


def saved_tokenizers(kind, folder):
    """Folders of tokenizers that were trained here."""
    lines = [" ".join(WORDS)] * 9
    kt.text.train_tokenizer(kind, lines, mask=True).save(folder / "saved")
    files = contents(folder / "saved")

    def read(name):
        loaded = kt.text.load_tokenizer(folder / "saved")
        ids = loaded.encode([lines[0], "x é"])
        assert all(0 <= i < loaded.vocabulary_size for row in ids for i in row)
        loaded.decode(ids)

    return lambda rng: broken(rng, files), with_broken(folder / "saved", files, read)


def published(family, folder):
    """What is said of a published folder, without its weights being read."""
    kind = "bert" if family == "bert" else "whitespace"
    size = {"vocabulary_size": 40} if kind == "bert" else {}
    tokenizer = kt.text.train_tokenizer(kind, [" ".join(WORDS)] * 9, mask=kind == "bert", **size)
    build, changes = FAMILIES[family]
    sizes = {"vocabulary_size": tokenizer.vocabulary_size, "max_sequence_length": 12, **SIZES}
    model = getattr(kt.models, build)(kt.TransformerConfig(**{**sizes, **changes}))
    model.name = family
    path = folder / "published"
    kt.zoo.save(model, path, tokenizer)
    generates = family != "bert"
    if generates:
        ids = {"eos_token_id": 3, "pad_token_id": 0, "num_beams": 2, "max_length": 9}
        ids |= {"bad_words_ids": [[5]], "decoder_start_token_id": 2, "top_k": 3, "do_sample": False}
        (path / "generation_config.json").write_text(json.dumps(ids))
    shard = {"metadata": {}, "weight_map": dict.fromkeys(["a", "b"], "model.safetensors")}
    files = {name: data for name, data in contents(path).items() if "token" not in name}
    weights = files["model.safetensors"]
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])

    def source(rng):
        if rng.random() < 0.2:
            return "model.safetensors.index.json", mutation.broken_json(rng, shard)
        name, data = broken(rng, files)
        if name == "model.safetensors" and rng.random() < 0.7:
            new = mutation.broken_json(rng, header)
            data = len(new).to_bytes(8, "little") + new + weights[8 + length :]
        return name, data

    def read(name):
        found = PublishedFolder(path)
        for tensor in found.names:
            assert found.size(tensor) >= 0
        kt.zoo.load_config(path)
        assert kind_of(path) and count_parameters(path) >= 0
        if generates:
            generation_settings(path)
        json.dumps(kt.tasks.info(path))

    return source, with_broken(path, files, read)


def published_tokenizers(family, folder):
    """The tokenizers of published folders."""
    published(family, folder)
    path = folder / "published"
    files = {name: data for name, data in contents(path).items() if "token" in name}

    def read(name):
        loaded = kt.text.load_published(path)
        ids = loaded.frame(["a dog", "x é"])
        assert all(0 <= i < loaded.vocabulary_size for row in ids for i in row)
        loaded.decode(ids)

    return lambda rng: broken(rng, files), with_broken(path, files, read)


TARGETS = {
    "runs": Target(50_000, runs),
    **{
        f"{kind}, saved": Target(
            4_000 if kind in ("wordpiece", "bert") else 10_000,
            functools.partial(saved_tokenizers, kind),
        )
        for kind in kt.text.tokenizers.KINDS
    },
    **{
        f"{name}, published": Target(15_000, functools.partial(published, name))
        for name in FAMILIES
    },
    **{
        f"{name}, published tokenizer": Target(8_000, functools.partial(published_tokenizers, name))
        for name in ("gpt2", "bert")
    },
}
