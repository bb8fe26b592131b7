"""Batches of bounded shapes from lists of ids."""

from keras_transformer.data.batching import PairBatches, length_batches
from keras_transformer.data.documents import DocumentBatches
from keras_transformer.data.hold_out import hold_out, hold_out_rows
from keras_transformer.data.labelling import LabelledBatches
from keras_transformer.data.masker import Masker
from keras_transformer.data.masking import NOT_A_PAIR, MaskedBatches
from keras_transformer.data.packing import pack
from keras_transformer.data.shapes import round_rows, round_up
from keras_transformer.data.speed import input_speed
from keras_transformer.data.streams import StreamBatches

__all__ = [
    "NOT_A_PAIR",
    "DocumentBatches",
    "LabelledBatches",
    "MaskedBatches",
    "Masker",
    "PairBatches",
    "StreamBatches",
    "hold_out",
    "hold_out_rows",
    "input_speed",
    "length_batches",
    "pack",
    "round_rows",
    "round_up",
]
