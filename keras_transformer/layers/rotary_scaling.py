"""How fast rotary positions turn, also where a model reads further than it was first trained to."""

import math
from collections.abc import Callable

import numpy as np

from keras_transformer.checks import refusal, require


def frequencies(
    base: float, head_dim: int, scaling: dict | None = None
) -> tuple[np.ndarray, float]:
    """The angles by which the pairs of a head turn from one position to the next.

    Args:
        base: number, the slowest wavelength in positions over 2 pi.
        head_dim: int, H, even.
        scaling: None, or a dict that names its `rope_type` and that type's numbers, all required
            but those in parentheses, as published models have them:
            `"linear"`: `factor`;
            `"llama3"`: `factor`, `low_freq_factor`, `high_freq_factor` and
            `original_max_position_embeddings`;
            `"yarn"`: `factor`, `original_max_position_embeddings` (`beta_fast` 32, `beta_slow` 1,
            `attention_factor`).

    Returns:
        `(frequency, amplitude)`: float32 `(H/2,)`, and what sines and cosines are multiplied by.

    Raises:
        ValueError: for another `rope_type`, and for numbers that are missing or not of it.

    Reference:
        Chen et al. 2023, "Extending Context Window of Large Language Models via Positional
        Interpolation" (linear); Grattafiori et al. 2024, "The Llama 3 Herd of Models", and the code
        released with it; Peng et al. 2023, "YaRN", section 3.

    Example:

    >>> frequencies(10000.0, 4)[0].tolist() == np.float32([1.0, 0.01]).tolist()
    True
    >>> frequencies(10000.0, 4, {"rope_type": "linear", "factor": 4.0})[0].round(4).tolist()[0]
    0.25
    """
    require(_is_positive(base), "rotary_base to be a positive number", rotary_base=base)
    is_dict = scaling is None or isinstance(scaling, dict)
    require(is_dict, "rotary_scaling to be a dict or None", rotary_scaling=scaling)
    numbers = {name: x for name, x in (scaling or {}).items() if x is not None}
    kind = numbers.pop("rope_type", "default")
    is_known = isinstance(kind, str) and kind in SCALINGS
    require(is_known, f"rope_type to be one of {tuple(SCALINGS)}", rope_type=kind)
    scale, required, optional = SCALINGS[kind]
    require(
        set(required) <= set(numbers) <= {*required, *optional}
        and all(map(_is_positive, numbers.values())),
        f"{(*required, *optional)} of rope_type {kind!r}, positive numbers",
        ", ".join(f"{name}={x!r}" for name, x in numbers.items()),
    )
    try:
        with np.errstate(all="raise", under="ignore"):
            frequency = base ** (-np.arange(0, head_dim, 2) / head_dim)  # (H/2,)
            frequency, amplitude = scale(frequency, base, **numbers)
            return frequency.astype("float32"), amplitude
    except ArithmeticError:
        expected = "numbers that give finite frequencies"
        raise refusal(expected, rotary_base=base, rotary_scaling=scaling) from None


def _is_positive(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def unscaled(frequency: np.ndarray, base: float) -> tuple[np.ndarray, float]:
    return frequency, 1.0


def linear(frequency: np.ndarray, base: float, factor: float) -> tuple[np.ndarray, float]:
    return frequency / factor, 1.0


def llama3(
    frequency: np.ndarray,
    base: float,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: int,
) -> tuple[np.ndarray, float]:
    """Slow pairs are slowed down by `factor`, fast ones are left, those between are in between."""
    turns = original_max_position_embeddings * frequency / (2 * math.pi)  # in the first context
    kept = np.clip((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)
    return frequency * (kept + (1 - kept) / factor), 1.0


def yarn(
    frequency: np.ndarray,
    base: float,
    factor: float,
    original_max_position_embeddings: int,
    beta_fast: float = 32,
    beta_slow: float = 1,
    attention_factor: float | None = None,
) -> tuple[np.ndarray, float]:
    """As `llama3`, the bounds being whole pairs, and with sharper attention."""
    half = len(frequency)

    def pair(turns):  # that turns so many times in the first context
        return half * math.log(original_max_position_embeddings / (turns * 2 * math.pi), base)

    low, high = max(math.floor(pair(beta_fast)), 0), min(math.ceil(pair(beta_slow)), 2 * half - 1)
    slowed = np.clip((np.arange(half) - low) / max(high - low, 0.001), 0, 1)
    amplitude = attention_factor or (0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0)
    return frequency * (1 - slowed + slowed / factor), amplitude


# rope_type: (function, its required and its optional numbers)
_LLAMA3 = "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"
_YARN = "factor", "original_max_position_embeddings"
SCALINGS: dict[str, tuple[Callable, tuple[str, ...], tuple[str, ...]]] = {
    "default": (unscaled, (), ()),
    "linear": (linear, ("factor",), ()),
    "llama3": (llama3, _LLAMA3, ()),
    "yarn": (yarn, _YARN, ("beta_fast", "beta_slow", "attention_factor")),
}
