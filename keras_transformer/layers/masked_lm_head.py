"""What stands between an encoder and the tied logits of a masked language model."""

import keras
from keras import ops

from keras_transformer.layers.arguments import serialize_arguments
from keras_transformer.layers.feed_forward import activation_function
from keras_transformer.layers.transformer_block import normalization


@keras.saving.register_keras_serializable(package="keras_transformer")
class MaskedLMHead(keras.layers.Layer):
    """Takes the masked positions out of a sequence, then a linear map, an activation and a norm.

    The token table, transposed, and a bias turn the result into logits. As only the masked
    positions get there, logits cost `B * P * V` and not `B * T * V`.

    Args:
        activation: name or function.
        norm: `"layer_norm"` or `"rms_norm"`.
        layer_norm_epsilon: float, added to the variance in the norm.
        kernel_initializer: initial values of the kernel.

    Call arguments:
        x: `(B, T, D)`.
        masked_positions: `(B, P)` ints, 0 to T - 1. Unused places may hold any of them.

    Returns:
        `(B, P, D)`.

    Raises:
        ValueError: for an unknown norm.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1, task 1, and the code released with it.

    Example:

    >>> import numpy as np
    >>> head = MaskedLMHead()
    >>> head(np.ones((2, 5, 8)), np.array([[1, 4], [3, 0]])).shape == (2, 2, 8)
    True
    """

    def __init__(
        self,
        activation="gelu",
        norm="layer_norm",
        layer_norm_epsilon=1e-12,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.activation = activation_function(activation)
        self.norm = norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True
        self.norm_layer = normalization(
            norm, layer_norm_epsilon, name="norm", dtype=self.dtype_policy
        )

    def build(self, x_shape, masked_positions_shape=None):
        self.transform = keras.layers.Dense(
            x_shape[-1],
            self.activation,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="transform",
        )
        self.transform.build(x_shape)
        self.norm_layer.build(x_shape)

    def call(self, x, masked_positions):
        batch, length, hidden_dim = ops.shape(x)[0], ops.shape(x)[1], x.shape[-1]
        # One index into all rows: on CPUs twice as fast as an index within each.
        first = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)  # (B, 1)
        places = ops.cast(masked_positions, "int32") + first  # (B, P)
        x = ops.take(ops.reshape(x, (-1, hidden_dim)), places, axis=0)  # (B, P, D)
        return self.norm_layer(self.transform(x))

    def compute_mask(self, x, previous_mask=None):
        return None  # the mask of x says nothing about P

    def compute_output_shape(self, x_shape, masked_positions_shape):
        return (*masked_positions_shape, x_shape[-1])

    def get_config(self):
        return super().get_config() | serialize_arguments(
            self, "activation", "norm", "layer_norm_epsilon", "kernel_initializer"
        )
