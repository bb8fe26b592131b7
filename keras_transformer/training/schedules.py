"""Learning rates that warm up linearly and then fall.

Updates are counted from 1, as in the papers: the first one has a rate above 0.
"""

from typing import Any

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.renamed import renamed
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable("keras_transformer")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak` in `warmup_updates`, then `peak * sqrt(warmup_updates / update)`.

    `Noam` with its height given instead of derived from the model; fairseq's `inverse_sqrt`
    starting from 0 (Ott et al. 2018, "Scaling Neural Machine Translation", section 3).

    Args:
        peak: The largest learning rate, reached at update `warmup_updates`.
        warmup_updates: Length of the warm-up in optimiser updates, at least 1.

    Raises:
        ValueError: If `peak` or `warmup_updates` is not above 0.

    Example:

    >>> rate = InverseSquareRoot(peak=0.5, warmup_updates=4)
    >>> print([round(float(rate(step)), 4) for step in (0, 3, 15)])  # updates 1, 4, 16
    [0.125, 0.5, 0.25]
    """

    @renamed(warmup_steps="warmup_updates")
    def __init__(self, peak: float, warmup_updates: int) -> None:
        super().__init__()
        _check_positive(peak=peak, warmup_updates=warmup_updates)
        self.peak = peak
        self.warmup_updates = warmup_updates

    def __call__(self, step: Tensor) -> Tensor:
        update = ops.cast(step, "float32") + 1.0
        rising = update / self.warmup_updates
        return self.peak * ops.minimum(rising, ops.rsqrt(rising))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_updates": self.warmup_updates}


@keras.saving.register_keras_serializable("keras_transformer")
class Noam(InverseSquareRoot):
    """`scale * hidden_dim**-0.5 * min(update**-0.5, update * warmup_updates**-1.5)`.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.3, equation 3.

    Args:
        hidden_dim: Width of the model.
        warmup_updates: Updates of linear warm-up, at least 1; the paper uses 4000.
        scale: Multiplies the whole curve. 1 is the paper's.

    Raises:
        ValueError: If an argument is not above 0.

    Example:

    >>> rate = Noam(hidden_dim=512, warmup_updates=4000)
    >>> print(round(float(rate(3999)), 6))  # its largest
    0.000699
    """

    @renamed(warmup_steps="warmup_updates")
    def __init__(self, hidden_dim: int, warmup_updates: int, scale: float = 1.0) -> None:
        _check_positive(hidden_dim=hidden_dim, warmup_updates=warmup_updates, scale=scale)
        super().__init__(scale * (hidden_dim * warmup_updates) ** -0.5, warmup_updates)
        self.hidden_dim = hidden_dim
        self.scale = scale

    def get_config(self) -> dict[str, Any]:
        return {
            "hidden_dim": self.hidden_dim,
            "warmup_updates": self.warmup_updates,
            "scale": self.scale,
        }


@keras.saving.register_keras_serializable("keras_transformer")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak` in `warmup_updates`, then falls linearly to 0.

    Devlin et al. 2019, "BERT", appendix A.2.

    Args:
        peak: The largest learning rate, reached at update `warmup_updates`.
        warmup_updates: Length of the warm-up in optimiser updates; cut to `total_updates`.
        total_updates: Length of the training; the rate would be 0 at the update after the last.

    Raises:
        ValueError: If an argument is not above 0.

    Example:

    >>> rate = LinearDecay(peak=0.5, warmup_updates=2, total_updates=5)
    >>> print([round(float(rate(step)), 4) for step in range(6)])  # updates 1 to 6
    [0.25, 0.5, 0.375, 0.25, 0.125, 0.0]
    """

    @renamed(warmup_steps="warmup_updates", total_steps="total_updates")
    def __init__(self, peak: float, warmup_updates: int, total_updates: int) -> None:
        super().__init__()
        _check_positive(peak=peak, warmup_updates=warmup_updates, total_updates=total_updates)
        self.peak = peak
        self.warmup_updates = min(warmup_updates, total_updates)
        self.total_updates = total_updates

    def __call__(self, step: Tensor) -> Tensor:
        update = ops.cast(step, "float32") + 1.0
        falling = self.total_updates + 1.0 - self.warmup_updates
        left = (self.total_updates + 1.0 - update) / falling
        return self.peak * ops.maximum(ops.minimum(update / self.warmup_updates, left), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_updates": self.warmup_updates,
            "total_updates": self.total_updates,
        }


@keras.saving.register_keras_serializable("keras_transformer")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule times a number.

    Args:
        schedule: A Keras schedule.
        factor: float.

    Example:

    >>> rate = Scaled(InverseSquareRoot(peak=0.5, warmup_updates=4), 0.1)
    >>> print(round(float(rate(3)), 4))
    0.05
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: float
    ) -> None:
        super().__init__()
        self.schedule, self.factor = schedule, factor

    def __call__(self, step: Tensor) -> Tensor:
        return self.factor * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Scaled":
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"])


@renamed(warmup_steps="warmup_updates", total_steps="total_updates")
def cosine_decay(
    peak: float, warmup_updates: int, total_updates: int
) -> keras.optimizers.schedules.CosineDecay:
    """Linear rise, then half a cosine down to a tenth of the peak.

    Args:
        peak: The largest learning rate.
        warmup_updates: Length of the warm-up in optimiser updates, at least 1; cut to
            `total_updates`.
        total_updates: Length of the training.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.

    Reference:
        Loshchilov and Hutter 2017, "SGDR"; Radford et al. 2018.

    Example:

    >>> rate = cosine_decay(peak=0.5, warmup_updates=2, total_updates=6)
    >>> print([round(float(rate(step)), 4) for step in range(7)])
    [0.25, 0.375, 0.5, 0.4341, 0.275, 0.1159, 0.05]
    """
    _check_positive(peak=peak, warmup_updates=warmup_updates, total_updates=total_updates)
    warmup_updates = min(warmup_updates, total_updates)
    return keras.optimizers.schedules.CosineDecay(
        peak / warmup_updates,
        decay_steps=max(1, total_updates - warmup_updates),
        alpha=0.1,
        warmup_target=peak,
        warmup_steps=warmup_updates,
    )


def _check_positive(**arguments):
    for name, value in arguments.items():
        require(value > 0, f"{name} to be above 0", **{name: value})
