"""What a folder says beside architecture and weights: its model keeps it, and `save` gives it back.

The generation settings are of `generation_config.json`, or of `config.json` in older folders; the
names of classes and what else there is are of `config.json`.
"""

import json
from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.zoo.checkpoint import GENERATION, PublishedFolder, ZooError, read_json
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.settings import labels_of

LABELS = ("id2label", "label2id", "num_labels", "problem_type", "finetuning_task")
# What is of the file and not of the model.
_OF_THE_FILE = (
    "architectures",
    "auto_map",
    "dtype",
    "model_type",
    "quantization_config",
    "torch_dtype",
    "transformers_version",
)


def remember(
    model: keras.Model, found: PublishedFolder, family: Family, same_classes: bool = True
) -> None:
    """Notes in a model what its folder says; the names of classes where it has the same ones."""
    apart = {*_OF_THE_FILE, *family.fields, *family.defaults, *family.supported}
    apart |= set() if same_classes else set(LABELS)
    config = {
        name: value
        for name, value in found.settings.items()
        if name not in apart and not name.startswith("_")
    }
    path = found.folder / GENERATION
    generation = read_json(path) if path.exists() else None
    model.published = json.dumps({"config": config, "generation": generation})


def recall(model: keras.Model) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """`(settings of config.json, generation_config.json)`, either None if there are none."""
    if not (notes := getattr(model, "published", None)):
        return None, None
    notes = json.loads(notes)
    return notes["config"], notes["generation"]


def name_classes(
    settings: dict[str, Any], count: int, labels: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """What `config.json` is to say of `count` classes, where it does not say it or in its place.

    Raises:
        ZooError: for labels that are not `count` different ones.
    """
    if labels is None:
        if len(labels_of(settings)) == count and settings.get("id2label") is not None:
            return {}
        labels = [f"LABEL_{i}" for i in range(count)]
    require(
        len(set(labels)) == len(labels) == count,
        f"{count} different labels",
        str(labels),
        error=ZooError,
    )
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
