"""What a task's model loses on examples, row by row."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.compiling import compile_for
from keras_transformer.checks import refusal, require
from keras_transformer.data import Masker, PairBatches, length_batches
from keras_transformer.data.masker import MASK_RATE
from keras_transformer.tasks.mask_filler import MaskFiller
from keras_transformer.tasks.task import Task
from keras_transformer.tasks.text_classifier import TextClassifier
from keras_transformer.tasks.text_generator import TextGenerator
from keras_transformer.tasks.translator import Translator
from keras_transformer.training.losses import flat_tokens, token_crossentropy
from keras_transformer.types import Tensor

BATCH_TOKENS = 1024  # positions of a batch: each has V logits
NOTHING = -1  # the label of what is not predicted

Batch = tuple[list[np.ndarray], np.ndarray]  # the model's inputs, in their order, and labels (B, P)


class RowLosses:
    """The cross-entropy of examples, summed over what is predicted of each, under a task's model.

    A call computes it with the weights that the model has then, all calls on the same batches.

    Args:
        task: As of `head_costs`.
        examples: As of `head_costs`.

    Attributes:
        tokens: `(E,)` ints, how many tokens are predicted of each of E examples. Those of which
            none is are left out. The order is that of the batches.

    Call returns:
        `(E,)` float64 NumPy, in nats.

    Raises:
        ValueError: as `head_costs`.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> write = kt.tasks.TextGenerator(kt.models.decoder_only(config), tokenizer, 3)
    >>> losses = RowLosses(write, ["a dog runs", "a dog"])
    >>> losses.tokens.tolist(), losses().shape
    ([1, 2], (2,))
    """

    def __init__(self, task: Task, examples: Sequence[Any]) -> None:
        self.batches = list(batches_of(task, list(examples)))
        counts = [(labels != NOTHING).sum(axis=1) for _, labels in self.batches]
        self.real = [count > 0 for count in counts]
        self.tokens = np.concatenate([np.zeros(0, int), *counts])
        self.tokens = self.tokens[self.tokens > 0]  # (E,)
        require(len(self.tokens), "examples with tokens to predict", f"{len(examples)} without")
        self.compute = compile_for(task.model, row_losses_of(task.model))

    def __call__(self) -> np.ndarray:
        found = [ops.convert_to_numpy(self.compute(*batch)) for batch in self.batches]
        rows = [x[real] for x, real in zip(found, self.real, strict=True)]
        return np.concatenate(rows).astype("float64")


def row_losses_of(model: keras.Model) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """A function of a batch's inputs and labels `(B, P)`: the cross-entropy of rows, `(B,)`."""

    def row_losses(inputs, labels):
        outputs = model(keras.tree.pack_sequence_as(model.input, list(inputs)), training=False)
        if isinstance(outputs, dict):
            outputs = outputs["logits"]
        logits = outputs[0] if isinstance(outputs, list | tuple) else outputs  # (B, P, V) or (B, V)
        rows = ops.shape(labels)
        flat, logits, real = flat_tokens(
            labels, ops.reshape(logits, (*rows, logits.shape[-1])), NOTHING
        )
        losses = real * token_crossentropy(flat, logits)  # (B * P,)
        return ops.sum(ops.reshape(losses, rows), axis=1)  # (B,)

    return row_losses


def batches_of(task: Task, examples: list) -> Iterator[Batch]:
    """What a task's model reads of examples, and the labels: what it should say."""
    for kind, batches in KINDS.items():
        if isinstance(task, kind):
            return batches(task, examples)
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise refusal(f"a task that predicts tokens or classes: a {known}", type(task).__name__)


def pairs_of(task: Translator, examples: list) -> Iterator[Batch]:
    """Of pairs: the target and its end, each token after those before."""
    check(examples, is_pair, "pairs (source, target) of str")
    most = max(BATCH_TOKENS, task.max_length or 0)
    batches = PairBatches.of_text(
        task.tokenizer,
        *([pair[side] for pair in examples] for side in (0, 1)),
        batch_tokens=most,
        max_length=task.max_length,
        shuffle=False,
        max_shapes=8,
    )
    for inputs, labels in batches.epoch(0):
        ids = [inputs["source_ids"], inputs["target_ids"]]
        yield ids, np.where(labels == batches.pad_id, NOTHING, labels)


def texts_of(task: TextGenerator, examples: list) -> Iterator[Batch]:
    """Of texts: each token after those before."""
    check(examples, is_text, "texts, each a str")
    for _, ids in padded(task, [task.inputs(text)[0] for text in examples], NOTHING):
        read = ids[:, :-1]
        yield [np.where(read == NOTHING, task.tokenizer.pad_id or 0, read)], ids[:, 1:]


def masked_of(task: MaskFiller, examples: list) -> Iterator[Batch]:
    """Of texts: tokens that are hidden, the same each time."""
    check(examples, is_text, "texts, each a str")
    names = [tensor.name for tensor in task.model.inputs[1:]]
    require("masked_positions" in names, "a model with an input masked_positions", inputs=names)
    tokenizer, rng = task.tokenizer, np.random.default_rng(0)
    for _, ids in padded(task, [task.inputs(text)[0] for text in examples]):
        masker = Masker(
            tokenizer.vocabulary_size,
            tokenizer.mask_id or 0,
            tokenizer.special_ids,
            num_predictions=math.ceil(MASK_RATE * ids.shape[1]),
            pad_id=NOTHING,
        )
        hidden, positions, labels = masker(rng, ids)
        others = [positions if x == "masked_positions" else np.zeros_like(ids) for x in names]
        yield [hidden, *others], labels


def classes_of(task: TextClassifier, examples: list) -> Iterator[Batch]:
    """Of texts with their labels: the label."""
    labels = task.labels or []
    require(labels, "a classifier with labels", labels=None)
    expected = f"pairs (text, label) with a label of {', '.join(map(repr, labels))}"
    check(examples, lambda example: is_pair(example) and example[1] in labels, expected)
    numbers = np.array([labels.index(label) for _, label in examples], "int32")
    for places, ids in padded(task, [task.inputs(text)[0] for text, _ in examples]):
        own = np.full((len(ids), 1), NOTHING, "int32")
        own[: len(places), 0] = numbers[places]
        yield [ids, *(np.zeros_like(ids) for _ in task.model.inputs[1:])], own


KINDS: dict[type, Callable[[Any, list], Iterator[Batch]]] = {
    Translator: pairs_of,
    TextGenerator: texts_of,
    MaskFiller: masked_of,
    TextClassifier: classes_of,
}


def padded(
    task: Task, rows: list, pad_id: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `length_batches`, for the length that the task's model reads."""
    own = task.tokenizer.pad_id or 0
    pad_id = own if pad_id is None else pad_id
    return length_batches(
        rows, batch_tokens=BATCH_TOKENS, pad_id=pad_id, max_length=task.max_length
    )


def is_text(example: Any) -> bool:
    """Whether an example is a text."""
    return isinstance(example, str)


def is_pair(example: Any) -> bool:
    """Whether an example is a pair of texts."""
    return isinstance(example, tuple | list) and len(example) == 2 and all(map(is_text, example))


def check(examples: list, fits: Callable[[Any], bool], expectation: str) -> None:
    """Refuses examples that are not of the form that a task's loss needs."""
    strangers = [example for example in examples if not fits(example)]
    if strangers:
        raise refusal(expectation, repr(strangers[0]))
