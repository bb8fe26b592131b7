"""A published folder: `config.json` and `*.safetensors`, read tensor by tensor, and written."""

import contextlib
import json
import math
import tempfile
from pathlib import Path

import ml_dtypes  # noqa: F401  numpy's bfloat16, which safetensors looks for
import numpy as np

from keras_transformer.zoo.presets import presets

CONFIG, GENERATION, WEIGHTS, INDEX = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "source.spm",
    "target.spm",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
# Of other formats, of changes to another model, and of a checkpoint in its first form.
OLD_WEIGHTS = (
    INDEX,
    "model*.safetensors",
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "tf_model*.h5",
    "flax_model*.msgpack",
    "adapter_config.json",
    "adapter_model.*",
)
# What a model is used for, and how.
USES = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "chat_template.*",
)
DTYPES = ("F64", "F32", "F16", "BF16")
SHARD_BYTES = 5_000_000_000  # of one file of weights at most, as transformers writes them
WANTED = [CONFIG, GENERATION, "*.safetensors", INDEX, "*.spm", "*.model", "*.txt", "*.json"]


class ZooError(ValueError):
    """A folder that cannot be loaded or written: the folder, and what is wrong with it."""


def find(path_or_id, revision=None):
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
        raise ZooError(
            "Expected a folder, a name among zoo.presets() or a Hugging Face id such as "
            f"'Helsinki-NLP/opus-mt-en-de'. Received: {str(path_or_id)!r}"
        ) from None
    except Exception as error:  # no network, no such repository, no leave to read it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise ZooError(
            f"{hub_id}: no such folder, and not to be had from the Hugging Face hub ({reason}). "
            f"Without a network put the model's {CONFIG}, *.safetensors and tokenizer's files into "
            "a folder, and give its path"
        ) from None


def read_json(path):
    """The object of a JSON file.

    Raises:
        ZooError: no such file, or something else in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZooError(f"{path.parent}: no {path.name}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise ZooError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ZooError(f"{path}: expected an object. Received: {type(found).__name__}")
    return found


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
        self._places = {}  # name: (file, shape, dtype)
        for path in self._paths():
            with self._open(path) as file:
                for name in file.keys():  # noqa: SIM118  it is no dict
                    part = file.get_slice(name)
                    self._places[name] = path, tuple(part.get_shape()), part.get_dtype()
        self.names = set(self._places)

    def check(self, name, shape):
        """Raises unless a tensor has this shape, and numbers that can be read; reads none."""
        _, received, dtype = self._places[name]
        if received != shape:
            raise ZooError(f"expected {name} of shape {shape}. Received: {received}")
        if dtype not in DTYPES:
            raise ZooError(
                f"expected {name} to be of type {' or '.join(DTYPES)}. Received: {dtype}"
            )

    def size(self, name):
        """How many numbers a tensor has; reads none."""
        return math.prod(self._places[name][1])

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
        index = self.folder / INDEX
        if index.exists():
            shards = read_json(index).get("weight_map")
            names = set(shards.values()) if isinstance(shards, dict) else {None}
            if not all(isinstance(name, str) and Path(name).name == name for name in names):
                raise ZooError(
                    f"{index}: expected a weight_map from tensors to files of the folder"
                )
            return [self.folder / name for name in sorted(names)]
        if (self.folder / WEIGHTS).exists():
            return [self.folder / WEIGHTS]
        raise ZooError(
            f"{self.folder}: no {WEIGHTS} and no {INDEX}. A pytorch_model.bin is not read, as it "
            "can run any code: convert one that you trust with transformers' "
            "AutoModelForX.from_pretrained(folder).save_pretrained(folder)"
        )


def stale(folder, settings, family, tokenizer):
    """Patterns of what must not stay in a folder beside a new checkpoint of these settings.

    Args:
        folder: where another checkpoint may be.
        settings: dict, the new `config.json`.
        family: `Family` of the new one.
        tokenizer: bool, whether a new tokenizer is written.
    """
    patterns = [CONFIG, GENERATION, *OLD_WEIGHTS]
    try:
        old = read_json(Path(folder) / CONFIG)
    except ZooError:  # no checkpoint: what is there is not of an old one
        old = settings
    theirs = {ours: theirs for theirs, ours in family.fields.items()}
    same = {
        name: old.get(name) == settings[name]
        for name in ("model_type", "architectures", theirs["hidden_dim"], theirs["vocabulary_size"])
    }
    if tokenizer or not same[theirs["vocabulary_size"]]:
        patterns += TOKENIZER
    if not all(same.values()):
        patterns += USES
    return patterns


@contextlib.contextmanager
def replacing(folder, patterns):
    """A folder to write to, whose files take the place of those in `folder` at the end.

    Also after an interruption, a folder with a `config.json` is whole.

    Args:
        folder: the folder.
        patterns: of the files that go.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"{folder}: not a folder to write to ({error.strerror})") from None
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as place:
        yield Path(place)
        files = sorted(Path(place).iterdir(), key=lambda path: path.name == CONFIG)
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()
        for path in files:
            path.replace(folder / path.name)


def write(folder, settings, tensors, generation=None):
    """Writes `config.json` and the weights, in files of `SHARD_BYTES` at most.

    Args:
        folder: where to.
        settings: dict.
        tensors: dict, name: `(shape, function that gives the array)`. Arrays are made when their
            file is written.
        generation: dict, `generation_config.json`, or None for none.
    """
    from safetensors.numpy import save_file

    shards, room = [], 0
    for name, (shape, read) in tensors.items():
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
        total = sum(4 * math.prod(shape) for shape, _ in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": files}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    files = {CONFIG: settings, **({} if generation is None else {GENERATION: generation})}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
