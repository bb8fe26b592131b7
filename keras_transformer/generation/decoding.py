"""A decoder run with a cache: a prompt first, then a few tokens a step."""

import keras
from keras import ops

from keras_transformer.backend.xla import in_xla
from keras_transformer.generation.rules import Past
from keras_transformer.scopes import CacheScope

BLOCK = 16  # tokens that a growing cache makes room for at a time


class CachedDecoding:
    """One batch being decoded: where each token goes in the cache, and what it may look at.

    The prompt's tokens but the last take the first slots. Each step then reads the newest token,
    first the prompt's last, and takes `width` slots, one for each hypothesis of a row: hypotheses
    are further queries of the same row, so nothing of the prompt, nor of an encoder's memory, is
    repeated for them, and no cache is ever reordered. A model that looks back `window` tokens only
    has a cache for these.

    Args:
        decode: function from `(B, T)` token ids to `(B, T, V)` logits.
        prompt: `(B, P)` ints, padded on the left.
        starts: `(B,)` ints, how many tokens of padding each prompt has, or None for none.
        max_new_tokens: int.
        end_ids: tuple of ints, the tokens that end a sequence; (-1,) for none.
        pad_id: int, stands behind the end.
        rules: functions `(logits (R, V), Past) -> logits`.
        width: int, hypotheses a row.
        window: int, how many tokens back the model looks, or None for all.
        said: int or scalar int tensor, how many of the prompt's tokens were new ones already.
        over: `(B,)` bool, rows that nobody asks for. None means none.
    """

    def __init__(
        self,
        decode,
        prompt,
        starts,
        max_new_tokens,
        end_ids=(-1,),
        pad_id=0,
        rules=(),
        width=1,
        window=None,
        said=0,
        over=None,
    ):
        self.decode = decode
        self.prompt = prompt
        self.prompt_length = prompt.shape[1]
        self.max_new_tokens = max_new_tokens
        self.end_ids = end_ids
        self.pad_id = pad_id
        self.rules = rules
        self.width = width
        self.said = said
        self.over = ops.zeros(prompt.shape[:1], dtype="bool") if over is None else over
        self.first_slot = self.prompt_length - 1  # of the first step
        slots = self.first_slot + max_new_tokens * width
        self.sliding = window is not None and window * width < slots
        self.length = window * width if self.sliding else slots
        self.growing = not self.sliding and not in_xla()
        self.ahead = BLOCK if self.growing else 0  # tokens beyond the last that may have slots
        self.starts = 0 if starts is None else ops.expand_dims(starts, 1)  # (B, 1)
        steps = ops.arange(max_new_tokens + self.ahead) + self.first_slot
        slots = ops.concatenate([ops.arange(self.first_slot), ops.repeat(steps, width)])
        self.key_positions = slots[None] - self.starts  # (1|B, slots)
        if self.sliding:  # before the first slot there is nothing
            self.key_positions = ops.pad(
                self.key_positions, [(0, 0), (self.length, 0)], constant_values=-1
            )

    def read_prompt(self):
        """The cache before the first step."""
        length = max(self.first_slot, 1)
        # Of these tokens only the cache is wanted: a compiler drops their logits.
        _, state = self._run(self.prompt[:, :length], None, 0, ops.arange(length)[None])
        if self.first_slot:
            return state
        # Nothing was to be read: a compiler drops all but what is computed once.
        return map_past(lambda x: ops.zeros(x.shape, dtype=x.dtype), state)

    def loop(self, going, step, carry):
        """As `ops.while_loop`, of a carry `(i, ..., state)`: how many tokens are new, the cache.

        The cache grows by some slots at a time, so that no step copies, nor looks at, many empty
        ones.
        """
        if not self.growing:
            return ops.while_loop(going, step, carry)

        def block(i, *others):
            *others, state = others
            end, room = i + self.ahead, [(0, 0), (0, 0), (0, self.ahead * self.width)]
            state = map_past(lambda x: ops.pad(x, room + [(0, 0)] * (len(x.shape) - 3)), state)
            return ops.while_loop(
                lambda i, *rest: ops.logical_and(i < end, going(i, *rest)),
                step,
                (i, *others, state),
            )

        i, *others, state = carry
        carry = i, *others, self._filled(state, i)
        i, *others, state = ops.while_loop(going, block, carry)
        return i, *others, self.of_full_length(self._filled(state, i))

    def of_full_length(self, state):
        """`state` with all the slots that there will ever be."""

        def fill_up(x):
            batch, rows, _, *others = ops.shape(x)
            slots = ops.zeros((batch, rows, self.length, *others), dtype=x.dtype)
            return ops.slice_update(slots, [0] * len(x.shape), x)

        return map_past(fill_up, state) if self.growing else state

    def _filled(self, state, i):
        """`state` with no slots but those of the first `i` steps and before."""
        count = self.first_slot + i * self.width
        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            # What is to grow in a loop must be of unknown length before it.
            count = tf.compat.v1.placeholder_with_default(count, ())
        return map_past(lambda x: x[:, :, :count], state)

    def step(self, i, sequence, state, visible=None):
        """`(logits (B, width, V), state)` after the first `i` tokens of `sequence (B, width, L)`.

        `visible (B, width, L * width)` bool says which slots of all steps belong to each
        hypothesis; None means all.
        """
        newest = ops.take(sequence, ops.maximum(i - 1, 0), axis=-1)  # (B, width)
        token_ids = ops.where(i > 0, newest, self.prompt[:, -1:])
        if visible is not None:
            before = self.first_slot + (self.length if self.sliding else 0)
            around = before, self.ahead * self.width
            visible = ops.pad(visible, [(0, 0), (0, 0), around], constant_values=True)
        position = ops.zeros((1, self.width), dtype="int32") + (self.first_slot + i)
        index = self.first_slot + i * self.width
        return self._run(token_ids, state, index, position, visible)

    def follow_rules(self, logits, sequence, count):
        """`logits (..., V)` by the rules, after the first `count` tokens of `sequence (..., L)`."""
        if not self.rules:
            return logits
        flat = ops.reshape(logits, (-1, logits.shape[-1]))  # (R, V)
        new = ops.reshape(sequence, (-1, sequence.shape[-1]))  # (R, L)
        new = ops.where(ops.arange(new.shape[1]) < count, new, -1)
        real = ops.arange(self.prompt_length)[None] >= self.starts
        prompt = ops.where(real, self.prompt, -1)  # (B, P)
        prompt = ops.repeat(prompt, flat.shape[0] // prompt.shape[0], axis=0)  # (R, P)
        token_ids = ops.concatenate([prompt, new], axis=1)
        past = Past(token_ids, self.prompt_length + count, self.said + count, self.end_ids)
        for rule in self.rules:
            flat = rule(flat, past)
        return ops.reshape(flat, logits.shape)

    def _run(self, token_ids, state, index, slots, visible=None):
        positions, keys, length = slots - self.starts, self.key_positions, self.length
        if self.growing:
            past = keras.tree.flatten(state["past"]) if state else ()
            length = ops.shape(past[0])[2] if past else token_ids.shape[1]
            keys = keys[:, :length]
            visible = None if visible is None else visible[:, :, :length]
        elif self.sliding:
            count = length + token_ids.shape[1]
            keys = ops.slice(keys, (0, index), (keys.shape[0], count))
            if visible is not None:
                visible = ops.slice(visible, (0, 0, index), (*visible.shape[:2], count))
        with CacheScope(state, index, length, positions, keys, visible, self.sliding) as scope:
            logits = self.decode(token_ids)
        return ops.cast(logits, "float32"), scope.state


def map_past(function, state):
    """A cache's `state` with a function of each of the tensors that have a slot a token."""
    return {**state, "past": keras.tree.map_structure(function, state["past"])}
