"""Text, one token after the other, from any model made of this package's layers."""

import numpy as np
from keras import ops

from keras_transformer.checks import require
from keras_transformer.data import round_rows, round_up
from keras_transformer.generation.anatomy import Anatomy, known_config
from keras_transformer.generation.compiling import compile_for, compiles
from keras_transformer.generation.decoding import CachedDecoding
from keras_transformer.generation.names import get_sampler
from keras_transformer.generation.rows import append_rows, check_rows, pad_rows
from keras_transformer.generation.rules import is_end
from keras_transformer.generation.samplers import Sampler
from keras_transformer.generation.text_stream import TextStream

TOKENS_AT_ONCE = 16  # between two looks of a stream at its tokens: for one, XLA copies all weights


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
        model,
        end_id,
        start_id=None,
        pad_id=None,
        max_new_tokens=64,
        sampler="greedy",
        rules=(),
        context=None,
    ):
        require(
            max_new_tokens is None or max_new_tokens > 0,
            "max_new_tokens to be positive or None",
            max_new_tokens=max_new_tokens,
        )
        self.sampler = get_sampler(sampler)
        self.model = model
        self.anatomy = Anatomy(model)
        self.encoder = self.anatomy.encoder
        self.end_ids = tuple(np.atleast_1d(-1 if end_id is None else end_id).tolist())
        self.start_id = start_id
        config = known_config(model)
        if pad_id is None:  # of layers put together by hand it is 0, as usual
            pad_id = config.pad_id if config else 0
        self.pad_id = self.end_ids[0] if pad_id is None else pad_id
        self.max_new_tokens = max_new_tokens
        self.rules = tuple(rules)
        if self.encoder:
            require(start_id is not None, "a start_id for an encoder-decoder", start_id=start_id)
        require(context is None or context > 0, "context to be positive or None", context=context)
        lengths = context, self.anatomy.learned_length
        self.context = min((length for length in lengths if length), default=None)
        require(max_new_tokens or self.context, "max_new_tokens or a context", context=context)
        # Padding of a source is hidden for sure where the model is one of ours.
        padding_is_hidden = not self.encoder or (config and config.pad_id == self.pad_id)
        self._rounds_length = compiles() and bool(padding_is_hidden)
        self._generate = compile_for(model, self._generate)
        self._begin = compile_for(model, self._begin)
        self._go_on = compile_for(model, self._go_on)

    def __call__(self, ids):
        return self.n_best(ids)[0][:, 0]

    def n_best(self, ids):
        """The best sequences and their scores: `(B, n, L)` ints and `(B, n)` floats, best first.

        Of a `BeamSearch` n is its `n_best` and a score is a log-probability over the length
        penalty; of a sampler n is its `samples` and the score is the log-probability that the
        model gives the new tokens, whatever the rules make of it. Hypotheses that rules forbid come
        only where there are not n others, with scores of minus many millions.
        """
        ids, lengths = self._prepare(ids)
        count = self._room(ids.shape[1])
        self._check_length(count + (0 if self.encoder else ids.shape[1] - 1))
        rounded = self._round_up(ids, lengths, self.sampler.draw(count, len(ids)))
        found = map(ops.convert_to_numpy, self._generate(*rounded, np.int32(count)))
        sequences, scores = (x[: len(ids)] for x in found)
        sequences = sequences[..., :count]
        if not self.encoder:
            sequences = append_rows(ids, lengths, sequences, self.pad_id)
        if self.sampler.samples == 1:
            return sequences, scores
        return self._best_first(sequences[:, 0], scores[:, 0])

    def stream(self, ids, decode, stop=()):
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

    def write(self, ids, decode, stop=()):
        """The texts of `stream` and their scores: two lists of B lists of n, best first.

        Tokens after the one that completes a stop string are no part of the score.
        """
        steps = list(self._stream(ids, decode, stop))
        if not steps:  # there are no rows
            return [], []
        pieces, scores = zip(*steps, strict=True)
        texts = np.array(["".join(row) for row in zip(*pieces, strict=True)], object)
        texts, scores = self._best_first(texts, scores[-1])
        return texts.tolist(), scores.tolist()

    def _stream(self, ids, decode, stop):
        """Yields the new text of every row and its score, after each token."""
        require(
            isinstance(self.sampler, Sampler),
            "a sampler that goes token by token",
            sampler=self.sampler,
        )
        ids, lengths = self._prepare(ids)
        max_new_tokens = self._room(ids.shape[1])
        self._check_length(max_new_tokens if self.encoder else ids.shape[1])
        rows = [
            [] if self.encoder else row[:n].tolist() for row, n in zip(ids, lengths, strict=True)
        ]
        # An end in a prompt, of an earlier text, would end all text for a tokenizer.
        prompts = [
            row[max((i for i, token in enumerate(row, 1) if token in self.end_ids), default=0) :]
            for row in rows
        ]
        text = TextStream(decode, prompts, stop)
        random = self.sampler.draw(max_new_tokens, len(ids))
        score, said = np.zeros(len(ids)), 0
        while len(ids):
            room = self.context - ids.shape[1] + 1 if self.context and not self.encoder else None
            was_over, before = text.over.copy(), score
            for tokens, done, gain in self._tokens(ids, lengths, random[said:][:room], said, text):
                said += 1
                score = before + np.where(was_over, 0.0, gain)
                yield text.push(tokens, done | (said == max_new_tokens)), score
                if text.over.all():
                    return
                for row, token in zip(rows, tokens.tolist(), strict=True):
                    row.append(token)
            ids, lengths = pad_rows([self._last_half(row) for row in rows], self.pad_id)
            ids = ids.astype("int32")

    def _last_half(self, row):
        """What is read again of a row beyond the context; its start token stays."""
        start = row[: row[0] == self.start_id]
        return start + row[-max(1, self.context // 2 - len(start)) :]

    def _tokens(self, ids, lengths, random, said, text):
        """Yields `(tokens, done, score)`, each `(B,)`, for each of the random numbers.

        `said` tokens of the prompts were new; rows that `text` says are over get padding.
        """
        said, shown, batch, room = np.int32(said), 0, len(ids), len(random)
        ids, lengths, random = self._round_up(ids, lengths, random)
        memory, carry = self._begin(ids, lengths, random, said)
        while True:
            i, over, gains, sequence, cache = carry
            tokens, scores = (ops.convert_to_numpy(x)[:batch] for x in (sequence, gains))
            scores = scores.cumsum(axis=1)
            while shown < int(i):
                yield (
                    tokens[:, shown],
                    text.over | is_end(tokens[:, shown], self.end_ids),
                    scores[:, shown],
                )
                shown += 1
            if shown == room:
                return
            count = np.int32(min(max(1, 2 * shown), shown + TOKENS_AT_ONCE, room))
            over = np.append(text.over, np.ones(len(ids) - batch, bool))
            carry = i, over, gains, sequence, cache
            carry = self._go_on(ids, lengths, random, said, memory, carry, count)

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
        ids = ids.astype("int32")
        if not self.encoder:
            require(lengths.min(initial=1) > 0, "prompts of at least one token", lengths=lengths)
        return (np.repeat(x, self.sampler.samples, axis=0) for x in (ids, lengths))

    def _best_first(self, rows, scores):
        """`(rows (B, n, ...), scores (B, n))` of arrays `(B * n, ...)`: n samples a prompt."""
        rows, scores = (x.reshape(-1, self.sampler.samples, *x.shape[1:]) for x in (rows, scores))
        order = np.argsort(-scores, axis=1, kind="stable")
        index = order.reshape(*order.shape, *[1] * (rows.ndim - 2))
        return np.take_along_axis(rows, index, axis=1), np.take_along_axis(scores, order, axis=1)

    def _round_up(self, ids, lengths, random):
        """The arguments with more rows, tokens and steps: each new shape would be a new program.

        Rows of padding have a length of -1, and are over before they begin.
        """
        batch, length = ids.shape
        rows, width, shortest = batch, length, length
        if compiles():
            rows = round_rows(batch)
        if self._rounds_length:
            limit = self.anatomy.source_length if self.encoder else self.context
            width = max(length, min(round_up(length), limit or np.inf))
            shortest = width // 2 + 1 if width > round_up(1) else 1
        room = self._room(shortest)
        if self.context and not self.encoder:  # a stream goes on beyond
            room = min(room, self.context - shortest + 1)
        filled = np.full((rows, width), max(self.pad_id, 0), "int32")
        filled[:batch, :length] = ids
        lengths = np.append(lengths, np.full(rows - batch, -1, "int32"))
        random = np.pad(random, [(0, room - len(random)), (0, rows - batch)])
        return filled, lengths.astype("int32"), random

    def _generate(self, ids, lengths, random, count):
        memory = self.anatomy.encode(ids)
        decoding = self._decoding(ids, lengths, memory, random.shape[0])
        return self.sampler.generate(decoding, random, count)

    def _begin(self, ids, lengths, random, said):
        memory = self.anatomy.encode(ids)
        decoding = self._decoding(ids, lengths, memory, random.shape[0], said)
        return memory, self.sampler.begin(decoding)

    def _go_on(self, ids, lengths, random, said, memory, carry, count):
        decoding = self._decoding(ids, lengths, memory, random.shape[0], said)
        return self.sampler.go_on(decoding, random, carry, count)

    def _decoding(self, ids, lengths, memory, max_new_tokens, said=0):
        if self.encoder:
            starts, prompt = None, ops.full((ids.shape[0], 1), self.start_id, dtype="int32")
        else:
            length = ids.shape[1]
            starts = length - ops.maximum(lengths, 1)  # (B,)
            shifted = (ops.arange(length)[None] - starts[:, None]) % length
            prompt = ops.take_along_axis(ids, shifted, axis=1)  # padding moved to the left

        def decode(token_ids):
            return self.anatomy.decode(token_ids, ids, *memory)

        return CachedDecoding(
            decode,
            prompt,
            starts,
            max_new_tokens,
            self.end_ids,
            self.pad_id,
            self.rules,
            self.sampler.width,
            self.anatomy.window,
            said,
            lengths < 0,
        )

    def _room(self, length):
        """How many new tokens there may be after prompts of `length`, or from a source."""
        read = 0 if self.encoder else length - 1
        return self.max_new_tokens or max(1, self.context - read)

    def _check_length(self, length):
        require(
            not self.context or length <= self.context,
            f"prompt and new tokens to fit the context of {self.context}",
            tokens=length,
        )
