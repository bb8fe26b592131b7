"""All that TensorBoard can show of a training run, in one line."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_transformer.backend.forward_graph import forward_graph
from keras_transformer.monitoring.attention import Example
from keras_transformer.monitoring.charts import Charts
from keras_transformer.monitoring.hyperparameters import Hyperparameters
from keras_transformer.monitoring.layer_norms import LayerNorms
from keras_transformer.monitoring.pictures import Pictures
from keras_transformer.monitoring.projector import Projector
from keras_transformer.monitoring.resources import Resources
from keras_transformer.monitoring.tensorboard import TensorBoard
from keras_transformer.monitoring.watcher import Watcher
from keras_transformer.tasks.task import Task


def watch(
    log_dir: str | pathlib.Path,
    task: Task,
    examples: Sequence[Example],
    settings: Mapping[str, Any] | None = None,
    folder: str | pathlib.Path | None = None,
    tokens_per_batch: float | None = None,
) -> list[keras.callbacks.Callback]:
    """The callbacks of `kt.monitoring` for `fit`: curves, pictures, embeddings, settings, a graph.

    Args:
        log_dir: Folder of the run's logs; TensorBoard is started on it, or on what holds it.
        task: A task of `kt.tasks` with the model that is trained.
        examples: Texts whose attention is drawn, as of `Pictures`; none draws none.
        settings: What the run is trained with, as of `Hyperparameters`. Default `None`: the fields
            of the model's config.
        folder: As of `Pictures`.
        tokens_per_batch: As of `Resources`.

    Returns:
        A list of callbacks, for the end of `fit(callbacks=[...])`: they show what others add to
        the logs.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> write = kt.tasks.TextGenerator(model, tokenizer, 3)
    >>> [type(callback).__name__ for callback in watch(tempfile.mkdtemp(), write, ["a dog"])]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['TensorBoard', 'Charts', 'Resources', 'LayerNorms', 'Graph', 'Projector', 'Hyperparameters',
     'Pictures']
    """
    if settings is None:
        settings = dataclasses.asdict(task.config) if task.config else {}
    pictures = [Pictures(log_dir, task, examples, folder)] if examples else []
    return [
        TensorBoard(log_dir),
        Charts(log_dir),
        Resources(log_dir, tokens_per_batch),
        LayerNorms(log_dir),
        Graph(log_dir),
        Projector(log_dir, task.tokenizer),
        Hyperparameters(log_dir, settings),
        *pictures,
    ]


class Graph(Watcher):
    """Writes the graph of a model's forward pass, for the TensorBoard tab Graphs; of TensorFlow.

    Args:
        log_dir: Folder of the run's logs.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> graph = Graph(tempfile.mkdtemp())
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[graph])
    >>> [path.name for path in graph.folder.parent.iterdir()]
    ['train']
    """

    def on_train_end(self, logs: Any = None) -> None:
        self.look_now()

    def look(self) -> None:
        if graph := forward_graph(self.model):
            tf.summary.graph(graph)
