"""Dropout."""

import keras

from keras_transformer.backend.dropout import dropout
from keras_transformer.backend.recomputable import Recomputable
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class Dropout(Recomputable, keras.layers.Dropout):
    """Sets a share of its inputs to 0 in training, as `keras.layers.Dropout`.

    Args:
        rate: float, share of the values that become 0 in training.

    Call arguments:
        inputs: any shape.
        training: bool, whether to drop.

    Returns:
        The shape of `inputs`; what stays is scaled so that the expected value is unchanged.

    Raises:
        ValueError: when `rate` is outside `[0, 1]`.

    Reference:
        Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting".

    Example:

    >>> import numpy as np
    >>> ones = np.ones((64, 64), "float32")
    >>> bool(0.85 < keras.ops.mean(Dropout(0.1)(ones, training=True)) < 1.15)
    True
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if self.rate == 0 or not training:  # in this order: JAX may not know `training`
            return inputs
        return dropout(inputs, self.rate, self.seed_generator, self.noise_shape)
