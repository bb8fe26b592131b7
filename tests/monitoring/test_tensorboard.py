"""Event files are read back as TensorBoard reads them."""

import html

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.util import tensor_util

from keras_transformer.monitoring import SampleTable, SampleTranslations, TensorBoard
from keras_transformer.monitoring.tensorboard import table
from keras_transformer.training import (
    Adam,
    MaskedAccuracy,
    MaskedCrossentropy,
    PaddingFraction,
    Perplexity,
    TargetTokens,
    Throughput,
)

IDS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1], [4, 3, 0]])  # 4 batches an epoch
SOURCES = ["um gato | preto", "dois <unk> *gatos*"]
REFERENCES = ["a black cat sat here .", "two cats sat over here ."]


def events(log_dir):
    """`{run: {tag: [(step, value), ...]}}` of all that TensorBoard would show."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    return {
        run: {
            tag: [
                (e.step, tensor_util.make_ndarray(e.tensor_proto).item())
                for e in multiplexer.Tensors(run, tag)
            ]
            for tag in contents["tensors"]
        }
        for run, contents in multiplexer.Runs().items()
    }


@pytest.fixture
def model():
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))
    metrics = [MaskedAccuracy(), Perplexity(), TargetTokens(), PaddingFraction()]
    model.compile(keras.optimizers.SGD(0.5), MaskedCrossentropy(0.1), metrics=metrics)
    return model


def fit(model, callbacks, epochs=2, initial_epoch=0):
    return model.fit(
        IDS,
        IDS,
        batch_size=1,
        initial_epoch=initial_epoch,
        epochs=epochs,
        validation_data=(IDS, IDS),
        verbose=0,
        callbacks=callbacks,
    ).history


def test_curves_have_plain_names_over_updates_for_train_and_validation(model, tmp_path):
    translate = dict(zip(SOURCES, ["a black cat sat here .", "two"], strict=True)).get
    samples = SampleTranslations(
        tmp_path, lambda lines: [translate(line) for line in lines], SOURCES, REFERENCES
    )
    history = fit(model, [Throughput(), samples, TensorBoard(tmp_path, every=3)])
    found = events(tmp_path)
    assert set(found) == {"train", "validation", "samples"}
    both = {"loss", "masked_accuracy", "perplexity", "target_tokens", "padding_fraction"}
    assert set(found["train"]) == both | {"learning_rate", "target_tokens_per_second"}
    assert set(found["validation"]) == both | {"bleu"}
    assert [step for step, _ in found["train"]["loss"]] == [3, 4, 6, 8]
    assert [step for step, _ in found["train"]["learning_rate"]] == [3, 4, 6, 8]
    assert [step for step, _ in found["train"]["target_tokens_per_second"]] == [4, 8]
    for key in ["loss", "bleu", "perplexity"]:
        expected = list(zip([4, 8], history[f"val_{key}"], strict=True))
        assert found["validation"][key] == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in expected
        ]
    assert found["train"]["loss"][1] == (4, pytest.approx(history["loss"][0], rel=1e-6))
    assert 0 < history["val_bleu"][0] < 100


def test_curves_go_on_over_several_fits_and_a_resume(model, tmp_path):
    callback = TensorBoard(tmp_path, every=100)
    for epoch in range(2):
        fit(model, [callback], initial_epoch=epoch, epochs=epoch + 1)
    assert [step for step, _ in events(tmp_path)["train"]["loss"]] == [4, 8]
    fit(model, [TensorBoard(tmp_path, every=100)], initial_epoch=2, epochs=3)
    # Two files of the same second are read in the order of their numbers as text, 10 before 9.
    assert sorted(step for step, _ in events(tmp_path)["train"]["loss"]) == [4, 8, 12]


@pytest.mark.parametrize(("accumulate", "steps"), [(None, [4, 6]), (2, [2]), (3, [2])])
def test_updates_count_and_not_the_batches_accumulated(model, tmp_path, accumulate, steps):
    norms = []
    read = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: norms.append(float(model.optimizer.gradient_norm))
    )
    model.compile(Adam(0.5, gradient_accumulation_steps=accumulate), MaskedCrossentropy())
    model.fit(IDS[:3], IDS[:3], batch_size=1, verbose=0, callbacks=[read])
    fit(model, [read, TensorBoard(tmp_path, every=2)], epochs=1)  # 7 batches in all
    found = events(tmp_path)["train"]
    assert [step for step, _ in found["learning_rate"]] == steps
    assert found["gradient_norm"] == [
        (step, pytest.approx(norms[step * (accumulate or 1) - 1], rel=1e-6)) for step in steps
    ]
    assert [step for step, _ in found["loss"]] == [*steps, 7 // (accumulate or 1)]


def test_samples_are_the_first_few_at_each_epoch_and_show_as_they_are(model, tmp_path):
    outputs = iter([["one", "two"], ["um | dois", "<unk> _x_"]])
    samples = SampleTranslations(
        tmp_path, lambda lines: next(outputs), SOURCES, REFERENCES, count=1
    )
    fit(model, [samples])
    (step, first), (later, second) = events(tmp_path)["samples"]["samples"]
    assert (step, later) == (4, 8)
    assert "one" in first.decode() and "two" not in first.decode()
    page = html.unescape(markdown_to_safe_html(second))
    assert page.count("<td>") == 3
    assert "<td>um gato | preto</td>" in page
    assert "<td>um | dois</td>" in page


def test_outputs_that_were_cut_are_marked_and_counted(model, tmp_path):
    cut = iter([[1], [1], [0, 1], [0, 1]])  # asked twice an epoch
    samples = SampleTranslations(
        tmp_path, lambda lines: REFERENCES, SOURCES, REFERENCES, cut=lambda: next(cut)
    )
    history = fit(model, [samples])
    assert history["val_outputs_cut"] == [1, 2]
    assert history["val_bleu"] == pytest.approx([100.0, 100.0])  # of the outputs as they are
    tables = [text.decode() for _, text in events(tmp_path)["samples"]["samples"]]
    mark = "&#91;cut&#93; |"
    assert [text.count(mark) for text in tables] == [1, 2]


def test_a_table_of_any_rows_is_written_after_every_epoch(model, tmp_path):
    answers = iter([[("um", "one | 1")], [("dois", "two"), ("três", "three")]])
    table = SampleTable(tmp_path, ["word", "guess"], lambda: (row for row in next(answers)))
    fit(model, [table])
    (step, first), (later, second) = events(tmp_path)["samples"]["samples"]
    assert (step, later) == (4, 8)
    pages = [html.unescape(markdown_to_safe_html(text)) for text in (first, second)]
    assert [page.count("<td>") for page in pages] == [2, 4]
    assert "<td>one | 1</td>" in pages[0] and "<td>três</td>" in pages[1]
    assert "<th>guess</th>" in pages[0]


def test_any_text_survives_the_table():
    text = r"a|b *c* _d_ `e` [f](g) <unk> & \n #h 1. ▁i"
    page = markdown_to_safe_html(table(["x", "y"], [[text, "two\nlines"]]))
    cell = page.split("<td>")[1].split("</td>")[0]
    assert html.unescape(cell) == text
    assert "<td>two lines</td>" in page


def test_bleu_has_the_given_arguments_and_pace(model, tmp_path):
    calls = []

    def translate(lines):
        calls.append(len(lines))
        return [line.upper() for line in REFERENCES]

    history = fit(
        model,
        [
            SampleTranslations(
                tmp_path, translate, SOURCES, REFERENCES, every=2, tokenize="none", lowercase=True
            )
        ],
        epochs=4,
    )
    assert calls == [2, 2]
    assert history["val_bleu"] == pytest.approx([100.0, 100.0])


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="Received: every=0"):
        TensorBoard(tmp_path, every=0)
    with pytest.raises(ValueError, match=r"Received: len\(sources\)=2, len\(references\)=1"):
        SampleTranslations(tmp_path, list, SOURCES, REFERENCES[:1])
    with pytest.raises(ValueError, match=r"Received: len\(sources\)=0"):
        SampleTranslations(tmp_path, list, [], [])
