"""What a model says as it learns, as tables to read in TensorBoard."""

import html
import itertools
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_transformer.monitoring.translation_scores import TranslationScores
from keras_transformer.tasks.mask_filler import MASK


class SampleTable(keras.callbacks.Callback):
    """Writes a table to read after an epoch, under the TensorBoard tab Text, in the run `samples`.

    Args:
        log_dir: Folder of the run's logs.
        titles: List of str, the columns.
        rows: Function without arguments to the rows, each a sequence of str.

    Example:

    >>> import tempfile
    >>> log_dir = tempfile.mkdtemp()
    >>> samples = SampleTable(log_dir, ["word", "guess"], lambda: [("cat", "dog")])
    >>> samples.set_model(keras.Sequential())
    >>> samples.model.compile("sgd")
    >>> samples.on_epoch_end(0, {})
    >>> [path.name for path in pathlib.Path(log_dir).iterdir()]
    ['samples']
    """

    def __init__(self, log_dir, titles, rows):
        super().__init__()
        self.folder = pathlib.Path(log_dir) / "samples"
        self.titles = titles
        self.rows = rows
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        self._writer = self._writer or tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(int(self.model.optimizer.iterations)):
            tf.summary.text("samples", table(self.titles, self.rows()))
        self._writer.flush()


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

    def __init__(self, log_dir, translator, sources, references, scores=None, count=10, every=1):
        if not sources or len(sources) != len(references):
            raise ValueError(
                "Expected as many `references` as `sources`, and at least one. "
                f"Received: len(sources)={len(sources)}, len(references)={len(references)}"
            )
        super().__init__(log_dir, ["source", "reference", "output"], self._rows)
        self.translator = translator
        self.plain = translator.tokenizer.plain
        self.sources = translator.answerable(sources)
        self.references = list(map(self.plain, references))
        self.bleu = (scores or TranslationScores()).bleu
        self.count = count
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
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

    def __init__(self, log_dir, write, lines, seed, count=5):
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

    def __init__(self, log_dir, fill, lines, seed, count=10):
        super().__init__(log_dir, ["sentence", "truth", "guesses"], self._rows)
        self.fill, tokenizer = fill, fill.tokenizer
        self.samples, rng = [], np.random.default_rng(seed)
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


def table(titles, rows):
    """A Markdown table that shows any text as it is.

    Example:

    >>> print(table(["source", "output"], [["a | b", "<unk>"]]))
    | source | output |
    | --- | --- |
    | a &#124; b | &lt;unk&gt; |
    """
    lines = [titles, ["---"] * len(titles), *[map(_plain, row) for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text):
    text = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"&#{ord(c)};" if c in r"|\`*_[]" else c for c in text)
