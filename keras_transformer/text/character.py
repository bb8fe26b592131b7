"""Every character a token."""

import json
import sys
from collections import Counter
from collections.abc import Iterable

import numpy as np

from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import cased, most_frequent


class Character(Tokenizer):
    """A token for each character of the text, white space and newlines included.

    White space belongs to the word after it.
    """

    file = "vocabulary.json"  # a newline is a token: lines cannot hold it
    lossless = True

    def __init__(self, kind: str, lowercase: bool, tokens: Iterable[str], mask: bool = False):
        super().__init__(kind, lowercase, tokens, mask)
        first = len(self.special_ids)
        self._id_of = np.full(sys.maxunicode + 1, self.unknown_id, "int32")
        characters = _code_points("".join(self.vocabulary[first:]))
        self._id_of[characters] = np.arange(first, self.vocabulary_size)

    @staticmethod
    def _is_beginning(token):
        return token.isspace()

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        counts = Counter("".join(cased(line, lowercase) for line in lines))
        characters = sorted(most_frequent(counts, vocabulary_size, special_tokens))
        return cls(kind, lowercase, [*special_tokens, *characters], len(special_tokens) > 4)

    @staticmethod
    def _parts(line):
        return line  # white space can be unknown too

    def _encode(self, lines):
        return [self._id_of[_code_points(cased(line, self.lowercase))] for line in lines]

    def _text(self, ids):
        return "".join(self.vocabulary[i] for i in ids)

    def file_bytes(self) -> bytes:
        return json.dumps(self.vocabulary).encode()

    @staticmethod
    def _read_file(path):
        return json.loads(path.read_bytes())


def _code_points(text):
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
