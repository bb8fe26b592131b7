"""BLEU and chrF of translations."""

from collections.abc import Sequence
from typing import Any

import sacrebleu

from keras_transformer.checks import reason_of, refusal, require
from keras_transformer.tasks.translator import Translator


class TranslationScores:
    """Scores translations by sacreBLEU: BLEU (Papineni et al. 2002) and chrF (Popovic 2015).

    Args:
        tokenize: sacreBLEU's tokenizer; `"none"` for text that is split already.
        lowercase: Whether to score without regard to case.

    Call arguments:
        outputs: List of str.
        references: List of as many str.

    Returns:
        A dict of `bleu` and `chrf`, 0 to 100, and their signatures, which say how they came about.

    Raises:
        ValueError: An unknown tokenizer, or one whose own packages are not installed.

    Reference:
        Post 2018, "A Call for Clarity in Reporting BLEU Scores".

    Example:

    >>> scores = TranslationScores()(["a dog runs in the park"], ["a dog runs in a park"])
    >>> scores["bleu"], scores["bleu_signature"]
    (53.73, 'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0')
    """

    def __init__(self, tokenize: str = "13a", lowercase: bool = False) -> None:
        known = sorted(sacrebleu.BLEU.TOKENIZERS)
        require(tokenize in known, f"tokenize to be one of {', '.join(known)}", tokenize=tokenize)
        try:
            # force: no warning that text looks tokenised, where "none" says so.
            self.bleu = sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
        except (ImportError, RuntimeError) as error:  # of what some languages need
            received = f"{tokenize=}: {reason_of(error)}"
            raise refusal("tokenize to be one that can be had", received) from None
        self.chrf = sacrebleu.CHRF(lowercase=lowercase)

    def __call__(self, outputs: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        return {
            "bleu": round(self.bleu.corpus_score(outputs, [references]).score, 2),
            "bleu_signature": str(self.bleu.get_signature()),
            "chrf": round(self.chrf.corpus_score(outputs, [references]).score, 2),
            "chrf_signature": str(self.chrf.get_signature()),
        }

    def of(
        self, translator: Translator, sources: Sequence[str], references: Sequence[str]
    ) -> tuple[list[str], dict[str, Any]]:
        """Translates and scores a text; a line that is too long counts as if nothing came of it.

        Args:
            translator: `tasks.Translator`.
            sources, references: Lists of as many str.

        Returns:
            `(outputs, scores)`: a list of str, and the dict of a call with, in addition,
            `test_lines_too_long`, how many lines were too long.
        """
        too_long = sum(map(bool, translator.problems(sources)))
        outputs = translator(translator.answerable(sources), progress=True)
        scores = self(outputs, list(map(translator.tokenizer.plain, references)))
        return outputs, {**scores, "test_lines_too_long": too_long}
