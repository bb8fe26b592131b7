"""What heads are worth: the part of the explorer's data that is measured on reference texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer import tasks
from keras_transformer.monitoring.head_costs import head_costs
from keras_transformer.monitoring.pruning_curve import pruning_curve
from keras_transformer.tasks.task import Task

RATED = 200  # texts, at most: each is read once for every head
SCORED = 64  # which a translator translates again for each point of the curve
POINTS = 6


def about_heads(task: Task, texts: Sequence[Any], layers: Sequence[str]) -> dict[str, Any] | None:
    """The costs of all heads and the curve of pruning, or None where the texts have no loss.

    The costs are measured on every other text, and the curve on those between: heads are chosen on
    the former. Of many the first are taken.

    Args:
        task: The task.
        texts: Reference texts, as of `monitoring.head_costs`.
        layers: Paths of the attention layers as the page has them, one a call.
    """
    if len(texts) < 4 or not all(_is_scored(task, text) for text in texts):
        return None
    paths = [path.partition("#")[0] for path in layers]
    costs = head_costs(task, texts[::2][:RATED])
    curve = pruning_curve(task, texts[1::2][:SCORED], costs, POINTS)
    return {
        "costs": [costs.costs[path].tolist() for path in paths],
        "errors": [np.nan_to_num(costs.errors[path]).tolist() for path in paths],
        "loss": costs.loss,
        "tokens": costs.tokens,
        "curve": {
            "metric": "BLEU" if curve.metric == "bleu" else curve.metric,
            "points": [list(point) for point in curve.points],
        },
    }


def _is_scored(task, text):
    """Whether a text says what should be said of it."""
    if isinstance(task, tasks.Translator | tasks.TextClassifier):
        return isinstance(text, tuple) and len(text) == 2
    return isinstance(task, tasks.TextGenerator | tasks.MaskFiller) and isinstance(text, str)
