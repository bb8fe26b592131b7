"""The three families: names, sizes, causality, padding, tied weights."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tiny
from tiny import forward, random_ids

import keras_transformer as kt

B, T, S = 2, 6, 5

PARAMETERS = {
    "encoder_decoder": {
        "transformer_tiny": 2_568_192,
        "transformer_base": 63_082_496,
        "transformer_big": 214_245_376,
    },
    "decoder_only": {
        "gpt2_small": 124_439_808,
        "gpt2_medium": 354_823_168,
        "gpt2_large": 774_030_080,
        "gpt2_xl": 1_557_611_200,
        # By hand, (V + 1024) D + L (12 D^2 + 13 D) + 2 D: minGPT publishes sizes alone.
        "gpt_mini": 12_515_520,
        "gpt_micro": 7_357_312,
        "gpt_nano": 2_546_400,
    },
    "encoder_only": {
        "bert_tiny": 4_385_920,
        "bert_mini": 11_170_560,
        "bert_small": 28_763_648,
        "bert_medium": 41_373_184,
        "bert_base": 109_482_240,
        "bert_large": 335_141_888,
        "distilbert_base": 66_362_880,
    },
}
PRESETS = [(family, *item) for family, sizes in PARAMETERS.items() for item in sizes.items()]


@pytest.mark.parametrize("family, preset, parameters", PRESETS)
def test_presets_have_exactly_the_published_parameters(family, preset, parameters):
    # In this scope variables have shapes but no values, so the largest costs nothing ...
    with keras.StatelessScope(initialize_variables=False):
        model = getattr(kt.models, family)(kt.TransformerConfig.preset(preset))
    keras.utils.clear_session()  # ... and Keras must not give them any later either.
    assert model.count_params() == parameters


def test_every_preset_is_counted():
    from keras_transformer.config import PRESETS as presets

    assert {preset for _, preset, _ in PRESETS} == set(presets)


def names(tensors):
    return [tensor.name for tensor in tensors]


def test_names_and_shapes():
    model = tiny.make("encoder_decoder", normalize_first=True)
    assert names(model.inputs) == ["source_ids", "target_ids"]
    assert model.output_names == ["logits"] and model.output_shape == (None, None, 11)
    found = [layer.name for layer in model.layers]
    blocks = ["encoder_block_0", "encoder_block_1", "decoder_block_0", "decoder_block_1"]
    assert [name for name in found if "block" in name] == blocks
    assert {"embedding", "memory", "encoder_norm", "decoder_norm", "logits"} <= set(found)

    model = tiny.make("decoder_only")
    assert names(model.inputs) == ["token_ids"]
    assert model.output_names == ["logits"] and model.output_shape == (None, None, 11)
    found = [layer.name for layer in model.layers]
    assert [name for name in found if "block" in name] == ["decoder_block_0", "decoder_block_1"]
    assert "decoder_norm" not in found  # post-norm has it already

    model = tiny.make("encoder_only", num_segments=2, pooler=True, embedding_norm=True)
    assert names(model.inputs) == ["token_ids", "segment_ids"]
    assert model.output_names == ["sequence_output", "pooled_output"]
    assert model.output_shape == [(None, None, 8), (None, 8)]
    model = tiny.make("encoder_only")
    assert model.output_names == ["sequence_output"] and model.output_shape == (None, None, 8)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_changing_a_token_leaves_earlier_logits_bit_equal(architecture):
    model, ids = tiny.make("decoder_only", architecture, num_layers=2), random_ids(B, T)
    before = forward(model, ids)
    for t in range(T):
        changed = ids.copy()
        changed[:, t] = (ids[:, t] + 1) % 8 + 3
        after = forward(model, changed)
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert np.abs(after - before)[:, t].max() > 1e-3


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_changing_a_target_token_leaves_earlier_logits_bit_equal(architecture):
    model = tiny.make("encoder_decoder", architecture)
    source, target = random_ids(B, S), random_ids(B, T, seed=1)
    before = forward(model, source, target)
    changed = target.copy()
    changed[:, 3] = (target[:, 3] + 1) % 8 + 3
    after = forward(model, source, changed)
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    assert np.abs(after - before)[:, 3:].max() > 1e-3
    source[:, -1] = (source[:, -1] + 1) % 8 + 3  # while the source is seen from everywhere
    assert (np.abs(forward(model, source, target) - before).max(axis=-1) > 0).all()


def test_a_window_of_one_layer_hides_what_lies_further_back():
    model, ids = tiny.make("decoder_only", "window", num_layers=1), random_ids(B, T)
    changed = ids.copy()
    changed[:, 0] = (ids[:, 0] + 1) % 8 + 3
    difference = np.abs(forward(model, changed) - forward(model, ids)).max(axis=(0, 2))
    assert (difference > 0).tolist() == [True, True, True, False, False, False]


def pad(ids, count):
    return np.pad(ids, ((0, 0), (0, count)))


@pytest.mark.parametrize("kind", ["explicit", "implicit", *list(tiny.ARCHITECTURES)[1:]])
def test_padding_of_source_and_target_changes_nothing(kind):
    if kind == "implicit":
        model = tiny.translator_by_hand()
    else:
        model = tiny.make("encoder_decoder", "post_norm" if kind == "explicit" else kind)
    source, target = random_ids(B, S), random_ids(B, T, seed=1)
    source[1, 3:] = 0
    expected = forward(model, source, target)
    for more_source, more_target in ((3, 0), (0, 2), (3, 2)):
        found = forward(model, pad(source, more_source), pad(target, more_target))
        np.testing.assert_allclose(found[:, :T], expected, atol=1e-5)
    alone = forward(model, source[1:, :3], target[1:])
    np.testing.assert_allclose(alone, expected[1:], atol=1e-5)


def test_padding_of_an_encoder_changes_nothing():
    model = tiny.make("encoder_only", num_segments=2, pooler=True)
    ids, segments = random_ids(B, T), np.array([[0, 0, 0, 1, 1, 1]] * B)
    expected = [tiny.numpy(y) for y in model([ids, segments])]
    found = [tiny.numpy(y) for y in model([pad(ids, 3), pad(segments, 3)])]
    np.testing.assert_allclose(found[0][:, :T], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    other = [tiny.numpy(y) for y in model([ids, 1 - segments])]
    assert np.abs(other[0] - expected[0]).max() > 0.1  # segments do count


def test_implicit_masks_reach_the_output_of_a_model_by_hand():
    ids = random_ids(B, T)
    ids[1, 4:] = 0
    logits = tiny.language_model_by_hand()(keras.ops.convert_to_tensor(ids))
    np.testing.assert_array_equal(tiny.numpy(keras.src.backend.get_keras_mask(logits)), ids != 0)


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
def test_tied_weights_are_one_variable(family):
    tied, untied = (tiny.make(family, tie_embeddings=tie) for tie in (True, False))
    tables = [w for w in tied.weights if tuple(w.shape) == (11, 8)]
    assert len(tables) == 1
    assert untied.count_params() - tied.count_params() == 11 * 8
    ids = [random_ids(B, T)] * len(tied.inputs)
    before = forward(tied, *ids)
    tables[0].assign(tables[0] * np.where(np.arange(11) == 1, 2.0, 1.0)[:, None])  # id 1 is unused
    ratio = forward(tied, *ids) / before
    np.testing.assert_allclose(ratio[..., 1], 2, rtol=1e-3)
    np.testing.assert_allclose(np.delete(ratio, 1, axis=-1), 1, rtol=1e-4)


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder", "encoder_only"])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_model_is_the_same_after_a_keras_file(family, architecture, tmp_path):
    model = tiny.make(family, architecture)
    again = tiny.reload(model, tmp_path)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    ids = [random_ids(B, T, seed=i) for i in range(len(model.inputs))]
    np.testing.assert_array_equal(forward(again, *ids), forward(model, *ids))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = kt.models.encoder_decoder(tiny.config("rotary_grouped_gated"))
        logits = model([random_ids(B, S), random_ids(B, T)])
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == policy.removeprefix("mixed_")
    assert {w.dtype for w in model.weights} == {"float32"}
    assert np.isfinite(tiny.numpy(keras.ops.cast(logits, "float32"))).all()


def test_a_sequence_longer_than_the_learned_table_is_refused():
    model = tiny.make("decoder_only", "pre_norm_learned", max_sequence_length=4)
    assert forward(model, random_ids(B, 4)).shape == (B, 4, 11)
    with pytest.raises(ValueError, match=r"max_sequence_length=4 tokens.*length=5"):
        forward(model, random_ids(B, 5))


def test_lines_that_would_share_a_memory_are_refused():
    with pytest.raises(ValueError, match=r"one line a row\. Received: line_start_id=2"):
        tiny.make("encoder_decoder", line_start_id=2)


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rotary"])
def test_documents_in_one_row_are_as_alone(position):
    """Those of a row, in training; and a prompt's continuation, with a cache."""
    start = tiny.START
    model = tiny.make("decoder_only", position=position, line_start_id=start)
    documents = [[start, 5, 7, 3], [start, 4], [start, 8, 6, 9, 3]]
    row = [token for document in documents for token in document]
    packed, place = tiny.forward(model, [[*row, tiny.PAD, tiny.PAD]])[0], 0
    for document in documents:
        alone = tiny.forward(model, [document])[0]
        np.testing.assert_allclose(packed[place : place + len(document)], alone, atol=2e-5)
        place += len(document)
    plain = tiny.make("decoder_only", position=position)  # the same weights, lines look at all
    difference = tiny.forward(plain, [[*row, tiny.PAD, tiny.PAD]])[0] - packed
    assert np.abs(difference[: len(documents[0])]).max() < 2e-5
    assert np.abs(difference[len(documents[0]) : len(row)]).max() > 0.01

    with tiny.without_tracing():
        found = kt.Generator(model, None, max_new_tokens=4)(documents)
    expected = [[*d, *tiny.greedy_by_hand(model, d, 4)] for d in documents]
    np.testing.assert_array_equal(found, tiny.padded(expected, 9))


