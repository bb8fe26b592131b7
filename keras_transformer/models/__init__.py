"""The three families as plain Functional models: wiring only."""

from keras_transformer.models.classifiers import (
    question_answerer,
    sequence_classifier,
    token_classifier,
)
from keras_transformer.models.decoder_only import decoder_only
from keras_transformer.models.encoder_decoder import encoder_decoder
from keras_transformer.models.encoder_only import encoder_only
from keras_transformer.models.inspection import config_of
from keras_transformer.models.masked_language_model import masked_language_model
from keras_transformer.models.model import TransformerModel
from keras_transformer.models.pruning import heads_off, prune_heads
from keras_transformer.models.weights import copy_weights

__all__ = [
    "TransformerModel",
    "config_of",
    "copy_weights",
    "decoder_only",
    "encoder_decoder",
    "encoder_only",
    "heads_off",
    "masked_language_model",
    "prune_heads",
    "question_answerer",
    "sequence_classifier",
    "token_classifier",
]
