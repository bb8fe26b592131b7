"""What the training of vocabularies shares."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from keras_transformer.checks import refusal
from keras_transformer.text.corpus import TextError

DEFAULT_SIZE = 8000  # tokens of a vocabulary, where nobody asks for a number and a text has as many
_SURROGATE = re.compile("[\ud800-\udfff]")


def cased(line: str, lowercase: bool) -> str:
    """The line, in lower case if that is asked for."""
    return line.lower() if lowercase else line


def check_surrogates(lines: Iterable[str]) -> None:
    """Refuses halves of surrogate pairs: UTF-8 cannot write them."""
    for number, line in enumerate(lines, 1):
        if found := _SURROGATE.search(line):
            half = "half of a surrogate pair, which is no character"
            raise refusal("text", f"{found[0]!r} in line {number:,}, {half}", error=TextError)


def in_parts(lines: Iterable[str], most: int = 1000) -> Iterator[str]:
    """Yields the lines, long ones in parts that begin with white space if their words allow it.

    The trainers of vocabularies leave long lines out, or take time that grows with the square of a
    word's length.

    >>> list(in_parts(["a cat", "two dogs"], most=6))
    ['a cat', 'two', ' dogs']
    """
    parts = re.compile(rf"(?s).{{0,{most - 1}}}\S(?!\S)|.{{1,{most}}}")
    for line in lines:
        yield from parts.findall(line) if len(line) > most else [line]


def most_frequent(
    counts: Counter[str], vocabulary_size: int | None, special_tokens: Sequence[str]
) -> list[str]:
    """The tokens of a Counter, all of them or as many as fit beside the special ones."""
    most = len(counts) + len(special_tokens)
    if vocabulary_size is None:
        vocabulary_size = most
    if vocabulary_size > most:
        raise too_large(most, vocabulary_size)
    # most_common keeps the order of first appearance among equals
    return [token for token, _ in counts.most_common(vocabulary_size - len(special_tokens))]


def too_large(most: int, vocabulary_size: int | None, room: str = "") -> Exception:
    """The refusal of a vocabulary that no text of this kind fills."""
    return refusal(
        f"vocabulary_size at most {most:,} for this text{room}",
        vocabulary_size=vocabulary_size,
        error=TextError,
    )
