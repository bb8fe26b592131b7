"""Training that diverges goes back to good weights, with any optimiser, on every backend."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

from keras_transformer.training import AdamW, Diverged, LinearDecay, NonFiniteGuard
from keras_transformer.training.schedules import Scaled

OPTIMIZERS = {
    "ours": lambda: AdamW(0.02, weight_decay=0.1),
    "ours_scheduled": lambda: AdamW(LinearDecay(0.02, 2, 999), weight_decay=0.1),
    "keras": lambda: keras.optimizers.Adam(0.02),
    "keras_scheduled": lambda: keras.optimizers.SGD(LinearDecay(0.02, 2, 999)),
    "scaled_loss": lambda: keras.optimizers.LossScaleOptimizer(AdamW(0.02), initial_scale=8.0),
}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype("float32"), RNG.normal(size=(60, 2)).astype("float32")


def make_model(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def poisoned(*places, value=np.nan, count=60):
    x = X[:count].copy()
    x[list(places)] = value
    return x


def train(model, x, *callbacks, epochs=1, **settings):
    fit = {"batch_size": 1, "shuffle": False, "verbose": 0, "epochs": epochs, **settings}
    return model.fit(x, Y[: len(x)], callbacks=list(callbacks), **fit).history


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


def is_finite(model):
    return all(np.isfinite(x).all() for x in state(model))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_where_nothing_happens_nothing_changes(optimizer):
    """Also if it looks after every batch, and keeps what it sees."""
    states, figures = [], []
    for guard in ([], [NonFiniteGuard(every=1, keep_every=1, spike=1e6)]):
        model = make_model(OPTIMIZERS[optimizer]())
        history = train(model, X, *guard, epochs=2, validation_data=(X, Y))
        states.append(state(model))
        figures.append(history)
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)
    assert figures[0] == figures[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_poisoned_batch_is_survived(optimizer, capsys):
    model = make_model(OPTIMIZERS[optimizer]())
    history = train(model, poisoned(32), NonFiniteGuard(), epochs=1)
    assert is_finite(model) and np.isfinite(list(history.values())).all()
    told = capsys.readouterr().err
    if optimizer.startswith("keras"):  # which cannot leave it out
        assert told.count("\n") == 1 and "at update 40: weights were not finite" in told
        assert "from the weights of update 0 with 0.5 of the learning rate (1 of 3" in told
    else:
        assert not told
    assert history.get("updates_left_out") == ([1.0] if optimizer.startswith("ours") else None)


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "scaled_loss"])
def test_it_goes_back_with_a_lower_rate_and_in_the_end_gives_up(optimizer, capsys):
    model = make_model(OPTIMIZERS[optimizer]())
    good = NonFiniteGuard(every=5, restores=2)
    train(model, X[:20], good)
    rate, before = float(model.optimizer.learning_rate), model.get_weights()
    bad = poisoned(*range(40), count=40)
    with pytest.raises(Diverged, match=r"^Training diverged at update 35, as 2 times") as e:
        train(model, bad, NonFiniteGuard(every=5, restores=2, patience=3))
    assert "The weights are those of update 20." in str(e.value) and "\n" not in str(e.value)
    assert capsys.readouterr().err.count("of the learning rate") == 2
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert is_finite(model)
    expected = 0.125 * (LinearDecay(0.02, 2, 999)(35) if "scheduled" in optimizer else rate)
    assert int(model.optimizer.iterations) == 35
    assert float(model.optimizer.learning_rate) == pytest.approx(float(expected), rel=1e-5)


def test_an_optimizer_that_scales_the_loss_tells_by_the_loss_alone():
    """It leaves out updates of its own accord, and does not count their batches."""
    model = make_model(OPTIMIZERS["scaled_loss"]())
    train(model, X[:20])
    before = model.get_weights()
    with pytest.raises(Diverged, match="the loss was not finite, at 2 looks in a row"):
        train(model, poisoned(*range(60)), NonFiniteGuard(every=5, restores=2, patience=2))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("optimizer", ["ours", "ours_scheduled"])
def test_what_is_learned_from_there_is_what_would_have_been_learned(optimizer):
    """At half the rate, by moments that have not seen what was undone."""
    x = np.concatenate([X[:10], poisoned(*range(10), count=10), X[20:40]])
    constant = optimizer == "ours"
    model = make_model(OPTIMIZERS[optimizer]())
    train(model, x, NonFiniteGuard(every=5, keep_every=5, patience=5))
    expected = make_model(OPTIMIZERS[optimizer]())
    train(expected, x[:10])
    if constant:
        expected.optimizer.learning_rate = 0.01 / 2  # twice gone back
    else:
        expected.optimizer.rate_scale.assign(0.25)
        expected.optimizer._iterations.assign(20)
        expected.optimizer.updates_left_out.assign(10)
    expected.fit(x[20:], Y[20:40], batch_size=1, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_loss_that_jumps_is_gone_back_from_if_asked(capsys):
    for spike in (None, 20):
        model = make_model(OPTIMIZERS["ours"]())
        y = Y.copy()
        y[30:35] = 1e3
        fit = {"batch_size": 1, "shuffle": False, "verbose": 0}
        guard = NonFiniteGuard(every=5, keep_every=5, spike=spike)
        model.fit(X, y, callbacks=[guard], **fit)
        told = capsys.readouterr().err
        assert bool(told) == bool(spike)
    assert "at update 35: the loss rose from" in told and "weights of update 30" in told


@pytest.mark.parametrize("optimizer", ["ours", "keras"])
def test_a_validation_loss_that_is_not_finite(optimizer, capsys):
    model = make_model(OPTIMIZERS[optimizer]())
    history = train(model, X, NonFiniteGuard(), validation_data=(poisoned(0), Y))
    assert "at update 60: the validation loss was not finite" in capsys.readouterr().err
    assert np.isnan(history["val_mae"]).all() and np.isfinite(history["loss"]).all()
    untrained = make_model("sgd")
    for one, other in zip(model.get_weights(), untrained.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_the_last_batch(capsys):
    model = make_model(OPTIMIZERS["keras"]())
    train(model, poisoned(59), NonFiniteGuard())
    assert "at update 60: weights were not finite" in capsys.readouterr().err
    assert is_finite(model)


def test_gradients_that_were_accumulated_are_forgotten():
    make = lambda: AdamW(0.02, gradient_accumulation_steps=4)  # noqa: E731
    x = np.concatenate([X[:8], poisoned(*range(24), count=24), X[32:40]])
    model = make_model(make())
    # Kept after 6 batches, in the middle of an update, and gone back to after 24.
    guard = NonFiniteGuard(every=6, keep_every=1, patience=3)
    train(model, x, guard)
    assert is_finite(model) and int(model.optimizer.iterations) == 10
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_a_schedule_that_is_scaled_is_saved(tmp_path):
    model = make_model(keras.optimizers.SGD(Scaled(LinearDecay(0.5, 1, 5), 0.5)))
    again = tiny.reload(model, tmp_path)
    assert float(again.optimizer.learning_rate) == 0.25


@pytest.mark.parametrize(
    "settings",
    [{"patience": 0}, {"every": 0}, {"restores": -1}, {"factor": 1.0}, {"spike": 1.0}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=r"Expected .* Received: "):
        NonFiniteGuard(**settings)


def test_weights_that_are_not_finite_to_begin_with():
    model = make_model("sgd")
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="Expected finite weights"):
        train(model, X, NonFiniteGuard())
