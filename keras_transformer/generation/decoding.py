"""A decoder run with a cache: a prompt first, then a few tokens a step."""

from keras import ops

from keras_transformer.scopes import CacheScope


class CachedDecoding:
    """One batch being decoded: where each token goes in the cache, and what it may look at.

    The prompt's `P` tokens take the first slots. Each step then takes `width` slots, one for each
    hypothesis of a row: hypotheses are further queries of the same row, so nothing of the prompt,
    nor of an encoder's memory, is repeated for them, and no cache is ever reordered.

    Args:
        decode: function from `(B, T)` token ids to `(B, T, V)` logits.
        prompt: `(B, P)` ints, padded on the left.
        starts: `(B,)` ints, how many tokens of padding each prompt has, or None for none.
        max_new_tokens: int.
        width: int, hypotheses a row.
    """

    def __init__(self, decode, prompt, starts, max_new_tokens, width=1):
        self.decode = decode
        self.prompt = prompt
        self.prompt_length = prompt.shape[1]
        self.width = width
        # The last new token is never read, so it needs no slot.
        self.length = self.prompt_length + (max_new_tokens - 1) * width
        self.starts = 0 if starts is None else ops.expand_dims(starts, 1)  # (B, 1)
        steps = ops.arange(max_new_tokens - 1) + self.prompt_length
        slots = ops.concatenate([ops.arange(self.prompt_length), ops.repeat(steps, width)])
        self.key_positions = slots[None] - self.starts  # (1|B, S)

    def read_prompt(self):
        """`(logits (B, V), state)` after the prompt."""
        state, last = None, self.prompt_length - 1
        if last:
            # All but the last token only fill the cache: a compiler drops their logits.
            _, state = self._run(self.prompt[:, :last], state, 0, ops.arange(last)[None])
        logits, state = self._run(
            self.prompt[:, last:], state, last, ops.full((1, 1), last, dtype="int32")
        )
        return logits[:, 0], state

    def step(self, i, token_ids, state, visible=None):
        """`(logits (B, width, V), state)` after the new tokens `i`, `token_ids (B, width)`.

        `visible (B, width, (max_new_tokens - 1) * width)` bool says which slots of earlier steps
        belong to each hypothesis; None means all.
        """
        if visible is not None:
            prompt = ops.ones((*ops.shape(visible)[:2], self.prompt_length), dtype="bool")
            visible = ops.concatenate([prompt, visible], axis=-1)  # (B, width, S)
        position = ops.zeros((1, self.width), dtype="int32") + (self.prompt_length + i)
        index = self.prompt_length + i * self.width
        return self._run(token_ids, state, index, position, visible)

    def _run(self, token_ids, state, index, slots, visible=None):
        positions = slots - self.starts  # (1|B, T)
        with CacheScope(state, index, self.length, positions, self.key_positions, visible) as scope:
            logits = self.decode(token_ids)
        return ops.cast(logits, "float32"), scope.state
