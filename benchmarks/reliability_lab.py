"""Where small runs of a recipe are made, and what they come to, for `reliability.py`."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import time
import traceback
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "recipes"))

import h5py
import numpy as np
import small

from keras_transformer.recipes import causal_lm, masked_lm, text_classification, translation

RECIPES = {
    "translation": translation,
    "masked_lm": masked_lm,
    "causal_lm": causal_lm,
    "text_classification": text_classification,
}
NAME = "run"
AGAIN = "begin again with --overwrite"
TIMES = "seconds", "per_second", "utilization"  # in names of figures that no two runs share


def fork(recipe, folder, arguments, prepare=None):
    """Starts a recipe in a process of its own, and returns its number."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = 99
    try:
        os.chdir(folder)
        with open("said", "w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        if prepare:
            prepare()
        RECIPES[recipe].main(arguments)
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def said(folder):
    return (folder / "said").read_text(errors="replace")


class Lab:
    """Where runs of one recipe are made, and what they come to if nothing is done to them."""

    def __init__(self, recipe, root):
        self.recipe, self.root, self.count = recipe, root, 0
        self.flags = [*small.FLAGS[recipe].split(), "--checkpoint-every", "4", "--name", NAME]
        folder = self.folder()
        began = time.monotonic()
        if wait(fork(recipe, folder, self.flags)):
            raise SystemExit(f"{recipe} fails if nothing is done to it:\n{said(folder)}")
        self.seconds = time.monotonic() - began
        self.expected = self.outcome(folder)
        self.finished = folder

    def folder(self, run=None):
        """A new folder with the text, and a copy of a run where one is given."""
        self.count += 1
        folder = self.root / f"{self.recipe}-{self.count}"
        folder.mkdir()
        small.write_text(folder)
        if run:
            shutil.copytree(run, folder / "runs" / NAME)
        return folder

    def weights(self, folder):
        """The arrays of a run's model, by name."""
        with zipfile.ZipFile(folder / "runs" / NAME / "model.keras") as file:
            weights = io.BytesIO(file.read("model.weights.h5"))
        found = {}

        def add(name, part):
            if isinstance(part, h5py.Dataset):
                found[name] = np.asarray(part)

        with h5py.File(weights) as file:
            file.visititems(add)
        return found

    def is_finite(self, folder):
        """Whether neither the weights nor the JSON files of a run have NaN or infinity."""
        texts = [path.read_text() for path in (folder / "runs" / NAME).glob("*.json")]
        finite = all(np.isfinite(array).all() for array in self.weights(folder).values())
        return finite and not any("NaN" in text or "Infinity" in text for text in texts)

    def outcome(self, folder):
        """The weights and scores of a finished run."""
        run = folder / "runs" / NAME
        digest = hashlib.sha256()
        for name, array in self.weights(folder).items():
            digest.update(name.encode() + array.tobytes())
        scores = json.loads((run / "metrics.json").read_text())
        scores = {k: v for k, v in scores.items() if not any(word in k for word in TIMES)}
        return digest.hexdigest(), json.dumps(scores, sort_keys=True)

    def end(self, folder, *flags):
        """Resumes a run, or begins it again where it says so; what came of it, in a word or two."""
        status = wait(fork(self.recipe, folder, ["--resume", "--name", NAME, *flags]))
        how = "resumed"
        if status and (AGAIN in said(folder) or "Expected a run folder" in said(folder)):
            overwrite = ["--overwrite"] if AGAIN in said(folder) else []
            status = wait(fork(self.recipe, folder, [*self.flags, *overwrite]))
            how = "begun again"
        if status:
            return f"FAILED: status {status}: {said(folder)[-300:]}"
        for what, one, other in zip(
            ("weights", "scores"), self.outcome(folder), self.expected, strict=True
        ):
            if one != other:
                return f"FAILED: other {what}: {one} and not {other}"
        if left := [str(path) for path in folder.rglob("unfinished.*")]:
            return f"FAILED: left {left}"
        return how
