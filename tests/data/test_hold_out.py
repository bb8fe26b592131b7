"""Held-out text."""

import tracemalloc

import pytest

from keras_transformer.data import hold_out, hold_out_rows


def test_a_tenth_at_most_is_held_out_with_all_that_equals_it():
    items = [f"line {i % 300}" for i in range(1000)]
    rest, held_out = hold_out(items, seed=0)
    assert len(held_out) == len(set(held_out)) == 30
    assert not set(rest) & set(held_out)
    assert rest == [item for item in items if item not in set(held_out)]
    rest, held_out = hold_out(items, seed=0, count=7)
    assert len(held_out) == 7 and len(set(rest)) == 293


def test_the_seed_decides():
    items = [f"line {i}" for i in range(300)]
    first, again, other = (hold_out(items, seed) for seed in (1, 1, 2))
    assert first == again and first != other
    shuffled = hold_out(items[::-1], 1)
    assert set(shuffled[1]) == set(first[1])  # not the order of the text


def test_the_key_says_what_is_equal_and_the_first_is_held_out():
    items = [(i % 40, i) for i in range(400)]
    rest, held_out = hold_out(items, 0, key=lambda item: item[0])
    assert len(held_out) == 4 and all(key == i for key, i in held_out)
    assert len(rest) == 360 and not {k for k, _ in rest} & {k for k, _ in held_out}


def test_one_long_line_costs_no_more_than_itself():
    items = [f"line {i}" for i in range(300)] + ["x" * 100_000, "nul\0"]
    tracemalloc.start()
    rest, held_out = hold_out(items, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    assert sorted(rest + held_out) == sorted(items) and len(held_out) == 30


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match=r"different lines of text\. Received: 9"):
        hold_out([*"abcdefghi"] * 5, seed=0)


def test_rows_are_equal_if_their_first_column_is():
    columns = [f"w{i % 40}" for i in range(120)], [f"x{i}" for i in range(120)]
    rest, held_out = hold_out_rows(columns, seed=1)
    assert len(held_out[0]) == len(held_out[1]) == 4 and not {*rest[0]} & {*held_out[0]}
    pairs = set(zip(*columns, strict=True))
    assert {*zip(*rest, strict=True)} | {*zip(*held_out, strict=True)} <= pairs
    assert len(rest[0]) == 120 - 4 * 3


def test_less_than_one_is_not_held_out():
    with pytest.raises(ValueError, match=r"count to be at least 1\..*count=-1"):
        hold_out([*"abcdefghij"], seed=0, count=-1)
