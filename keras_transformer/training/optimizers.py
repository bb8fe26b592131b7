"""Adam, faster: the optimiser of all recipes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer.backend.adam import adam_update
from keras_transformer.backend.conditional_update import update_if
from keras_transformer.backend.gradients import dense_gradient, sum_of_squares
from keras_transformer.backend.strategy import in_strategy, summed_over_replicas
from keras_transformer.training.accumulation import take_weight
from keras_transformer.types import Tensor

ACCUMULATED_WEIGHT = "accumulated_weight"
# Variables that files of before may lack, the last ones of an optimiser.
GUARD = ("updates_left_out", "left_out_in_a_row", "rate_scale")
LATER = (ACCUMULATED_WEIGHT, *GUARD)


class Step(keras.optimizers.Adam):
    """What our Adam does otherwise than Keras'.

    The update is one operation where there is such a one; its numbers are the same but for
    rounding. `gradient_norm` is the norm of all gradients of the last update together, before they
    are clipped. And a schedule counts updates, where Keras' counts batches, also if the gradients
    of several are accumulated.

    Gradients accumulate as `sum(w * g) / sum(w)`, where Keras takes the plain mean of the `g`: if
    `w` is what the loss of a batch is the mean of, that is the gradient of one large batch.

    An update whose gradients are not finite is left out: weights and moments stay, and only
    `iterations`, which counts batches, goes on. Where several batches make an update, one of them
    is enough. Adam's correction for its first updates counts those that the moments have had.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.gradient_norm = self._add_number("gradient_norm")
        if self.gradient_accumulation_steps:
            self.accumulated_weight = self._add_number(ACCUMULATED_WEIGHT)
        self.updates_left_out = self._add_number("updates_left_out")
        self.left_out_in_a_row = self._add_number("left_out_in_a_row")
        self.rate_scale = self._add_number("rate_scale", "ones")

    def _add_number(self, name, initializer="zeros"):
        settings = {"dtype": "float32", "aggregation": "only_first_replica", "name": name}
        return self.add_variable((), initializer, **settings)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        missing = len(self.variables) - len(store.keys())
        if missing == len(GUARD):  # a file of before
            own = {str(i): ops.convert_to_numpy(v) for i, v in enumerate(self.variables)}
            store = own | {name: store[name] for name in store.keys()}  # noqa: SIM118
        super().load_own_variables(store)

    def _backend_apply_gradients(self, grads, trainable_variables):
        weight = take_weight()
        if self.gradient_accumulation_steps:
            if weight is None or in_strategy():
                weight = 1.0
            grads = [ops.multiply(grad, ops.cast(weight, grad.dtype)) for grad in grads]
            is_first = self._iterations % self.gradient_accumulation_steps == 0
            before = ops.where(is_first, 0.0, self.accumulated_weight.value)
            self.accumulated_weight.assign(before + weight)
        super()._backend_apply_gradients(grads, trainable_variables)

    def _get_current_learning_rate(self):
        if isinstance(self._learning_rate, keras.Variable):
            return self._learning_rate
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return self._learning_rate(self.iterations) * self.rate_scale
        return super()._get_current_learning_rate() * self.rate_scale

    def _clip_gradients(self, grads):
        if self.gradient_accumulation_steps:  # what Keras has divided by the number of batches
            total = self.accumulated_weight.value
            scale = ops.divide_no_nan(float(self.gradient_accumulation_steps), total)
            grads = [grad * ops.cast(scale, grad.dtype) for grad in grads]
        grads = [dense_gradient(grad) for grad in grads]
        norm = ops.sqrt(ops.sum(ops.stack([sum_of_squares(grad) for grad in grads])))
        left_out = 1.0 - ops.cast(ops.isfinite(summed_over_replicas(norm)), "float32")
        self.updates_left_out.assign(self.updates_left_out + left_out)
        self.left_out_in_a_row.assign((self.left_out_in_a_row + 1.0) * left_out)
        self.gradient_norm.assign(ops.where(left_out == 0.0, norm, self.gradient_norm.value))
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        clip_norm = self.global_clipnorm  # as in Keras, which would take the norm again
        scale = clip_norm * ops.minimum(1.0 / norm, 1.0 / clip_norm)
        return [grad * scale for grad in grads]

    def _apply_weight_decay(self, variables):
        """Waits for the update, without which there is none."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        def update(grads, learning_rate):
            super(Step, self)._apply_weight_decay(trainable_variables)
            super(Step, self)._backend_update_step(grads, trainable_variables, learning_rate)

        indices = [self._get_variable_index(v) for v in trainable_variables]
        states = [self._momentums, self._velocities]
        states += [self._velocity_hats] if self.amsgrad else []
        changed = [*trainable_variables, *(state[i] for state in states for i in indices)]
        rate = learning_rate * self._correction()
        update_if(self.left_out_in_a_row == 0.0, update, changed, grads, rate)

    def _correction(self):
        """Adam's bias correction by the updates that there were over that by `iterations`."""
        updates = ops.cast(self.iterations + 1, "float32")
        made = ops.maximum(updates - self.updates_left_out, 1.0)

        def correction(number):
            return ops.sqrt(1.0 - self.beta_2**number) / (1.0 - self.beta_1**number)

        ratio = correction(made) / correction(updates)
        return ops.where(self.updates_left_out == 0.0, 1.0, ratio)

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        adam_update(self, gradient, variable, learning_rate)


