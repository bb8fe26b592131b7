"""Which tokens are real."""

import keras
import numpy as np
import pytest
from tiny import numpy

import keras_transformer as kt


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "float32"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_all_but_padding_is_real(dtype, policy):
    ids = np.array([[300, 301, 0], [300, 300, 300]]).astype(dtype)
    layer = kt.layers.PaddingMask(300, dtype=policy)
    assert numpy(layer(ids)).tolist() == [[False, True, True], [False, False, False]]


def test_it_is_kept_in_a_file(tmp_path):
    token_ids = keras.Input((None,), dtype="int32")
    model = keras.Model(token_ids, kt.layers.PaddingMask(2, name="padding_mask")(token_ids))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("padding_mask").pad_id == 2
    assert numpy(loaded(np.array([[2, 0]], "int32"))).tolist() == [[False, True]]
    assert model.output.dtype == "bool" and model.output_shape == (None, None)
