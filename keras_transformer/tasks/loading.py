"""From the folder of a run, or a published one, to a model of the precision that is wanted."""

from collections.abc import Collection
from pathlib import Path

import keras

from keras_transformer.checks import refusal, require
from keras_transformer.reading import check_inside
from keras_transformer.text import load_tokenizer  # noqa: F401  of a run's folder
from keras_transformer.training.json_files import RunError
from keras_transformer.training.run import Run
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.inspection import kind_of

_FLOATS = ("float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run's."""
    return (folder / "settings.json").is_file()


def open_finished(folder: Path, recipes: Collection[str]) -> Run:
    """The finished run in a folder.

    Raises:
        RunError: It is of none of the recipes, its training is not over, or it has a link that
            leads out of it.
    """
    run = Run.open(folder, *recipes)
    is_over = run.model_file.is_file()
    expected = "a run whose training is over, with model.keras"
    require(is_over, expected, folder=str(folder), error=RunError)
    for path in set(folder.iterdir()) - {run.checkpoints_folder}:
        check_inside(path, folder, RunError)
    run.check_whole()
    return run


def model_of_run(run: Run) -> keras.Model:
    """What a run has trained."""
    return run.load_model()


def with_precision(model: keras.Model, precision: str | None) -> keras.Model:
    """The model, or one of the same weights whose layers have another dtype policy."""
    if precision is None:
        return model
    policy = keras.dtype_policies.get(precision).name

    def change(config):
        if isinstance(config, dict):
            is_policy = config.get("class_name") == "DTypePolicy"
            if is_policy and config["config"]["name"] in _FLOATS:
                return {**config, "config": {"name": policy}}
            return {key: change(value) for key, value in config.items()}
        return [change(value) for value in config] if isinstance(config, list | tuple) else config

    changed = keras.saving.deserialize_keras_object(
        change(keras.saving.serialize_keras_object(model))
    )
    changed.set_weights(model.get_weights())
    return changed


def quantize(model: keras.Model) -> None:
    """Rounds the kernels of all linear maps to 8 bits, those that embed tokens excepted."""
    # Of the other layers Keras would say, one by one, that it cannot.
    model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))


def check_kind(folder: Path, kinds: Collection[str], task: str) -> None:
    """Refuses a published folder whose model has another head than one of `kinds`."""
    kind, architecture = kind_of(folder)
    if kind not in kinds:
        received = architecture + (" without logits" if kind == "hidden" else "")
        raise refusal(f"a model for a {task}", received, where=str(folder), error=ZooError)
