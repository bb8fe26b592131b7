"""The folder of one training run, and the refusal to lose another run's work.

runs/NAME/
  settings.json    what reproduces the run, and which recipe it is of
  metrics.json     what it reached
  config.json      the architecture
  model.keras      the finished model; tokenizer files lie beside it
  checkpoints/     update-<n>.npz, written by `training.Checkpoint`; update-<n>_<m>.npz where m more
                   batches had been accumulated towards the next update
"""

import json
import os
import shutil
from pathlib import Path

from keras_transformer.config import TransformerConfig


class RunError(ValueError):
    """A run folder that cannot be used as asked, said in one sentence.

    Example:

    >>> raise RunError("runs/demo exists.")
    Traceback (most recent call last):
    keras_transformer.training.run.RunError: runs/demo exists.
    """


# Settings that had another name in runs of before.
RENAMED = {"beam": "beams"}


def write_json(path, value):
    """Writes `value` as indented JSON; a reader sees the old file or the new one, never half.

    Raises:
        TypeError: If JSON cannot hold `value`; nothing is written.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.json"
    >>> write_json(path, {"bleu": 41.0})
    >>> read_json(path)
    {'bleu': 41.0}
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def read_json(path):
    """Reads a JSON file that holds a dictionary. Raises `RunError` if it does not.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> _ = path.write_text("[1, 2]")
    >>> read_json(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    keras_transformer.training.run.RunError: ...settings.json does not hold a JSON dictionary.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # of which a decoding error is one
        value = None
    if not isinstance(value, dict):
        raise RunError(f"{path} does not hold a JSON dictionary.")
    return value


def read_settings(path):
    """Reads a settings.json, whose settings may have the names of before.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> write_json(path, {"beam": 4})
    >>> read_settings(path)
    {'beams': 4}
    """
    return {RENAMED.get(name, name): value for name, value in read_json(path).items()}


def check_recipe(path, settings, *recipes):
    """Refuses settings of another recipe's run; those from before they said so pass.

    Example:

    >>> check_recipe("runs/demo", {"recipe": "translation"}, "masked_lm")
    Traceback (most recent call last):
    keras_transformer.training.run.RunError: runs/demo is a run of translation.py, not masked_lm.py.
    """
    if settings.get("recipe", recipes[0]) not in recipes:
        expected = " or ".join(f"{recipe}.py" for recipe in recipes)
        raise RunError(f"{path} is a run of {settings['recipe']}.py, not {expected}.")


def _shown(settings, key):
    value = settings.get(key)
    # What is off or not given is as in runs of before there was such a setting.
    return "absent" if value in (None, [], ()) or value is False else repr(value)


class Run:
    """A run folder that exists. Made by `Run.create`, `Run.resume` or `Run.open`.

    Attributes:
        folder: `pathlib.Path` of the run; tokenizer files go here.
        model_file: Path of the finished model.
        config_file: Path of the model's `TransformerConfig` as JSON.

    Example:

    >>> import tempfile
    >>> run = Run.create(Path(tempfile.mkdtemp()) / "demo", {"seed": 1, "epochs": 3})
    >>> Run.open(run.folder).settings
    {'seed': 1, 'epochs': 3}
    >>> Run.resume(run.folder, {"seed": 1, "epochs": 9}, may_differ=["epochs"]).settings
    {'seed': 1, 'epochs': 9}
    >>> run.checkpoints()
    []
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.model_file = self.folder / "model.keras"
        self.checkpoints_folder = self.folder / "checkpoints"
        self.config_file = self.folder / "config.json"
        self._settings_file = self.folder / "settings.json"
        self._metrics_file = self.folder / "metrics.json"

    @classmethod
    def create(cls, folder, settings, overwrite=False):
        """Makes a new run folder that holds `settings`.

        Args:
            folder: Path of the folder; its parents are made.
            settings: Dictionary that JSON can hold.
            overwrite: Delete an earlier run of that name, checkpoints and all.

        Raises:
            RunError: If the folder is in use, or would be overwritten but is not a run.
            TypeError: If JSON cannot hold `settings`.
        """
        json.dumps(settings)  # fails before anything is touched
        run = cls(folder)
        run.check_new(overwrite)
        if overwrite and run.folder.exists():
            shutil.rmtree(run.folder)
        run.checkpoints_folder.mkdir(parents=True, exist_ok=True)
        run.save_settings(settings)
        return run

    @classmethod
    def resume(cls, folder, settings, may_differ=()):
        """Opens a run to train it further, and saves `settings` as its new ones.

        Args:
            folder: Path of an existing run.
            settings: Dictionary that must equal the stored one, except for
            may_differ: the keys that say how far to go and not what is trained.

        Raises:
            RunError: If the folder is not a run or other settings differ; each is named with
                both values, and nothing is written.
        """
        run = cls.open(folder)
        run.check_same(settings, may_differ)
        run.save_settings(settings)
        return run

    @classmethod
    def open(cls, folder, *recipes):
        """Opens an existing run to read it.

        Args:
            folder: Path of the run.
            *recipes: Names of the recipes of which it must be, if any.

        Raises:
            RunError: If there is no `settings.json` in the folder, or it is of another recipe.
        """
        run = cls(folder)
        if not run._settings_file.is_file():
            raise RunError(
                f"{folder} is not a run folder: expected a folder with settings.json, as "
                "training writes it."
            )
        if recipes:
            check_recipe(folder, run.settings, *recipes)
        return run

    def check_new(self, overwrite=False):
        """Raises the `RunError` of `create`."""
        for parent in self.folder.parents:
            if (parent / "settings.json").is_file() and (parent / "checkpoints").is_dir():
                raise RunError(f"{parent} is a run: no other one can be inside it.")
        if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
            if not self._settings_file.is_file():
                raise RunError(
                    f"{self.folder} exists and is not a run folder; choose another --name."
                )
            if not overwrite:
                raise RunError(
                    f"{self.folder} exists; choose another --name, go on with --resume, or replace "
                    "it with --overwrite."
                )

    def check_same(self, settings, may_differ=()):
        """Raises the `RunError` of `resume` for other settings."""
        stored, asked = self.settings, json.loads(json.dumps(settings))
        different = [
            f"{key} was {_shown(stored, key)} and is now {_shown(asked, key)}"
            for key in sorted(stored.keys() | asked.keys())
            if key not in may_differ and _shown(stored, key) != _shown(asked, key)
        ]
        if different:
            raise RunError(
                f"{self.folder} cannot be resumed with other settings: {'; '.join(different)}."
            )

    @property
    def config(self):
        """The model's `TransformerConfig`."""
        return TransformerConfig.from_json(self.config_file.read_text(encoding="utf-8"))

    @property
    def settings(self):
        return read_settings(self._settings_file)

    def save_settings(self, settings):
        write_json(self._settings_file, settings)

    @property
    def metrics(self):
        """What the run reached, or `{}` before the end of training."""
        return read_json(self._metrics_file) if self._metrics_file.is_file() else {}

    def save_metrics(self, metrics):
        write_json(self._metrics_file, metrics)

    def checkpoints(self):
        """Paths of the checkpoints, oldest first."""
        return sorted(self.checkpoints_folder.glob("update-*.npz"))
