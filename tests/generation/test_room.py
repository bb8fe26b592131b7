"""Lengths are numbers: what fits, and shapes that have room for it."""

import numpy as np
import pytest
import tiny

from keras_transformer.generation import room as room_module
from keras_transformer.generation.anatomy import Anatomy
from keras_transformer.generation.room import Room


@pytest.fixture(scope="module", params=["decoder_only", "encoder_decoder"])
def anatomy(request):
    return Anatomy(tiny.make(request.param, "pre_norm_learned", max_sequence_length=300))


@pytest.mark.parametrize("rounds", [True, False])
@pytest.mark.parametrize("new", [40, None])
def test_a_shape_has_room_for_whatever_fits_the_context(anatomy, new, rounds, monkeypatch):
    monkeypatch.setattr(room_module, "compiles", lambda: rounds)
    room, rng = Room(anatomy, new, context=None, hides_padding=True), np.random.default_rng(0)
    shapes, pairs = set(), set()
    for batch, length in zip(rng.integers(1, 17, 200), rng.integers(1, 301, 200), strict=True):
        shapes.add(shape := room.shape(int(batch), int(length)))
        pairs.add((batch, length))
        rows, filled, steps = shape
        assert rows >= batch and 300 >= filled >= length
        wanted = min(room.new_tokens(length), room.until_full(length))
        assert steps >= wanted and (rounds or steps == wanted)
    assert len(shapes) < 25 if rounds else len(shapes) == len(pairs)


def test_the_context_is_full_when_one_more_token_would_be_refused(anatomy):
    room = Room(anatomy, None, context=7, hides_padding=True)
    for length in range(1, 8):
        most = room.until_full(length)
        assert most == (8 - length if room.reads_prompts else 7) == room.new_tokens(length)
        room.check(length, most)
        with pytest.raises(ValueError, match=r"fit the context of 7\..*tokens=8"):
            room.check(length, most + 1)


def test_without_a_context_everything_fits():
    room = Room(Anatomy(tiny.make("decoder_only")), 40, context=None, hides_padding=True)
    assert room.context is None
    room.check(10**6, 10**6)
