"""Cheap sources of broken files and odd texts: a valid one, changed at a few places."""

import json
import random
from collections.abc import Callable
from typing import Any

VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10**9, 2**31, 2**63, 10**30),
    *(0.0, 0.5, -0.5, 1.0, 1e-9, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", " ", "a", "0", "1", "None", "relu", "../x", "/", "\0", "\ud800", "ä\n", "x" * 300),
    *([], [1], [[]], ["a"], [None], [0.5, "b"], {}, {"a": 1}, {"": None}, [{}], {"type": "x"}),
]
BYTES = [
    *(b"\0", b"\n", b"\r\n", b"\t", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b'"'),
    *(b",", b"\xc3", b"\xf4\x90\x80\x80", "\u2028".encode(), b"\x1f\x8b\x08", b"PK\x03\x04", b"{}"),
    *(b"[" * 100, b"9" * 40, b"e999", b"-", b"null", b"NaN", b"true", b"\\u0000", b"\\ud800"),
]
POOLS = [
    "abcdefgh ",
    " \t\n\r\u3000\xa0\u2028\x85\x0b",
    "".join(map(chr, range(128))),
    "äöüßéèñçŠžıİſſǅ",
    "你好世界，。、ｶﾞ한글ไทยअ",
    "😀👨\u200d👩\u200d👧🏽\u0301\u0308\u202e\ufeff\ufffd\uffff",
    ".,:;!?'’\"-()[]{}<>@#/\\|%…",
    "▁Ġ@@##Ċ",
]
SPECIAL = (
    "<pad> <unk> <s> </s> <mask> [PAD] [UNK] [CLS] [SEP] [MASK] [START] [END] <0x41> @@".split()
)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one change, or a few."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        end = min(end, place + rng.choice((1, 4, 64, 10**6)))
        match rng.randrange(7):
            case 0 if data:
                data[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[place:end]
            case 2:
                data[place:place] = data[place:end]
            case 3:
                data[place:place] = rng.choice(BYTES)
            case 4:
                data[place:end] = rng.randbytes(min(end - place, 16))
            case 5:
                data[place:end] = rng.choice(BYTES)
            case _:
                del data[place:]
    return bytes(data)


def changed(rng: random.Random, value: Any) -> Any:
    """What JSON holds, with another value, key or item at one place."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return rng.choice(VALUES)
    if isinstance(value, list):
        place = rng.randrange(len(value))
        new = list(value)
        match rng.randrange(4):
            case 0:
                del new[place]
            case 1:
                new.insert(place, rng.choice(VALUES))
            case _:
                new[place] = changed(rng, new[place])
        return new
    key, new = rng.choice(list(value)), dict(value)
    match rng.randrange(8):
        case 0:
            del new[key]
        case 1:
            new[rng.choice(("", "a", "unknown", key.upper()))] = new.pop(key)
        case 2:
            new[rng.choice(list(value))] = value[key]
        case _:
            new[key] = changed(rng, new[key])
    return new


def broken_json(rng: random.Random, value: Any) -> bytes:
    """A file of JSON: of a changed value mostly, and sometimes none."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = changed(rng, value)
    data = json.dumps(value).encode()
    match rng.randrange(40):
        case 0:
            depth = rng.choice((50, 2000, 100_000))
            return data.replace(b"1", b"[" * depth + b"]" * depth, 1)
        case 1:
            return data.replace(b"1", b"1" * rng.choice((30, 400, 5000)), 1)
        case 2 | 3 | 4 | 5:
            return mutated(rng, data)
        case 6:
            return rng.randbytes(rng.randrange(40))
    return data


def text(rng: random.Random, most: int = 40, pools: list[str] = POOLS) -> str:
    """A text of one script or a few, now and then with what looks like a special token."""
    parts = []
    for _ in range(rng.randint(0, 4)):
        match rng.randrange(8):
            case 0:
                parts.append(rng.choice(SPECIAL))
            case 1:
                code = rng.randrange(0x110000 - 0x800)
                parts.append(chr(code if code < 0xD800 else code + 0x800))
            case _:
                parts.append("".join(rng.choices(rng.choice(pools), k=rng.randint(0, most // 4))))
    return "".join(parts)


def one_of(*sources: Callable[[random.Random], Any]) -> Callable[[random.Random], Any]:
    """A source that takes any of several."""
    return lambda rng: rng.choice(sources)(rng)
