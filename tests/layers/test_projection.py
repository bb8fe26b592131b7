"""Linear maps with kernels of 8 bits, by Keras' own `quantize`."""

import warnings

import keras
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.layers.projection import Projection

IDS = np.random.default_rng(0).integers(1, 50, (4, 12)).astype("int32")
ERROR = 0.05  # of the logits, root mean square, relative to theirs
SIZES = {
    "vocabulary_size": 50, "num_layers": 2, "num_heads": 4, "hidden_dim": 64,
    "intermediate_dim": 128, "max_sequence_length": 32, "dropout": 0.0,
}  # fmt: skip
MODELS = {
    "decoder_only": {"position": "rotary", "num_key_value_heads": 2, "gated": True},
    "encoder_decoder": {},
}


def make(family):
    return getattr(kt.models, family)(kt.TransformerConfig(**SIZES, **MODELS[family]))


def logits(model):
    found = model(IDS if len(model.inputs) == 1 else [IDS, IDS])
    return keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))


def quantize(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that norms and the like have no 8 bits
        model.quantize("int8")


def num_bytes(model):
    return sum(keras.ops.convert_to_numpy(weight).nbytes for weight in model.weights)


@pytest.mark.parametrize("family", MODELS)
def test_a_model_of_8_bits_is_smaller_near_the_same_and_generates(family, precision):
    model = make(family)
    before, size = logits(model), num_bytes(model)
    quantize(model)
    maps = [layer for layer in model._flatten_layers() if isinstance(layer, Projection)]
    assert maps and all(layer._kernel.dtype == "int8" for layer in maps)
    assert num_bytes(model) < 0.4 * size  # the token table stays as it is
    after = logits(model)
    error = np.sqrt(np.mean((after - before) ** 2) / np.mean(before**2))
    assert 0 < error < ERROR

    # With a cache, step by step, as without one.
    generate = kt.Generator(model, end_id=None, start_id=1, max_new_tokens=4)
    with tiny.run_eagerly():
        found = generate(IDS[:2])
    if family == "decoder_only":
        for end in range(IDS.shape[1], found.shape[1]):
            row = keras.ops.convert_to_numpy(model(found[:, :end]))[:, -1].astype("float32")
            chosen = np.take_along_axis(row, found[:, end, None], axis=1)[:, 0]
            assert (chosen >= row.max(axis=1) - 0.05 * np.abs(row).max()).all()
    assert found.shape == (2, 4 if family == "encoder_decoder" else IDS.shape[1] + 4)


def test_lora_learns_on_kernels_of_8_bits():
    model = make("decoder_only")
    logits(model)  # builds all of it
    quantize(model)
    kt.training.enable_lora(model, 4)
    model.compile("adam", kt.training.MaskedCrossentropy(pad_id=-1))
    losses = model.fit(IDS[:, :-1], IDS[:, 1:], epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
