"""The norms."""

from typing import Any

import keras
from keras import ops

from keras_transformer.backend.layer_norm import layer_norm
from keras_transformer.backend.recomputable import Recomputable
from keras_transformer.checks import require
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class LayerNormalization(Recomputable, keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis.

    Reference:
        Ba et al. 2016, "Layer Normalization".

    Example:

    >>> import numpy as np
    >>> y = LayerNormalization()(np.array([[1.0, 3.0]], "float32"))
    >>> keras.ops.convert_to_numpy(y).round(2).tolist()
    [[-1.0, 1.0]]
    """

    def call(self, inputs: Tensor) -> Tensor:
        y = layer_norm(inputs, self.gamma, self.beta, self.epsilon)
        return ops.cast(y, self.compute_dtype)


@keras.saving.register_keras_serializable(package="keras_transformer")
class RMSNormalization(Recomputable, keras.layers.RMSNormalization):
    """Divides by the root mean square; unlike Keras' own, lets implicit masks through.

    Reference:
        Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.supports_masking = True


NORMS = {"layer_norm": LayerNormalization, "rms_norm": RMSNormalization}


def normalization(norm: str, epsilon: float, **kwargs: Any) -> keras.layers.Layer:
    """The layer that `norm`, `"layer_norm"` or `"rms_norm"`, names."""
    require(norm in NORMS, f"norm to be one of {tuple(NORMS)}", norm=norm)
    return NORMS[norm](epsilon=epsilon, **kwargs)
