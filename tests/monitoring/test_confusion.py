"""Pictures that show what was counted, and figures of what a model was asked."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_transformer.data import LabelledBatches
from keras_transformer.monitoring import (
    ConfusionMatrix,
    answers,
    classification_report,
    confusion_matrix,
    plot_confusion,
    report,
    show_confusion,
)

NAMES = ["neg", "neutral", "pos"]


@pytest.mark.parametrize("count", [2, 3, 20, 50])
def test_picture_shows_the_matrix(count):
    names = [f"class {i} of a very long name" for i in range(count)]
    matrix = np.eye(count, dtype=int)
    picture = plot_confusion(matrix, names)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert 300 < picture.shape[0] < 1600 and 300 < picture.shape[1] < 1600
    assert np.array_equal(picture, plot_confusion(matrix, names))
    assert not np.array_equal(picture, plot_confusion(matrix[::-1], names))
    if count <= 20:  # the same shares of other counts are another picture
        assert not np.array_equal(picture, plot_confusion(2 * matrix, names))


def test_a_class_may_be_called_anything():
    plot_confusion(np.eye(2, dtype=int), ["$5^$", "_a\n{b}\\"])


def test_tensorboard_has_pictures_and_later_callbacks_the_score(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    given = iter([[0, 1, 1], [0, 1, 2]])
    callback = ConfusionMatrix(tmp_path, NAMES, lambda: ([0, 1, 2], next(given)))
    data = np.ones((4, 1)), np.ones((4, 1))
    history = model.fit(*data, batch_size=2, epochs=2, verbose=0, callbacks=[callback]).history
    assert history["val_macro_f1"] == pytest.approx([(1 + 2 / 3 + 0) / 3, 1])
    read = EventAccumulator(str(tmp_path / "samples")).Reload()
    pictures = read.Tensors("confusion_matrix")
    assert [picture.step for picture in pictures] == [2, 4]
    data = tensor_util.make_ndarray(pictures[1].tensor_proto)[2]
    shown = tf.io.decode_png(data).numpy()
    assert np.array_equal(shown, plot_confusion(np.eye(3, dtype=int), NAMES))


def make_batches(labels):
    """Of which text i is the token i + 4."""
    rows = [np.array([i + 4]) for i in range(len(labels))]
    return LabelledBatches(
        rows, labels, batch_size=2, max_length=3, start_id=2, end_id=3, shuffle=False
    )


def make_model(answers):
    """That gives text i its answer, logits or a number."""
    table = np.zeros((len(answers) + 4, len(answers[0])))
    table[4:] = answers
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    found = keras.layers.Embedding(*table.shape, weights=[table])(token_ids)  # (B, T, C)
    return keras.Model({"token_ids": token_ids}, found[:, 1])  # after the start


def test_a_model_is_asked_for_its_classes(tmp_path, capsys):
    truth, predicted = [0, 1, 2, 0, 1], [0, 2, 2, 0, 1]
    model, batches = make_model(np.eye(3)[predicted]), make_batches(truth)
    found = answers(model, batches)
    assert [numbers.tolist() for numbers in found] == [truth, predicted]
    assert report(model, batches, NAMES) == classification_report(truth, predicted, NAMES)

    names = ["neg", "[b]neutral", "pos"]  # no markup
    show_confusion(model, batches, names, tmp_path / "x.png")
    out = capsys.readouterr().out
    assert "[b]neutral" in out and "66.7" in out and "Confusion matrix" in out
    picture = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "x.png"))
    expected = plot_confusion(confusion_matrix(truth, predicted, 3), names)
    np.testing.assert_array_equal(picture, expected)


def test_of_many_classes_only_the_picture_shows_the_counts(tmp_path, capsys):
    names = [f"class {i}" for i in range(21)]
    model, batches = make_model(np.eye(21)), make_batches(list(range(21)))
    show_confusion(model, batches, names, tmp_path / "x.png")
    out = capsys.readouterr().out
    assert "class 20" in out and "Confusion matrix" not in out
    assert (tmp_path / "x.png").is_file()


def test_a_model_is_asked_for_its_numbers():
    truth, predicted = [1.0, 2.0, 4.5], [1.5, 2.0, 2.5]
    model, batches = make_model(np.array(predicted)[:, None]), make_batches(truth)
    found = report(model, batches)
    assert found == {"mse": pytest.approx(4.25 / 3), "mae": pytest.approx(2.5 / 3)}
