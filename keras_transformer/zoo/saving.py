"""From a model of ours to a folder that is published as others are."""

import functools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.models import config_of
from keras_transformer.text import Tokenizer
from keras_transformer.zoo import writing
from keras_transformer.zoo.checkpoint import ZooError, located
from keras_transformer.zoo.families import FAMILIES
from keras_transformer.zoo.heads import CLASSIFIERS, kind_of_model
from keras_transformer.zoo.notes import name_classes, recall
from keras_transformer.zoo.tokenizers import save_tokenizer
from keras_transformer.zoo.weights import weights_of


def save(
    model: keras.Model,
    folder: str | Path,
    tokenizer: Tokenizer | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes a model as a folder that `transformers` loads, and `load` too, in float32.

    What the folder of a loaded model said of generation and classes is written as it was.

    Another checkpoint in the folder is replaced once the new one is complete. Its generation
    settings go, and its weights in any format; its tokenizer goes where another comes or the
    vocabulary has another size, and its chat template and what makes it a folder of
    sentence-transformers where the model has another architecture or size.

    Args:
        model: of `keras_transformer.models` or `load`, fresh, fine-tuned or reloaded. One that
            `load` made stays of its model type; another is of the first one that can express it.
            With LoRA, kernels are written as the sums that they stand for.
        folder: where to; made if it is missing.
        tokenizer: its `Tokenizer`, to be written too, with its ids of the special tokens where no
            folder said any.
        labels: list of str, the names of a classifier's classes. None means those of its folder, or
            `LABEL_0` and so on.

    Raises:
        ZooError: for a model that no family can express, and for labels that are not its classes'.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "bert_tiny", num_layers=1, hidden_dim=8, intermediate_dim=16, vocabulary_size=9)
    >>> folder = tempfile.mkdtemp()
    >>> kt.zoo.save(kt.models.sequence_classifier(config, num_classes=3), folder)
    >>> kt.zoo.load(folder).output_shape
    (None, 3)
    """
    try:
        config = config_of(model)
    except ValueError as error:
        raise ZooError(str(error)) from None
    family, architecture, settings = _family_of(model, config)
    head = family.heads[architecture]
    kept, generation = recall(model)
    settings |= kept or {}
    settings |= {
        "architectures": [architecture],
        "transformers_version": "5.0.0",
        "dtype": "float32",
    }
    if labels is not None or head.kind in CLASSIFIERS:
        classes = model.output_shape[-1] if head.kind in CLASSIFIERS else 0
        settings |= name_classes(settings, classes, labels)
        settings.pop("num_labels", None)  # says the same
    if tokenizer is not None and kept is None:
        settings |= {
            "bos_token_id": tokenizer.start_id,
            "eos_token_id": tokenizer.end_id,
            "pad_token_id": tokenizer.pad_id if config.pad_id is None else config.pad_id,
        }
        if head.kind == "seq2seq":
            settings["decoder_start_token_id"] = tokenizer.decoder_start_id
    tensors = _tensors(model, family, config, head)
    stale = writing.stale(folder, settings, family, tokenizer is not None)
    with writing.replacing(folder, stale) as place:
        if tokenizer is not None:
            save_tokenizer(tokenizer, place)
        writing.write(place, settings, tensors, generation)


def _family_of(model, config):
    """`(family, architecture, settings)`: the one it is named after, or the first that fits."""
    names = [model.name] if model.name in FAMILIES else FAMILIES
    reasons = []
    for family in map(FAMILIES.get, names):
        try:
            kind = kind_of_model(model)
            return family, family.architecture_of(kind), family.to_settings(config, kind)
        except ValueError as error:
            reasons.append(located(family.model_type, error))
    raise refusal("a model as one of the families has it", "; ".join(reasons), error=ZooError)


def _tensors(model, family, config, head):
    """`{name: (shape, function that makes the array)}`."""
    tensors = {
        name: (shape, functools.partial(np.zeros, shape, "float32"))
        for name, shape in family.zeros(config, head).items()
    }
    with_lora = {
        layer._kernel.path: layer
        for layer in model._flatten_layers()
        if getattr(layer, "lora_enabled", False)
    }
    for path, weight in weights_of(model).items():
        shape = tuple(weight.shape)
        theirs = family.counterpart(path, shape, config, head)
        if theirs is None:
            raise refusal(
                f"a model as {family.model_type} has it", f"a weight {path}", error=ZooError
            )
        for name, part in theirs.shapes(shape).items():
            make = functools.partial(_array, theirs, name, weight, with_lora.get(path))
            tensors[name] = part, make
    if not config.tie_embeddings:  # else transformers repeats them itself
        tensors |= {name: tensors[other] for name, other in family.same.items()}
    if head.kind in ("encoder", "hidden"):
        tensors = {name.removeprefix(family.prefix): value for name, value in tensors.items()}
    return tensors


def _array(counterpart, name, weight, layer_with_lora):
    ours = layer_with_lora.kernel if layer_with_lora else weight  # with LoRA, the sum
    return counterpart.write(keras.ops.convert_to_numpy(ours).astype("float32"))[name]
