"""Cross-entropy on integer labels, smoothed and averaged per real token.

Shape letters as in `keras_transformer.layers`; N = B * T, the tokens of a batch in one row.
"""

from typing import Any

import keras
from keras import ops

from keras_transformer.backend.softmax import softmax_and_log_total
from keras_transformer.checks import require
from keras_transformer.training.accumulation import with_weight
from keras_transformer.types import Tensor


def flat_tokens(
    labels: Tensor, logits: Tensor, pad_id: int, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Lines the tokens of a batch up in one row and says which of them count.

    The loss and the metrics all start here, so that inside one compiled step they ask for the
    very same tensors, and the costly ones are computed once.

    Args:
        labels: Integer tensor `(B, T)`.
        logits: Float tensor `(B, T, V)` in any precision.
        pad_id: Label of the positions that do not count.
        sample_weight: Optional tensor `(B,)`, `(B, 1)` or `(B, T)`. None counts every real
            token once.

    Returns:
        `(labels (N,), logits (N, V) in float32, weights (N,) in float32)`. Labels that do not
        count become 0, so that `pad_id=-100` is never used as an index.

    Example:

    >>> labels, logits, weights = flat_tokens([[3, 0]], keras.ops.ones((1, 2, 5)), pad_id=0)
    >>> tuple(labels.shape), tuple(logits.shape), tuple(weights.shape)
    ((2,), (2, 5), (2,))
    """
    labels = ops.convert_to_tensor(labels)  # (B, T)
    logits = ops.cast(logits, "float32")  # (B, T, V)
    real = ops.not_equal(labels, pad_id)  # (B, T)
    weights = ops.cast(real, "float32")  # (B, T)
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, "float32")
        if len(sample_weight.shape) < len(labels.shape):
            sample_weight = ops.expand_dims(sample_weight, -1)  # (B, 1)
        weights = weights * sample_weight  # (B, T)
    labels = ops.where(real, labels, 0)
    flat_logits = ops.reshape(logits, (-1, logits.shape[-1]))  # (N, V)
    return ops.reshape(labels, (-1,)), flat_logits, ops.reshape(weights, (-1,))


def label_logits(labels: Tensor, logits: Tensor) -> Tensor:
    """Picks every label's own logit: `(N,), (N, V) -> (N,)`.

    Example:

    >>> import numpy as np
    >>> print(keras.ops.convert_to_numpy(label_logits(np.array([1]), np.array([[5.0, 7.0]]))))
    [7.]
    """
    labels = ops.expand_dims(ops.cast(labels, "int32"), -1)  # (N, 1)
    return ops.squeeze(ops.take_along_axis(logits, labels, axis=-1), -1)  # (N,)


def token_crossentropy(labels: Tensor, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in nats of every token, `(N,), (N, V) -> (N,)`, without a one-hot tensor.

    With smoothing `e` the target is `(1 - e) * one_hot(label) + e / V`. The gradient,
    `softmax(logits) - target`, is written out: for TensorFlow on CPUs that makes the smoothed
    loss faster than Keras' unsmoothed one, and three times faster than the derivative that
    TensorFlow finds by itself (a scatter into `(N, V)` zeros for one logit a token).

    Args:
        labels: Integer tensor `(N,)`, in `[0, V)`.
        logits: Float32 tensor `(N, V)`.
        label_smoothing: `e`, in `[0, 1)`. 0 means no smoothing.

    References:
        Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.

    Example:

    >>> import math
    >>> import numpy as np
    >>> loss = token_crossentropy(np.array([1]), np.zeros((1, 4), "float32"))
    >>> print(round(float(loss[0]), 4), round(math.log(4), 4))
    1.3863 1.3863
    """
    labels = ops.cast(labels, "int32")
    shared = label_smoothing / logits.shape[-1]

    @ops.custom_gradient
    def smoothed(logits):
        probabilities, log_total = softmax_and_log_total(logits)  # (N, V), (N,)
        label_logit = label_logits(labels, logits)
        losses = log_total - label_logit
        if label_smoothing:
            losses = losses + label_smoothing * (label_logit - ops.mean(logits, axis=-1))

        def gradient(*args, upstream=None):  # PyTorch names the upstream, the others do not
            upstream = args[0] if upstream is None else upstream  # (N,)
            off_label = probabilities - shared if label_smoothing else probabilities  # (N, V)
            on_label = label_logits(labels, probabilities) - shared - (1.0 - label_smoothing)
            rows = ops.arange(ops.shape(labels)[0], dtype="int32")
            return ops.scatter_update(
                off_label * ops.expand_dims(upstream, -1),  # (N, V)
                ops.stack([rows, labels], axis=-1),  # (N, 2)
                on_label * upstream,
            )

        return losses, gradient

    return smoothed(logits)


@keras.saving.register_keras_serializable("keras_transformer")
class MaskedCrossentropy(keras.losses.Loss):
    """Label-smoothed cross-entropy in nats, averaged over the real tokens of a batch.

    Always computed in float32, whatever the precision of the logits. Which tokens count is read
    from the labels alone: the implicit Keras mask that logits may carry comes from the model's
    *input*, where a real label can sit over a padding id (MarianMT and T5 start from it).

    Call arguments: `y_true (B, T)` integer labels, `y_pred (B, T, V)` logits, and an optional
    `sample_weight` `(B,)`, `(B, 1)` or `(B, T)`; the result is then the weighted mean,
    `sum(weight * loss) / sum(weight)` over real tokens. A batch with none has loss 0. Batches whose
    gradients are accumulated by `Adam`, `AdamW` or `adamw` count as much as their weights sum to.

    Args:
        label_smoothing: Share of each target spread evenly over the vocabulary, in `[0, 1)`.
            0 means none; Vaswani et al. 2017, section 5.4, use 0.1.
        pad_id: Label of the positions that do not count.
        name: Name of the loss.

    Raises:
        ValueError: If `label_smoothing` is outside `[0, 1)`.

    Example:

    >>> import numpy as np
    >>> loss = MaskedCrossentropy(label_smoothing=0.1)
    >>> labels = np.array([[2, 1, 0]])  # the last one is padding
    >>> print(round(float(loss(labels, np.zeros((1, 3, 4), "float32"))), 4))
    1.3863
    """

    def __init__(
        self, label_smoothing: float = 0.0, pad_id: int = 0, name: str = "masked_crossentropy"
    ) -> None:
        # This reduction divides by the sum of the weights, and gives 0 where that is 0.
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype="float32")
        expected = "label_smoothing to be at least 0 and less than 1"
        require(0.0 <= label_smoothing < 1.0, expected, label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        # Flattened logits are a new tensor, which leaves the implicit mask behind.
        labels, logits, weights = flat_tokens(y_true, y_pred, self.pad_id, sample_weight)
        loss = super().__call__(labels, logits, weights)
        loss = ops.sum(loss)  # of a batch without rows Keras gives one loss a token, none
        return with_weight(loss, ops.sum(weights))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return token_crossentropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "pad_id": self.pad_id, "name": self.name}
