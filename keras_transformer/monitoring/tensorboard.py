"""Training curves and sample translations in TensorBoard.

`keras.callbacks.TensorBoard` is not used: its tags are `epoch_loss`, `batch_loss` and
`evaluation_loss_vs_iterations`, three charts of one quantity, the first over epochs and the
others over batches. Here a quantity has one chart under its plain name, the x axis counts
optimiser updates, and the runs `train` and `validation` are two curves on it.
"""

import html
import pathlib

import keras
import sacrebleu
import tensorflow as tf

from keras_transformer.training.optimizers import batches_done, batches_per_update


class TensorBoard(keras.callbacks.Callback):
    """Writes the logs of `fit` as curves: `<log_dir>/train` and `<log_dir>/validation`.

    What other callbacks add to the logs of an epoch is written too, if they come before this
    one: `callbacks=[Throughput(), SampleTranslations(...), TensorBoard(...), Checkpoint(...)]`.
    Within an epoch, values are means since it began, as on Keras' progress bar, and there are
    `learning_rate` and, of an optimiser that has one, `gradient_norm`, both of single updates.

    Args:
        log_dir: Folder to write to. An earlier run's curves there go on.
        every: Also write the training curves every so many updates within an epoch.

    Raises:
        ValueError: If `every` is below 1.

    Example:

    >>> import tempfile, numpy as np
    >>> log_dir = tempfile.mkdtemp()
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[TensorBoard(log_dir)])
    >>> sorted(path.name for path in pathlib.Path(log_dir).iterdir())
    ['train', 'validation']
    """

    def __init__(self, log_dir, every=100):
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected `every` to be at least 1. Received: every={every}")
        self.log_dir = pathlib.Path(log_dir)
        self.every = every
        self._writers = {}

    def on_train_begin(self, logs=None):
        self._batches = batches_done(self.model.optimizer)
        self._batches_an_update = batches_per_update(self.model.optimizer)

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        self._batches += 1
        if self._batches % (self.every * self._batches_an_update) == 0:
            values = {**logs, "learning_rate": float(optimizer.learning_rate)}
            if hasattr(optimizer, "gradient_norm"):
                values["gradient_norm"] = float(optimizer.gradient_norm)
            self._write("train", values)

    def on_epoch_end(self, epoch, logs=None):
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        self._write("train", {k: v for k, v in logs.items() if not k.startswith("val_")})
        self._write("validation", validation)
        for writer in self._writers.values():
            writer.flush()

    def _write(self, run, values):
        if not values:
            return
        # One writer a folder for as long as we live: of two files written in turn in one
        # folder, TensorBoard reads the later one only.
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self.log_dir / run))
        with self._writers[run].as_default(self._batches // self._batches_an_update):
            for name, value in values.items():
                tf.summary.scalar(name, value)


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
    `History` among them, have it. Writes a table of source, reference and output under the
    TensorBoard tab Text, in the run `samples`.

    Args:
        log_dir: Folder of the run's logs.
        translate: Function from a list of sentences to the list of their translations.
        sources: Validation sentences.
        references: One reference translation each.
        plain: Function that writes a sentence as `translate` writes its output, for example
            `tokenizer.plain`; applied to references, and to sources for display.
        count: How many to show, the same ones each time: the first.
        every: Epochs from one translation to the next.
        tokenize: sacreBLEU's tokenizer, for example `"none"` for text that is already split.
            None means sacreBLEU's own choice, 13a.
        lowercase: Score without regard to case.
        cut: Function without arguments to the indices of those of the last outputs that are a
            beginning only. They are marked in the table, and their number is `val_outputs_cut` in
            the logs. None means that none is.

    Raises:
        ValueError: If there are no sentences, or not as many references as sources.

    References:
        Papineni et al. 2002, "BLEU"; Post 2018, "A Call for Clarity in Reporting BLEU Scores".

    Example:

    >>> import tempfile
    >>> samples = SampleTranslations(tempfile.mkdtemp(), lambda lines: lines, ["um"], ["um"])
    >>> logs = {}
    >>> samples.set_model(keras.Sequential())
    >>> samples.model.compile("sgd")
    >>> samples.on_epoch_end(0, logs)
    >>> round(logs["val_bleu"])
    0
    """

    def __init__(
        self,
        log_dir,
        translate,
        sources,
        references,
        plain=str,
        count=10,
        every=1,
        tokenize=None,
        lowercase=False,
        cut=None,
    ):
        if not sources or len(sources) != len(references):
            raise ValueError(
                "Expected as many `references` as `sources`, and at least one. "
                f"Received: len(sources)={len(sources)}, len(references)={len(references)}"
            )
        super().__init__(log_dir, ["source", "reference", "output"], self._rows)
        self.translate = translate
        self.sources = list(sources)
        self.references = list(map(plain, references))
        self.plain = plain
        self.count = count
        self.every = every
        self.tokenize = tokenize
        self.lowercase = lowercase
        self.cut = cut

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        self._outputs = self.translate(self.sources)
        bleu = sacrebleu.corpus_bleu(
            self._outputs,
            [self.references],
            tokenize=self.tokenize,
            lowercase=self.lowercase,
            force=True,  # without the warning that the text looks tokenised
        )
        logs["val_bleu"] = bleu.score
        if self.cut:
            logs["val_outputs_cut"] = len(self.cut())
        super().on_epoch_end(epoch, logs)

    def _rows(self):
        shown = map(self.plain, self.sources)
        cut = set(self.cut() if self.cut else ())
        outputs = (f"{text} [cut]" if i in cut else text for i, text in enumerate(self._outputs))
        return list(zip(shown, self.references, outputs, strict=True))[: self.count]


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
