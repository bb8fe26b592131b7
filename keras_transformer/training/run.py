"""The folder of one training run, and the refusal to lose another run's work.

runs/NAME/
  settings.json    what reproduces the run, and which recipe it is of
  begun.json       what it was begun with: digests of its text and files, the version, ...
  metrics.json     what it reached
  config.json      the architecture
  model.keras      the finished model; tokenizer files lie beside it
  digests.json     the SHA-256 of each file, once training is over
  checkpoints/     update-<n>.npz, written by `training.Checkpoint`; update-<n>_<m>.npz where m more
                   batches had been accumulated towards the next update
  early/           update_<n>.weights.h5, where `training.EarlyCheckpoints` has written them
  .lock            held by the process that writes
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras

from keras_transformer.checks import refusal, require
from keras_transformer.config import TransformerConfig
from keras_transformer.digests import DIGESTS, noted_digests, write_digests
from keras_transformer.files import UNFINISHED, digest, remove_unfinished
from keras_transformer.model_files import load_model, save_model
from keras_transformer.training.json_files import RunError, read_dictionary, write_json
from keras_transformer.training.lock import LOCK, Lock, hold
from keras_transformer.training.settings import check_recipe, check_same, read_settings

CHECKPOINT = re.compile(r"update-\d{10}(_\d{6})?\.npz")


class Run:
    """A run folder that exists. Made by `Run.create`, `Run.resume` or `Run.open`.

    The first two hold the folder: until that `Run` is gone, or its process, no other process can
    create or resume a run there.

    Attributes:
        folder: `pathlib.Path` of the run; tokenizer files go here.
        model_file: Path of the finished model.
        config_file: Path of the model's `TransformerConfig` as JSON.

    Example:

    >>> import tempfile
    >>> run = Run.create(Path(tempfile.mkdtemp()) / "demo", {"seed": 1, "epochs": 3})
    >>> run.begin({"text": "1d0f"})
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
        self._begun_file = self.folder / "begun.json"
        self._metrics_file = self.folder / "metrics.json"
        self._digests_file = self.folder / DIGESTS
        self._lock: Lock | None = None

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
        run.folder.mkdir(parents=True, exist_ok=True)
        run._lock = hold(run.folder)
        run.check_new(overwrite)  # which another process may have changed
        run._clear()
        run.checkpoints_folder.mkdir(exist_ok=True)
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
                both values, and nothing is written. If it was stopped before it had begun, or
                another process holds it.
        """
        run = cls.open(folder)
        run.check_same(settings, may_differ)
        run._lock = hold(run.folder)
        remove_unfinished(run.folder)
        run._digests_file.unlink(missing_ok=True)  # it is not over any more
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
        if self.folder.is_file() or not self._is_empty():
            if not self._settings_file.is_file():
                raise RunError(
                    f"{self.folder} exists and is not a run folder; choose another --name."
                )
            if not overwrite:
                raise RunError(
                    f"{self.folder} exists; choose another --name, go on with --resume, or replace "
                    "it with --overwrite."
                )
            self.check_free()

    def _is_empty(self):
        """Whether nothing is there but what a process leaves that is killed when it makes a run."""
        ours = {LOCK, self.checkpoints_folder.name, UNFINISHED + self._settings_file.name}
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        return names <= ours and not self.checkpoints()

    def _clear(self):
        """Deletes a run: killed at any moment here, it can be resumed or begun again."""
        self._begun_file.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints_folder, ignore_errors=True)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (LOCK, self._settings_file.name):
                path.unlink()

    def check_same(self, settings: dict[str, Any], may_differ: Collection[str] = ()) -> None:
        """Raises the `RunError` of `resume`."""
        asked = json.loads(json.dumps(settings))
        check_same(self.folder, self.settings, asked, may_differ)
        if not self._begun_file.is_file() and not self.checkpoints():
            raise RunError(
                f"{self.folder} was stopped before it had begun, and nothing of it is saved; begin "
                "again with --overwrite in place of --resume."
            )

    def check_free(self) -> None:
        """Raises the `RunError` of `resume` if another process holds the folder."""
        hold(self.folder)

    @property
    def begun(self) -> dict[str, Any]:
        """What the run was begun with, or `{}` before that."""
        return read_dictionary(self._begun_file) if self._begun_file.is_file() else {}

    def begin(self, facts: dict[str, Any]) -> None:
        """Writes begun.json: all that a resume needs is there now."""
        write_json(self._begun_file, facts)

    @property
    def config(self) -> TransformerConfig:
        """The model's `TransformerConfig`."""
        return TransformerConfig.from_json(json.dumps(read_dictionary(self.config_file)))

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
        """Paths of the checkpoints, oldest first, be they whole or not."""
        paths = self.checkpoints_folder.glob("update-*.npz")
        return sorted(path for path in paths if CHECKPOINT.fullmatch(path.name))

    @property
    def is_finished(self) -> bool:
        """Whether training is over, and all that it leaves is written."""
        return self._digests_file.is_file()

    def finish(self) -> None:
        """Writes digests.json, by which damage is seen: training is over."""
        write_digests(self.folder, self.digests())

    def digests(self) -> dict[str, str]:
        """The SHA-256 of every file that is here for others to read, by its path in the folder."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            is_ours = name in (LOCK, self._digests_file.name) or UNFINISHED in name
            if path.is_file() and not is_ours and self.checkpoints_folder not in path.parents:
                found[name] = digest(path)
        return found

    def check_whole(self) -> None:
        """Raises `RunError` if a file of a finished run is not what training wrote."""
        if self.is_finished:
            noted, where = noted_digests(self.folder), str(self._digests_file)
            expected = "digests of files, or no such file"
            require(noted, expected, "something else", where=where, error=RunError)
            check_digests(self.folder, noted)


def check_digests(folder: Path, expected: dict[str, str]) -> None:
    """Raises `RunError` if a file has another SHA-256 than is expected; one that is gone passes.

    Example:

    >>> check_digests(Path("runs/demo"), {"model.keras": "9a0f"})
    """
    for name, value in expected.items():
        path = folder / name
        if path.is_file() and (found := digest(path)) != value:
            wanted = f"the file that training wrote, of SHA-256 {value[:16]}..."
            received = f"{found[:16]}..., so it was damaged, or changed"
            raise refusal(wanted, received, where=str(path), error=RunError)
