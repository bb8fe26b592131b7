"""What is on top of a model: what the architectures of a family are among our models."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

from keras_transformer import models
from keras_transformer.config import TransformerConfig
from keras_transformer.types import DType
from keras_transformer.zoo.settings import check_type, labels_of

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "encoder": models.encoder_only,
    "masked": models.masked_language_model,
    "pairs": functools.partial(models.masked_language_model, next_sentence=True),
    "classifier": models.sequence_classifier,
    "tokens": models.token_classifier,
    "answers": models.question_answerer,
    "decoder": models.decoder_only,
    "hidden": functools.partial(models.decoder_only, logits=False),
    "seq2seq": models.encoder_decoder,
}
CLASSIFIERS = ("classifier", "tokens")


class Head(NamedTuple):
    """What a checkpoint's architecture is in our models.

    Attributes:
        kind: `"encoder"`, `"masked"`, `"pairs"` (masked, and next sentences), `"classifier"`,
            `"tokens"` (a classifier of each), `"answers"`, `"decoder"`, `"hidden"` (a decoder's
            states) or `"seq2seq"`.
        names: dict, our layers that only this head has: their names.
        may_lack: paths of our weights that stay zeros if the checkpoint has none.
    """

    kind: str
    names: Mapping[str, str] = {}
    may_lack: tuple[str, ...] = ()


def build(
    config: TransformerConfig, kind: str, settings: dict[str, Any], dtype: DType | None = None
) -> keras.Model:
    """A model with a head of this kind, of as many classes as a `config.json` has labels."""
    classes = {}
    if kind in CLASSIFIERS:
        for name, expected in (("id2label", dict), ("num_labels", int)):
            if settings.get(name) is not None:
                check_type(name, settings[name], expected)
        classes["num_classes"] = len(labels_of(settings))
    return BUILDERS[kind](config, dtype=dtype, **classes)


def kind_of_model(model: keras.Model) -> str:
    """The kind of head that a model of `keras_transformer.models` has."""
    layers = {layer.name for layer in model.layers}
    kinds = {  # each by a layer that no later one has
        "memory": "seq2seq",
        "decoder_block_0": "decoder" if "logits" in layers else "hidden",
        "next_sentence": "pairs",
        "masked_lm_head": "masked",
        "answer_logits": "answers",
        "token_dropout": "tokens",
        "logits": "classifier",
    }
    return next((kind for layer, kind in kinds.items() if layer in layers), "encoder")
