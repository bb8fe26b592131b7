"""Tiny models of each task with random weights: alone, in run folders and in published ones."""

import json

import tiny

import keras_transformer as kt
from keras_transformer.tasks import (
    MaskFiller,
    TextClassifier,
    TextEmbedder,
    TextGenerator,
    Translator,
)

WORDS = "a dog runs the house is small and old".split()
LINES = ["a dog", "the house is small and old", "a", "the small dog runs"]
LENGTH = 12
LABELS = ["bad", "good", "so so"]
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
TASKS = [Translator, TextGenerator, MaskFiller, TextClassifier, TextEmbedder]
RECIPES = {
    Translator: "translation",
    TextGenerator: "causal_lm",
    MaskFiller: "masked_lm",
    TextClassifier: "text_classification",
    TextEmbedder: "masked_lm",
}
# `transformers`' names of the models, and what our configs of them are.
FAMILIES = {
    Translator: ("marian", {"logits_bias": True, "activation": "silu"}),
    TextGenerator: ("gpt2", {**tiny.GPT2, "layer_norm_epsilon": 1e-5}),
    MaskFiller: ("bert", tiny.BERT),
    TextClassifier: ("bert", {**tiny.BERT, "pooler": True}),
    TextEmbedder: ("bert", tiny.BERT),
}


def lines_of(cls):
    """Lines that the task can answer."""
    return [f"{line} [MASK]" for line in LINES] if cls is MaskFiller else LINES


def tokenizer_of(cls, kind="whitespace"):
    masks = cls in (MaskFiller, TextEmbedder)
    size = {"vocabulary_size": 40} if kind == "bert" else {}
    return kt.text.train_tokenizer(kind, [" ".join(WORDS)] * 9, mask=masks, **size)


def build(cls, config, **more):
    """The model of a task's runs."""
    match RECIPES[cls]:
        case "translation":
            return kt.models.encoder_decoder(config)
        case "causal_lm":
            return kt.models.decoder_only(config)
        case "masked_lm":
            return kt.models.masked_language_model(config)
    return kt.models.sequence_classifier(config, num_classes=3, **more)


def config_of(tokenizer, **changes):
    fields = {"position": "learned", "max_sequence_length": LENGTH, **SIZES, **changes}
    return kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **fields)


def make(cls, tokenizer=None, model=None, **settings):
    """A task of a tiny model."""
    tokenizer = tokenizer or tokenizer_of(cls)
    if cls is TextEmbedder:
        model = model or tiny.randomize(kt.models.encoder_only(config_of(tokenizer)))
    if cls is TextClassifier:
        settings = {"labels": LABELS, **settings}
    model = model or tiny.randomize(build(cls, config_of(tokenizer), pooling="mean"))
    return cls(model, tokenizer, **settings)


def make_run(cls, folder, recipe=None, classes=LABELS, **settings):
    """A finished run's folder, of the task's recipe."""
    tokenizer = tokenizer_of(cls)
    config = config_of(tokenizer)
    settings = {"max_length": LENGTH, "row_length": LENGTH, **settings}
    run = kt.training.Run.create(folder, {"recipe": recipe or RECIPES[cls], **settings})
    run.config_file.write_text(config.to_json())
    (folder / "classes.json").write_text(json.dumps(classes))
    tokenizer.save(folder)
    tiny.randomize(build(cls, config)).save(run.model_file)
    return folder


def make_published(cls, folder, **generation):
    """A folder as `transformers` writes it."""
    tokenizer = tokenizer_of(cls, "bert" if FAMILIES[cls][0] == "bert" else "whitespace")
    family, changes = FAMILIES[cls]
    config = config_of(tokenizer, **{"position": "sinusoidal", **changes})
    model = kt.models.encoder_only(config) if cls is TextEmbedder else build(cls, config)
    model = tiny.randomize(model)
    model.name = family
    labels = {"labels": LABELS} if cls is TextClassifier else {}
    kt.zoo.save(model, folder, tokenizer, **labels)
    if cls in (Translator, TextGenerator):
        ids = {"eos_token_id": 3, "pad_token_id": 0}
        ids |= {"decoder_start_token_id": 2} if cls is Translator else {}
        (folder / "generation_config.json").write_text(json.dumps(ids | generation))
    return folder
