"""Lines to labels: what the model says of each line alone, and what folders say of labels."""

import json

import making
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.tasks import TextClassifier


@pytest.fixture(scope="module")
def classify():
    return making.make(TextClassifier)


def logits_by_hand(task, line):
    [ids] = task.tokenizer.encode([line])
    return tiny.forward(task.model, [[2, *ids, 3]])[0].astype("float64")


def test_labels_and_probabilities(classify):
    expected = np.array([logits_by_hand(classify, line) for line in [*making.LINES, ""]])
    expected = np.exp(expected) / np.exp(expected).sum(axis=-1, keepdims=True)
    found = classify.probabilities([*making.LINES, ""])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    answers = classify([*making.LINES, ""])
    assert [label for label, _ in answers] == [making.LABELS[i] for i in expected.argmax(axis=-1)]
    assert [probability for _, probability in answers] == found.max(axis=-1).tolist()
    assert classify.probabilities([]).shape == (0, 3)
    np.testing.assert_allclose(classify.probabilities(making.LINES[1]), found[1], rtol=1e-5)


def test_names_of_labels(classify):
    model, tokenizer = classify.model, classify.tokenizer
    assert TextClassifier(model, tokenizer).labels == ["LABEL_0", "LABEL_1", "LABEL_2"]
    for labels in (["a", "b"], ["a", "b", "a"]):
        with pytest.raises(ValueError, match=r"Expected 3 different labels. Received: labels="):
            TextClassifier(model, tokenizer, labels)


def test_numbers_of_regression():
    tokenizer = making.tokenizer_of(TextClassifier)
    model = kt.models.sequence_classifier(making.config_of(tokenizer), 1, pooling="mean")
    score = TextClassifier(tiny.randomize(model), tokenizer)
    expected = [logits_by_hand(score, line)[0] for line in making.LINES]
    np.testing.assert_allclose(score(making.LINES), expected, rtol=1e-5)
    assert isinstance(score("a"), float)
    with pytest.raises(ValueError, match=r"labels for probabilities\. Received: labels=None$"):
        score.probabilities("a")


def test_truncation_keeps_the_beginning_and_the_end(classify):
    ids = classify.tokenizer.encode(["dog " + "a " * 20])[0][:10]
    expected = tiny.forward(classify.model, [[2, *ids, 3]])[0].astype("float64")
    found = classify.probabilities("dog " + "a " * 20, truncate=True)
    np.testing.assert_allclose(found, np.exp(expected) / np.exp(expected).sum(), rtol=1e-5)


def test_the_shorter_of_two_lengths(tmp_path):
    folder = making.make_run(TextClassifier, tmp_path / "run", max_length=7)
    assert TextClassifier.load(folder).max_length == 7
    folder = making.make_run(TextClassifier, tmp_path / "other", max_length=70)
    assert TextClassifier.load(folder).max_length == making.LENGTH


def test_what_folders_say_of_labels(tmp_path):
    folder = making.make_published(TextClassifier, tmp_path)
    classify = TextClassifier.load(folder)
    assert classify.labels == making.LABELS
    assert TextClassifier.load(folder, labels=["a", "b", "c"])("a dog")[0] in "abc"
    with pytest.raises(ValueError, match=f"{folder}: Expected 3 different labels"):
        TextClassifier.load(folder, labels=["a"])
    # The special tokens are those of the tokenizer.
    [ids] = classify.tokenizer.frame(["a dog"])
    logits = tiny.numpy(classify.model([ids[None], 0 * ids[None]]))[0].astype("float64")
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(classify.probabilities("a dog"), expected, rtol=1e-5)
    settings = json.loads((folder / "config.json").read_text())
    settings["problem_type"] = "multi_label_classification"
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "digests.json").unlink()
    with pytest.raises(kt.zoo.ZooError, match="problem_type='multi_label_classification'"):
        TextClassifier.load(folder)
