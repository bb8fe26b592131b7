"""Scaled dot-product attention, of Vaswani et al. 2017, section 3.2.1."""

from keras import ops

from keras_transformer.backend.softmax import softmax
from keras_transformer.backend.times_transposed import times_transposed
from keras_transformer.types import Mask, Tensor

# Low enough to vanish in a softmax, high enough that a row of nothing else stays finite.
MASKED = -1e9


def attention_weights(query: Tensor, key: Tensor, may_look: Mask = None) -> Tensor:
    """`softmax(query key^T / sqrt(H))`, float32 `(B, N, T, S)`.

    Args:
        query: `(B, N, T, H)`.
        key: `(B, K, S, H)`, each of whose heads `N / K` heads of queries share.
        may_look: `(B|1, T|1, S)` bool, True where token t may look at token s. None means
            everywhere. A token that may look at nothing looks at all tokens alike.
    """
    batch, num_heads, length, _ = ops.shape(query)
    scores = times_transposed(shared_heads(query * query.shape[-1] ** -0.5, key), key)
    scores = ops.reshape(scores, (batch, num_heads, length, ops.shape(key)[2]))  # (B, N, T, S)
    scores = ops.cast(scores, "float32")  # a half-precision sum over S would lose digits
    if may_look is not None:
        # One sum; `where` on the scores would pass over them again in the gradient.
        scores = scores + ops.expand_dims(ops.where(may_look, 0.0, MASKED), 1)
    return softmax(scores)


def weighted_sum(weights: Tensor, value: Tensor) -> Tensor:
    """The values `(B, K, S, H)` by their `weights (B, N, T, S)`: `(B, N, T, H)`."""
    batch, num_heads, length, _ = ops.shape(weights)
    x = ops.matmul(shared_heads(weights, value), value)  # (B, K, N/K * T, H)
    return ops.reshape(x, (batch, num_heads, length, value.shape[-1]))


def shared_heads(x: Tensor, key: Tensor) -> Tensor:
    """`x (B, N, T, any)` as `(B, K, N/K * T, any)`: heads that share a key are more queries to it.

    So no key is ever repeated.
    """
    batch, num_heads, length, size = ops.shape(x)
    return ops.reshape(x, (batch, key.shape[1], num_heads // key.shape[1] * length, size))
