"""Pictures of what a model attends to, under the TensorBoard tab Images."""

import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer.checks import require
from keras_transformer.files import write_whole
from keras_transformer.monitoring.attention import (
    Example,
    alignment_of,
    attention_of,
    position_table,
)
from keras_transformer.monitoring.figures import (
    alignment_figure,
    attention_images,
    pixels,
    position_figure,
)
from keras_transformer.monitoring.watcher import EpochWatcher
from keras_transformer.tasks.task import Task
from keras_transformer.tasks.translator import Translator


class Pictures(EpochWatcher):
    """Draws a model's attention on some texts, by layer and head, and what it knows of positions.

    In the run `samples`: `self_attention_1/encoder_block_0/head_0` and so on, where 1 is the
    first text, `causal_attention` that of decoders on what was written before, and
    `cross_attention` on the source; `alignment/1` of a translation, by words; and `positions`.

    Args:
        log_dir: Folder of the run's logs.
        task: As of `attention_of`, of the model that is trained.
        examples: List of texts, as of `attention_of`.
        folder: Where the last pictures are left, as PNG files. Default `None`: nowhere.
        max_tokens: As of `attention_figure`.
        share: As of `EpochWatcher`.

    Raises:
        ValueError: No examples.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> write = kt.tasks.TextGenerator(model, tokenizer, 3)
    >>> pictures = Pictures(tempfile.mkdtemp(), write, ["a dog runs"])
    >>> [name for name, _ in pictures.drawn()]  # doctest: +NORMALIZE_WHITESPACE
    ['causal_attention_1/decoder_block_0/head_0', 'causal_attention_1/decoder_block_0/head_1',
     'positions/sinusoidal']
    """

    name = "samples"

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        task: Task,
        examples: Sequence[Example],
        folder: str | pathlib.Path | None = None,
        max_tokens: int = 20,
        share: float = 0.01,
    ) -> None:
        super().__init__(log_dir, share)
        self.task, self.examples, self.max_tokens = task, list(examples), max_tokens
        self.png_folder = folder and pathlib.Path(folder)
        self._last: list[tuple[str, np.ndarray]] = []
        require(self.examples, "at least one example", examples=examples)

    def drawn(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields `(name, uint8 (H, W, 3))` of each picture, as the model is now."""
        is_any = False
        for number, example in enumerate(self.examples, 1):
            attentions = attention_of(self.task, example)
            is_any = is_any or bool(attentions)
            for found in attentions:
                images = attention_images(found.weights, found.queries, found.keys, self.max_tokens)
                place = found.layer.rpartition("/")[0] or found.layer
                for head, image in enumerate(images):
                    yield f"{found.kind}_attention_{number}/{place}/head_{head}", image
            if attentions and isinstance(self.task, Translator):
                figure = alignment_figure(*alignment_of(self.task, example), self.max_tokens)
                yield f"alignment/{number}", pixels(figure)
        if table := position_table(self.task.model):
            kind, values = table
            yield f"positions/{kind}", pixels(position_figure(values, f"{kind} positions"))
        expected = "a model with attention layers of keras_transformer, and a text with tokens"
        require(is_any, expected, f"{self.task.model.name}, {self.examples}")

    def look(self) -> None:
        self._last = list(self.drawn())
        for name, image in self._last:
            tf.summary.image(name, image[None])

    def on_train_end(self, logs: Any = None) -> None:
        super().on_train_end(logs)
        if self.png_folder:
            self.carefully(save_pictures, self._last, self.png_folder)


def save_pictures(pictures: Iterable[tuple[str, np.ndarray]], folder: str | pathlib.Path) -> None:
    """Writes named pictures, uint8 `(H, W, 3)`, as PNG files; `/` in names becomes `.`.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> save_pictures([("alignment/1", np.zeros((4, 4, 3), "uint8"))], folder)
    >>> [path.name for path in folder.iterdir()]
    ['alignment.1.png']
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in pictures:
        content = tf.io.encode_png(image).numpy()
        write_whole(folder / f"{name.replace('/', '.')}.png", content)
