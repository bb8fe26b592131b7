"""The order of norm, sublayer, dropout and residual connection: decided here and nowhere else."""


def residual(x, sublayer, norm, dropout, normalize_first, select):
    """`x` plus what `sublayer` makes of it, `(B, T, D)`.

    `select` takes from `x` the positions that `sublayer` returns.

    Post-norm, `norm(x + dropout(sublayer(x)))`, is Vaswani et al. 2017, section 3.1; pre-norm,
    `x + dropout(sublayer(norm(x)))`, keeps a path without norms (Xiong et al. 2020).
    """
    if normalize_first:
        return select(x) + dropout(sublayer(norm(x)))
    return norm(select(x) + dropout(sublayer(x)))
