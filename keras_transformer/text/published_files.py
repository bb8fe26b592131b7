"""The files of a published checkpoint's tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.text.corpus import TextError, read_lines


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def read_json_object(path: Path) -> dict[str, Any]:
    """What a file of JSON holds, which is to be an object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise refusal("JSON", reason(error), where=path, error=TextError) from None
    is_object = isinstance(value, dict)
    require(is_object, "a JSON object", type(value).__name__, where=path, error=TextError)
    return value


def read_merges(path: Path, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs of tokens that byte-pair encoding merges, in order; `ids` are the vocabulary's."""
    merges = []
    for number, line in enumerate(read_lines(path), 1):
        if line.startswith("#version"):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys():
            raise refusal(
                "two tokens of vocab.json that join to a third",
                repr(line),
                where=f"{path}, line {number}",
                error=TextError,
            )
        merges.append((pair[0], pair[1]))
    return merges


def sentence_piece_model(path: Path) -> Any:
    """The `SentencePieceProcessor` of a file."""
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise refusal("a SentencePiece model", reason(error), where=path, error=TextError) from None
