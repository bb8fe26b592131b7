"""Text, one token after the other, from any model made of this package's layers."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import require
from keras_transformer.generation.anatomy import Anatomy, known_model
from keras_transformer.generation.names import get_sampler
from keras_transformer.generation.programs import Programs
from keras_transformer.generation.room import Room
from keras_transformer.generation.rows import append_rows, best_first, check_rows, pad_rows
from keras_transformer.generation.rules import Rule
from keras_transformer.generation.samplers import Sampler
from keras_transformer.generation.stream import stream_text
from keras_transformer.generation.text_stream import Decode
from keras_transformer.models.inspection import pad_id_of
from keras_transformer.types import Tensor

Ids = Tensor | Sequence[Sequence[int]]


class Generator:
    """Generates with a cache of keys and values; compiled once for each of few shapes of input.

    A program is never freed, so batches are filled up to 1, 4, 8, 16 ... rows, and prompts and
    sources to 32, 64, 128 ... tokens, no further than `context`; what comes out is the same. Not
    so under PyTorch, which compiles nothing, and sources where the model's own padding is unknown.

    TensorFlow compiles it by XLA where all weights compute in float32, unless a layer has
    `supports_jit = False`: on CPUs that is faster in float32, and slower in half precision.

    Works on any Functional or Sequential model of this package's layers, one loaded from a `.keras`
    file, or with other models inside, included. A model with a layer named `memory`, wherever it
    is, is an encoder-decoder: its encoder ends there and runs once. The input that leads there is
    the source, the other one the target. Any other model is decoder-only. Where all of a decoder's
    causal masks have a window, the cache holds the widest one and no more.

    Args:
        model: a `keras.Model`, Functional or Sequential, with logits as its only output, or as the
            one named `logits` in a dict.
        end_id: int, the token that ends a sequence, or a list of several. None never stops early.
        start_id: int, the token that a decoder starts with; needed for an encoder-decoder. Of other
            models it is the one that a prompt may begin with.
        pad_id: int, fills up rows after their end, in the input and in the output. None means the
            model's, or the end where its vocabulary has none; of models put together by hand 0.
        max_new_tokens: int, the most tokens to generate, the end token included. None means as many
            as fill the context, after the longest of a batch of prompts.
        sampler: `"greedy"`, `"top_k"`, `"top_p"`, `"random"` or `"beam"`, which are a
            `GreedySampler`, `TopKSampler`, `TopPSampler`, `RandomSampler` and `BeamSearch` with
            their defaults; or such an object, its serialized config, or an object of your own with
            their methods.
        rules: list of what changes the logits before the sampler sees them, in this order, such as
            `[Temperature(0.8), TopP(0.95)]`; functions `(logits (R, V), Past) -> logits`, where
            no shape depends on values.
        context: int, the most tokens that a decoder reads at once, no more than its learned
            position table has, if any. None means as many as that, or no limit.

    Call arguments:
        ids: `(B, T)` ints, rows padded with `pad_id` on the right; or a list of lists of different
            lengths. Prompts for a decoder-only model, else the source.

    Returns:
        int32 array: for a decoder-only model `(B, T + max_new_tokens)`, prompts with their
        continuations; for an encoder-decoder `(B, max_new_tokens)` new tokens. Rows are padded with
        `pad_id` after `end_id`. Of several samples or hypotheses it is the best one.

    Raises:
        ValueError: for an unknown sampler, a subclassed model, a decoder with layers that know no
            cache or see later tokens, an encoder-decoder without `start_id`, an empty prompt, more
            tokens than `context`, ids outside the vocabulary, padding on the left, and prompts of
            several lengths where neither padding nor an end is known.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> generator = Generator(kt.models.decoder_only(config), end_id=None, max_new_tokens=4)
    >>> generator([[5, 7], [3]]).shape
    (2, 6)
    """

    def __init__(
        self,
        model: keras.Model,
        end_id: int | Sequence[int] | None,
        start_id: int | None = None,
        pad_id: int | None = None,
        max_new_tokens: int | None = 64,
        sampler: Any = "greedy",
        rules: Sequence[Rule] = (),
        context: int | None = None,
    ):
        self.sampler = get_sampler(sampler)
        self.model = model
        self.anatomy = Anatomy(model)
        self.encoder = self.anatomy.encoder
        self.end_ids = tuple(np.atleast_1d(-1 if end_id is None else end_id).tolist())
        self.start_id = start_id
        require(
            start_id is not None or not self.encoder,
            "a start_id for an encoder-decoder",
            start_id=start_id,
        )
        known = known_model(model)
        own = pad_id_of(known) if known else 0  # of layers put together by hand, as usual
        pad_id = own if pad_id is None else pad_id
        self.pad_id = self.end_ids[0] if pad_id is None else pad_id
        self.max_new_tokens = max_new_tokens
        self.rules = tuple(rules)
        # Padding of a source is hidden for sure where the model is one of ours.
        hides_padding = not self.encoder or bool(known and own == self.pad_id)
        self.room = Room(self.anatomy, max_new_tokens, context, hides_padding)
        self.context = self.room.context
        self.programs = Programs(
            model,
            self.anatomy,
            self.room,
            self.sampler,
            self.rules,
            start_id,
            self.end_ids,
            self.pad_id,
        )

    def __call__(self, ids: Ids) -> np.ndarray:
        return self.n_best(ids)[0][:, 0]

    def n_best(self, ids: Ids) -> tuple[np.ndarray, np.ndarray]:
        """The best sequences and their scores: `(B, n, L)` ints and `(B, n)` floats, best first.

        Of a `BeamSearch` n is its `n_best` and a score is a log-probability over the length
        penalty; of a sampler n is its `samples` and the score is the log-probability that the
        model gives the new tokens, whatever the rules make of it. Hypotheses that rules forbid come
        only where there are not n others, with scores of minus many millions.
        """
        ids, lengths = self._prepare(ids)
        count = self.room.new_tokens(ids.shape[1])
        self.room.check(ids.shape[1], count)
        random = self.sampler.draw(count, len(ids))
        sequences, scores = self.programs.generate(ids, lengths, random, count)
        if self.room.reads_prompts:
            sequences = append_rows(ids, lengths, sequences, self.pad_id)
        if self.sampler.samples == 1:
            return sequences, scores
        return best_first(sequences[:, 0], scores[:, 0], self.sampler.samples)

    def stream(self, ids: Ids, decode: Decode, stop: Sequence[str] = ()) -> Iterator[list[str]]:
        """Generates text piece by piece: the same as a call does, shown as it comes.

        A decoder-only model goes on beyond its `context`: whenever the longest row has filled it,
        the last half of every row is read again as a prompt, with the row's `start_id` before it if
        there is one. Rules then know that half and what comes after.

        Args:
            ids: as of a call.
            decode: function from a list of sequences of ids to the list of their texts, such as a
                tokenizer's `decode`; a longer sequence must have a longer text that begins alike.
            stop: list of str. A row ends before the first of them that its new text contains.

        Yields:
            A list of str, what is new of each row, for every token that makes text. Tokens are made
            one, one, two, four, eight and then 16 at a time. Characters come whole, and what may
            yet become a stop string is held back until it does not. With n samples a prompt a row
            of `ids` is n rows here, next to each other.

        Raises:
            ValueError: as a call; and for a `BeamSearch`, which changes its mind.

        Example:

        >>> import keras_transformer as kt
        >>> config = kt.TransformerConfig(
        ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
        >>> generator = Generator(kt.models.decoder_only(config), end_id=None, max_new_tokens=4)
        >>> pieces = generator.stream([[5, 7]], lambda rows: ["".join(map(str, r)) for r in rows])
        >>> len("".join(piece for [piece] in pieces))
        4
        """
        for pieces, _ in self._stream(ids, decode, stop):
            if any(pieces):
                yield pieces

    def write(
        self, ids: Ids, decode: Decode, stop: Sequence[str] = ()
    ) -> tuple[list[list[str]], list[list[float]]]:
        """The texts of `stream` and their scores: two lists of B lists of n, best first.

        Tokens after the one that completes a stop string are no part of the score.
        """
        steps = list(self._stream(ids, decode, stop))
        if not steps:  # there are no rows
            return [], []
        pieces, scores = zip(*steps, strict=True)
        rows = np.array(["".join(row) for row in zip(*pieces, strict=True)], object)
        texts, ordered = best_first(rows, scores[-1], self.sampler.samples)
        return texts.tolist(), ordered.tolist()

    def _stream(self, ids, decode, stop):
        """As `stream_text`."""
        require(
            isinstance(self.sampler, Sampler),
            "a sampler that goes token by token",
            sampler=self.sampler,
        )
        ids, lengths = self._prepare(ids)
        count = self.room.new_tokens(ids.shape[1])
        # A decoder-only model goes on when its context is full.
        self.room.check(ids.shape[1], 1 if self.room.reads_prompts else count)
        random = self.sampler.draw(count, len(ids))
        return stream_text(self.programs, ids, lengths, random, count, decode, stop)

    def _prepare(self, ids):
        """`(ids, lengths)` of a call, a row for each sample."""
        ids, lengths = pad_rows(ids, self.pad_id)
        may_start = self.pad_id in (self.start_id, *self.end_ids)
        check_rows(ids, lengths, self.pad_id, self.anatomy.vocabulary_size, may_start)
        require(
            self.pad_id >= 0 or (lengths == ids.shape[1]).all(),
            "a pad_id for prompts of several lengths, of a model without one",
            pad_id=None,
        )
        if self.room.reads_prompts:
            require(lengths.min(initial=1) > 0, "prompts of at least one token", lengths=lengths)
        rows = ids.astype("int32"), lengths
        return (np.repeat(x, self.sampler.samples, axis=0) for x in rows)
