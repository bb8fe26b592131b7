"""From token ids to batches."""

from keras_transformer.data.batching import PairBatches, length_batches

__all__ = ["PairBatches", "length_batches"]
