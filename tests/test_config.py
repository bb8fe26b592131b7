"""A config is valid, frozen, and survives JSON."""

import dataclasses
import json

import pytest

import keras_transformer as kt
from keras_transformer.config import PRESETS


def config(**changes):
    return kt.TransformerConfig(**{"vocabulary_size": 100, **changes})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"vocabulary_size": 0}, "vocabulary_size to be a positive integer. Received: v.*=0"),
        ({"num_layers": -1}, "num_layers to be a positive integer. Received: num_layers=-1"),
        ({"num_layers": 10**6}, "num_layers to be up to 10,000. Received: num_layers=1000000"),
        ({"num_decoder_layers": 10**6}, "num_decoder_layers to be up to 10,000"),
        ({"num_heads": 2.0}, "num_heads to be a positive integer. Received: num_heads=2.0"),
        ({"hidden_dim": 0}, "hidden_dim to be a positive integer"),
        ({"intermediate_dim": "4"}, "intermediate_dim to be a positive integer"),
        ({"max_sequence_length": 0}, "max_sequence_length to be a positive integer"),
        ({"num_heads": 3}, "hidden_dim to be a multiple .*hidden_dim=512, num_heads=3"),
        ({"num_key_value_heads": 16}, "num_key_value_heads to divide num_heads.*=16, num_heads=8"),
        ({"num_key_value_heads": 3}, "num_key_value_heads to divide num_heads"),
        ({"num_key_value_heads": 0}, "num_key_value_heads to divide num_heads"),
        ({"position": "rotary", "key_dim": 5}, "an even head size for rotary positions.*key_dim=5"),
        ({"position": "relative"}, "position to be one of .*position='relative'"),
        ({"norm": "batch_norm"}, "norm to be 'layer_norm' or 'rms_norm'.*norm='batch_norm'"),
        ({"dropout": 1.0}, "dropout to be at least 0 and below 1.*dropout=1.0"),
        ({"attention_dropout": -0.1}, "attention_dropout to be at least 0 and below 1"),
        ({"pad_id": 100}, "pad_id to be a token .*pad_id=100, vocabulary_size=100"),
        ({"pad_id": -1}, "pad_id to be a token of the vocabulary or None"),
        ({"line_start_id": 100}, "line_start_id to be a token .*line_start_id=100, v.*=100"),
        ({"line_start_id": -1}, "line_start_id to be a token of the vocabulary or None"),
        ({"window": 0}, "window to be a positive integer or None.*window=0"),
        ({"key_dim": -2}, "key_dim to be a positive integer or None.*key_dim=-2"),
        ({"num_layers": True}, "num_layers to be a positive integer"),
        ({"num_key_value_heads": "1"}, "num_key_value_heads to divide num_heads"),
        ({"dropout": "0.1"}, "dropout to be at least 0 and below 1"),
        ({"attention_dropout": None}, "attention_dropout to be at least 0 and below 1"),
        ({"pad_id": "0"}, "pad_id to be a token of the vocabulary or None"),
        ({"num_segments": -1}, "num_segments to be an integer of at least 0"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon to be a number of at least 0"),
        ({"initializer_range": [1]}, "initializer_range to be a number of at least 0 or None"),
        ({"gated": "yes"}, "gated to be True or False"),
        ({"activation": None}, "activation to be a name that Keras knows"),
        ({"use_bias": 7}, "use_bias to name some of"),
        ({"use_bias": [[]]}, "use_bias to name some of"),
        ({"rotary_base": ""}, "rotary_base to be a positive number"),
        ({"rotary_base": 10**400}, "numbers that give finite frequencies"),
        ({"rotary_scaling": True}, "rotary_scaling to be a dict or None"),
        ({"rotary_scaling": {"rope_type": []}}, "rope_type to be one of"),
        ({"rotary_scaling": {"rope_type": "linear", "factor": "2"}}, ".* positive numbers.*'2'"),
        ({"rotary_scaling": {"rope_type": "linear", "factor": 0}}, ".* positive numbers.*=0"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^Expected {message}"):
        config(**changes)


def test_values_that_fit_are_accepted():
    config(num_heads=3, key_dim=7)
    config(num_key_value_heads=1, position="rotary", pad_id=None, window=1)
    assert config().head_dim == 64 and config(key_dim=5).head_dim == 5


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    preset = kt.TransformerConfig.preset(name)
    text = preset.to_json()
    assert kt.TransformerConfig.from_json(text) == preset
    assert set(json.loads(text)) == {field.name for field in dataclasses.fields(preset)}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "a config: expected JSON.*line 1"),
        ("[" * 100_000, "a config: expected JSON.*too many"),
        ("[1]", r"Expected a JSON object with a vocabulary_size. Received: \[1\]"),
        ('{"num_layers": 2}', "Expected a JSON object with a vocabulary_size"),
    ],
)
def test_json_of_something_else_is_refused(text, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        kt.TransformerConfig.from_json(text)


def test_json_with_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match=r"Expected fields among .*fields=\['colour'\]"):
        kt.TransformerConfig.from_json('{"vocabulary_size": 9, "colour": 1}')


