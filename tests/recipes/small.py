"""Runs of seconds: the flags of each recipe, their text, and a batch that is no good."""

import numpy as np
import tensorflow as tf

ROWS = "--batch-size 8 --epochs 3 --warmup-updates 5"
SIZE = "--no-watch --num-layers 1 --num-heads 2 --hidden-dim 16 --intermediate-dim 32 --dropout 0.1"
FLAGS = {
    "translation": "--source train.a --target train.b --valid-source valid.a "
    "--valid-target valid.b --test-source test.a --test-target test.b --tokenizer whitespace "
    "--batch-tokens 160 --max-length 20 --epochs 3 --warmup-updates 10 --average 2 --beams 2 "
    f"{SIZE}",
    "masked_lm": "--text train.a --valid-text valid.a --tokenizer whitespace --row-length 20 "
    f"{ROWS} {SIZE}",
    "causal_lm": "--text train.a --valid-text valid.a --tokenizer character --row-length 24 "
    f"{ROWS} {SIZE}",
    "text_classification": "--train train.tsv --valid valid.tsv --test test.tsv "
    f"--tokenizer whitespace --preset bert_tiny --max-length 12 --patience 9 {ROWS} {SIZE}",
}
# A run that diverges, and is long enough to do so as often as ends it.
FAST = (
    "--peak-learning-rate 1e30 --warmup-updates 1 --clip-norm 0 --precision mixed_bfloat16 "
    "--epochs 9"
)


def write_text(folder):
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("valid", 20), ("test", 12)):
        lines = [" ".join(rng.choice(list("abcdefgh"), rng.integers(1, 9))) for _ in range(count)]
        labels = ["long" if len(line) > 8 else "short" for line in lines]
        rows = [f"{line}\t{label}" for line, label in zip(lines, labels, strict=True)]
        for name, text in (("a", lines), ("b", map(str.upper, lines)), ("tsv", rows)):
            (folder / f"{part}.{name}").write_text("".join(f"{line}\n" for line in text))


def poisoned(apply):
    """An optimiser's `_backend_apply_gradients`, with NaN in the gradients of the eighth batch."""

    def apply_poisoned(self, grads, variables):
        nan = tf.where(self._iterations == 7, np.nan, 0.0)
        apply(self, [g + nan if isinstance(g, tf.Tensor) else g for g in grads], variables)

    return apply_poisoned
