"""The order of norm, sublayer, dropout and residual connection: decided here and nowhere else."""

from collections.abc import Callable

from keras_transformer.layers.tokens import tokens_at
from keras_transformer.types import Positions, Tensor


def residual(
    x: Tensor,
    sublayer: Callable,
    norm: Callable,
    dropout: Callable,
    normalize_first: bool,
    wanted: Positions = None,
) -> Tensor:
    """`x` plus what `sublayer` makes of it, of the tokens at `wanted (B, P)` or of all.

    Post-norm, `norm(x + dropout(sublayer(x)))`, is Vaswani et al. 2017, section 3.1; pre-norm,
    `x + dropout(sublayer(norm(x)))`, keeps a path without norms (Xiong et al. 2020).
    """
    if normalize_first:
        return tokens_at(x, wanted) + dropout(sublayer(norm(x)))
    return norm(tokens_at(x, wanted) + dropout(sublayer(x)))
