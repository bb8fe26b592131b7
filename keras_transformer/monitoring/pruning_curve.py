"""How good a model is with fewer and fewer attention heads."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import check_at_least
from keras_transformer.models.pruning import heads_off
from keras_transformer.monitoring.head_costs import HeadCosts, cheapest_heads, most_heads
from keras_transformer.monitoring.row_losses import RowLosses
from keras_transformer.monitoring.translation_scores import TranslationScores
from keras_transformer.tasks.task import Task, progress_bar
from keras_transformer.tasks.translator import Translator


@dataclasses.dataclass(frozen=True)
class PruningCurve:
    """How good a model is with fewer and fewer attention heads.

    Attributes:
        metric: `"bleu"`, 0 to 100, or `"loss"`, in nats per predicted token.
        points: list of `(heads cut, score)`, an int and a float, from none to as many as may be.

    Example:

    >>> PruningCurve("bleu", [(0, 31.4), (12, 31.2)]).points[0]
    (0, 31.4)
    """

    metric: str
    points: list[tuple[int, float]]


def pruning_curve(
    task: Task, examples: Sequence[Any], costs: HeadCosts, points: int = 8, *, progress: bool = True
) -> PruningCurve:
    """Scores a task's model without its cheapest heads, as `cheapest_heads` gives them.

    Examples that the costs were not measured on say more: heads are chosen on those.

    Args:
        task: As of `head_costs`.
        examples: As of `head_costs`.
        costs: What `head_costs` found of this model.
        points: How many numbers of heads, at even distances from 0 to all but one of each layer.
        progress: Whether to show on a terminal how far it is.

    Returns:
        `PruningCurve`: BLEU, of the task's own search, of a `Translator`, the loss of others. Where
        heads share keys and values there may be fewer points.

    Raises:
        ValueError: as `head_costs`; for fewer than 2 points.

    Reference:
        Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 4.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=2, num_heads=4, hidden_dim=8, intermediate_dim=16)
    >>> write = kt.tasks.TextGenerator(kt.models.decoder_only(config), tokenizer, 3)
    >>> costs = kt.monitoring.head_costs(write, ["a dog runs", "a dog"])
    >>> curve = pruning_curve(write, ["a dog runs"], costs, points=3)
    >>> curve.metric, [heads for heads, score in curve.points]
    ('loss', [0, 3, 6])
    """
    check_at_least(2, points=points)
    is_translator = isinstance(task, Translator)
    losses = RowLosses(task, examples)  # a translator's too, for what it refuses
    wanted = np.linspace(0, most_heads(costs), points).round().astype(int).tolist()
    found: dict[int, float] = {}
    with progress_bar(len(wanted), progress) as advance:
        for n in wanted:
            heads = cheapest_heads(costs, n)
            with heads_off(task.model, heads):
                score = bleu(task, examples) if is_translator else per_token(losses)
            found[sum(map(len, heads.values()))] = score
            advance(1)
    return PruningCurve("bleu" if is_translator else "loss", list(found.items()))


def bleu(task: Any, examples: Sequence[tuple[str, str]]) -> float:
    """BLEU of the sources' translations, as of `TranslationScores.of`."""
    sources, targets = ([pair[side] for pair in examples] for side in (0, 1))
    outputs = task(task.answerable(sources))
    return TranslationScores()(outputs, list(map(task.tokenizer.plain, targets)))["bleu"]


def per_token(losses: RowLosses) -> float:
    """The mean loss of all tokens."""
    return float(losses().sum() / losses.tokens.sum())
