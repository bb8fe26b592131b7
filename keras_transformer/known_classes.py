"""The classes that a `.keras` file names, of which none may be a stranger's."""

import re
from pathlib import Path
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.reading import objects_in

MOST_LAYERS = 20_000
# Those of Keras that run what a file brings along, or what another file holds.
_RUN_ANYTHING = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_HUB = ("keras_hub", "keras_nlp")
# The modules whose classes and functions are parts of models.
_PARTS = re.compile(
    r"keras|keras\.(src|optimizers)(\.\w+)*|keras\.(activations|constraints|dtype_policies|"
    r"initializers|layers|losses|metrics|models|ops|ops\.\w+|quantizers|random|regularizers)"
)
# The modules whose functions Keras writes as if they were built in.
_WITH_FUNCTIONS = ("activations", "initializers", "losses", "metrics")
# Values that Keras writes as if they were of classes.
_VALUES = (
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__slice__",
    "__ellipsis__",
    "__complex__",
    "__tuple__",
    "__set__",
)


def check_classes(config: Any, path: Path) -> None:
    """Refuses a model's `config.json` of too many layers, or of classes that are not known.

    Known are those of Keras and KerasHub, of this package, and what is registered with Keras.

    Example:

    >>> config = {"class_name": "Popen", "module": "subprocess", "config": {"args": "ls"}}
    >>> check_classes(config, Path("model.keras"))
    Traceback (most recent call last):
    ValueError: model.keras: expected classes of Keras, of this package or registered with Keras...
    """
    require(isinstance(config, dict), "a model's config", type(config).__name__, where=path)
    layers = 0
    read = {name: part for name, part in config.items() if name != "compile_config"}
    for part in objects_in(read):
        if isinstance(part.get("layers"), list):
            layers += len(part["layers"])
            expected = f"{MOST_LAYERS:,} layers at most"
            require(layers <= MOST_LAYERS, expected, f"{layers:,}", where=path)
        if "class_name" in part and part["class_name"] not in _VALUES:
            is_known = (
                isinstance(part["class_name"], str)
                and "config" in part
                and _is_of_known_class(part)
            )
            require(
                is_known,
                "classes of Keras, of this package or registered with Keras "
                "(keras.saving.register_keras_serializable), and none that runs what a file holds",
                f"{part.get('module')}.{part['class_name']}"[:200],
                where=path,
            )


def _is_of_known_class(part):
    """Whether an object's class, or function, is known."""
    name = part["config"] if part["class_name"] == "function" else part["class_name"]
    if str(part.get("module")).partition(".")[0] in _HUB:
        import keras_hub  # noqa: F401  which registers its classes
    for known in (part.get("registered_name"), name):
        if isinstance(known, str) and keras.saving.get_registered_object(known) is not None:
            return True
    if part["class_name"] == "function" and part.get("module") == "builtins":
        return any(hasattr(getattr(keras, module), str(name)) for module in _WITH_FUNCTIONS)
    # Keras joins the two and takes them apart elsewhere.
    module, _, name = f"{part.get('module')}.{name}".rpartition(".")
    return _PARTS.fullmatch(module) is not None and name not in _RUN_ANYTHING
