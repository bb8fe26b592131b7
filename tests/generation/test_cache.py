"""Three kinds of cache, of which one is chosen, show each token where it stands."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

from keras_transformer.backend.compiling import compile_for
from keras_transformer.backend.xla import in_xla
from keras_transformer.generation import cache as cache_module
from keras_transformer.generation.cache import FixedCache, GrowingCache, SlidingCache, make_cache

BEFORE, STEPS, WIDTH = 3, 4, 2
STARTS = np.array([[0], [2]])  # of two rows, the second with padding


def positions(row):
    """Where the token of each slot stands, by hand."""
    steps = [step for step in range(BEFORE, BEFORE + STEPS) for _ in range(WIDTH)]
    return [place - int(STARTS[row, 0]) for place in [*range(BEFORE), *steps]]


def scope_of(cache, state, step):
    """The scope of a step, whose hypotheses see the slots of the steps with even numbers."""
    visible = np.broadcast_to(np.arange(STEPS * WIDTH) % 2 == 0, (2, WIDTH, STEPS * WIDTH))
    index = BEFORE + step * WIDTH
    position = np.full((1, WIDTH), BEFORE + step) - STARTS
    return cache.scope(state, index, position, ops.convert_to_tensor(visible))


def test_the_kind_is_chosen_once():
    assert type(make_cache(BEFORE, STEPS, WIDTH, 0, window=3)) is SlidingCache
    for window in (None, 6):  # 6 steps of two slots are all there will ever be
        cache = make_cache(BEFORE, STEPS, WIDTH, 0, window)
        assert type(cache) is (FixedCache if tiny.BACKEND == "jax" else GrowingCache)
        assert cache.length == BEFORE + STEPS * WIDTH


@pytest.mark.skipif(tiny.BACKEND == "torch", reason="PyTorch compiles nothing")
def test_xla_gets_all_slots_at_once():
    kinds = []

    def run(x):
        assert in_xla()
        kinds.append(type(make_cache(BEFORE, STEPS, WIDTH, 0)))
        return x

    compile_for(keras.Sequential(), run)(np.float32(1))
    assert kinds == [FixedCache]


@pytest.mark.parametrize("kind", [FixedCache, GrowingCache])
@pytest.mark.parametrize("step", range(STEPS))
def test_the_keys_are_the_slots_that_there_are(kind, step):
    cache = kind(BEFORE, STEPS, WIDTH, STARTS)
    slots = cache.length if kind is FixedCache else BEFORE + (step + 1) * WIDTH
    state = {"past": {"layer": (np.zeros((2, 1, slots)),)}, "computed": {}}
    scope = scope_of(cache, state, step)
    assert scope.length == slots and not scope.sliding
    seen = [True] * BEFORE + [True, False] * STEPS
    for row in range(2):
        assert tiny.numpy(scope.key_positions)[row].tolist() == positions(row)[:slots]
        assert tiny.numpy(scope.visible)[row].tolist() == [seen[:slots]] * WIDTH


@pytest.mark.parametrize("step", range(STEPS))
def test_a_sliding_cache_shows_the_window_and_then_what_is_new(step):
    window = 2
    cache = SlidingCache(BEFORE, STEPS, WIDTH, STARTS, window)
    scope = scope_of(cache, None, step)
    assert scope.length == window * WIDTH and scope.sliding
    end = BEFORE + (step + 1) * WIDTH
    keys = range(end - (window + 1) * WIDTH, end)
    seen = [True] * BEFORE + [True, False] * STEPS
    for row in range(2):
        expected = [positions(row)[i] if i >= 0 else -1 for i in keys]
        assert tiny.numpy(scope.key_positions)[row].tolist() == expected
        expected = [i < 0 or seen[i] for i in keys]
        assert tiny.numpy(scope.visible)[row].tolist() == [expected] * WIDTH


@pytest.mark.parametrize("kind", [FixedCache, GrowingCache, SlidingCache])
def test_a_loop_writes_its_steps_and_gives_back_as_many_slots_as_it_got(kind, monkeypatch):
    if kind is GrowingCache and tiny.BACKEND == "jax":
        pytest.skip("no loop of JAX can make a tensor grow")
    monkeypatch.setattr(cache_module, "BLOCK", 2)
    more = {"window": 6} if kind is SlidingCache else {}
    cache = kind(BEFORE, STEPS, WIDTH, 0, **more)
    sizes, empty = [], ops.zeros((2, 1, cache.length, 3))

    def step(i, state):
        sizes.append(state["past"].shape[2])
        new = ops.ones((2, 1, WIDTH, 3)) * ops.cast(i + 1, "float32")
        where = [0, 0, BEFORE + i * WIDTH, 0]
        return i + 1, {**state, "past": ops.slice_update(state["past"], where, new)}

    carry = ops.convert_to_tensor(0, "int32"), {"past": empty, "computed": ops.zeros(())}
    i, state = cache.loop(lambda i, state: i < 3, step, carry)  # of the four steps
    assert int(i) == 3 and tuple(state["past"].shape) == (2, 1, cache.length, 3)
    grown = {BEFORE + 2 * WIDTH, BEFORE + 4 * WIDTH}
    assert set(sizes) == (grown if kind is GrowingCache else {cache.length})
    expected = [0] * BEFORE + [step for step in (1, 2, 3) for _ in range(WIDTH)]
    found = tiny.numpy(state["past"])[1, 0, :, 2].tolist()
    assert found == expected + [0] * (cache.length - len(expected))
