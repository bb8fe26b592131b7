"""The folder of one training run, and the refusal to lose another run's work.

runs/NAME/
  settings.json    what reproduces the run, and which recipe it is of
  metrics.json     what it reached
  config.json      the architecture
  model.keras      the finished model; tokenizer files lie beside it
  checkpoints/     update-<n>.npz, written by `training.Checkpoint`; update-<n>_<m>.npz where m more
                   batches had been accumulated towards the next update
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras

from keras_transformer.checks import refusal, require
from keras_transformer.config import TransformerConfig
from keras_transformer.model_files import load_model, save_model
from keras_transformer.training.json_files import RunError, read_dictionary, write_json
from keras_transformer.training.settings import check_recipe, check_same, read_settings


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

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.model_file = self.folder / "model.keras"
        self.checkpoints_folder = self.folder / "checkpoints"
        self.config_file = self.folder / "config.json"
        self._settings_file = self.folder / "settings.json"
        self._metrics_file = self.folder / "metrics.json"

    @classmethod
    def create(cls, folder: str | Path, settings: dict[str, Any], overwrite: bool = False) -> Run:
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
    def resume(
        cls, folder: str | Path, settings: dict[str, Any], may_differ: Collection[str] = ()
    ) -> Run:
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
    def open(cls, folder: str | Path, *recipes: str) -> Run:
        """Opens an existing run to read it.

        Args:
            folder: Path of the run.
            *recipes: Names of the recipes of which it must be, if any.

        Raises:
            RunError: If there is no `settings.json` in the folder, or it is of another recipe.
        """
        run = cls(folder)
        is_run = run._settings_file.is_file()
        expected = "a run folder, with settings.json as training writes it"
        require(is_run, expected, folder=str(folder), error=RunError)
        if recipes:
            check_recipe(folder, run.settings, *recipes)
        return run

    def check_new(self, overwrite: bool = False) -> None:
        """Raises the `RunError` of `create`."""
        for parent in self.folder.parents:
            if (parent / "settings.json").is_file() and (parent / "checkpoints").is_dir():
                received = f"{self.folder}, inside {parent}"
                raise refusal("a folder that is in no other run", received, error=RunError)
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

    def check_same(self, settings: dict[str, Any], may_differ: Collection[str] = ()) -> None:
        """Raises the `RunError` of `resume` for other settings."""
        asked = json.loads(json.dumps(settings))
        check_same(self.folder, self.settings, asked, may_differ)

    @property
    def config(self) -> TransformerConfig:
        """The model's `TransformerConfig`."""
        return TransformerConfig.from_json(self.config_file.read_text(encoding="utf-8"))

    def save_model(self, model: keras.Model) -> None:
        """Writes model.keras."""
        save_model(model, self.model_file)

    def load_model(self) -> keras.Model:
        """Reads model.keras, without its optimiser."""
        return load_model(self.model_file)

    @property
    def settings(self) -> dict[str, Any]:
        """What settings.json holds, by the names of today."""
        return read_settings(self._settings_file)

    def save_settings(self, settings: dict[str, Any]) -> None:
        """Writes settings.json."""
        write_json(self._settings_file, settings)

    @property
    def metrics(self) -> dict[str, Any]:
        """What the run reached, or `{}` before the end of training."""
        return read_dictionary(self._metrics_file) if self._metrics_file.is_file() else {}

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes metrics.json."""
        write_json(self._metrics_file, metrics)

    def checkpoints(self) -> list[Path]:
        """Paths of the checkpoints, oldest first."""
        return sorted(self.checkpoints_folder.glob("update-*.npz"))
