"""Linear maps with kernels of 8 bits, by Keras' own `quantize`."""

import warnings

import keras
import numpy as np
import pytest
import tiny
from keras import quantizers

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


@pytest.mark.parametrize(
    ("family", "architecture", "config"),
    [
        ("decoder_only", "rotary_grouped_gated", quantizers.Int8QuantizationConfig()),
        ("encoder_decoder", "post_norm", quantizers.Int8QuantizationConfig()),
        (
            "decoder_only",
            "window",
            quantizers.Int8QuantizationConfig(activation_quantizer=None),
        ),
        ("masked_language_model", "post_norm", quantizers.Int4QuantizationConfig()),
        ("decoder_only", "post_norm", quantizers.Float8QuantizationConfig()),
    ],
)
def test_quantized_models_are_saved_and_cloned(family, architecture, config, tmp_path):
    model = tiny.make(family, architecture)
    model.quantize(config=config, filters=lambda layer: isinstance(layer, keras.layers.Dense))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    again.save(tmp_path / "again.keras")
    models = [again, keras.models.load_model(tmp_path / "again.keras")]
    if config.mode != "float8":  # whose weights Keras' own `Dense` has in another order then
        models.append(keras.models.clone_model(model))
        models[-1].set_weights(model.get_weights())
    inputs = [np.array([[3, 2, 1, 0], [2, 1, 3, 3]])] * len(model.inputs)  # also as positions
    for other in models:
        assert [w.dtype for w in other.weights] == [w.dtype for w in again.weights]
        assert num_bytes(other) == num_bytes(model)
        found, expected = (keras.ops.convert_to_numpy(m(inputs)) for m in (other, model))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    if family == "decoder_only":
        with tiny.run_eagerly():
            found, expected = (
                kt.Generator(m, end_id=None, max_new_tokens=3)([[3, 4]]) for m in (again, model)
            )
        np.testing.assert_array_equal(found, expected)


def test_part_of_a_block_quantized_and_a_block_by_another_name():
    def made(config):
        block = kt.DecoderBlock.from_config(config)
        block.build((None, None, 8), (None, None, 8))
        return block

    block = made(kt.DecoderBlock(2, 16).get_config())
    block.cross_attention.key_value.quantize("int8")
    config = block.get_config()
    assert kt.DecoderBlock.from_config(config).get_config() == config
    again = made(config | {"name": "other"})
    modes = {inner.name: inner.quantization_mode for inner in again._flatten_layers()}
    assert {name for name, mode in modes.items() if mode} == {"key_value"}
    again.set_weights(block.get_weights())
    x, memory = np.random.default_rng(0).normal(size=(2, 1, 3, 8)).astype("float32")
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(b(x, memory)) for b in (again, block)))
