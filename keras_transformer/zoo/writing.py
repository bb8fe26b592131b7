"""A published folder is written: `config.json`, `*.safetensors` and what goes with them."""

import contextlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.digests import DIGESTS, noted_digests, write_digests
from keras_transformer.files import digest, write_whole, written_whole
from keras_transformer.types import Shape
from keras_transformer.zoo.checkpoint import CONFIG, GENERATION, INDEX, WEIGHTS, ZooError, read_json
from keras_transformer.zoo.family import Family

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
SHARD_BYTES = 5_000_000_000  # of one file of weights at most, as transformers writes them


def stale(
    folder: str | Path, settings: dict[str, Any], family: Family, tokenizer: bool
) -> list[str]:
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
def replacing(folder: str | Path, patterns: Iterable[str]) -> Iterator[Path]:
    """A folder to write to, whose files take the place of those in `folder` at the end.

    Also after an interruption, a folder with a `config.json` is whole. What all of the files held
    is noted beside them.

    Args:
        folder: the folder.
        patterns: of the files that go.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise refusal("a folder to write to", reason, where=str(folder), error=ZooError) from None
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as place:
        yield Path(place)
        written = [path for path in Path(place).iterdir() if path.name != DIGESTS]
        digests = noted_digests(folder) | {path.name: digest(path) for path in written}
        (folder / DIGESTS).unlink(missing_ok=True)
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()
        for path in sorted(written, key=lambda path: path.name == CONFIG):
            if path.name == CONFIG:
                is_there = {path.name for path in folder.iterdir()} | {CONFIG}
                write_digests(folder, {n: value for n, value in digests.items() if n in is_there})
            path.replace(folder / path.name)


def write(
    folder: Path,
    settings: dict[str, Any],
    tensors: Mapping[str, tuple[Shape, Callable[[], np.ndarray]]],
    generation: dict[str, Any] | None = None,
) -> None:
    """Writes `config.json` and the weights, in files of `SHARD_BYTES` at most.

    Args:
        folder: where to.
        settings: dict.
        tensors: dict, name: `(shape, function that gives the array)`. Arrays are made when their
            file is written.
        generation: dict, `generation_config.json`, or None for none.
    """
    from safetensors.numpy import save_file

    shards: list[list] = []
    room = 0
    for name, (shape, read) in tensors.items():
        size = 4 * math.prod(shape)
        if size > room:
            shards.append([])
            room = SHARD_BYTES
        room -= size
        shards[-1].append((name, read))
    files: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = WEIGHTS
        if len(shards) > 1:
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        arrays = {name: np.ascontiguousarray(read()) for name, read in shard}
        with written_whole(folder / file) as unfinished:
            save_file(arrays, unfinished, metadata={"format": "pt"})
        files |= {name: file for name, _ in shard}
    if len(shards) > 1:
        total = sum(4 * math.prod(shape) for shape, _ in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": files}
        write_whole(folder / INDEX, json.dumps(index, indent=2) + "\n")
    contents = {CONFIG: settings, **({} if generation is None else {GENERATION: generation})}
    for name, content in contents.items():
        write_whole(folder / name, json.dumps(content, indent=2) + "\n")
