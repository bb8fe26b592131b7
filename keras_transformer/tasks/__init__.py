"""Text in, text out: a model and its tokenizer as one object."""

from keras_transformer.tasks.info import info
from keras_transformer.tasks.mask_filler import MaskFiller
from keras_transformer.tasks.text_classifier import TextClassifier
from keras_transformer.tasks.text_embedder import TextEmbedder
from keras_transformer.tasks.text_generator import TextGenerator
from keras_transformer.tasks.translator import Translator
from keras_transformer.tasks.whichever import load_task
from keras_transformer.tasks.writing import Writing

__all__ = [
    "MaskFiller",
    "TextClassifier",
    "TextEmbedder",
    "TextGenerator",
    "Translator",
    "Writing",
    "info",
    "load_task",
]
