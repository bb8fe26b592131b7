"""Regular expressions of a `tokenizer.json`, which must not take for ever.

The library that runs them tries every way to match, so that an expression such as `(a+)+b` takes
twice as long for each letter more. Those that published tokenizers have repeat characters, sets of
them, and groups that match in one way only: that is what is let through.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.reading import objects_in

# Of what is written here for WordPiece: the ways through its group begin otherwise.
QUOTES = r'(?:\A|\G")(?:[^"]|"(?! [^"]* "))*"\K (?=[^"]* ")|\G(?<=" )[^"]*?\K (?=")'
KNOWN = (QUOTES,)
MOST_CHARACTERS = 20_000
MOST_REPEATS = 3  # parts in a row that each take any number of characters
FEW = 16  # times that a part may be repeated without that being any number
MOST_WAYS = 10_000  # to match the parts that are there or not, and one or another
MOST_GROWTH = 10**6  # characters that all replacements together may make of one

# Those of the library's many escapes that say one character, a set of them, or a place.
_ESCAPE = r"""\\(?:[pP]\{\^?[\w ]+\} | x\{[0-9A-Fa-f]+\} | x[0-9A-Fa-f]{2} | u[0-9A-Fa-f]{4}
    | [dDwWsShHbBAzZGKnrtfvae] | [^0-9A-Za-z])"""
_POSIX = (
    r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word):\]"
)
_TOKEN = re.compile(
    rf"""
    (?P<escape>{_ESCAPE})
    | (?P<refused>\\. | \(\* | \(\?(?![:=!>]|<[=!]|[ims]+[:)]))
    | (?P<options>\(\?[ims]+\))
    | (?P<open>\((?:\?(?:[:=!>]|<[=!]|[ims]+:))?)
    | (?P<close>\))
    | (?P<either>\|)
    | (?P<set>\[)
    | (?P<repeat>[*+?] | \{{\d*,?\d*\}})
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BOUNDS = {"?": (0, 1), "*": (0, math.inf), "+": (1, math.inf)}
_IN_SET = re.compile(rf"{_ESCAPE} | {_POSIX} | \[(?!:)\^?\]? | [^\\\[]", re.VERBOSE | re.DOTALL)


def check_pattern(pattern: str) -> None:
    r"""Refuses a regular expression that could take for ever, or that is none.

    Repeated may be what is no group, or a group of which all matches have one length, or one that
    is there or not; three parts in a row may be repeated any number of times.

    Example:

    >>> check_pattern(r"'s|'t| ?\p{L}+| ?\p{N}+|\s+(?!\S)|\s+")
    >>> check_pattern("(a+)+b")
    Traceback (most recent call last):
    ValueError: Expected an expression that repeats no group but of one length. Received: '(a+)+b'
    """
    if pattern in KNOWN:
        return
    try:
        problem = _problem(pattern)
    except (ValueError, IndexError):
        problem = "with all of its brackets, and known parts of sets"
    if problem:
        raise refusal(f"an expression {problem}", repr(pattern[:60]))


def check_patterns(found: Any) -> None:
    """Refuses a `tokenizer.json` of which a part could take for ever, or make texts endlessly long.

    Args:
        found: what the JSON says.
    """
    require(isinstance(found, dict), "a JSON object", type(found).__name__)
    for pattern in _patterns(found):
        check_pattern(pattern)
    parts = [found.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    for part in parts:
        growth = 1
        for step in objects_in(part):
            if step.get("type") == "Replace" and isinstance(step.get("content"), str):
                is_regex = "Regex" in (step.get("pattern") or {})
                growth *= max(1, len(step["content"]) + is_regex)
        if growth > MOST_GROWTH:
            expected = f"replacements that make at most {MOST_GROWTH:,} characters of one"
            raise refusal(expected, f"{growth:,}")


class _Group:
    """What is known of a group that is open, or of the whole expression."""

    in_row = most = 0  # parts that take any number, in this way through it and in any
    ways, others = 1, 0  # how many there are through it, by this alternative and by those before
    is_fixed = True  # whether all that it matches has one length
    has_number = False  # whether a part of it is repeated so many times


def _problem(pattern):
    """What the pattern should be and is not, or None."""
    if len(pattern) > MOST_CHARACTERS:
        return f"of at most {MOST_CHARACTERS:,} characters"
    groups, last, closed, place = [_Group()], None, _Group(), 0
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        kind, text, place = token.lastgroup, token[0], token.end()
        group = groups[-1]
        if kind == "refused":
            return f"without {text}"
        if kind == "set":
            place = _end_of_set(pattern, place)
        elif kind == "open":
            groups.append(_Group())
        elif kind == "close":
            closed = groups.pop()
            groups[-1].in_row += max(closed.most, closed.in_row)
            groups[-1].ways *= closed.ways + closed.others
            groups[-1].is_fixed &= closed.is_fixed
            groups[-1].has_number |= closed.has_number
        elif kind == "either":
            group.in_row, group.most = 0, max(group.most, group.in_row)
            group.ways, group.others = 1, group.others + group.ways
            group.is_fixed = False
        elif kind == "repeat" and last in ("*", "+", "?") and text in ("?", "+"):
            kind = "greed"  # how much the repeat before takes, which is no other
        elif kind == "repeat":
            if last not in ("other", "escape", "set", "close"):
                return "that repeats characters, once"
            is_once = last != "close" or text == "?"
            if not (is_once or (closed.is_fixed and not (closed.has_number and text[0] == "{"))):
                return "that repeats no group but of one length"
            least, most = _bounds(text)
            group.has_number |= text[0] == "{"
            group.is_fixed &= least == most
            group.in_row += most > FEW
            group.ways *= abs(most - least) + 1 if most <= FEW else 1
            kind = text
        if sum(group.in_row for group in groups) > MOST_REPEATS:
            return f"with at most {MOST_REPEATS} repeated parts in a row"
        if math.prod(group.ways for group in groups) > MOST_WAYS:
            return f"with at most {MOST_WAYS:,} ways through it"
        last = kind
    return "with all of its brackets" if len(groups) > 1 else None


def _bounds(repeat):
    """How often a part comes, at least and at most."""
    if repeat in _BOUNDS:
        return _BOUNDS[repeat]
    numbers = repeat[1:-1].split(",")
    return int(numbers[0] or 0), float(numbers[-1] or "inf")


def _end_of_set(pattern, place):
    """Where a set ends that begins before `place`; there may be sets in it."""
    depth = 1
    place += pattern.startswith("^", place)
    place += pattern.startswith("]", place)
    while depth:
        part = _IN_SET.match(pattern, place)
        if part is None:
            raise ValueError("no end")
        if part[0] == "]":
            depth -= 1
        elif part[0][0] == "[" and part[0][1:2] != ":":
            depth += 1
        place = part.end()
    return place


def _patterns(found) -> Iterator[str]:
    for name, part in found.items():
        if name in ("model", "added_tokens"):  # which have none, and hundreds of thousands of parts
            continue
        for step in objects_in(part):
            if isinstance(step.get("Regex"), str):
                yield step["Regex"]
