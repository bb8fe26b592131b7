"""Training that diverges goes back to good weights, and ends there in the end."""

import math
import sys
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.training_state import take_back_numbers, take_back_state
from keras_transformer.checks import check_at_least, require
from keras_transformer.training.checkpoint_files import load_checkpoint, newest_checkpoint
from keras_transformer.training.checkpoints import Checkpoint
from keras_transformer.training.finite import all_finite, is_sound
from keras_transformer.training.optimizers import batches_done, inner_optimizer, number
from keras_transformer.training.recovery import go_back

MEMORY = 0.9  # of the mean loss that a spike is one above, a look


class Diverged(ValueError):
    """Training that diverged, also at lower rates; the model has its last good weights.

    Example:

    >>> raise Diverged("Training diverged at update 7.")
    Traceback (most recent call last):
    keras_transformer.training.guard.Diverged: Training diverged at update 7.
    """


class NonFiniteGuard(keras.callbacks.Callback):
    """Takes training that diverges back to its last good state, at a lower learning rate.

    Our `Adam` and `AdamW` leave out an update whose gradients are not finite. After `patience` of
    them in a row, or of a loss that is not finite at so many looks, or once weights are not finite,
    as any other optimiser makes them, or the validation loss is not, weights and optimiser become
    what they were in the last good state, and the rate is multiplied by `factor`: a sentence on
    standard error says so. Training goes on with the next batch, not with those that it diverged
    on. After `restores` times it ends.

    The figures of an epoch are without the batches since the look before a loss that is not
    finite. `updates_left_out` is in the logs of epochs once there are any. Where nothing happens,
    the weights are those of a run without a guard, bit for bit. Put it first among the callbacks:
    those after it then never see weights that are not finite.

    Args:
        patience: Updates in a row that are left out until training goes back.
        restores: How often it goes back, in all, until it ends; the next time it does.
        factor: What the learning rate is multiplied by each time. Of our optimisers the lower rate
            is in their checkpoints; for a schedule of others the step is traced anew.
        every: Batches between two looks at the loss and the optimiser.
        spike: Also go back if the mean loss between two looks is above so many times its running
            mean, such as 10. Default `None`: a loss may jump, since what is too far depends on it:
            one near 0 doubles by chance.
        keep_every: Updates after which a state that is good is kept, beside those of ends of
            epochs: a copy in memory.
        checkpoint: `Checkpoint` of the run: the last good state is its newest one instead, once
            there is one.

    Raises:
        Diverged: From `fit`, once the model has its last good weights.

    Reference:
        The recovery of a loss that blows up in TensorFlow's Model Garden.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(1e30), "mse")  # much too fast
    >>> x, y = np.ones((64, 1)), np.ones((64, 1))
    >>> model.fit(x, y, batch_size=1, verbose=0, callbacks=[NonFiniteGuard(restores=2)])
    Traceback (most recent call last):
    keras_transformer.training.guard.Diverged: Training diverged at update 60, ...
    >>> bool(np.isfinite(model.get_weights()[0]).all())
    True
    """

    def __init__(
        self,
        patience: int = 3,
        restores: int = 3,
        factor: float = 0.5,
        every: int = 20,
        spike: float | None = None,
        keep_every: int = 1000,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, patience=patience, every=every, keep_every=keep_every)
        check_at_least(0, restores=restores)
        require(0 < factor < 1, "factor to be between 0 and 1", factor=factor)
        require(spike is None or spike > 1, "spike to be above 1", spike=spike)
        self.patience, self.restores, self.factor = patience, restores, factor
        self.every, self.spike, self.keep_every = every, spike, keep_every
        self.checkpoint = checkpoint
        self._restored = 0
        self._copy: list[np.ndarray] | None = None
        self._copied_at = 0
        self._bad_looks = 0
        self._left_out = 0.0
        self._mean: float | None = None  # the running one, of the loss

    def on_train_begin(self, logs: Any = None) -> None:
        self._is_ready = False
        self._begin()

    def _begin(self):
        """Keeps the first state, once there is one: some models are built by their first batch."""
        if self._is_ready or not self.model.built:
            return
        self._is_ready = True
        if not self.model.optimizer.built:  # one that scales the loss would be built twice
            self.model.optimizer.build(self.model.trainable_variables)
        received = "weights with NaN or infinity, before training or after its first batch"
        require(all_finite(self.model.variables), "finite weights", received)
        scale = self._count("rate_scale") or 1.0
        before = round(math.log(scale) / math.log(self.factor))  # a resume
        self._restored = max(self._restored, before)
        self._left_out = self._count("updates_left_out")
        self._keep(whatever=True)

    @property
    def _optimizer(self):
        return inner_optimizer(self.model.optimizer)

    def _count(self, name):
        """A number of our optimisers, 0 of others."""
        return number(getattr(self._optimizer, name, 0.0))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)
        self._looked = self._batches // self.every
        self._sums = np.zeros(2)  # of the losses of the epoch, and of what they weigh
        self._figures: list[np.ndarray] | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # And not at a batch's end, for which Keras would wait, each time. Looks are at multiples
        # of `every` in all, so that a run that is resumed looks when it would have.
        if batch:
            self._begin()
        if (looks := (self._batches + batch) // self.every) > self._looked:
            self._looked = looks
            self._look()

    def _look(self):
        take_back_numbers(self.model)
        if problem := self._problem():
            return self._go_back(problem)
        if int(number(self._optimizer.iterations)) - self._copied_at >= self.keep_every:
            self._keep()

    def _problem(self):
        """What is wrong, in words, or None."""
        if problem := self._problem_of_updates():
            return problem
        loss = self._loss()
        explained = self._count("updates_left_out") > self._left_out
        self._left_out = self._count("updates_left_out")
        if loss is not None and math.isfinite(loss):
            self._bad_looks = 0
            return self._problem_of_spike(loss)
        take_back_state(self.model)
        if not all_finite(self.model.variables):
            return "weights were not finite"
        if loss is not None:
            self._put_figures_back()
            self._bad_looks += not explained
        if self._bad_looks >= self.patience:
            return f"the loss was not finite, at {self._bad_looks} looks in a row"
        return None

    def _problem_of_updates(self):
        in_a_row = int(self._count("left_out_in_a_row"))
        if in_a_row >= self.patience:
            return f"the gradients of {in_a_row} updates in a row were not finite"
        return None

    def _problem_of_spike(self, loss):
        if self.spike and self._mean is not None and loss > self.spike * self._mean > 0:
            return f"the loss rose from {self._mean:.4g} to {loss:.4g}"
        self._mean = loss if self._mean is None else MEMORY * self._mean + (1 - MEMORY) * loss
        self._figures = [_copied(v) for v in self.model.metrics_variables]
        return None

    def _loss(self):
        """The mean loss since the last look, or None where no metric has it."""
        before, self._sums = self._sums, self._sums_now()
        if self._sums is None:
            return None
        total, count = self._sums - before
        return total / count if count else 0.0

    def _sums_now(self):
        for metric in self.model.metrics:
            if metric.name == "loss" and hasattr(metric, "total"):
                return np.array([number(metric.total), number(metric.count)])
        return None

    def _put_figures_back(self):
        if self._figures is None:
            self.model.reset_metrics()
        else:
            for variable, value in zip(self.model.metrics_variables, self._figures, strict=True):
                variable.assign(value)
        self._sums = self._sums_now()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._begin()
        logs = {} if logs is None else logs
        if self._figures is not None and is_bad(logs.get("loss")):
            self._put_figures_back()
            found = self.model.get_metrics_result()
            logs |= {name: number(found[name]) for name in found if is_bad(logs.get(name))}
        problem = self._problem_of_updates()
        if not problem and not all_finite(self.model.variables):
            problem = "weights were not finite"
        if not problem and is_bad(logs.get("val_loss")):
            problem = "the validation loss was not finite"
        if problem:
            self._go_back(problem)
            # No figure is of what the model has become.
            logs |= {name: math.nan for name in logs if name.startswith("val_")}
        else:
            self._keep()
        if count := self._count("updates_left_out"):
            logs["updates_left_out"] = count

    def _keep(self, whatever=False):
        take_back_state(self.model)
        self._copied_at = int(number(self._optimizer.iterations))
        if self.checkpoint and self.checkpoint.run.checkpoints():
            self._copy = None
        elif whatever or is_sound(self.model):
            self._copy, self._kept_of = [_copied(v) for v in self._variables], self._copied_at

    @property
    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _restore(self):
        if self.checkpoint:
            self.checkpoint.wait()
            if path := newest_checkpoint(self.checkpoint.run):
                self._kept_of = load_checkpoint(path, self.model).updates
                return
        for variable, value in zip(self._variables, self._copy, strict=True):
            variable.assign(value)

    def _go_back(self, problem):
        take_back_state(self.model)
        updates = int(number(self._optimizer.iterations))
        go_back(self.model, self._restore, self.factor)
        self._put_figures_back()
        self._bad_looks, self._left_out = 0, self._count("updates_left_out")
        self._restored += 1
        where = f"at update {updates:,}"
        if self._restored > self.restores:
            tried = f", as {self.restores} times before at higher rates" if self.restores else ""
            raise Diverged(
                f"Training diverged {where}{tried}: {problem}; a lower peak learning rate, clipped "
                f"gradients or float32 may help. The weights are those of update {self._kept_of:,}."
            )
        print(
            f"Training diverged {where}: {problem}. It goes on from the weights of update "
            f"{self._kept_of:,} with {self.factor**self._restored:g} of the learning rate "
            f"({self._restored} of {self.restores} times).",
            file=sys.stderr,
        )


def is_bad(figure: Any) -> bool:
    """Whether a figure of logs is a number, and not a finite one.

    Example:

    >>> is_bad(math.nan), is_bad(1.0), is_bad(None)
    (True, False, False)
    """
    return isinstance(figure, float) and not math.isfinite(figure)


def _copied(variable):
    return np.array(ops.convert_to_numpy(variable))
