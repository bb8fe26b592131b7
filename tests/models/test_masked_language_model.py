"""Encoders with heads: what is masked, packed, pooled and copied."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops
from tiny import END, PAD, START, VOCABULARY, random_ids

import keras_transformer as kt

B, T, D = 2, 6, 8
LINES = [[START, 5, 6, 7, END], [START, 8, 9, END], [START, 3, 4, 10, 5, 6, END]]
POSITIONS = [[1, 3], [2, 2], [5, 0]]  # masked places of each line
PAIRS = {"pooler": True, "num_segments": 2}
PACKED = {
    "learned": {"position": "learned", "normalize_first": True, "embedding_norm": True},
    "sinusoidal": {"position": "sinusoidal"},
    "rotary": {"position": "rotary", "num_key_value_heads": 1, "norm": "rms_norm"},
    "none": {"position": None, "tie_embeddings": False},
}


def run(model, *inputs):
    """All outputs as a list of NumPy arrays, without a trace."""
    outputs = model([ops.convert_to_tensor(np.asarray(x, "int32")) for x in inputs], training=False)
    return [tiny.numpy(x) for x in (outputs if isinstance(outputs, list) else [outputs])]


def masked_language_model(next_sentence=False, **changes):
    config = tiny.config(**{"max_sequence_length": 24, **changes})
    return tiny.randomize(kt.models.masked_language_model(config, next_sentence=next_sentence))


def sequence_classifier(pooling="first", **changes):
    return tiny.randomize(kt.models.sequence_classifier(tiny.config(**changes), 3, pooling))


def packed_row(lines):
    """One row of all lines with padding behind them, and where each begins."""
    begins = np.cumsum([0] + [len(line) for line in lines])
    return np.array([[token for line in lines for token in line] + [PAD] * 3]), begins


def packed_logits(model, lines, positions=POSITIONS):
    """`(lines, 2, V)`: what the packed row says at the masked places of each line."""
    row, begins = packed_row(lines)
    places = np.array(positions) + begins[: len(lines), None]
    return run(model, row, places.reshape(1, -1))[0].reshape(len(lines), 2, -1)


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_line_is_as_if_it_were_alone(kind):
    model = masked_language_model(line_start_id=START, **PACKED[kind])
    together = packed_logits(model, LINES)
    moved = packed_logits(model, LINES[::-1], POSITIONS[::-1])[::-1]
    np.testing.assert_allclose(moved, together, atol=1e-5)
    alone = run(model, tiny.padded(LINES, 8), POSITIONS)[0]  # a row each
    np.testing.assert_allclose(together, alone, atol=1e-5)
    one_text = masked_language_model(**PACKED[kind])  # equal weights, but it sees one long line
    assert np.abs(packed_logits(one_text, LINES) - together).max() > 0.1


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_line_is_deaf_to_the_others(kind):
    model = masked_language_model(line_start_id=START, **PACKED[kind])
    before = packed_logits(model, LINES)
    changed = [LINES[0], [START, 3, 4, END], LINES[2]]
    after = packed_logits(model, changed)
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.abs(after[1] - before[1]).max() > 1e-2


def test_packed_rows_train_without_leaks_from_padding():
    model = masked_language_model(line_start_id=START)
    row, _ = packed_row(LINES)
    filler = np.full_like(row, PAD)  # a row that only fills a batch
    logits = run(model, np.concatenate([row, filler]), [[1, 2], [0, 0]])[0]
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits[0], run(model, row, [[1, 2]])[0][0], atol=1e-5)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_logits_at_positions_are_those_of_each_position_alone(architecture):
    model = masked_language_model(**tiny.ARCHITECTURES[architecture])
    ids, positions = random_ids(B, T), np.array([[4, 0, 4], [5, 1, 3]])  # any order, repeated
    found = run(model, ids, positions)[0]
    assert found.shape == (B, 3, VOCABULARY)
    for p in range(3):
        alone = run(model, ids, positions[:, p : p + 1])[0]
        np.testing.assert_allclose(found[:, p], alone[:, 0], atol=1e-5)
    everywhere = run(model, ids, [range(T)] * B)[0]
    expected = np.take_along_axis(everywhere, positions[..., None], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(everywhere[:, 0] - everywhere[:, 1]).max() > 1e-2


def test_names_and_shapes():
    model = masked_language_model()
    assert [tensor.name for tensor in model.inputs] == ["token_ids", "masked_positions"]
    assert model.output_names == ["logits"] and model.output_shape == (None, None, VOCABULARY)
    model = masked_language_model(next_sentence=True, **PAIRS)
    inputs = ["token_ids", "segment_ids", "masked_positions"]
    assert [tensor.name for tensor in model.inputs] == inputs
    assert model.output_names == ["logits", "next_sentence"]
    assert model.output_shape == [(None, None, VOCABULARY), (None, 2)]
    segments = np.array([[0, 0, 0, 1, 1, 1]] * B)
    logits, next_sentence = run(model, random_ids(B, T), segments, [[1], [2]])
    assert logits.shape == (B, 1, VOCABULARY) and next_sentence.shape == (B, 2)
    other = run(model, random_ids(B, T), 1 - segments, [[1], [2]])
    assert np.abs(other[1] - next_sentence).max() > 1e-3  # segments count
    assert [layer.name for layer in sequence_classifier().layers][-1] == "logits"


@pytest.mark.filterwarnings("error")
def test_building_a_model_gives_no_warning():
    masked_language_model(line_start_id=START)
    masked_language_model(next_sentence=True, **PAIRS)
    sequence_classifier("first", pooler=True)
    sequence_classifier("mean")


def test_the_head_is_all_that_is_added():
    head = D * D + D + 2 * D + VOCABULARY
    for changes in ({}, {"num_segments": 2, "embedding_norm": True}):
        encoder = kt.models.encoder_only(tiny.config(**changes))
        tied = masked_language_model(**changes)
        assert tied.count_params() == encoder.count_params() + head
        untied = masked_language_model(tie_embeddings=False, **changes)
        assert untied.count_params() == tied.count_params() + VOCABULARY * D
    with_pooler = kt.models.encoder_only(tiny.config(**PAIRS))
    both = masked_language_model(next_sentence=True, **PAIRS)
    assert both.count_params() == with_pooler.count_params() + head + 2 * D + 2


def test_tied_weights_are_one_variable():
    model = masked_language_model()
    [table] = [w for w in model.weights if tuple(w.shape) == (VOCABULARY, D)]
    [bias] = [w for w in model.weights if tuple(w.shape) == (VOCABULARY,)]
    bias.assign(np.zeros(VOCABULARY))
    inputs = random_ids(B, T), [[1, 4]] * B
    before = run(model, *inputs)[0]
    unused = 1
    table.assign(table * np.where(np.arange(VOCABULARY) == unused, 2.0, 1.0)[:, None])
    ratio = run(model, *inputs)[0] / before
    np.testing.assert_allclose(ratio[..., unused], 2, rtol=1e-3)
    np.testing.assert_allclose(np.delete(ratio, unused, axis=-1), 1, rtol=1e-4)
    model.compile("sgd", kt.training.MaskedCrossentropy())
    old = tiny.numpy(table).copy()
    model.fit(list(map(np.asarray, inputs)), np.full((B, 2), 7), verbose=0)
    rows = np.abs(tiny.numpy(table) - old).max(axis=1) > 0
    assert rows.all()  # a row that no input has gets its gradient as an output


def test_next_sentence_needs_a_pooler_and_segments():
    for changes in ({}, {"pooler": True}, {"num_segments": 2}, {"pooler": True, "num_segments": 1}):
        with pytest.raises(ValueError, match="pooler and two segments for next_sentence"):
            kt.models.masked_language_model(tiny.config(**changes), next_sentence=True)


@pytest.mark.parametrize("changes", [{}, {"pooler": True}, {"position": "rotary", "pad_id": None}])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_classifier_shapes(pooling, changes):
    model = sequence_classifier(pooling, **changes)
    assert model.output_shape == (None, 3) and model.output_names == ["logits"]
    ids = random_ids(B, T)
    logits = run(model, ids)[0]
    assert logits.shape == (B, 3)
    encoder = kt.models.encoder_only(tiny.config(**{**changes, "pooler": False}))
    pooler = (D * D + D) * (pooling == "first" and changes.get("pooler", False))
    assert model.count_params() == encoder.count_params() + pooler + 3 * D + 3
    x = run(keras.Model(model.inputs, model.get_layer("sequence_output").output), ids)[0]
    x = x[:, 0] if pooling == "first" else x.mean(axis=1)
    if pooler:
        kernel, bias = model.get_layer("pooled_output").get_weights()
        x = np.tanh(x @ kernel + bias)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(logits, x @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_padding_of_a_classifier_changes_nothing(pooling):
    model = sequence_classifier(pooling, num_segments=2, pooler=True)
    ids, segments = random_ids(B, T), np.array([[0, 0, 0, 1, 1, 1]] * B)
    expected = run(model, ids, segments)[0]
    more = ((0, 0), (0, 3))
    found = run(model, np.pad(ids, more), np.pad(segments, more))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    ids[:, 2] = ids[:, 2] % 8 + 3
    assert np.abs(run(model, ids, segments)[0] - expected).max() > 1e-3


def test_bad_arguments_of_a_classifier():
    for count in (0, -1):
        with pytest.raises(ValueError, match=rf"to be positive\. Received: num_classes={count}"):
            kt.models.sequence_classifier(tiny.config(), count)
    with pytest.raises(ValueError, match=r"pooling to be one of .*pooling='max'"):
        kt.models.sequence_classifier(tiny.config(), 2, pooling="max")


def test_a_classifier_takes_over_what_was_pretrained():
    config = tiny.config(embedding_norm=True, normalize_first=True, **PAIRS)
    pretrained = tiny.randomize(kt.models.masked_language_model(config, next_sentence=True))
    classifier = tiny.randomize(kt.models.sequence_classifier(config, 3), seed=1)
    own = classifier.get_layer("logits").get_weights()
    assert kt.models.copy_weights(pretrained, classifier) == ["logits"]
    for mine, old in zip(classifier.get_layer("logits").get_weights(), own, strict=True):
        np.testing.assert_array_equal(mine, old)
    inputs = random_ids(B, T), [[0, 0, 0, 1, 1, 1]] * B, [[1]] * B
    names = "sequence_output", "pooled_output"
    (sequence, pooled), (first, same) = [
        run(
            keras.Model(model.inputs, [model.get_layer(name).output for name in names]),
            *inputs[: len(model.inputs)],
        )
        for model in (pretrained, classifier)
    ]
    np.testing.assert_allclose(sequence[:, :1], first, atol=1e-6)
    np.testing.assert_allclose(pooled, same, atol=1e-6)
    before = [w.copy() for w in pretrained.get_weights()]
    tiny.randomize(classifier, seed=2)  # copied, not shared
    for old, new in zip(before, pretrained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_copy_weights_names_what_it_could_not_copy():
    source = masked_language_model()
    assert kt.models.copy_weights(source, masked_language_model(num_layers=2)) == []
    deeper = masked_language_model(num_layers=3)
    assert kt.models.copy_weights(source, deeper) == ["encoder_block_2"]
    pooled = sequence_classifier(pooler=True)
    assert kt.models.copy_weights(source, pooled) == ["pooled_output", "logits"]
    larger = masked_language_model(vocabulary_size=VOCABULARY + 1)
    old = larger.get_layer("embedding").get_weights()[0]
    assert kt.models.copy_weights(source, larger) == ["embedding", "logits"]
    np.testing.assert_array_equal(larger.get_layer("embedding").get_weights()[0], old)


MODELS = {
    "masked": lambda: masked_language_model(),
    "packed": lambda: masked_language_model(
        line_start_id=START, position="learned", initializer_range=0.02, activation="gelu_tanh"
    ),
    "untied": lambda: masked_language_model(tie_embeddings=False, norm="rms_norm"),
    "next_sentence": lambda: masked_language_model(next_sentence=True, **PAIRS),
    "first": lambda: sequence_classifier(pooler=True),
    "mean": lambda: sequence_classifier("mean", num_segments=2),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_the_same_after_a_keras_file(kind, tmp_path):
    model = MODELS[kind]()
    again = tiny.reload(model, tmp_path)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    ids = {
        "token_ids": packed_row(LINES)[0],
        "segment_ids": np.arange(len(packed_row(LINES)[0][0]))[None] > 7,
        "masked_positions": [[1, 7, 0]],
    }
    inputs = [ids[tensor.name] for tensor in model.inputs]
    for one, other in zip(run(model, *inputs), run(again, *inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", MODELS)
def test_a_plain_keras_loss_trains_it(kind):
    model = MODELS[kind]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    inputs = {
        "token_ids": tiny.padded(LINES, 8),
        "segment_ids": np.zeros((3, 8), "int32"),
        "masked_positions": np.array(POSITIONS),
    }
    inputs = {tensor.name: inputs[tensor.name] for tensor in model.inputs}
    labels = np.array([[5, 6], [7, 8], [9, 3]]), np.array([0, 1, 1])
    if kind == "next_sentence":
        model.compile("sgd", [loss, loss], metrics=[["accuracy"], ["accuracy"]])
    else:
        labels = labels[0] if "masked_positions" in inputs else labels[1]
        model.compile("sgd", loss, metrics=["accuracy"])
    history = model.fit(inputs, labels, batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_logits_carry_the_mask_of_their_positions():
    model, ids = masked_language_model(), tiny.padded(LINES, 8)
    logits = model([ops.convert_to_tensor(ids), ops.convert_to_tensor([[1, 7], [2, 3], [6, 7]])])
    mask = tiny.numpy(keras.src.backend.get_keras_mask(logits))
    np.testing.assert_array_equal(mask, [[True, False], [True, True], [True, False]])


def test_one_class_is_a_number_to_regress():
    model = kt.models.sequence_classifier(tiny.config(), num_classes=1)
    assert model.output_shape == (None, 1)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    ids, numbers = random_ids(4, T), np.array([0.5, -1.0, 2.0, 0.0])
    history = model.fit(ids, numbers, epochs=40, verbose=0).history["loss"]
    assert history[-1] < 0.2 * history[0]


@pytest.mark.parametrize("next_sentence", [False, True])
def test_one_step_in_half_precision(next_sentence):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        changes = PAIRS if next_sentence else {"line_start_id": START, "attention_dropout": 0.1}
        config = tiny.config(dropout=0.1, activation="gelu", **changes)
        model = kt.models.masked_language_model(config, next_sentence=next_sentence)
        loss = kt.training.MaskedCrossentropy()
        pair_loss = kt.training.MaskedCrossentropy(pad_id=kt.data.NOT_A_PAIR)
        model.compile(
            kt.training.adamw(model, 1e-2, clip_norm=1.0),
            [loss, pair_loss] if next_sentence else loss,
        )
        row, _ = packed_row(LINES)
        inputs = {
            "token_ids": np.concatenate([row, np.zeros_like(row)]).astype("int32"),
            "masked_positions": np.array([[1, 3, 7, 0], [0, 0, 0, 0]], "int32"),
        }
        labels = np.array([[5, 7, 9, 0], [0, 0, 0, 0]], "int32")
        if next_sentence:
            inputs["segment_ids"] = np.zeros_like(inputs["token_ids"])
            labels = labels, np.array([1, kt.data.NOT_A_PAIR], "int32")
        before = [tiny.numpy(w).copy() for w in model.trainable_weights]
        history = model.fit(inputs, labels, batch_size=2, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    for weight, old in zip(model.trainable_weights, before, strict=True):
        new = tiny.numpy(weight)
        assert np.isfinite(new).all() and not np.array_equal(old, new), weight.path


def test_a_text_classifier_by_hand_has_659592_parameters_and_learns():
    """The Transformer of Microsoft's AI-For-Beginners lesson, from layers."""
    token_ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(20000, 32, 256, position="learned")(token_ids)
    x = kt.EncoderBlock(num_heads=2, key_dim=32, intermediate_dim=32)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.Dense(20, activation="relu")(x)
    model = keras.Model(token_ids, keras.layers.Dense(4, activation="softmax")(x))
    assert model.count_params() == 659_592
    model.compile("adam", "sparse_categorical_crossentropy")
    ids = np.random.default_rng(0).integers(1, 20000, (4, 9), "int32")
    history = model.fit(ids, np.arange(4), epochs=5, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
