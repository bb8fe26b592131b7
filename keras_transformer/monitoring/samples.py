"""What a model says as it learns, as tables to read in TensorBoard."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import require
from keras_transformer.monitoring.sample_table import SampleTable
from keras_transformer.monitoring.translation_scores import TranslationScores
from keras_transformer.tasks.mask_filler import MASK, MaskFiller
from keras_transformer.tasks.text_classifier import TextClassifier
from keras_transformer.tasks.text_generator import TextGenerator
from keras_transformer.tasks.translator import Translator


class SampleTranslations(SampleTable):
    """Translates the validation sentences after an epoch: BLEU, and a table to read.

    Adds `val_bleu` (corpus BLEU, 0 to 100) to the logs, so callbacks that come after, Keras'
    `History` among them, have it, and `val_outputs_cut`, the number of translations that are a
    beginning only. Writes a table of source, reference and output under the TensorBoard tab Text,
    in the run `samples`. Sentences that are too long count with an empty translation.

    Args:
        log_dir: Folder of the run's logs.
        translator: `tasks.Translator`; with `retry=False` it is faster while nothing is learned.
        sources: Validation sentences.
        references: One reference translation each.
        scores: `TranslationScores`, how BLEU is counted. Default `None`: sacreBLEU's own way.
        count: How many to show, the same ones each time: the first.
        every: Epochs from one translation to the next.

    Raises:
        ValueError: If there are no sentences, or not as many references as sources.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=6, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.encoder_decoder(config)
    >>> model.compile("sgd")
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["one um"])
    >>> translator = kt.tasks.Translator(model, tokenizer, beams=1, max_length=4, retry=False)
    >>> samples = SampleTranslations(tempfile.mkdtemp(), translator, ["one"], ["um"])
    >>> logs = {}
    >>> samples.set_model(model)
    >>> samples.on_epoch_end(0, logs)
    >>> sorted(logs)
    ['val_bleu', 'val_outputs_cut']
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        translator: Translator,
        sources: Sequence[str],
        references: Sequence[str],
        scores: TranslationScores | None = None,
        count: int = 10,
        every: int = 1,
    ) -> None:
        require(
            0 < len(sources) == len(references),
            "as many references as sources, and at least one",
            f"len(sources)={len(sources)}, len(references)={len(references)}",
        )
        super().__init__(log_dir, ["source", "reference", "output"], self._rows)
        self.translator = translator
        self.plain = translator.tokenizer.plain
        self.sources = translator.answerable(sources)
        self.references = list(map(self.plain, references))
        self.bleu = (scores or TranslationScores()).bleu
        self.count = count
        self.every = every

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every:
            return
        self._outputs = self.translator(self.sources)
        logs["val_bleu"] = self.bleu.corpus_score(self._outputs, [self.references]).score
        logs["val_outputs_cut"] = len(self.translator.unfinished)
        super().on_epoch_end(epoch, logs)

    def _rows(self):
        shown = map(self.plain, self.sources)
        cut = set(self.translator.unfinished)
        outputs = (f"{text} [cut]" if i in cut else text for i, text in enumerate(self._outputs))
        return list(zip(shown, self.references, outputs, strict=True))[: self.count]


