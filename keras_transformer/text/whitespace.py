"""Text that was split into tokens before."""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import cased, most_frequent
from keras_transformer.types import Ids


class Whitespace(Tokenizer):
    """Splits at white space only; on output joins subwords that end in `@@`."""

    def __init__(self, kind: str, lowercase: bool, tokens: Iterable[str], mask: bool = False):
        super().__init__(kind, lowercase, tokens, mask)
        special = set(self.special_ids)  # a special token in text is only text
        self._id_of = {token: i for i, token in enumerate(self.vocabulary) if i not in special}

    @staticmethod
    def _is_beginning(token):
        return not token.endswith("@@")  # said of the token after it

    def word_starts(self, ids: Ids) -> np.ndarray:
        starts = np.roll(self._begins_word[np.asarray(ids, "int32")], 1)
        starts[:1] = True
        return starts

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        counts = Counter(token for line in lines for token in cased(line, lowercase).split())
        tokens = [*special_tokens, *most_frequent(counts, vocabulary_size, special_tokens)]
        return cls(kind, lowercase, tokens, len(special_tokens) > 4)

    def _encode(self, lines):
        find = self._id_of.get
        return [[find(t, 1) for t in cased(line, self.lowercase).split()] for line in lines]

    def plain(self, line: str) -> str:
        return re.sub(r"@@( |$)", "", line)

    def _text(self, ids):
        return self.plain(" ".join(self.vocabulary[i] for i in ids))

    @staticmethod
    def _parts(line):
        return line.split()