FAMILIES = {
    "encoder_only": lambda: tiny.make("encoder_only", num_segments=2, pooler=True),
    "decoder_only": lambda: tiny.make("decoder_only", "pre_norm_learned"),
    "packed": lambda: tiny.make("decoder_only", "window", line_start_id=tiny.START),
    "encoder_decoder": lambda: tiny.make("encoder_decoder", "rotary_grouped_gated"),
    "masked": lambda: kt.models.masked_language_model(tiny.config(dropout=0.1)),
    "first": lambda: kt.models.sequence_classifier(tiny.config(), 2),
    "mean": lambda: kt.models.sequence_classifier(tiny.config(), 2, pooling="mean"),
}
families = pytest.mark.parametrize("family", FAMILIES)


@families
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_nothing_is_a_batch_too(family, run_eagerly):
    model = FAMILIES[family]()
    nothing = {tensor.name: np.zeros((0, 4), "int32") for tensor in model.inputs}
    for tensor in keras.tree.flatten(model(nothing)):
        assert tensor.shape[0] == 0
    if family == "encoder_only":
        return
    metrics = [kt.training.MaskedAccuracy(), kt.training.Perplexity(), kt.training.TargetTokens()]
    loss = kt.training.MaskedCrossentropy(0.1)
    optimizer = kt.training.adamw(model, 1e-2, weight_decay=0.0, clip_norm=1.0)
    model.compile(optimizer, loss, metrics=metrics, run_eagerly=run_eagerly)
    labels = np.zeros((0, 4)[: len(model.output_shape) - 1], "int32")
    before = model.get_weights()
    for run in (model.train_on_batch, model.test_on_batch):
        np.testing.assert_array_equal([float(x) for x in run(nothing, labels)], [0, 0, 1, 0])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@families
