"""Arrays as text in a page, small: bytes of one significance together, gzip, base64."""

import base64
import gzip
import json
from typing import Any

import numpy as np

# A weight takes two bytes. 0 is kept for what is masked: an attention that small is none.
STEPS = 65535


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON, which `unpack` of the page's program reads.

    All high bytes stand before all low ones: they are alike, and gzip makes a third less of them.

    Args:
        array: float16, float32, or integers, of any shape.

    Example:

    >>> packed(np.zeros((2, 3), "uint16"))["shape"]
    [2, 3]
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    bytes_of = little.reshape(-1).view("uint8").reshape(-1, array.itemsize)
    text = _compressed(bytes_of.T[::-1].tobytes())
    return {"type": array.dtype.name, "shape": list(array.shape), "data": text}


def packed_json(value: Any) -> dict[str, Any]:
    """The same of what JSON can hold.

    Example:

    >>> sorted(packed_json(["a", 1]))
    ['data', 'type']
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return {"type": "json", "data": _compressed(text.encode("utf-8"))}


def _compressed(data):
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")


def as_steps(weights: np.ndarray) -> np.ndarray:
    """Weights from 0 to 1 as uint16; what is 0 because it is masked stays 0, and nothing else.

    Example:

    >>> as_steps(np.array([0.0, 1e-9, 0.5, 1.0])).tolist()
    [0, 1, 32768, 65535]
    """
    steps = np.rint(np.asarray(weights, "float64") * STEPS)
    return np.where(weights > 0, np.maximum(steps, 1), 0).astype("uint16")
