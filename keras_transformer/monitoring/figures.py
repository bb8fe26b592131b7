"""Pictures that explain a model, as matplotlib figures.

None of them goes through `pyplot`, whose figures stay until they are closed and whose backend is
the user's: save one by `figure.savefig("picture.png")`; a notebook shows it by itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transformer.checks import require
from keras_transformer.monitoring.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 3.5  # inches, at 100 dots each: TensorBoard shows a picture 350 pixels wide
FONT = 8  # points, 11 pixels: the smallest that can be read there


def attention_figure(
    weights: np.ndarray,
    queries: Sequence[str],
    keys: Sequence[str] | None = None,
    title: str = "",
    max_tokens: int = 20,
) -> "Figure":
    """Draws what each token attends to: a row a query, a column a key, the darker the more.

    The shade is that of the square root, from 0 to 1, the same in all pictures.

    Args:
        weights: `(T, S)`, the weights of one head as of `AttentionScope`, or the mean of several.
        queries: List of T str, the tokens that look.
        keys: List of S str, those that are looked at. Default `None`: the queries.
        title: What is written above.
        max_tokens: The most rows, and columns: of a longer text the first tokens are drawn, which
            the labels say.

    Raises:
        ValueError: Weights of another shape than the tokens say.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", figures 3 to 5.

    Example:

    >>> figure = attention_figure(np.eye(2), ["a", "dog"], title="head 0")
    >>> figure.get_axes()[0].get_xlabel()
    'looked at'
    """
    keys = queries if keys is None else keys
    figure, axes = _grid(weights, queries, keys, max_tokens, "Blues")
    axes.set_ylabel(f"looks{_part(len(queries), max_tokens)}", fontsize=FONT)
    axes.set_xlabel(f"looked at{_part(len(keys), max_tokens)}", fontsize=FONT)
    axes.set_title(title, fontsize=FONT + 1, parse_math=False)
    return figure


def attention_images(
    weights: np.ndarray,
    queries: Sequence[str],
    keys: Sequence[str] | None = None,
    max_tokens: int = 20,
) -> np.ndarray:
    """`attention_figure` of each of several heads as pixels, some twenty times as fast.

    Args:
        weights: `(N, T, S)`.
        queries, keys, max_tokens: As of `attention_figure`.

    Returns:
        uint8 array `(N, H, W, 3)`.

    Example:

    >>> attention_images(np.stack([np.eye(2)] * 3), ["a", "dog"]).shape
    (3, 350, 350, 3)
    """
    figure = attention_figure(weights[0], queries, keys, max_tokens=max_tokens)
    [axes] = figure.get_axes()
    [image] = axes.get_images()
    drawn = [image, *axes.spines.values()]
    for part in drawn:
        part.set_animated(True)  # all but these is drawn once
    canvas: Any = figure.canvas
    canvas.draw()
    frame = canvas.copy_from_bbox(figure.bbox)
    found = []
    for head in weights:
        canvas.restore_region(frame)
        image.set_data(head[:max_tokens, :max_tokens])
        for part in drawn:
            axes.draw_artist(part)
        found.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(found)


def alignment_figure(
    weights: np.ndarray, source: Sequence[str], target: Sequence[str], max_tokens: int = 20
) -> "Figure":
    """Draws which words of a source each word of its translation was made of, white on black.

    Args:
        weights: `(T, S)`, what each word of the translation looked at, such as the mean over the
            heads of a cross-attention; `alignment_of` makes it.
        source: List of S str.
        target: List of T str.
        max_tokens: As of `attention_figure`.

    Raises:
        ValueError: Weights of another shape than the words say.

    Reference:
        Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and
        Translate", figure 3.

    Example:

    >>> figure = alignment_figure(np.eye(2), ["a", "dog"], ["um", "cachorro"])
    >>> [label.get_text() for label in figure.get_axes()[0].get_yticklabels()]
    ['um', 'cachorro']
    """
    figure, axes = _grid(weights, target, source, max_tokens, "gray")
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", rotation=90)
    parts = [
        f"the first {max_tokens} of {len(words):,} words of the {name}"
        for name, words in (("source", source), ("translation", target))
        if len(words) > max_tokens
    ]
    axes.set_xlabel("\n".join(parts), fontsize=FONT)
    return figure


def _grid(weights, rows, columns, most, colours):
    """`(figure, its axes)` of weights from 0 to 1 between named tokens."""
    from matplotlib.colors import PowerNorm

    weights = np.asarray(weights, "float32")
    require(
        weights.shape == (len(rows), len(columns)),
        f"weights of shape ({len(rows)}, {len(columns)}), as there are tokens",
        f"shape {weights.shape}",
    )
    figure, axes = _canvas()
    shades = PowerNorm(0.5, vmin=0, vmax=1)  # a weight of 0.05 can be seen
    axes.imshow(weights[:most, :most], cmap=colours, norm=shades, aspect="auto")
    shown, families = drawable([short(token) for token in [*rows[:most], *columns[:most]]])
    # parse_math: a token may be "$".
    text = {"fontsize": FONT, "family": families, "parse_math": False}
    count = min(len(rows), most)
    axes.set_yticks(range(count), shown[:count], **text)
    axes.set_xticks(range(len(shown) - count), shown[count:], rotation=90, **text)
    axes.tick_params(length=0, pad=2)
    return figure, axes


def position_figure(table: np.ndarray, title: str = "", max_positions: int = 128) -> "Figure":
    """Draws a table of positions, and how similar positions are to each other.

    Of the sinusoids similarity depends on the distance alone; of a learned table it shows what was
    learned, and which positions no text had.

    Args:
        table: `(positions, D)`, such as `position_table` gives.
        title: What is written above.
        max_positions: The most positions, the first ones.

    Raises:
        ValueError: A table of another rank.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.5. Wang and Chen 2020, "What Do
        Position Embeddings Learn?", figure 1, for the similarities.

    Example:

    >>> figure = position_figure(np.random.default_rng(0).normal(size=(16, 8)))
    >>> [axes.get_ylabel() for axes in figure.get_axes()]
    ['position', 'position']
    """
    table = np.asarray(table, "float32")
    require(table.ndim == 2, "a table of shape (positions, D)", f"shape {table.shape}")
    table = table[:max_positions]
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    unit = table / np.maximum(norms, 1e-12)
    figure, axes = _canvas(2)
    most = max(float(np.abs(table).max(initial=0)), 1e-12)
    colours = {"cmap": "RdBu", "aspect": "auto"}
    axes[0].imshow(table, vmin=-most, vmax=most, **colours)
    axes[1].imshow(unit @ unit.T, vmin=-1, vmax=1, **colours)
    for one, name, below in zip(
        axes, ("values", "cosine similarity"), ("dimension", "position"), strict=True
    ):
        one.set_title(name, fontsize=FONT + 1)
        one.set_xlabel(below, fontsize=FONT)
        one.set_ylabel("position", fontsize=FONT)
        one.tick_params(labelsize=FONT)
    figure.suptitle(title, fontsize=FONT + 2, parse_math=False)
    return figure


def _canvas(rows=1):
    """`(figure, axes)` that TensorBoard shows at its own size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE, SIDE * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows)


def pixels(figure: "Figure") -> np.ndarray:
    """A figure as uint8 array `(H, W, 3)`.

    Example:

    >>> pixels(attention_figure(np.eye(2), ["a", "b"])).shape
    (350, 350, 3)
    """
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def short(token: str, most: int = 12) -> str:
    """A token in one line, and not too long to stand beside a picture.

    Example:

    >>> short("incomprehensible")
    'incomprehen…'
    """
    token = token.strip(" ") or "␣"
    return token if len(token) <= most else token[: most - 1] + "…"


def _part(count, most):
    return f" (the first {most} of {count:,} tokens)" if count > most else ""
