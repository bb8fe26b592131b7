"""Sources to translations: what the generator says, in the lines' order."""

import making
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.generation import BeamSearch, MinLength, RandomSampler
from keras_transformer.tasks import Translator

LINES = [*making.LINES, "runs"]


@pytest.fixture(scope="module")
def translate():
    return making.make(Translator, beams=3)


def by_hand(translate, line, beam, n=1):
    [ids] = translate.tokenizer.encode([line])
    generator = kt.Generator(
        translate.model, end_id=3, start_id=2, pad_id=0, max_new_tokens=making.LENGTH,
        sampler=beam, rules=translate.generation["rules"],
    )  # fmt: skip
    sequences, scores = generator.n_best([[*ids, 3]])
    return [*zip(translate.tokenizer.decode(sequences[0]), scores[0].tolist(), strict=True)][:n]


@pytest.mark.slow
def test_the_best_of_a_beam_search(translate):
    beam = BeamSearch(3, 1.0, penalty="power")
    assert translate(LINES) == [by_hand(translate, line, beam)[0][0] for line in LINES]
    assert len(set(translate(LINES))) > 1
    greedy = Translator(translate.model, translate.tokenizer, beams=1)
    assert greedy(LINES) == [by_hand(translate, line, "greedy")[0][0] for line in LINES]


def test_the_n_best(translate):
    found = translate.n_best(LINES[:2], n=4)  # of four beams, then
    for line, row in zip(LINES, found, strict=False):
        expected = by_hand(translate, line, BeamSearch(4, 1.0, 4, penalty="power"), 4)
        assert [text for text, _ in row] == [text for text, _ in expected]
        np.testing.assert_allclose([s for _, s in row], [s for _, s in expected], rtol=1e-4)
    assert translate.n_best(LINES[0], n=4)[0][0] == found[0][0][0]


def test_empty_lines_have_empty_translations(translate):
    assert translate("") == "" and translate(["", "a dog", " "])[::2] == ["", ""]
    assert translate(["", "a dog"])[1] == translate("a dog")
    assert translate.problems(["", "a"]) == [None, None]


def test_which_translations_were_cut(translate):
    never = {"rules": [MinLength(99)]}  # no translation ends
    long = Translator(translate.model, translate.tokenizer, beams=1, **never)
    assert all(len(text.split()) <= making.LENGTH for text in long(LINES))
    short = Translator(translate.model, translate.tokenizer, beams=1, max_new_tokens=3, **never)
    short(LINES)
    translate(LINES)
    assert translate.unfinished == []


def test_what_a_folder_says(tmp_path):
    folder = making.make_published(Translator, tmp_path, num_beams=2, length_penalty=0.5)
    translate = Translator.load(folder)
    assert translate.search["beams"] == 2 and translate.search["length_penalty"] == 0.5
    assert Translator.load(folder, beams=4).search["beams"] == 4
    assert Translator.load(folder, beams=1)(making.LINES)
    drawn = making.make_published(Translator, tmp_path / "drawn", do_sample=True)
    assert isinstance(Translator.load(drawn).sampler, RandomSampler)