@keras.saving.register_keras_serializable("keras_transformer")
class Adam(Step):
    """`keras.optimizers.Adam`, faster in TensorFlow.

    Attributes:
        gradient_norm: float32 variable, the norm of all gradients of the last update together,
            before they were clipped. Exists once the optimiser is built.

    Reference:
        Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization".

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(Adam(1e-3), "mse")
    """


@keras.saving.register_keras_serializable("keras_transformer")
class AdamW(Step, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, faster in TensorFlow.

    Attributes:
        gradient_norm: As of `Adam`.

    Reference:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(AdamW(1e-3, weight_decay=0.01), "mse")
    """


def adamw(
    model: keras.Model,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float = 0.01,
    clip_norm: float | None = None,
    beta_2: float = 0.999,
    accumulate: int = 1,
) -> AdamW:
    """`AdamW` that decays matrices only: not biases, not the scales of norms.

    Args:
        model: Built Keras model.
        learning_rate: float or schedule.
        weight_decay: float, share of a weight that decays an update, times the learning rate.
        clip_norm: Largest norm of all gradients together. None or 0 means no limit.
        beta_2: float, memory of the squared gradients.
        accumulate: int, batches whose gradients make one update. The schedule, the clipping and the
            decay are those of updates. With `MaskedCrossentropy` the update is that of one large
            batch: each counts as much as it has real tokens. Batches of other losses count alike,
            and so do all under a `tf.distribute` strategy.

    References:
        Devlin et al. 2019, "BERT", appendix A.2.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> optimizer = adamw(model, 1e-3, clip_norm=1.0)
    >>> optimizer.build(model.trainable_variables)
    >>> [optimizer._use_weight_decay(v) for v in model.trainable_variables]  # kernel, bias
    [True, False]
    """
    optimizer = AdamW(
        learning_rate,
        weight_decay=weight_decay,
        beta_2=beta_2,
        global_clipnorm=clip_norm or None,
        gradient_accumulation_steps=None if accumulate == 1 else accumulate,
    )
    spared = [v for v in model.trainable_variables if len(v.shape) < 2]
    if spared:
        optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer


def number(variable: keras.Variable | Tensor) -> float:
    """What a scalar variable is, also one that several devices have.

    Example:

    >>> number(keras.Variable(1.5))
    1.5
    """
    return ops.convert_to_numpy(variable).item()


def batches_done(optimizer: keras.optimizers.Optimizer) -> int:
    """The number of batches that an optimiser has had gradients of.

    Keras' `iterations` are updates: less, if several batches make one.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(adamw(model, 1e-3, accumulate=2), "mse")
    >>> x, y = keras.ops.ones((3, 2)), keras.ops.ones((3, 1))
    >>> _ = model.fit(x, y, batch_size=1, verbose=0)
    >>> batches_done(model.optimizer), int(model.optimizer.iterations)
    (3, 1)
    """
    return int(number(inner_optimizer(optimizer)._iterations))


def batches_per_update(optimizer: keras.optimizers.Optimizer) -> int:
    """The number of batches whose gradients make one update.

    Example:

    >>> batches_per_update(Adam(gradient_accumulation_steps=4)), batches_per_update(Adam())
    (4, 1)
    """
    return inner_optimizer(optimizer).gradient_accumulation_steps or 1


def inner_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimiser inside one that scales the loss, which leaves counting to it, or itself.

    Example:

    >>> inside = Adam()
    >>> inner_optimizer(keras.optimizers.LossScaleOptimizer(inside)) is inside
    True
    """
    return getattr(optimizer, "inner_optimizer", optimizer)