@pytest.mark.parametrize("text", ["", "[]", '{"vocabulary_size": 9', "[" * 10**5, "{}", "3"])
def test_text_that_is_no_config_is_refused(text):
    with pytest.raises(ValueError, match="xpected "):
        kt.TransformerConfig.from_json(text)


@pytest.mark.parametrize("field", ["dropout", "use_bias", "rotary_base", "pad_id"])
def test_a_field_of_another_type_is_refused(field):
    with pytest.raises(ValueError, match="xpected "):
        kt.TransformerConfig.from_json(json.dumps({"vocabulary_size": 9, field: {"a": "b"}}))


@pytest.mark.parametrize(
    "name, closest",
    [("gpt2_smal", "gpt2_small"), ("bert-base", "bert_base"), ("transformer", "transformer_")],
)
def test_an_unknown_preset_names_the_closest(name, closest):
    with pytest.raises(ValueError, match=f"such as '{closest}.*name='{name}'"):
        kt.TransformerConfig.preset(name)


def test_changes_to_a_preset():
    changed = kt.TransformerConfig.preset("transformer_tiny", dropout=0.0, vocabulary_size=50)
    expected = kt.TransformerConfig.preset("transformer_tiny")
    assert changed == dataclasses.replace(expected, dropout=0.0, vocabulary_size=50)
    with pytest.raises(ValueError, match="dropout"):
        kt.TransformerConfig.preset("transformer_tiny", dropout=2)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().hidden_dim = 4
    assert hash(config()) == hash(config())


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("gpt")])
def test_a_modernized_model_has_about_the_weights_of_the_plain_one(name):
    plain = kt.TransformerConfig.preset(name)
    modern = plain.modernized()
    assert modern.gated and modern.position == "rotary" and not modern.use_bias
    # In rows of no length, a training step has six operations for each weight of a matrix.
    one, two = (kt.training.train_flops_per_token(c, 0) / 6 for c in (plain, modern))
    assert two == pytest.approx(one, rel=0.01)


def test_a_modernized_model_counts_about_as_many_parameters():
    plain = kt.TransformerConfig.preset("gpt_micro", vocabulary_size=300, max_sequence_length=128)
    before, after = (
        kt.models.decoder_only(config).count_params() for config in (plain, plain.modernized())
    )
    # There are no biases and no table of positions: 16,384 of 850,000.
    assert 0.97 * before < after < before


@pytest.mark.parametrize(("num_heads", "expected"), [(1, 1), (3, 1), (4, 2), (5, 5)])
def test_half_the_heads_share_keys_and_values_where_that_divides(num_heads, expected):
    modern = config(num_heads=num_heads, hidden_dim=8 * num_heads).modernized()
    assert (modern.num_heads, modern.num_key_value_heads) == (num_heads, expected)
