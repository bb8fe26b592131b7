"""Models saved by older code still load, and compute what they did."""

import io
import pathlib
import tarfile

import keras
import numpy as np
import pytest
from tiny import numpy

import keras_transformer as kt
from keras_transformer.models import config_of

FILES = pathlib.Path(__file__).parent / "before.tar.xz"
NAMES = "bart by_hand classes decoder encoder gpt masked masked_pre translation".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(FILES) as archive:
        archive.extractall(folder, filter="data")
    return folder


def inputs_and_outputs(folder, model, name):
    arrays = np.load(io.BytesIO((folder / f"{name}.npz").read_bytes()))
    inputs = [arrays[f"in_{x.name}"] for x in model.inputs]
    return inputs, [arrays[key] for key in sorted(arrays) if key.startswith("out_")]


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_what_it_did(folder, name, tmp_path):
    model = keras.models.load_model(folder / f"{name}.keras")
    inputs, expected = inputs_and_outputs(folder, model, name)
    model.save(tmp_path / "again.keras")
    for loaded in (model, keras.models.load_model(tmp_path / "again.keras")):
        found = keras.tree.flatten(loaded(inputs if len(inputs) > 1 else inputs[0]))
        for y, z in zip(found, expected, strict=True):
            # What is computed of padding, the last of the second row, means nothing.
            y, z = ((x[0], x[1:, :-2]) if x.ndim == 3 else (x,) for x in (numpy(y), z))
            for ours, theirs in zip(y, z, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_its_padding_is_known(folder):
    models = {n: keras.models.load_model(folder / f"{n}.keras") for n in NAMES if n != "by_hand"}
    pads = {name: config_of(model).pad_id for name, model in models.items()}
    assert (pads.pop("gpt"), pads.pop("translation")) == (None, 1)
    assert set(pads.values()) == {0}


def test_today_s_calls_may_have_the_old_names():
    embedding = kt.PositionalEmbedding(9, 8, kind="learned", scale=True)
    assert (embedding.position, embedding.scale_embedding) == ("learned", True)
    rotary = kt.RotaryEmbedding(base=50, scaling={"rope_type": "linear", "factor": 2.0})
    assert (rotary.rotary_base, rotary.rotary_scaling["factor"]) == (50, 2.0)
    x, places = np.ones((1, 4, 8), "float32"), np.array([[2, 0]])
    for layer in (kt.EncoderBlock(2, 8), kt.MultiHeadSelfAttention(2)):
        old, new = layer(x, positions=places), layer(x, wanted=places)
        assert keras.ops.convert_to_numpy(keras.ops.all(old == new))
