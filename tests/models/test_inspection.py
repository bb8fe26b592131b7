"""The config that is read back from a model."""

import dataclasses

import keras
import pytest
import tiny

import keras_transformer as kt

KINDS = {
    "base": kt.models.encoder_only,
    "masked": kt.models.masked_language_model,
    "classifier": lambda config: kt.models.sequence_classifier(config, 3),
    "decoder": kt.models.decoder_only,
    "both": kt.models.encoder_decoder,
}
BERT = {
    "position": "learned",
    "num_segments": 2,
    "embedding_norm": True,
    "scale_embedding": False,
    "initializer_range": 0.02,
    "pad_id": 7,
    "activation": "gelu",
}
LLAMA = {
    "position": "rotary",
    "rotary_base": 500.0,
    "rotary_scaling": {"rope_type": "linear", "factor": 2.0},
    "norm": "rms_norm",
    "layer_norm_epsilon": 1e-6,
    "gated": True,
    "activation": "silu",
    "num_key_value_heads": 1,
    "key_dim": 6,
    "use_bias": ["query_key_value"],
    "tie_embeddings": False,
    "window": 4,
    "normalize_first": True,
    "pad_id": None,
    "dropout": 0.0,
    "attention_dropout": 0.25,
}
CASES = [
    ("base", {}),
    ("base", {**BERT, "pooler": True}),
    ("masked", BERT),
    ("classifier", {**BERT, "pooler": True, "pooler_activation": "relu"}),
    ("masked", {"line_start_id": 2, "position": None}),
    ("decoder", LLAMA),
    ("decoder", {"position": "learned", "activation": "gelu_tanh", "initializer_range": 0.0}),
    ("both", {"num_decoder_layers": 3, "logits_bias": True}),
    ("both", {"position": "learned", "embedding_norm": True, "max_sequence_length": 9}),
]


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_the_config_comes_back_from_the_layers(kind, changes, tmp_path):
    config = tiny.config(**changes)
    model = KINDS[kind](config)
    assert dataclasses.asdict(kt.models.config_of(model)) == dataclasses.asdict(config)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert kt.models.config_of(reloaded) == config


def test_another_model_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="mine")
    with pytest.raises(ValueError, match=r"a model of keras_transformer.models\..*model='mine'"):
        kt.models.config_of(model)
