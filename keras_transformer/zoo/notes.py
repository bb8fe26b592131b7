"""What a folder says beside architecture and weights: its model keeps it, and `save` gives it back.

The generation settings are of `generation_config.json`, or of `config.json` in older folders; the
names of classes and what else there is are of `config.json`.
"""

import json

from keras_transformer.zoo import checkpoint

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


def remember(model, found, family, same_classes=True):
    """Notes in a model what its folder says; the names of classes where it has the same ones."""
    apart = {*_OF_THE_FILE, *family.fields, *family.defaults, *family.supported}
    apart |= set() if same_classes else set(LABELS)
    config = {
        name: value
        for name, value in found.settings.items()
        if name not in apart and not name.startswith("_")
    }
    path = found.folder / checkpoint.GENERATION
    generation = checkpoint.read_json(path) if path.exists() else None
    model.published = json.dumps({"config": config, "generation": generation})


def recall(model):
    """`(settings of config.json, generation_config.json)`, either None if there are none."""
    if not (notes := getattr(model, "published", None)):
        return None, None
    notes = json.loads(notes)
    return notes["config"], notes["generation"]


def name_classes(settings, count, labels=None):
    """What `config.json` is to say of `count` classes, where it does not say it or in its place.

    Raises:
        ZooError: for labels that are not `count` different ones.
    """
    if labels is None:
        if len(labels_of(settings)) == count and settings.get("id2label") is not None:
            return {}
        labels = [f"LABEL_{i}" for i in range(count)]
    if len(set(labels)) != count or len(labels) != count:
        raise checkpoint.ZooError(f"Expected {count} different labels. Received: {labels}")
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def labels_of(settings):
    """The names of the classes that a `config.json` has, as `transformers` reads it."""
    names = settings.get("id2label")
    if names is None:
        count = settings.get("num_labels")
        return [f"LABEL_{i}" for i in range(2 if count is None else count)]
    return list(names.values())
