"""A published folder: `config.json` and `*.safetensors`, read tensor by tensor."""

import contextlib
import math
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  numpy's bfloat16, which safetensors looks for
import numpy as np

from keras_transformer.checks import reason_of, refusal, require
from keras_transformer.digests import check_digest
from keras_transformer.reading import check_file, parse_json, read_bytes
from keras_transformer.types import Shape
from keras_transformer.zoo.presets import presets

CONFIG, GENERATION, WEIGHTS, INDEX = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
MOST = 2**24  # bytes of a JSON file: the largest, an index of weights, have a fraction
DTYPES = ("F64", "F32", "F16", "BF16")
WANTED = [CONFIG, GENERATION, "*.safetensors", INDEX, "*.spm", "*.model", "*.txt", "*.json"]


class ZooError(ValueError):
    """A folder that cannot be loaded or written: the folder, and what is wrong with it."""


def located(where: str | Path, error: Exception) -> str:
    """What an error says, after where it was."""
    return f"{where}: {str(error).replace('Expected', 'expected', 1)}"


@contextlib.contextmanager
def refused_in(where: str | Path) -> Iterator[None]:
    """What is refused in here names the folder, or file, that it is of.

    Raises:
        ZooError: in the place of the errors of those who know only what is wrong.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        if isinstance(error, ZooError) and str(error).startswith(str(where)):
            raise
        raise ZooError(located(where, error)) from None


def find(path_or_id: str | Path, revision: str | None = None) -> Path:
    """The local folder of a path, a preset or a Hugging Face hub id.

    What is not a folder is looked for in the hub's cache, and downloaded to it at need: the main
    branch, or the branch, tag or commit `revision`.

    Raises:
        ZooError: neither a folder nor a hub id that can be had.
    """
    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    hub_id = presets().get(str(path_or_id), str(path_or_id))
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=WANTED))
    except HFValidationError:
        raise refusal(
            "a folder, a name among zoo.presets() or a Hugging Face id such as "
            "'Helsinki-NLP/opus-mt-en-de'",
            repr(str(path_or_id)),
            error=ZooError,
        ) from None
    except Exception as error:  # no network, no such repository, no leave to read it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise ZooError(
            f"{hub_id}: no such folder, and not to be had from the Hugging Face hub ({reason}). "
            f"Without a network put the model's {CONFIG}, *.safetensors and tokenizer's files into "
            "a folder, and give its path"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ZooError: no such file, or something else in it.
    """
    found = parse_json(_content(path), path, ZooError)
    is_object = isinstance(found, dict)
    require(is_object, "an object", type(found).__name__, where=path, error=ZooError)
    return found


def read_list(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON file that is a list of them.

    Raises:
        ZooError: no such file, or something else in it.
    """
    found = parse_json(_content(path), path, ZooError)
    is_list = isinstance(found, list) and all(isinstance(part, dict) for part in found)
    require(is_list, "a list of objects", reprlib.repr(found), where=path, error=ZooError)
    return found


def _content(path):
    if not (path.exists() or path.is_symlink()):
        raise ZooError(f"{path.parent}: no {path.name}")
    return read_bytes(path, MOST, ZooError)


class PublishedFolder:
    """What a folder holds: its settings, and its tensors by name, each read when it is asked for.

    Args:
        folder: the folder.

    Attributes:
        folder: as given.
        settings: dict, its `config.json`.
        names: set of the names of its tensors.

    Raises:
        ZooError: files that are missing, broken, or not safetensors.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.settings = read_json(folder / CONFIG)
        self._entries: dict[str, tuple[Path, Shape, str]] = {}  # name: (file, shape, dtype)
        self._files = self._paths()
        for path in self._files:
            with self._open(path) as file:
                for name in file.keys():  # noqa: SIM118  it is no dict
                    part = file.get_slice(name)
                    entry = path, tuple(part.get_shape()), part.get_dtype()
                    first = self._entries.setdefault(name, entry)[0]
                    once = f"a tensor {name} in one file"
                    both = f"in {first.name}, too"
                    require(first == path, once, both, where=path, error=ZooError)
        self.names = set(self._entries)

    def check_digests(self) -> None:
        """Raises if any file of weights is known to have held something else; reads them all."""
        for path in self._files:
            check_digest(path, ZooError)

    def check(self, name: str, shape: Shape) -> None:
        """Raises unless a tensor has this shape, and numbers that can be read; reads none."""
        _, received, dtype = self._entries[name]
        require(received == shape, f"{name} of shape {shape}", str(received), error=ZooError)
        kinds = " or ".join(DTYPES)
        require(dtype in DTYPES, f"{name} to be of type {kinds}", repr(dtype)[1:-1], error=ZooError)

    def size(self, name: str) -> int:
        """How many numbers a tensor has; reads none."""
        return math.prod(self._entries[name][1])

    def sizes(self) -> list[int]:
        """How many numbers each tensor has; reads none."""
        return list(map(self.size, self.names))

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32."""
        # Opened for each one: what is mapped of an open file counts as this process' memory.
        with self._open(self._entries[name][0]) as file:
            return file.get_tensor(name).astype("float32", copy=False)

    def _open(self, path):
        from safetensors import SafetensorError, safe_open

        if path.exists():
            check_file(path, error=ZooError)
        try:
            return safe_open(path, "np")
        except FileNotFoundError:
            raise ZooError(f"{self.folder}: {path.name} is missing") from None
        except (SafetensorError, OSError) as error:
            raise refusal(
                "a whole safetensors file", reason_of(error), where=str(path), error=ZooError
            ) from None

    def _paths(self):
        index = self.folder / INDEX
        if index.exists():
            shards = read_json(index).get("weight_map")
            names = list(shards.values()) if isinstance(shards, dict) else [None]
            require(
                all(map(_is_file_name, names)),
                "a weight_map from tensors to files of the folder",
                reprlib.repr(shards),
                where=index,
                error=ZooError,
            )
            return [self.folder / name for name in sorted({*names})]
        if (self.folder / WEIGHTS).exists():
            return [self.folder / WEIGHTS]
        raise ZooError(
            f"{self.folder}: no {WEIGHTS} and no {INDEX}. A pytorch_model.bin is not read, as it "
            "can run any code: convert one that you trust with transformers' "
            "AutoModelForX.from_pretrained(folder).save_pretrained(folder)"
        )


def _is_file_name(name):
    """Whether JSON gives the name of a file in the folder."""
    return isinstance(name, str) and name.isprintable() and name and Path(name).name == name
