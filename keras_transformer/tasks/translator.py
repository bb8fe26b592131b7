"""Lines to their translations."""

from typing import Any

import keras
import numpy as np

from keras_transformer.checks import require
from keras_transformer.generation import BeamSearch, ForbiddenTokens, Generator, RandomSampler
from keras_transformer.tasks.task import Answers, Lines, Task, progress_bar
from keras_transformer.text import Tokenizer
from keras_transformer.zoo.generation import generation_settings


class Translator(Task):
    """Translates text, with any encoder-decoder: also one that summarises, or corrects.

    Args:
        model: Encoder-decoder, as `Generator` takes it.
        tokenizer: The `Tokenizer` of both its sides.
        beams: Hypotheses of the beam search; 1 is greedy search.
        length_penalty: Log-probabilities of hypotheses are divided by their length to the power of
            this before they are compared.
        max_length: The most tokens of a source, special ones included, and of a translation.
            Default `None`: as many as the model reads.
        early_stopping: When a beam search ends, as of `BeamSearch`.
        retry: Whether a translation that does not end in the room that most need is made again
            with all there is. Default `True`; without it training is watched faster.
        **generation: Other arguments of `Generator`, such as `rules`; with a `sampler` the beam
            search is that of `n_best` alone.

    Call arguments:
        lines: A str, or a list of str.
        truncate: Whether of a line that is too long the beginning is translated. Default `False`:
            it is refused.
        progress: Whether to show on a terminal how far it is.

    Returns:
        A str, or a list of str in the order of the lines. An empty line's translation is empty.

    Attributes:
        unfinished: Indices of the lines of the last call whose translations were cut.

    Raises:
        ValueError: as `Generator`; for a line that is too long, by its number from 1.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs", "ein Hund rennt"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=16, max_sequence_length=20)
    >>> translate = Translator(kt.models.encoder_decoder(config), tokenizer, beams=2)
    >>> isinstance(translate("a dog runs"), str), len(translate(["a dog", ""]))
    (True, 2)
    >>> [(best, score), (second, lower)] = translate.n_best("a dog", n=2)
    >>> score >= lower
    True
    """

    recipes = ("translation",)
    kinds = ("seq2seq",)
    batch_tokens = 512

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        beams: int = 5,
        length_penalty: float = 1.0,
        max_length: int | None = None,
        early_stopping: bool | str = "never",
        retry: bool = True,
        **generation: Any,
    ) -> None:
        super().__init__(model, tokenizer, max_length)
        self.cuts_left = False
        require(self.max_length, "max_length, of a model without a limit", max_length=max_length)
        self.search: dict[str, Any] = {
            "beams": beams,
            "length_penalty": length_penalty,
            "penalty": "power",
            "early_stopping": early_stopping,
        }
        beam = BeamSearch(**self.search)
        self.sampler = generation.pop("sampler", beam if beams > 1 else "greedy")
        self.retry = retry
        self.max_new_tokens = generation.pop("max_new_tokens", None) or self.max_length
        self.generation = {
            "end_id": tokenizer.end_id,
            "start_id": tokenizer.decoder_start_id,
            "pad_id": tokenizer.pad_id,
            # Published weights may make it the likeliest of all: it never was a label.
            "rules": [ForbiddenTokens([tokenizer.pad_id])],
            **generation,
        }
        self.generators: dict[tuple[int, int | None], Generator] = {}
        self._generator(self.room(1), None)  # so that what is wrong is said here
        self.unfinished: list[int] = []

    @classmethod
    def _settings_of_run(cls, run):
        return {"max_length": run.settings["max_length"]}

    @classmethod
    def _settings_of_published(cls, folder):
        found = generation_settings(folder)
        sampler = found["sampler"]
        if isinstance(sampler, BeamSearch):
            names = "beams", "length_penalty", "early_stopping"
            found |= {name: getattr(sampler, name) for name in names}
        if sampler == "greedy":
            found["beams"] = 1
        if not isinstance(sampler, RandomSampler):
            del found["sampler"]
        return found

    def __call__(self, lines: Lines, *, truncate: bool = False, progress: bool = False) -> Answers:
        if isinstance(lines, str):
            return self([lines], truncate=truncate)[0]
        found = self._translate(lines, None, truncate, progress)
        return [hypotheses[0][0] for hypotheses in found]

    def n_best(
        self, lines: Lines, n: int = 3, *, truncate: bool = False, progress: bool = False
    ) -> Answers:
        """The best translations of a beam search of at least `n` beams, best first.

        Returns:
            A list of `(text, score)` of a str, or a list of these of a list.
        """
        if isinstance(lines, str):
            return self.n_best([lines], n, truncate=truncate)[0]
        return self._translate(lines, n, truncate, progress)

    def inputs(self, example: Any) -> list[np.ndarray]:
        """As of `Task`: the ids of a source, and those of its translation as a decoder reads them.

        A str is translated; a pair is `(source, target)`.
        """
        source, target = (example, None) if isinstance(example, str) else example
        [row] = self._cut_rows([source], truncate=True)
        if target is None:
            target = self(source, truncate=True)
        start = self.tokenizer.decoder_start_id
        [ids] = self.tokenizer.encode_target([target])
        read = [start, *ids][: self.max_length] if row else []
        return [np.array(row, "int32"), np.array(read, "int32")]

    def _translate(self, lines, n, truncate, progress):
        """`n` hypotheses of each line, or with None what the sampler says."""
        rows = self._checked_rows(lines, truncate)
        rooms = np.array([self.room(len(row)) for row in rows])
        found = [[("", 0.0)] for _ in rows]
        unfinished = []
        with progress_bar(len(rows), progress) as advance:
            for room in np.unique(rooms[rooms > 0]).tolist():
                wanted = np.flatnonzero(rooms == room)
                unfinished += self._in_room(room, n, rows, wanted, found, advance)
            if self.retry and unfinished:
                wanted, unfinished = np.array(unfinished), []
                self._in_room(self.max_new_tokens, n, rows, wanted, found)
        self.unfinished = unfinished
        return found

    def _in_room(self, room, n, rows, wanted, found, advance=lambda n: None):
        """Translates the rows `wanted` into `found`; which of them might go on beyond `room`."""
        unfinished = []
        generator = self._generator(room, n)
        for places, batch in self._batches([rows[i] for i in wanted], advance):
            sequences, scores = (x[: len(places)] for x in generator.n_best(batch))
            count = sequences.shape[1]
            texts = iter(self.tokenizer.decode(sequences.reshape(-1, sequences.shape[-1])))
            for i, row_scores in zip(wanted[places], scores.tolist(), strict=True):
                found[i] = [(next(texts), score) for score in row_scores[:count]]
            if room < self.max_new_tokens:
                ended = np.isin(sequences, generator.end_ids).any(axis=2).all(axis=1)
                unfinished += wanted[places][~ended].tolist()
        return unfinished

    def _around(self):
        return list(self.tokenizer.prefix_ids), [self.tokenizer.end_id]  # BART's have a start

    def _rows(self, lines):
        empty = len(self.before) + len(self.after)
        return [row if len(row) > empty else [] for row in super()._rows(lines)]

    def room(self, tokens: int) -> int:
        """The most tokens of a translation; 0 for a line that is empty.

        Few are longer than this, and each token of room costs memory in the cache. It depends on
        the line's own length alone, so that other lines do not change a translation.
        """
        if not tokens:
            return 0
        return min(self.max_new_tokens, 3 * 2 ** max(4, (tokens - 1).bit_length()) // 2)

    def _generator(self, room, n):
        if (room, n) not in self.generators:
            sampler = self.sampler
            if n:
                beams = max(n, self.search["beams"])
                sampler = BeamSearch(**{**self.search, "beams": beams, "n_best": n})
            self.generators[room, n] = Generator(
                self.model, max_new_tokens=room, sampler=sampler, **self.generation
            )
        return self.generators[room, n]
