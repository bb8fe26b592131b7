"""Matrices that a step of generation multiplies by: with few rows its time is that of reading them.

A cast at every step would double it, and TensorFlow on CPUs is a third faster with half-precision
matrices transposed. So within a `CacheScope` they are prepared once.
"""

from collections.abc import Callable

from keras import ops

from keras_transformer.backend.times_transposed import times_transposed
from keras_transformer.scopes import CacheScope, cache
from keras_transformer.types import Tensor


def prepared_kernel(path: str, kernel: Callable[[], Tensor], dtype: str) -> Tensor:
    """`kernel() (D, F)`, of the layer at `path`, as its products in `dtype` want it."""
    if CacheScope.current() is None or dtype == "float32":
        return kernel()
    return ops.transpose(cache().once(path, lambda: ops.transpose(ops.cast(kernel(), dtype))))


def times_table(path: str, x: Tensor, table: Tensor, dtype: str) -> Tensor:
    """`x (B, T, D)` times the transpose of `table (V, D)`, of the layer at `path`: `(B, T, V)`."""
    if CacheScope.current() is None:
        return times_transposed(x, ops.cast(table, dtype))
    if dtype == "float32":
        return ops.matmul(x, cache().once(path, lambda: ops.transpose(table)))
    return ops.matmul(x, ops.transpose(cache().once(path, lambda: ops.cast(table, dtype))))
