"""Text in and text out: readers of corpora, and tokenizers that train, save and load."""

from keras_transformer.text.corpus import (
    TextError,
    read_lines,
    read_pairs,
    read_parallel,
    read_text,
)
from keras_transformer.text.published import load_published
from keras_transformer.text.table import read_table
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.tokenizers import (
    KINDS,
    load_tokenizer,
    load_vocabulary,
    train_tokenizer,
)

__all__ = [
    "KINDS",
    "TextError",
    "Tokenizer",
    "load_published",
    "load_tokenizer",
    "load_vocabulary",
    "read_lines",
    "read_pairs",
    "read_parallel",
    "read_table",
    "read_text",
    "train_tokenizer",
]
