"""Positions as rotations of queries and keys."""

from typing import Any

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.rotary_scaling import frequencies
from keras_transformer.renamed import renamed
from keras_transformer.scopes import query_positions
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class RotaryEmbedding(Layer):
    """Rotates queries and keys by an angle that grows with their position.

    Feature `i` of the first half of a head and feature `i` of its second half form a pair that
    turns by `position * rotary_base ** (-2i / H)`, so scores depend on the distance of tokens only.

    Args:
        rotary_base: number, the slowest wavelength in positions over 2 pi. 10,000 as in the paper.
        rotary_scaling: dict, how the wavelengths are stretched for longer texts, see
            `layers.rotary_scaling.frequencies`. None leaves them.

    Call arguments:
        x: `(B, T, N, H)`, H even.

    Returns:
        `(B, T, N, H)`.

    Raises:
        ValueError: when H is odd, and for an unknown scaling.

    Reference:
        Su et al. 2021, "RoFormer", section 3.2.2; pairs in halves as in GPT-NeoX.

    Example:

    >>> import numpy as np
    >>> x = np.ones((1, 2, 1, 4), "float32")
    >>> np.asarray(RotaryEmbedding()(x))[0, :, 0].round(2)  # position 0 is left as it is
    array([[ 1.  ,  1.  ,  1.  ,  1.  ],
           [-0.3 ,  0.99,  1.38,  1.01]], dtype=float32)
    """

    @renamed(base="rotary_base", scaling="rotary_scaling")
    def __init__(
        self, rotary_base: float = 10000, rotary_scaling: dict | None = None, **kwargs: Any
    ) -> None:
        # Queries and keys keep the precision of the layer they come from.
        super().__init__(autocast=False, **kwargs)
        self.rotary_base = rotary_base
        self.rotary_scaling = rotary_scaling

    def build(self, input_shape: Shape) -> None:
        require(
            input_shape[-1] % 2 == 0,
            "an even head size for rotary positions",
            key_dim=input_shape[-1],
        )

    def call(self, x: Tensor) -> Tensor:
        frequency, amplitude = frequencies(  # (H/2,)
            self.rotary_base, x.shape[-1], self.rotary_scaling
        )
        position = ops.cast(query_positions(x), "float32")  # (1|B, T)
        position = ops.reshape(position, (*ops.shape(position), 1, 1))
        angle = position * ops.convert_to_tensor(frequency)  # (1|B, T, 1, H/2)
        cos = ops.cast(ops.cos(angle) * amplitude, x.dtype)
        sin = ops.cast(ops.sin(angle) * amplitude, x.dtype)
        first, second = ops.split(x, 2, axis=-1)  # (B, T, N, H/2)
        return ops.concatenate(
            [first * cos - second * sin, second * cos + first * sin], axis=-1
        )  # (B, T, N, H)


def rotary_embedding(argument: RotaryEmbedding | dict | None) -> RotaryEmbedding | None:
    """The `RotaryEmbedding` that a layer was given: the layer itself, its saved config, or None."""
    return (
        keras.saving.deserialize_keras_object(argument) if isinstance(argument, dict) else argument
    )
