"""Positions as sines and cosines."""

from keras import ops

from keras_transformer.scopes import query_positions
from keras_transformer.types import Positions, Tensor


def sinusoids(position: Tensor, hidden_dim: int) -> Tensor:
    """Sines and cosines `(..., D)` of `position (...)`, wavelengths from 2 pi to 20,000 pi.

    Vaswani et al. 2017, section 3.5, with all sines before all cosines as in tensor2tensor.

    >>> sinusoids(ops.arange(2), 4).shape == (2, 4)
    True
    """
    even = ops.arange(0, hidden_dim, 2, dtype="float32")
    frequency = 10000.0 ** (-even / hidden_dim)  # (D/2,)
    angle = ops.expand_dims(ops.cast(position, "float32"), -1) * frequency  # (..., D/2)
    return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)[..., :hidden_dim]  # (..., D)


def add_sinusoids(x: Tensor, positions: Positions = None) -> Tensor:
    """`x (B, T, D)` plus the sinusoids of its tokens' positions."""
    position = query_positions(x) if positions is None else positions  # (1|B, T)
    return x + ops.cast(sinusoids(position, x.shape[-1]), x.dtype)


def add_nothing(x: Tensor, positions: Positions = None) -> Tensor:
    return x
