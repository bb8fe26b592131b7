"""What each attention head is worth to a model, and which it needs least."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import require
from keras_transformer.models.pruning import attention_layers, heads_off
from keras_transformer.monitoring.row_losses import RowLosses
from keras_transformer.tasks.task import Task, progress_bar


@dataclasses.dataclass(frozen=True)
class HeadCosts:
    """What it costs to switch off each attention head of a model alone.

    Attributes:
        costs: dict from the path of an attention layer to `(N,)` float64, how much the loss grows
            without each of its heads, in nats per predicted token; below 0 where it shrinks.
        errors: dict like it, the standard errors of the costs over examples; NaN of one example.
        loss: float, that of the whole model, in nats per predicted token.
        tokens: int, how many tokens were predicted.
        shared: dict from the path to an int, how many heads in a row share one of keys and values.

    Example:

    >>> costs = {"attention": np.array([0.1, 0.3])}
    >>> HeadCosts(costs, costs, loss=2.0, tokens=99, shared={"attention": 1}).costs["attention"][1]
    np.float64(0.3)
    """

    costs: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    loss: float
    tokens: int
    shared: dict[str, int]


def head_costs(task: Task, examples: Sequence[Any], *, progress: bool = True) -> HeadCosts:
    """What it costs a task's model to lose each of its attention heads alone.

    The loss is a cross-entropy per predicted token. Every example is read once, and once more for
    each head, in the same batches; of the differences the errors are those of a ratio of sums over
    examples. Texts that are too long are cut, and such pairs left out.

    Args:
        task: A `tasks.Translator`, `TextGenerator`, `MaskFiller` or `TextClassifier`. Its model is
            changed meanwhile, as by `models.heads_off`.
        examples: List of pairs `(source, target)` for a `Translator`: the tokens of the target and
            its end, each given the source and those before. Of texts for a `TextGenerator`: each
            token given those before. Of texts for a `MaskFiller`: a share of 0.15, the same at each
            call. Of pairs `(text, label)` for a `TextClassifier`: the label, which counts as one
            token.
        progress: Whether to show on a terminal how far it is.

    Returns:
        `HeadCosts`, the layers in the order of the model.

    Raises:
        ValueError: Examples of another form, or without anything to predict; a task without a loss,
            such as a `TextEmbedder` or a classifier without labels; a model without attention of
            this package, or with kernels of less than 8 bits.

    Reference:
        Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 3.2.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs", "um cachorro corre"])
    >>> config = kt.TransformerConfig(
    ...     tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> translate = kt.tasks.Translator(kt.models.encoder_decoder(config), tokenizer)
    >>> found = head_costs(translate, [("a dog", "um cachorro"), ("a dog runs", "um cachorro")])
    >>> for path, costs in found.costs.items():
    ...     print(path, costs.shape)
    encoder_block_0/self_attention (2,)
    decoder_block_0/self_attention (2,)
    decoder_block_0/cross_attention (2,)
    >>> found.tokens
    6
    """
    model = task.model
    layers = attention_layers(model)
    require(layers, "a model with attention of this package", model=model.name)
    losses = RowLosses(task, examples)
    whole, tokens = losses(), losses.tokens
    found: dict[str, list] = {layer.path: [] for layer in layers}
    with progress_bar(sum(layer.num_heads for layer in layers), progress) as advance:
        for layer in layers:
            for head in range(layer.num_heads):
                with heads_off(model, {layer.path: [head]}):
                    found[layer.path].append(mean_and_error(losses() - whole, tokens))
                advance(1)
    by_path = {path: np.array(heads).T for path, heads in found.items()}  # (2, N) each
    return HeadCosts(
        costs={path: means for path, (means, _) in by_path.items()},
        errors={path: errors for path, (_, errors) in by_path.items()},
        loss=float(whole.sum() / tokens.sum()),
        tokens=int(tokens.sum()),
        shared={layer.path: layer.num_heads // layer.num_key_value_heads for layer in layers},
    )


def mean_and_error(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The mean of terms, `counts (E,)` of them in each of `sums (E,)`, and its standard error.

    The error is that of a ratio of two sums over E examples; NaN of one example.

    Reference:
        Cochran 1977, "Sampling Techniques", section 2.11.

    Example:

    >>> mean_and_error(np.array([2.0, 4.0]), np.array([1, 1]))  # the error of an ordinary mean
    (3.0, 1.0)
    """
    mean, size = sums.sum() / counts.sum(), len(sums)
    spread = ((sums - mean * counts) ** 2).sum()
    error = np.sqrt(spread * size / (size - 1)) / counts.sum() if size > 1 else np.nan
    return float(mean), float(error)


def cheapest_heads(costs: HeadCosts, n: int) -> dict[str, list[int]]:
    """The heads to cut first: the `n` that cost least alone, but one of each layer.

    Heads that share one of keys and values come together, in the order of their mean cost; then it
    may be fewer than `n`.

    Args:
        costs: What `head_costs` found.
        n: How many.

    Returns:
        dict from paths to lists of ints, as `models.prune_heads` takes it.

    Raises:
        ValueError: There are not so many.

    Example:

    >>> found = {"first": np.array([0.1, 0.2]), "second": np.array([0.5, 0.3, 0.4])}
    >>> costs = HeadCosts(found, found, loss=2.0, tokens=99, shared={"first": 1, "second": 1})
    >>> cheapest_heads(costs, 2)  # the second of the first layer is its last
    {'first': [0], 'second': [1]}
    """
    most = most_heads(costs)
    require(0 <= n <= most, f"0 to {most} heads, for one of each layer to be left", n=n)
    groups = [
        (group.mean(), path, number)
        for path, values in costs.costs.items()
        for number, group in enumerate(values.reshape(-1, costs.shared[path]))
    ]
    chosen: dict[str, list[int]] = {}
    for _, path, number in sorted(groups):
        size, heads = costs.shared[path], chosen.get(path, [])
        if len(heads) + size == len(costs.costs[path]):
            continue
        if sum(map(len, chosen.values())) + size > n:
            break
        chosen[path] = sorted([*heads, *range(number * size, (number + 1) * size)])
    return chosen


def most_heads(costs: HeadCosts) -> int:
    """How many heads may be cut, for one of each layer to be left, or those that share its keys."""
    return sum(len(values) - costs.shared[path] for path, values in costs.costs.items())