def test_ids_may_have_any_dtype(family):
    model = FAMILIES[family]()
    ids = {tensor.name: random_ids(B, T, low=0) % 2 for tensor in model.inputs}
    if "token_ids" in ids:
        ids["token_ids"] = random_ids(B, T)
    [expected, *_] = [tiny.numpy(x) for x in keras.tree.flatten(model(ids))]
    for dtype in ("int8", "uint8", "uint16", "int64", "float32"):
        others = {name: value.astype(dtype) for name, value in ids.items()}
        [found, *_] = [tiny.numpy(x) for x in keras.tree.flatten(model(others))]
        np.testing.assert_array_equal(found, expected)


TWO_REPLICAS = """
import keras
import numpy as np
import tensorflow as tf

import keras_transformer as kt

halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = kt.models.encoder_only(
        kt.TransformerConfig(
            vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
        )
    )
    model = keras.Model(model.inputs, keras.layers.Dense(9)(model.output))
    model.compile("adam", kt.training.MaskedCrossentropy(), metrics=[kt.training.Perplexity()])
ids = np.ones((5, 4), "int32")
model.fit(ids, ids, batch_size=4, verbose=0)
assert all(np.isfinite(weight).all() for weight in model.get_weights())
assert np.isfinite(model.evaluate(ids, ids, batch_size=4, verbose=0)).all()
assert np.isfinite(model.predict(ids, batch_size=4, verbose=0)).all()
"""


@pytest.mark.skipif(tiny.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_a_replica_may_get_no_row():
    # Of its own process: devices are chosen before TensorFlow is used.
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
