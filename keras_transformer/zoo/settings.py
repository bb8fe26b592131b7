"""The settings of a `config.json`, as `transformers` spells them."""

from typing import Any

from keras_transformer.checks import require
from keras_transformer.zoo.checkpoint import ZooError

# theirs: ours
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
    "tanh": "tanh",
}


def check_type(name: str, value: Any, kind: type) -> None:
    """Raises unless a setting is of a type; whole numbers are floats, too."""
    kinds = (int, float) if kind is float else kind
    is_bool = isinstance(value, bool)
    require(
        is_bool if kind is bool else isinstance(value, kinds) and not is_bool,
        f"{name} to be of type {kind.__name__}",
        repr(value),
        error=ZooError,
    )


def labels_of(settings: dict[str, Any]) -> list[str]:
    """The names of the classes that a `config.json` has, as `transformers` reads it."""
    names = settings.get("id2label")
    if names is None:
        count = settings.get("num_labels")
        return [f"LABEL_{i}" for i in range(2 if count is None else count)]
    return list(names.values())
