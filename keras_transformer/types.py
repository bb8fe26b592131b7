"""What hints name."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

# A tensor of whatever backend Keras runs on, or what it makes one of. No class is common to them.
Tensor = Any
Mask = Tensor | None  # of bools, True for what is real or may be looked at; None for all
Positions = Tensor | None  # whole numbers, where tokens stand; None for all, counted from 0
Shape = tuple[Any, ...]  # of numbers, or None where a size is unknown
Activation = str | dict | Callable[[Tensor], Tensor]
Initializer = str | dict | keras.initializers.Initializer
DType = str | keras.DTypePolicy
Ids = Sequence[int] | np.ndarray  # of the tokens of a row
