"""Every line finds its row, and hardly a row is wasted."""

import numpy as np
import pytest

from keras_transformer.data import pack
from keras_transformer.data.packing import pack_pieces


def check(rows, lengths, row_length):
    assert sorted(line for row in rows for line in row) == list(range(len(lengths)))
    assert max(sum(lengths[line] for line in row) for row in rows) <= row_length


@pytest.mark.parametrize("row_length", [64, 128, 512])
def test_sentences_fill_their_rows(row_length):
    rng = np.random.default_rng(row_length)
    lengths = np.minimum(rng.poisson(rng.gamma(3, 7, 20_000)) + 3, row_length).tolist()
    rows = pack(lengths, row_length)
    check(rows, lengths, row_length)
    assert len(rows) <= np.ceil(sum(lengths) / row_length) * 1.02 + 1


@pytest.mark.parametrize("fewest", [1, 2, 10, 100])
def test_never_far_from_the_fewest_rows(fewest):
    rng = np.random.default_rng(fewest)
    for _ in range(100 // fewest + 3):  # full rows, cut into pieces: no fewer rows hold them
        cuts = [
            np.sort(rng.choice(np.arange(1, 30), rng.integers(1, 6), False)) for _ in range(fewest)
        ]
        lengths = np.concatenate([np.diff(np.r_[0, cut, 30]) for cut in cuts])
        lengths = rng.permutation(lengths).tolist()
        rows = pack(lengths, 30)
        check(rows, lengths, 30)
        assert fewest <= len(rows) <= 11 / 9 * fewest + 6 / 9  # Dosa 2007


def test_extreme_lengths():
    assert pack([], 8) == []
    assert sorted(pack([8, 8, 8], 8)) == [[0], [1], [2]]  # each fills a row
    assert sorted(pack([5] * 3, 8)) == [[0], [1], [2]]  # no two fit
    assert len(pack([1] * 17, 8)) == 3
    assert len(pack(np.array([4, 4]), 8)) == 1
    assert len(pack([7, 6, 3, 2, 2], 10)) == 2  # the fullest row first: the emptiest needs three


def test_equal_lengths_give_the_same_rows_again():
    lengths = np.random.default_rng(0).integers(1, 20, 500)
    assert pack(lengths, 32) == pack(lengths.tolist(), 32)


def test_a_line_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match=r"at most row_length=8 tokens\. Received: 9"):
        pack([3, 9, 8], 8)


def test_pieces_cover_every_line_and_fit_their_rows():
    lengths = np.random.default_rng(0).integers(0, 60, 200)
    lines = [np.zeros(n, int) for n in lengths]
    rows = pack_pieces(lines, row_length=20, num_special=3)
    pieces = sorted(piece for row in rows for piece in row)
    assert pieces == [(n, i) for n, length in enumerate(lengths) for i in range(0, length, 17)]
    used = [sum(min(lengths[n] - i, 17) + 3 for n, i in row) for row in rows]
    assert max(used) <= 20 and sum(used) > 0.95 * 20 * len(rows)