class SampleTexts(SampleTable):
    """Continues the beginnings of validation lines after an epoch: a table to read.

    Args:
        log_dir: Folder of the run's logs.
        write: `tasks.TextGenerator`; with a seed it draws the same numbers every time.
        lines: List of str.
        seed: int, of the choice of lines.
        count: How many; fewer where the model can continue fewer of them.

    Attributes:
        titles: The table's columns.
        rows: Function without arguments to its rows.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> tokenizer = kt.text.train_tokenizer("character", ["abcde"])
    >>> write = kt.tasks.TextGenerator(kt.models.decoder_only(config), tokenizer, 3)
    >>> samples = SampleTexts(tempfile.mkdtemp(), write, ["a b c d", "ab"], seed=1, count=1)
    >>> [(prompt, text)] = samples.rows()
    >>> len(prompt) <= len("a b c")
    True
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        write: TextGenerator,
        lines: Sequence[str],
        seed: int,
        count: int = 5,
    ) -> None:
        super().__init__(log_dir, ["prompt", "goes on"], self._rows)
        order = np.random.default_rng(seed).permutation(len(lines))
        starts = (" ".join(lines[i].split()[:3]) for i in order)
        fitting = (start for start in starts if not write.problems([start])[0])
        self.prompts = list(itertools.islice(fitting, count))
        self.write = write

    def _rows(self):
        return list(zip(self.prompts, self.write(self.prompts), strict=True))


class SampleGuesses(SampleTable):
    """Guesses one masked word of validation lines after an epoch: a table to read.

    Args:
        log_dir: Folder of the run's logs.
        fill: `tasks.MaskFiller`.
        lines: List of str.
        seed: int, of the choice of lines and words.
        count: How many; fewer where there are fewer with a word that is one token.

    Attributes:
        titles: The table's columns.
        rows: Function without arguments to its rows.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"], mask=True)
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> fill = kt.tasks.MaskFiller(kt.models.masked_language_model(config), tokenizer)
    >>> samples = SampleGuesses(tempfile.mkdtemp(), fill, ["a dog runs"], seed=1)
    >>> [(line, truth, guesses)] = samples.rows()
    >>> line.replace("[MASK]", truth)
    'a dog runs'
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        fill: MaskFiller,
        lines: Sequence[str],
        seed: int,
        count: int = 10,
    ) -> None:
        super().__init__(log_dir, ["sentence", "truth", "guesses"], self._rows)
        self.fill, tokenizer = fill, fill.tokenizer
        self.samples: list[tuple[str, str]] = []
        rng = np.random.default_rng(seed)
        for line in (lines[i] for i in rng.permutation(len(lines))):
            words = line.split()
            ids = [tokenizer.encode([word])[0] for word in words]
            known = [
                i
                for i, word in enumerate(ids)
                if len(word) == 1 and word[0] not in tokenizer.special_ids
            ]
            if known and MASK not in line and not fill.problems([f"{MASK} {line}"])[0]:
                i = int(rng.choice(known))
                masked = " ".join([*words[:i], MASK, *words[i + 1 :]])
                self.samples.append((masked, words[i]))
            if len(self.samples) == count:
                break

    def _rows(self):
        found = self.fill.candidates([line for line, _ in self.samples])
        for (line, truth), [guesses] in zip(self.samples, found, strict=True):
            words = [f"{word} {100 * p:.0f} %" for word, p in guesses]
            yield line, truth, ", ".join(words)


class SampleClasses(SampleTable):
    """Classifies validation texts after an epoch, or gives their numbers: a table to read.

    Args:
        log_dir: Folder of the run's logs.
        classify: `tasks.TextClassifier`.
        texts: List of str.
        labels: List of as many labels, or numbers, the right ones.
        count: How many; fewer where the model can read fewer of them.

    Attributes:
        titles: The table's columns.
        rows: Function without arguments to its rows.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.sequence_classifier(config, num_classes=2)
    >>> classify = kt.tasks.TextClassifier(model, tokenizer, ["no", "yes"])
    >>> samples = SampleClasses(tempfile.mkdtemp(), classify, ["a dog"], ["yes"])
    >>> [(text, truth, answer)] = samples.rows()
    >>> text, truth, answer.endswith(" %")
    ('a dog', 'yes', True)
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        classify: TextClassifier,
        texts: Sequence[str],
        labels: Sequence[str | float],
        count: int = 10,
    ) -> None:
        super().__init__(log_dir, ["text", "truth", "model"], self._rows)
        self.classify = classify
        first = zip(texts[: 10 * count], labels, strict=False)
        readable = (pair for pair in first if not classify.problems([pair[0]])[0])
        self.samples = list(itertools.islice(readable, count))

    def _rows(self):
        answers = self.classify([text for text, _ in self.samples])
        for (text, truth), answer in zip(self.samples, answers, strict=True):
            if isinstance(answer, float):
                yield text, f"{truth:.4g}", f"{answer:.4g}"
            else:
                label, share = answer
                yield text, str(truth), f"{label} {100 * share:.0f} %"
