"""A published folder: `config.json` and `*.safetensors`, read tensor by tensor, and written."""

import json
import math
from pathlib import Path

import ml_dtypes  # noqa: F401  numpy's bfloat16, which safetensors looks for
import numpy as np

CONFIG, GENERATION, WEIGHTS, INDEX = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
SHARD_BYTES = 5_000_000_000  # of one file of weights at most, as transformers writes them
WANTED = [CONFIG, GENERATION, "*.safetensors", INDEX, "*.spm", "*.model", "*.txt", "*.json"]


class ZooError(ValueError):
    """A folder that cannot be loaded or written: the folder, and what is wrong with it."""


def find(path_or_id):
    """The local folder of a path or of a Hugging Face hub id, downloaded to its cache at need.

    Raises:
        ZooError: neither a folder nor a hub id that can be had.
    """
    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(str(path_or_id), allow_patterns=WANTED))
    except HFValidationError:
        raise ZooError(
            f"Expected a folder, or a Hugging Face id such as 'Helsinki-NLP/opus-mt-en-de'. "
            f"Received: {str(path_or_id)!r}"
        ) from None
    except Exception as error:  # no network, no such repository, no leave to read it
        reason = str(error).strip().splitlines()[0][:200]
        raise ZooError(
            f"{path_or_id}: neither a folder nor to be had from the Hugging Face hub ({reason}). "
            f"Without a network put {CONFIG}, the *.safetensors files and the tokenizer's files of "
            "the model into a folder, and give its path"
        ) from None


def read_json(path):
    """The object of a JSON file.

    Raises:
        ZooError: no such file, or something else in it.
    """
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, received {type(found).__name__}")
        return found
    except FileNotFoundError:
        raise ZooError(f"{path.parent}: no {path.name}") from None
    except (ValueError, OSError) as error:
        raise ZooError(f"{path}: {error}") from None


class Checkpoint:
    """The tensors of a folder, by name, each read when it is asked for.

    Args:
        folder: the folder.

    Attributes:
        settings: dict, its `config.json`.
        names: set of the names of its tensors.

    Raises:
        ZooError: files that are missing, broken, or not safetensors.
    """

    def __init__(self, folder):
        self.folder = folder
        self.settings = read_json(folder / CONFIG)
        self._places = {}  # name: (file, shape)
        for path in self._paths():
            with self._open(path) as file:
                for name in file.keys():  # noqa: SIM118  it is no dict
                    self._places[name] = path, tuple(file.get_slice(name).get_shape())
        self.names = set(self._places)

    def shape(self, name):
        """The shape of a tensor, without reading it."""
        return self._places[name][1]

    def read(self, name):
        """A tensor as float32."""
        # Opened for each one: what is mapped of an open file counts as this process' memory.
        with self._open(self._places[name][0]) as file:
            return file.get_tensor(name).astype("float32", copy=False)

    def _open(self, path):
        from safetensors import SafetensorError, safe_open

        try:
            return safe_open(path, "np")
        except FileNotFoundError:
            raise ZooError(f"{self.folder}: {path.name} is missing") from None
        except (SafetensorError, OSError) as error:
            raise ZooError(f"{path}: not a whole safetensors file ({error})") from None

    def _paths(self):
        if (self.folder / INDEX).exists():
            shards = read_json(self.folder / INDEX).get("weight_map", {})
            return [self.folder / name for name in sorted(set(shards.values()))]
        if (self.folder / WEIGHTS).exists():
            return [self.folder / WEIGHTS]
        if any(self.folder.glob("pytorch_model*.bin")):
            raise ZooError(
                f"{self.folder}: only pytorch_model.bin, a pickle, which may run any code when it "
                "is opened. Convert it where you trust it: transformers' AutoModel.from_pretrained("
                f"folder).save_pretrained(folder) writes {WEIGHTS}"
            )
        raise ZooError(f"{self.folder}: no {WEIGHTS} and no {INDEX}")


def write(folder, settings, tensors):
    """Writes `config.json` and the weights, in files of `SHARD_BYTES` at most.

    Args:
        folder: where to; made if it is missing.
        settings: dict.
        tensors: list of `(name, shape, function that gives the array)`. Arrays are made when
            their file is written.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    shards, room = [], 0
    for name, shape, read in tensors:
        size = 4 * math.prod(shape)
        if size > room:
            shards.append([])
            room = SHARD_BYTES
        room -= size
        shards[-1].append((name, read))
    files = {}
    for number, shard in enumerate(shards, 1):
        file = WEIGHTS
        if len(shards) > 1:
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        arrays = {name: np.ascontiguousarray(read()) for name, read in shard}
        save_file(arrays, folder / file, metadata={"format": "pt"})
        files |= {name: file for name, _ in shard}
    if len(shards) > 1:
        total = sum(4 * math.prod(shape) for _, shape, _ in tensors)
        index = {"metadata": {"total_size": total}, "weight_map": files}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    # Last: a folder with a config is whole.
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
