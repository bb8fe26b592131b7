"""The files of a published checkpoint's tokenizer."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal, require, some
from keras_transformer.reading import parse_json, read_bytes
from keras_transformer.text.corpus import TextError

MOST_HOLES = 1000  # ids below the last one that no token has
FEW_ROWS = 64  # of a model's table that no token has; of large tables, a tenth
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def read_json_object(path: Path) -> dict[str, Any]:
    """What a file of JSON holds, which is to be an object without a name twice."""
    value = parse_json(read_bytes(path, error=TextError), path, TextError, unique=True)
    is_object = isinstance(value, dict)
    require(is_object, "a JSON object", type(value).__name__, where=path, error=TextError)
    return value


def read_ids(path: Path) -> dict[str, int]:
    """The ids of the tokens of a `vocab.json`: from 0 on, each once."""
    ids = read_json_object(path)
    numbers = [i for i in ids.values() if isinstance(i, int)]
    missing = set(range(len(ids))).difference(numbers)
    require(
        not missing,
        f"the ids from 0 to {len(ids) - 1:,}, each once",
        f"{len(ids):,} tokens without {some(sorted(missing), 5)}",
        where=path,
        error=TextError,
    )
    return ids


def read_tokens(path: Path) -> list[str]:
    """The lines of a vocabulary in UTF-8, none of which may hold a character that ends one.

    A last line without an end is one that was cut off, or one that an editor wrote: it is taken.
    """
    data = read_bytes(path, error=TextError).removeprefix(b"\xef\xbb\xbf")
    if not data:
        raise TextError(f"{path}: the file is empty")
    lines = data.removesuffix(b"\n").split(b"\n")
    tokens = []
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        try:
            token = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise refusal("UTF-8", str(error), where=where, error=TextError) from None
        is_token = _CONTROL.search(token) is None
        require(is_token, "no control characters", repr(token), where=where, error=TextError)
        tokens.append(token)
    return tokens


def read_word_pieces(path: Path) -> dict[str, int]:
    """The ids of the tokens of a `vocab.txt`, each in one line."""
    ids: dict[str, int] = {}
    for i, token in enumerate(read_tokens(path)):
        first = ids.setdefault(token, i)
        expected, where = f"another token than in line {first + 1}", f"{path}, line {i + 1}"
        require(first == i, expected, repr(token), where=where, error=TextError)
    return ids


def read_merges(path: Path, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs of tokens that byte-pair encoding merges, in order; `ids` are the vocabulary's."""
    merges: dict[tuple[str, str], None] = {}
    for number, line in enumerate(read_tokens(path), 1):
        if line.startswith("#version"):
            continue
        where = f"{path}, line {number}"
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys():
            expected = "two tokens of vocab.json that join to a third"
            raise refusal(expected, repr(line), where=where, error=TextError)
        require((pair[0], pair[1]) not in merges, "each pair once", repr(line), where=where)
        merges[pair[0], pair[1]] = None
    return list(merges)


def check_merged(path: Path, ids: Mapping[str, int], merges: list[tuple[str, str]]) -> None:
    """Refuses merges that were cut: within a line, or so that many tokens are made by none.

    A few tokens are made by none: special ones, and some of fairseq's vocabularies.
    """
    made = {"".join(pair) for pair in merges}
    alone = [token for token in ids if len(token) > 1 and token not in made]
    is_whole = path.read_bytes().endswith(b"\n")
    require(is_whole, "an end of the last line", "none", where=path, error=TextError)
    most = FEW_ROWS + len(ids) // 10
    expected = f"the merges of all but {most:,} tokens of vocab.json"
    require(len(alone) <= most, expected, f"none of {len(alone):,}", where=path, error=TextError)


def check_ids(
    path: Path, ids: Mapping[str, int], special: set[str], vocab_size: object = None
) -> None:
    """Refuses ids that leave many out, and a vocabulary of another size than its model's.

    The model's table may have more rows, to make it a round number, and fewer than there are
    special tokens.

    Args:
        path: what is named.
        ids: the ids of all tokens.
        special: those tokens that are special.
        vocab_size: what `config.json` says, or None.
    """
    last = max(ids.values(), default=-1)
    few = len(ids) == len(set(ids.values())) and last < len(ids) + MOST_HOLES
    received = f"{len(ids):,} up to {last:,}"
    require(few, "ids from 0 on, each once", received, where=path, error=TextError)
    if isinstance(vocab_size, int) and vocab_size > 0:
        ordinary = len(ids.keys() - special)
        fits = ordinary <= vocab_size <= len(ids) * 10 / 9 + FEW_ROWS
        is_cut = path.suffix == ".txt" and not path.read_bytes().endswith(b"\n")
        require(
            fits and not (is_cut and len(ids) < vocab_size),
            f"a vocabulary of the vocab_size={vocab_size:,} of config.json",
            f"{len(ids):,} tokens{', the last of which has no end' if is_cut else ''}",
            where=path,
            error=TextError,
        )


def sentence_piece_model(path: Path) -> Any:
    """The `SentencePieceProcessor` of a file."""
    import sentencepiece

    data = read_bytes(path, error=TextError)
    try:
        _check_proto(data)
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except (OSError, RuntimeError, ValueError) as error:
        raise refusal("a SentencePiece model", reason(error), where=path, error=TextError) from None


def _check_proto(data):
    """Raises a ValueError for what is left of a model, or is none.

    `sentencepiece` itself passes over what it does not know, and over what is missing.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    try:
        proto = sentencepiece_model_pb2.ModelProto.FromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    for part in ("trainer_spec", "normalizer_spec"):  # which come after all pieces
        require(proto.HasField(part), "a whole model", f"one without its {part}")
    for piece in proto.pieces:
        require(piece.piece and math.isfinite(piece.score), "pieces with scores", repr(piece.piece))
    proto.ClearField("trainer_spec")  # to which each version adds something
    size = proto.ByteSize()
    proto.DiscardUnknownFields()
    require(size == proto.ByteSize(), "a model's fields", "others")
