"""Texts to vectors."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from keras_transformer import models, zoo
from keras_transformer.checks import require
from keras_transformer.models.model import of_dtype
from keras_transformer.tasks import loading
from keras_transformer.tasks.task import Lines, Task, progress_bar
from keras_transformer.text import Tokenizer
from keras_transformer.training.run import Run
from keras_transformer.zoo.embedding import sentence_settings
from keras_transformer.zoo.inspection import has_encoder

# `x (B, T, D)`, where a token is, `mask (B, T, 1)`, and how many there are, `n (B, 1)`.
POOLING = {
    "cls": lambda x, mask, n: x[:, 0],
    "max": lambda x, mask, n: np.where(mask, x, -np.inf).max(axis=1),
    "mean": lambda x, mask, n: (x * mask).sum(axis=1) / n,
    "mean_sqrt_len_tokens": lambda x, mask, n: (x * mask).sum(axis=1) / np.sqrt(n),
    "weightedmean": lambda x, mask, n: (x * mask * _places(x)).sum(axis=1) / (n * (n + 1) / 2),
    "lasttoken": lambda x, mask, n: np.take_along_axis(x, n[..., None] - 1, axis=1)[:, 0],
}


def _places(x):
    return np.arange(1, x.shape[1] + 1)[:, None]  # (T, 1)


class TextEmbedder(Task):
    """Turns texts into vectors, which are close where their meanings are, if the model is made so.

    `load` reads folders as sentence-transformers does: the most tokens of a text
    (`sentence_bert_config.json`, or else `model_max_length` of the tokenizer), pooling and
    normalisation (`modules.json`, `1_Pooling`), and a default prompt
    (`config_sentence_transformers.json`). A folder without `modules.json` has the mean, not
    normalised, and so has a run of masked_lm.py or text_classification.py. A head is left out.

    Args:
        model: Encoder, or decoder without logits, whose first output is `(B, T, D)`.
        tokenizer: Its `Tokenizer`.
        pooling: What becomes of the tokens' vectors: `"mean"`, `"cls"` (the first), `"lasttoken"`,
            `"max"`, `"mean_sqrt_len_tokens"` (the sum over the square root of their number) or
            `"weightedmean"` (by their place, from 1), or a list of these, end to end. Special
            tokens count.
        normalize: Whether vectors get length 1.
        max_length: The most tokens of a text, special ones included. Default `None`: as many as the
            model reads.
        prompt: What every text begins with.
        lowercase: Whether texts are lower-cased before all else.

    Call arguments:
        lines: A str, or a list of B str.
        truncate: Whether of a line that is too long the beginning is read (the end, if the
            tokenizer says so). Default `False`: it is refused.
        progress: Whether to show on a terminal how far it is.

    Returns:
        `(B, D)`, or `(D,)` of a str, float32 NumPy. A text without a token has zeros.

    Raises:
        ValueError: for an unknown `pooling`, and no room for the special tokens; for a line that is
            too long, by its number from 1.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog", "a cat"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=16)
    >>> embed = TextEmbedder(kt.models.encoder_only(config), tokenizer, normalize=True)
    >>> embed(["a dog", "a cat and a dog"]).shape, embed("a dog").shape
    ((2, 8), (8,))
    >>> round(float(embed("a dog") @ embed("a dog")), 3)
    1.0
    """

    recipes = ("masked_lm", "text_classification")
    kinds = ("hidden",)  # and whatever an encoder has
    batch_tokens = 8192

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        pooling: str | Sequence[str] = "mean",
        normalize: bool = False,
        max_length: int | None = None,
        prompt: str = "",
        lowercase: bool = False,
    ) -> None:
        super().__init__(model, tokenizer, max_length)
        self.pooling = [pooling] if isinstance(pooling, str) else list(pooling)
        require(
            self.pooling and all(mode in POOLING for mode in self.pooling),
            f"pooling to be of {', '.join(map(repr, POOLING))}",
            pooling=pooling,
        )
        self.normalize, self.prompt, self.lowercase = normalize, prompt, lowercase

    @staticmethod
    def model_of_run(run: Run) -> keras.Model:
        """The encoder of what a run has trained."""
        trained = loading.model_of_run(run)
        config = run.config
        with of_dtype(trained.get_layer("embedding").dtype_policy):
            encoder = models.encoder_only(dataclasses.replace(config, pooler=False))
        models.copy_weights(trained, encoder)
        return encoder

    @classmethod
    def _settings_of_run(cls, run):
        config = run.config
        named = [run.settings[n] for n in ("row_length", "max_length") if n in run.settings]
        return {"max_length": min([*named, config.max_sequence_length])}

    @classmethod
    def _read_published(cls, folder, precision):
        place, settings = sentence_settings(folder)
        if has_encoder(place):  # whatever its head
            with of_dtype(precision):
                model = models.encoder_only(zoo.load_config(place, pooler=False))
            zoo.load_weights(model, place)
        else:
            loading.check_kind(place, cls.kinds, cls.__name__)
            model = zoo.load(place, precision)
        return model, zoo.load_tokenizer(place), settings

    def __call__(
        self, lines: Lines, *, truncate: bool = False, progress: bool = False
    ) -> np.ndarray:
        if isinstance(lines, str):
            return self([lines], truncate=truncate)[0]
        rows = self._checked_rows(lines, truncate)
        width = self.model.outputs[0].shape[-1] * len(self.pooling)
        vectors = np.zeros((len(rows), width), "float32")  # (B, D)
        real = np.flatnonzero([len(row) for row in rows])
        with progress_bar(len(rows), progress) as advance:
            for places, batch in self._batches([rows[i] for i in real], advance):
                places = real[places]
                states = self._predict(batch)[: len(places)]  # (B, T, D)
                lengths = np.array([[len(rows[i])] for i in places])  # (B, 1)
                mask = (np.arange(states.shape[1]) < lengths)[..., None]  # (B, T, 1)
                pooled = [POOLING[mode](states, mask, lengths) for mode in self.pooling]
                vectors[places] = np.concatenate(pooled, axis=-1)
        if self.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        return vectors

    def _around(self):
        if self.tokenizer.kind == "published":  # GPT-2's has none
            frame = self.tokenizer.frames[0]
            return frame.before, frame.after
        return super()._around()

    def _encode(self, lines):
        texts = [self.prompt + line for line in lines]
        return super()._encode([text.lower() for text in texts] if self.lowercase else texts)
