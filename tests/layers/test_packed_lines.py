"""Lines that share a row: where each begins, and who is in it."""

import keras
import numpy as np
import pytest
from tiny import numpy, reload

import keras_transformer as kt

START, PAD = 2, 0


def by_hand(token_ids):
    """One token after the other: its position, and the number of its line."""
    positions, lines = np.zeros_like(token_ids), np.zeros_like(token_ids)
    for row, ids in enumerate(token_ids):
        position, line = -1, 0
        for column, token in enumerate(ids):
            position, line = (0, line + 1) if token == START else (position + 1, line)
            positions[row, column], lines[row, column] = position, line
    return positions, lines[:, :, None] == lines[:, None, :]


ROWS = {
    "random": np.random.default_rng(0).integers(0, 6, (8, 13), "int32"),
    "one_line": np.array([[START, 5, 6, 3]], "int32"),
    "starts_only": np.full((1, 4), START, "int32"),
    "no_start": np.array([[5, 6, 7], [PAD] * 3], "int32"),
    "one_token": np.array([[START], [5]], "int32"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_as_one_token_after_the_other(kind):
    positions, attention_mask = kt.layers.PackedLines(START)(ROWS[kind])
    assert keras.backend.standardize_dtype(positions.dtype) == "int32"
    assert keras.backend.standardize_dtype(attention_mask.dtype) == "bool"
    expected_positions, expected_mask = by_hand(ROWS[kind])
    np.testing.assert_array_equal(numpy(positions), expected_positions)
    np.testing.assert_array_equal(numpy(attention_mask), expected_mask)


@pytest.mark.parametrize("shape", [(8, 13), (None, 13), (None, None)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_symbolic_shapes_and_dtypes(shape, dtype):
    token_ids = keras.Input(batch_shape=shape, dtype="int32")
    positions, attention_mask = kt.layers.PackedLines(START, dtype=dtype)(token_ids)
    assert positions.shape == shape and positions.dtype == "int32"
    assert attention_mask.shape == (*shape, shape[1]) and attention_mask.dtype == "bool"
    model = keras.Model(token_ids, [positions, attention_mask])
    found = model.predict(ROWS["random"], verbose=0)  # compiled
    for one, expected in zip(found, by_hand(ROWS["random"]), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_config_and_keras_file_round_trip(tmp_path):
    layer = kt.layers.PackedLines(5, name="lines")
    assert kt.layers.PackedLines.from_config(layer.get_config()).get_config() == layer.get_config()
    token_ids = keras.Input((None,), dtype="int32")
    model = keras.Model(token_ids, layer(token_ids))
    again = reload(model, tmp_path)
    assert again.get_layer("lines").start_id == 5 and again.weights == []
    for one, other in zip(model(ROWS["random"]), again(ROWS["random"]), strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("ids", ["uint16", "int64", "float32"])
def test_starts_are_found_among_ids_of_any_dtype(dtype, ids):
    rows = np.array([[300, 301, 300, 299]])  # bfloat16 has 300 alone
    positions, attention_mask = kt.layers.PackedLines(300, dtype=dtype)(rows.astype(ids))
    assert numpy(positions).tolist() == [[0, 1, 0, 1]]
    assert numpy(attention_mask)[0, 0].tolist() == [True, True, False, False]


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_nothing_is_a_batch_too(shape):
    positions, attention_mask = kt.layers.PackedLines(START)(np.zeros(shape, "int32"))
    assert tuple(positions.shape) == shape
    assert tuple(attention_mask.shape) == (*shape, shape[1])


def test_a_start_that_is_no_token_is_refused():
    with pytest.raises(ValueError, match=r"start_id to be a token\. Received: start_id=-1"):
        kt.layers.PackedLines(-1)
