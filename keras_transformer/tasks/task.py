"""What all tasks share: lines in, answers out, and the folders that they are loaded from."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_transformer import zoo
from keras_transformer.checks import refusal, require
from keras_transformer.data import length_batches
from keras_transformer.generation.anatomy import known_config, known_length
from keras_transformer.tasks import loading
from keras_transformer.text import Tokenizer
from keras_transformer.zoo.checkpoint import find

Lines = str | Sequence[str]
Answers = Any  # one of a str, a list of them of several


class Task:
    """A model and its tokenizer; subclasses say what a line's answer is.

    Args:
        model: Keras model.
        tokenizer: The `Tokenizer` whose ids it reads.
        max_length: The most tokens of a line, special ones included. Default `None`: as many as the
            model reads; no more in any case.

    Attributes:
        max_length: That number, or None where the model has no limit.
        config: The model's `TransformerConfig`, or None of layers put together by hand, or
            pruned.
        before, after: Lists of ids, the special tokens around a line.
        cuts_left: Whether a line that is cut loses its beginning.

    Raises:
        ValueError: For a `max_length` without room for the special tokens.
    """

    recipes: tuple[str, ...] = ()  # whose run folders hold such a model
    kinds: tuple[str, ...] = ()  # of the heads of published folders
    batch_tokens = 2048  # positions of a batch, padding included
    model_of_run = staticmethod(loading.model_of_run)

    def __init__(
        self, model: keras.Model, tokenizer: Tokenizer, max_length: int | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = known_config(model)
        most = known_length(model)
        self.max_length = min((n for n in (max_length, most) if n is not None), default=None)
        self.before, self.after = self._around()
        self.cuts_left = tokenizer.cuts_left
        special = len(self.before) + len(self.after)
        require(
            self.max_length is None or self.max_length >= max(1, special),
            f"max_length of at least {max(1, special)}, for the special tokens",
            max_length=max_length,
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        int8: bool = False,
        precision: str | None = None,
        revision: str | None = None,
        **settings: Any,
    ) -> Self:
        """Makes the task of a folder.

        Args:
            path: A run's folder, a published folder as `transformers` writes it, a Hugging Face id,
                or a short name of `zoo.presets`.
            int8: Whether the kernels of all linear maps are rounded to 8 bits: less memory, a
                little less exact.
            precision: Keras' dtype policy of the model, such as `"bfloat16"`. Default `None`: a
                run's own, or of a published model the global one.
            revision: Branch, tag or commit of a Hugging Face id.
            **settings: Arguments of the class in place of what the folder says.

        Raises:
            ValueError: No such folder, one that is not whole, or one of another task; as the class.
        """
        folder = find(path, revision)
        read = cls._read_run if loading.is_run(folder) else cls._read_published
        model, tokenizer, found = read(folder, precision)
        if int8:
            loading.quantize(model)
        try:
            return cls(model, tokenizer, **{**found, **settings})
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None

    @classmethod
    def _read_run(cls, folder, precision):
        """`(model, tokenizer, arguments of the class)` of a run's folder."""
        run = loading.open_finished(folder, cls.recipes)
        model = loading.with_precision(cls.model_of_run(run), precision)
        return model, loading.load_tokenizer(folder), cls._settings_of_run(run)

    @classmethod
    def _read_published(cls, folder, precision):
        """As `_read_run`, of a published folder."""
        loading.check_kind(folder, cls.kinds, cls.__name__)
        settings = cls._settings_of_published(folder)
        return zoo.load(folder, precision), zoo.load_tokenizer(folder), settings

    @classmethod
    def _settings_of_run(cls, run):
        return {}

    @classmethod
    def _settings_of_published(cls, folder):
        return {}

    def inputs(self, example: Any) -> list[np.ndarray]:
        """What the model reads of one text: int32 ids `(T,)` for each of its inputs.

        A text that is too long is cut; of one without a token the arrays are empty.
        """
        [row] = self._cut_rows([example], truncate=True)
        ids = np.array(row, "int32")
        return [ids, *(np.zeros_like(ids) for _ in self.model.inputs[1:])]

    def problems(self, lines: Sequence[str], truncate: bool = False) -> list[str | None]:
        """Why lines cannot be answered: a list of str, or None where nothing is wrong."""
        rows = self._cut_rows(lines, truncate)
        return [self._problem(line, row) for line, row in zip(lines, rows, strict=True)]

    def answerable(self, lines: Sequence[str]) -> list[str]:
        """The lines, those that cannot be answered empty: they count as what they are."""
        problems = self.problems(lines)
        return ["" if bad else line for line, bad in zip(lines, problems, strict=True)]

    def _problem(self, line, row):
        if self.max_length and len(row) > self.max_length:
            return f"{len(row):,} tokens, the model reads {self.max_length:,}"
        return None

    def _around(self):
        """`(before, after)`: the tokenizer's own special tokens, or else those of the recipes."""
        frame = self.tokenizer.frames[0]
        if frame.num_special:
            return frame.before, frame.after
        ends = self.tokenizer.start_id, self.tokenizer.end_id
        return [[token for token in [end] if token is not None] for end in ends]

    def _rows(self, lines):
        """The ids of each line, as the model reads it: lists."""
        return [[*self.before, *row, *self.after] for row in self._encode(lines)]

    def _encode(self, lines):
        """The ids of each line, without what is around them: lists."""
        return [row.tolist() for row in self.tokenizer.encode(lines)]

    def _shorten(self, row):
        """As much of a row as the model reads: what is around the line stays."""
        first, last = len(self.before), len(row) - len(self.after)
        surplus = len(row) - self.max_length
        kept = row[first + surplus : last] if self.cuts_left else row[first : last - surplus]
        return [*row[:first], *kept, *row[last:]]

    def _cut_rows(self, lines, truncate):
        rows = self._rows(lines)
        if truncate and self.max_length:
            rows = [self._shorten(r) if len(r) > self.max_length else r for r in rows]
        return rows

    def _checked_rows(self, lines, truncate):
        """`_rows`, none too long: these are refused, or cut."""
        lines = list(lines)
        strangers = [line for line in lines if not isinstance(line, str)]
        if strangers:
            raise refusal("a str, or a list of str", repr(strangers[0]))
        rows = self._cut_rows(lines, truncate)
        for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
            if problem := self._problem(line, row):
                advice = " (truncate=True cuts it)" if "tokens" in problem else ""
                received = f"line {number:,}: {problem}{advice}"
                raise refusal("lines that the model can answer", received)
        return rows

    def _batches(self, rows, advance=lambda n: None):
        """Yields `(where in rows, padded ids (B, T))`, in few shapes, and counts what is done."""
        pad_id = self.tokenizer.pad_id or 0
        for places, batch in length_batches(
            rows, batch_tokens=self.batch_tokens, pad_id=pad_id, max_length=self.max_length
        ):
            yield places, batch
            advance(len(places))

    def _predict(self, token_ids, **others):
        """The model's first output, float64, for rows of single texts: their segments are 0."""
        _, *names = [tensor.name for tensor in self.model.inputs]
        inputs = [token_ids, *(others.get(name, np.zeros_like(token_ids)) for name in names)]
        inputs = keras.tree.pack_sequence_as(self.model.input, inputs)
        found = self.model.predict_on_batch(inputs)
        return np.array(found[0] if isinstance(found, list) else found, "float64")


@contextlib.contextmanager
def progress_bar(total: int, is_wanted: bool) -> Iterator[Callable[[int], None]]:
    """A function to say how many more of `total` lines are done, shown on standard error.

    Nothing is shown unless it is wanted and standard error is a terminal or a notebook.
    """
    console = Console(stderr=True)
    is_seen = console.is_terminal or console.is_jupyter
    with Progress(console=console, disable=not (is_wanted and is_seen), transient=True) as bar:
        lines = bar.add_task("lines", total=total)
        yield lambda count: bar.advance(lines, count)
