"""What one asks of a causal language model as it learns."""

import math
from typing import Any

import keras

from keras_transformer.config import TransformerConfig
from keras_transformer.training.flops import matmul_peak, train_flops_per_token


class LanguageModelFigures(keras.callbacks.Callback):
    """Adds figures of a causal language model to the logs of every epoch.

    These are `val_loss`, the mean over all tokens of `val_perplexity` (Keras' own is a mean over
    batches, of which the last may be padded), `val_bits_per_character`, the `gradient_norm` of the
    last update and, of the `tokens_per_second` of `Throughput`, `model_flops_utilization`.

    Args:
        config: `TransformerConfig` of the `models.decoder_only`.
        row_length: Tokens of a training row.
        tokens_per_character: Labels of the validation text over its characters: with it texts
            compare whatever their tokenizers are.
        dtype: The model's compute dtype; how fast the machine multiplies it is measured here.

    Attributes:
        peak: The machine's operations a second.

    Example:

    >>> from keras_transformer import TransformerConfig
    >>> config = TransformerConfig.preset("gpt_nano")
    >>> figures = LanguageModelFigures(config, 64, tokens_per_character=0.5, dtype="float32")
    >>> figures.of_perplexity(4.0)["bits_per_character"]
    1.0
    """

    def __init__(
        self,
        config: TransformerConfig,
        row_length: int,
        tokens_per_character: float,
        dtype: str,
    ) -> None:
        super().__init__()
        self.bits_per_nat = tokens_per_character / math.log(2)
        self.dtype, self.peak = dtype, matmul_peak(dtype)
        self.utilization_per_token = train_flops_per_token(config, row_length) / self.peak

    def describe(self) -> str:
        """Returns one line of text: what utilisation is relative to."""
        return f"matmul peak: {self.peak / 1e9:,.0f} GFLOP/s in {self.dtype}"

    def of_perplexity(self, perplexity: float) -> dict[str, float]:
        """The loss in nats a token, and the bits a character."""
        loss = math.log(perplexity)
        return {"loss": loss, "bits_per_character": loss * self.bits_per_nat}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        found = self.of_perplexity(logs["val_perplexity"])
        logs |= {f"val_{name}": value for name, value in found.items()}
        logs["model_flops_utilization"] = logs["tokens_per_second"] * self.utilization_per_token
        logs["gradient_norm"] = float(self.model.optimizer.gradient_norm)
