"""Samples of what a model says: which they are, and tables that show them as they are."""

import html
from types import SimpleNamespace

import numpy as np
import pytest
from reading import events, fit, make_model
from tensorboard.plugin_util import markdown_to_safe_html

import keras_transformer as kt
from keras_transformer.monitoring import (
    SampleGuesses,
    SampleTable,
    SampleTexts,
    SampleTranslations,
    TensorBoard,
    TranslationScores,
)
from keras_transformer.monitoring.sample_table import table
from keras_transformer.training import MaskedCrossentropy

SOURCES = ["um gato | preto", "dois <unk> *gatos*"]
REFERENCES = ["a black cat sat here .", "two cats sat over here ."]


class Translator:
    """Gives the outputs it is told to, one list a call; of some only a beginning."""

    tokenizer = SimpleNamespace(plain=lambda line: line)

    def __init__(self, outputs, cut=None):
        self.outputs = iter(outputs)
        self.cut = iter(cut or [[]] * len(outputs))
        self.asked = []

    def answerable(self, lines):
        return ["" if "long" in line else line for line in lines]

    def __call__(self, lines):
        self.asked.append(lines)
        self.unfinished = next(self.cut)
        return next(self.outputs)


@pytest.fixture
def model():
    return make_model(MaskedCrossentropy())


def test_the_first_few_are_shown_at_each_epoch_as_they_are(model, tmp_path):
    translator = Translator([["one", "two"], ["um | dois", "<unk> _x_"]])
    samples = SampleTranslations(tmp_path, translator, SOURCES, REFERENCES, count=1)
    fit(model, [samples])
    (step, first), (later, second) = events(tmp_path)["samples"]["samples"]
    assert (step, later) == (4, 8)
    assert "one" in first.decode() and "two" not in first.decode()
    page = html.unescape(markdown_to_safe_html(second))
    assert page.count("<td>") == 3
    assert "<td>um gato | preto</td>" in page
    assert "<td><strong>um | dois</strong></td>" in page  # which is new
    assert "<th>output (1 of 1 changed)</th>" in page


def test_callbacks_that_come_after_have_bleu(model, tmp_path):
    translator = Translator([[REFERENCES[0], "two"]] * 2)
    samples = SampleTranslations(tmp_path, translator, SOURCES, REFERENCES)
    history = fit(model, [samples, TensorBoard(tmp_path)])
    assert 0 < history["val_bleu"][0] < 100
    bleu = events(tmp_path)["validation"]["bleu"]
    assert bleu == list(zip([4, 8], map(pytest.approx, history["val_bleu"]), strict=True))


def test_outputs_that_were_cut_are_marked_and_counted(model, tmp_path):
    translator = Translator([REFERENCES] * 2, cut=[[1], [0, 1]])
    samples = SampleTranslations(tmp_path, translator, SOURCES, REFERENCES)
    history = fit(model, [samples])
    assert history["val_outputs_cut"] == [1, 2]
    assert history["val_bleu"] == pytest.approx([100.0, 100.0])  # of the outputs as they are
    tables = [text.decode() for _, text in events(tmp_path)["samples"]["samples"]]
    assert [text.count("&#91;cut&#93;") for text in tables] == [1, 2]


def test_sentences_that_are_too_long_count_as_empty(model, tmp_path):
    translator = Translator([["a", ""]])
    samples = SampleTranslations(tmp_path, translator, ["um", "a long one"], REFERENCES)
    fit(model, [samples], epochs=1)
    assert translator.asked == [["um", ""]]


def test_bleu_has_the_given_scores_and_pace(model, tmp_path):
    translator = Translator([[line.upper() for line in REFERENCES]] * 2)
    scores = TranslationScores(tokenize="none", lowercase=True)
    samples = SampleTranslations(tmp_path, translator, SOURCES, REFERENCES, scores, every=2)
    history = fit(model, [samples], epochs=4)
    assert len(translator.asked) == 2
    assert history["val_bleu"] == pytest.approx([100.0, 100.0])


def test_sentences_and_references_that_are_no_pairs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Received: len\(sources\)=2, len\(references\)=1"):
        SampleTranslations(tmp_path, Translator([]), SOURCES, REFERENCES[:1])
    with pytest.raises(ValueError, match=r"Received: len\(sources\)=0"):
        SampleTranslations(tmp_path, Translator([]), [], [])


def test_a_table_of_any_rows_is_written_after_every_epoch(model, tmp_path):
    answers = iter([[("um", "one | 1")], [("dois", "two"), ("três", "three")]])
    rows = SampleTable(tmp_path, ["word", "guess"], lambda: (row for row in next(answers)))
    fit(model, [rows])
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


SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


@pytest.mark.parametrize("kind", ["whitespace", "wordpiece"])
def test_masked_words_are_single_known_tokens_of_lines_that_fit(kind, tmp_path):
    text = [
        "the cat sat on a mat",
        "a [MASK] in the text",
        "unknowable",
        "the cat " * 9,
        "",
        "a cat",
    ]
    size = {"whitespace": None, "wordpiece": 34}[kind]
    tokenizer = kt.text.train_tokenizer(kind, ["the cat sat on a mat in text"] * 9, size, mask=True)
    config = kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **SIZES)
    fill = kt.tasks.MaskFiller(kt.models.masked_language_model(config), tokenizer, max_length=8)
    samples = SampleGuesses(tmp_path, fill, text, seed=1)
    rows = [*samples.rows()]
    assert rows and samples.titles == ["sentence", "truth", "guesses"]
    for line, truth, guesses in rows:
        assert line.split().count("[MASK]") == 1  # else there is more than one answer
        assert line.replace("[MASK]", truth) in text
        [[token]] = tokenizer.encode([truth])
        assert token not in tokenizer.special_ids
        assert guesses.count(" %") == 5
    assert len([*SampleGuesses(tmp_path, fill, ["a cat"] * 20, seed=1, count=3).rows()]) == 3
    assert [row[:2] for row in rows] == [
        row[:2] for row in SampleGuesses(tmp_path, fill, text, seed=1).rows()
    ]


def test_texts_go_on_from_beginnings_that_the_model_can_continue(tmp_path):
    lines = [f"{word} dog runs fast" for word in "a the my his her".split()]
    tokenizer = kt.text.train_tokenizer("whitespace", lines)
    config = kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **SIZES)
    model = kt.models.decoder_only(config)
    write = kt.tasks.TextGenerator(model, tokenizer, 4, temperature=1.0, seed=3)
    others = ["no zebra", ""]  # never seen in training, and nothing to begin with
    samples = SampleTexts(tmp_path, write, [*lines, *others], seed=1)
    assert samples.titles == ["prompt", "goes on"]
    prompts = [prompt for prompt, _ in samples.rows()]
    assert sorted(prompts) == sorted(" ".join(line.split()[:3]) for line in lines)
    assert samples.rows() == samples.rows()  # the same random numbers every time
    assert samples.rows()[1][1] == write(prompts)[1]
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    assert [prompt for prompt, _ in samples.rows()] == prompts
    assert len(SampleTexts(tmp_path, write, lines, seed=1, count=2).rows()) == 2
    assert SampleTexts(tmp_path, write, others, seed=1).rows() == []
