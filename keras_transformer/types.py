"""What hints name."""

from typing import Any

# A tensor of whatever backend Keras runs on, or what it makes one of. No class is common to them.
Tensor = Any
