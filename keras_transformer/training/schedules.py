"""Learning rates that warm up linearly and then fall.

Updates are counted from 1, as in the papers: the first one has a rate above 0.
"""

import keras
from keras import ops


def _check_positive(**arguments):
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"Expected `{name}` to be greater than 0. Received: {name}={value}")


@keras.saving.register_keras_serializable("keras_transformer")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak` in `warmup_steps` updates, then `peak * sqrt(warmup / update)`.

    `Noam` with its height given instead of derived from the model; fairseq's `inverse_sqrt`
    starting from 0 (Ott et al. 2018, "Scaling Neural Machine Translation", section 3).

    Args:
        peak: The largest learning rate, reached at update `warmup_steps`.
        warmup_steps: Length of the warm-up in optimiser updates, at least 1.

    Raises:
        ValueError: If `peak` or `warmup_steps` is not above 0.

    Example:

    >>> rate = InverseSquareRoot(peak=0.5, warmup_steps=4)
    >>> print([round(float(rate(step)), 4) for step in (0, 3, 15)])  # updates 1, 4, 16
    [0.125, 0.5, 0.25]
    """

    def __init__(self, peak, warmup_steps):
        super().__init__()
        _check_positive(peak=peak, warmup_steps=warmup_steps)
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        update = ops.cast(step, "float32") + 1.0
        rising = update / self.warmup_steps
        return self.peak * ops.minimum(rising, ops.rsqrt(rising))

    def get_config(self):
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("keras_transformer")
class Noam(InverseSquareRoot):
    """`scale * hidden_dim**-0.5 * min(update**-0.5, update * warmup_steps**-1.5)`.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.3, equation 3.

    Args:
        hidden_dim: Width of the model.
        warmup_steps: Updates of linear warm-up, at least 1; the paper uses 4000.
        scale: Multiplies the whole curve. 1 is the paper's.

    Raises:
        ValueError: If an argument is not above 0.

    Example:

    >>> rate = Noam(hidden_dim=512, warmup_steps=4000)
    >>> print(round(float(rate(3999)), 6))  # its largest
    0.000699
    """

    def __init__(self, hidden_dim, warmup_steps, scale=1.0):
        _check_positive(hidden_dim=hidden_dim, warmup_steps=warmup_steps, scale=scale)
        super().__init__(scale * (hidden_dim * warmup_steps) ** -0.5, warmup_steps)
        self.hidden_dim = hidden_dim
        self.scale = scale

    def get_config(self):
        return {
            "hidden_dim": self.hidden_dim,
            "warmup_steps": self.warmup_steps,
            "scale": self.scale,
        }


@keras.saving.register_keras_serializable("keras_transformer")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `peak` in `warmup_steps` updates, then falls linearly to 0.

    Devlin et al. 2019, "BERT", appendix A.2.

    Args:
        peak: The largest learning rate, reached at update `warmup_steps`.
        warmup_steps: Length of the warm-up in optimiser updates; cut to `total_steps`.
        total_steps: Length of the training; the rate would be 0 at the update after the last.

    Raises:
        ValueError: If an argument is not above 0.

    Example:

    >>> rate = LinearDecay(peak=0.5, warmup_steps=2, total_steps=5)
    >>> print([round(float(rate(step)), 4) for step in range(6)])  # updates 1 to 6
    [0.25, 0.5, 0.375, 0.25, 0.125, 0.0]
    """

    def __init__(self, peak, warmup_steps, total_steps):
        super().__init__()
        _check_positive(peak=peak, warmup_steps=warmup_steps, total_steps=total_steps)
        self.peak = peak
        self.warmup_steps = min(warmup_steps, total_steps)
        self.total_steps = total_steps

    def __call__(self, step):
        update = ops.cast(step, "float32") + 1.0
        left = (self.total_steps + 1.0 - update) / (self.total_steps + 1.0 - self.warmup_steps)
        return self.peak * ops.maximum(ops.minimum(update / self.warmup_steps, left), 0.0)

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }


def cosine_decay(peak, warmup_steps, total_steps):
    """Linear rise, then half a cosine down to a tenth of the peak.

    Args:
        peak: The largest learning rate.
        warmup_steps: Length of the warm-up in optimiser updates, at least 1; cut to `total_steps`.
        total_steps: Length of the training.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.

    Reference:
        Loshchilov and Hutter 2017, "SGDR"; Radford et al. 2018.

    Example:

    >>> rate = cosine_decay(peak=0.5, warmup_steps=2, total_steps=6)
    >>> print([round(float(rate(step)), 4) for step in range(7)])
    [0.25, 0.375, 0.5, 0.4341, 0.275, 0.1159, 0.05]
    """
    _check_positive(peak=peak, warmup_steps=warmup_steps, total_steps=total_steps)
    warmup_steps = min(warmup_steps, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        peak / warmup_steps,
        decay_steps=max(1, total_steps - warmup_steps),
        alpha=0.1,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
