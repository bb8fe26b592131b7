"""A decoder run with a cache: a prompt first, then a few tokens a step."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_transformer.generation.cache import make_cache, map_past
from keras_transformer.generation.rules import Past, Rule
from keras_transformer.types import Tensor


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
        decode: Callable[[Tensor], Tensor],
        prompt: Tensor,
        starts: Tensor | None,
        max_new_tokens: int,
        end_ids: tuple[int, ...] = (-1,),
        pad_id: int = 0,
        rules: Sequence[Rule] = (),
        width: int = 1,
        window: int | None = None,
        said: Tensor = 0,
        over: Tensor | None = None,
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
        self.starts = 0 if starts is None else ops.expand_dims(starts, 1)  # (B, 1)
        self.cache = make_cache(self.first_slot, max_new_tokens, width, self.starts, window)

    def read_prompt(self) -> Any:
        """The cache before the first step."""
        length = max(self.first_slot, 1)
        # Of these tokens only the cache is wanted: a compiler drops their logits.
        _, state = self._run(self.prompt[:, :length], None, 0, ops.arange(length)[None])
        if self.first_slot:
            return state
        # Nothing was to be read: a compiler drops all but what is computed once.
        return map_past(lambda x: ops.zeros(x.shape, dtype=x.dtype), state)

    def loop(self, going: Callable[..., Tensor], step: Callable[..., Any], carry: Any) -> Any:
        """As `ops.while_loop`, of a carry `(i, ..., state)`: how many tokens are new, the cache."""
        return self.cache.loop(going, step, carry)

    def step(
        self, i: Tensor, sequence: Tensor, state: Any, visible: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """`(logits (B, width, V), state)` after the first `i` tokens of `sequence (B, width, L)`.

        `visible (B, width, L * width)` bool says which slots of all steps belong to each
        hypothesis; None means all.
        """
        newest = ops.take(sequence, ops.maximum(i - 1, 0), axis=-1)  # (B, width)
        token_ids = ops.where(i > 0, newest, self.prompt[:, -1:])
        position = ops.zeros((1, self.width), dtype="int32") + (self.first_slot + i)
        index = self.first_slot + i * self.width
        return self._run(token_ids, state, index, position, visible)

    def follow_rules(self, logits: Tensor, sequence: Tensor, count: Tensor) -> Tensor:
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

    def _run(self, token_ids, state, index, places, visible=None):
        """`places (1, T)`: where the tokens stand in the padded rows."""
        with self.cache.scope(state, index, places - self.starts, visible) as scope:
            logits = self.decode(token_ids)
        return ops.cast(logits, "float32"), scope.state
