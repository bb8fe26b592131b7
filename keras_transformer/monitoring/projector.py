"""Token embeddings as a cloud of points, under the TensorBoard tab Projector."""

import io
import pathlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.checks import refusal
from keras_transformer.files import write_whole
from keras_transformer.layers import PositionalEmbedding
from keras_transformer.monitoring.attention import token_texts
from keras_transformer.monitoring.watcher import EpochWatcher
from keras_transformer.text import Tokenizer


class Projector(EpochWatcher):
    """Writes the embeddings of tokens, with the tokens, for TensorBoard's projector.

    `keras.callbacks.TensorBoard(embeddings_freq=...)` writes a file that TensorBoard cannot show
    (keras issue 20210). The projector is among TensorBoard's inactive tabs until there is
    something to see, and at `http://localhost:6006/#projector`.

    Args:
        log_dir: Folder of the run's logs.
        tokenizer: Whose tokens the model's ids are.
        most: The most tokens, the first of the vocabulary.
        share: As of `EpochWatcher`.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> model.compile("sgd")
    >>> projector = Projector(tempfile.mkdtemp(), tokenizer)
    >>> projector.set_model(model)
    >>> projector.look_now()
    >>> sorted(path.name for path in projector.folder.glob("*[a-z]"))[-3:]
    ['projector_config.pbtxt', 'tokens.tsv', 'vectors.tsv']
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        tokenizer: Tokenizer,
        most: int = 10_000,
        share: float = 0.01,
    ) -> None:
        super().__init__(log_dir, share)
        self.tokenizer, self.most = tokenizer, most

    def look(self) -> None:
        from google.protobuf import text_format
        from tensorboard.plugins.projector import ProjectorConfig

        table = embedding_table(self.model)[: self.most]
        tokens = token_texts(self.tokenizer, range(min(len(table), len(self.tokenizer.vocabulary))))
        table = table[: len(tokens)]
        config = ProjectorConfig()
        config.embeddings.add(
            tensor_name="tokens",
            tensor_path="vectors.tsv",
            metadata_path="tokens.tsv",
        )
        vectors = io.StringIO()
        np.savetxt(vectors, table, "%.5g", delimiter="\t")
        write_whole(self.folder / "vectors.tsv", vectors.getvalue())
        # With a single column there is no line of titles.
        labels = "".join(f"{_one_cell(token)}\n" for token in tokens)
        write_whole(self.folder / "tokens.tsv", labels)
        write_whole(self.folder / "projector_config.pbtxt", text_format.MessageToString(config))


def _one_cell(token: str) -> str:
    """A label of the projector: it has no line breaks and no tabs, and is not empty."""
    return token if token.isprintable() and token.strip() else repr(token)


def embedding_table(model: keras.Model) -> np.ndarray:
    """The token embeddings `(V, D)` of a model, float32: of the first layer that has some.

    Raises:
        ValueError: There is no such layer.

    Example:

    >>> embedding_table(keras.Sequential([keras.Input((2,)), keras.layers.Embedding(5, 3)])).shape
    (5, 3)
    """
    for layer in model._flatten_layers():
        if isinstance(layer, PositionalEmbedding | keras.layers.Embedding):
            table: Any = layer.embeddings
            return np.asarray(ops.convert_to_numpy(table), "float32")
    raise refusal("a model with token embeddings", model.name)
