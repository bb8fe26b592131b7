"""Text as it comes; beyond the context it goes on from its own last half."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_transformer.generation.programs import Programs
from keras_transformer.generation.rows import pad_rows
from keras_transformer.generation.rules import is_end
from keras_transformer.generation.text_stream import Decode, TextStream


def stream_text(
    programs: Programs,
    ids: np.ndarray,
    lengths: np.ndarray,
    random: np.ndarray,
    count: int,
    decode: Decode,
    stop: Sequence[str] = (),
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields the new text of every row and its score `(B,)`, after each new token.

    Args:
        programs: of the model, with a `Sampler`.
        ids: `(B, T)` ints, prompts or sources, padded on the right.
        lengths: `(B,)` ints, of the rows without padding.
        random: `(count, B)`, as the sampler draws them.
        count: int, how many new tokens there may be, the context aside.
        decode: function from a list of sequences of ids to the list of their texts.
        stop: list of str that end a row.
    """
    room, end_ids = programs.room, programs.end_ids
    rows: list[list[int]] = [[] for _ in ids]
    if room.reads_prompts:
        rows = [row[:n].tolist() for row, n in zip(ids, lengths, strict=True)]
    text = TextStream(decode, [_after_ends(row, end_ids) for row in rows], stop)
    said, score = 0, np.zeros(len(ids))
    while len(ids):  # a leg, until the context is full
        until = min(count, said + room.until_full(ids.shape[1]))
        before, gain = score, np.zeros(len(ids), "float32")
        leg = random[said:until], until - said, said
        for tokens, gains in programs.tokens(ids, lengths, *leg, text.over):
            said += 1
            gain = np.where(text.over, gain, gain + gains)
            score = before + gain
            ended = is_end(tokens, end_ids) | (said == count)
            yield text.push(tokens, ended), score
            if text.over.all():
                return
            for row, token in zip(rows, tokens.tolist(), strict=True):
                row.append(token)
        last = [_last_half(row, room.context, programs.start_id) for row in rows]
        ids, lengths = pad_rows(last, programs.pad_id)


def _after_ends(row, end_ids):
    """The tokens after all ends: one of an earlier text would end all text for a tokenizer."""
    return row[max((i for i, token in enumerate(row, 1) if token in end_ids), default=0) :]


def _last_half(row, context, start_id):
    """What is read again of a row beyond the context; its start token stays."""
    start = row[: row[0] == start_id]
    return start + row[-max(1, context // 2 - len(start)) :]
