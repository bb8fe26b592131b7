"""BLEU and chrF as sacreBLEU counts them, and lines that are too long count as empty."""

from types import SimpleNamespace

import pytest
import sacrebleu

from keras_transformer.monitoring import TranslationScores

OUTPUTS = ["a Dog runs in the park .", "two cats sat over there ."]
REFERENCES = ["a dog runs in a park .", "two cats sat over here ."]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("tokenize", ["13a", "none"])
def test_scores_are_those_of_sacrebleu(tokenize, lowercase):
    found = TranslationScores(tokenize, lowercase)(OUTPUTS, REFERENCES)
    options = {"tokenize": tokenize, "lowercase": lowercase}
    bleu = sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES], force=True, **options)
    assert found["bleu"] == round(bleu.score, 2) < 100
    case = "lc" if lowercase else "mixed"
    assert f"case:{case}" in found["bleu_signature"]
    assert f"tok:{tokenize}" in found["bleu_signature"]
    chrf = sacrebleu.CHRF(lowercase=lowercase).corpus_score(OUTPUTS, [REFERENCES])
    assert found["chrf"] == round(chrf.score, 2) and f"case:{case}" in found["chrf_signature"]


class Translator:
    """Says what it is asked, of at most 30 characters."""

    tokenizer = SimpleNamespace(plain=lambda line: line.replace("@@ ", ""))

    def problems(self, lines):
        return ["too long" if len(line) > 30 else None for line in lines]

    def answerable(self, lines):
        return [line if len(line) <= 30 else "" for line in lines]

    def __call__(self, lines, progress):
        return list(lines)


def test_what_is_too_long_counts_as_if_nothing_came_of_it():
    references = ["a do@@ g runs in a park .", "two cats sat over here and over there ."]
    plain = [line.replace("@@ ", "") for line in references]
    scores = TranslationScores()
    outputs, found = scores.of(Translator(), plain, references)
    assert outputs == [plain[0], ""]
    assert found == {**scores(outputs, plain), "test_lines_too_long": 1}
    assert 0 < found["bleu"] < 100


def test_an_unknown_tokenizer_names_those_that_are_known():
    with pytest.raises(ValueError, match=r"tokenize to be one of 13a, .*tokenize='14a'"):
        TranslationScores("14a")
