"""WordPiece: KerasHub's, with its output's punctuation put back in place."""

import re
from collections.abc import Iterable

from keras_transformer.checks import refusal
from keras_transformer.text.corpus import TextError
from keras_transformer.text.frame import Frame
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import DEFAULT_SIZE, too_large


class WordPiece(Tokenizer):
    """KerasHub's `WordPieceTokenizer`, with its output's punctuation put back in place."""

    special_tokens = ("[PAD]", "[UNK]", "[START]", "[END]", "[MASK]")
    strip_accents = False

    def __init__(self, kind: str, lowercase: bool, tokens: Iterable[str], mask: bool = False):
        import keras_hub

        super().__init__(kind, lowercase, tokens, mask)
        self._hub = keras_hub.tokenizers.WordPieceTokenizer(
            self.vocabulary,
            lowercase=lowercase,
            strip_accents=lowercase and self.strip_accents,
            oov_token="[UNK]",
        )

    @staticmethod
    def _is_beginning(token):
        return not token.startswith("##")

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        import keras_hub
        import tensorflow as tf

        try:
            tokens = keras_hub.tokenizers.compute_word_piece_vocabulary(
                tf.data.Dataset.from_tensor_slices(lines).batch(1024),
                vocabulary_size or DEFAULT_SIZE,
                lowercase=lowercase,
                reserved_tokens=list(special_tokens),
            )
        except StopIteration:  # what is not printed is no word
            raise refusal("text with words", "none", error=TextError) from None
        # The trainer itself is content with 95 %.
        if vocabulary_size and len(tokens) < 0.95 * vocabulary_size:
            raise too_large(len(tokens), vocabulary_size)
        return cls(kind, lowercase, tokens, len(special_tokens) > 4)

    def _encode(self, lines):
        return self._hub.tokenize(lines)

    def _text(self, ids):
        text = " ".join(self.vocabulary[i] for i in ids).replace(" ##", "")
        for pattern, replacement in _REJOIN:
            text = pattern.sub(replacement, text)
        return text


class BertWordPiece(WordPiece):
    """WordPiece with the special tokens and the normalisation of Devlin et al. 2019.

    "Uncased", that is with `lowercase`, it also strips accents.
    """

    special_tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    strip_accents = True

    def __init__(self, kind: str, lowercase: bool, tokens: Iterable[str], mask: bool = False):
        super().__init__(kind, lowercase, tokens, mask)
        start, end = [self.start_id], [self.end_id]
        single = (start, 0), (0, 0), (end, 0)
        self.frames = Frame(*single), Frame(*single, (1, 1), (end, 1))


# WordPiece forgets where spaces were beside punctuation; these put them where most texts do.
_REJOIN = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<=\w) (['’\-‐]) (?=\w)", r"\1"),  # don't, well-known
        (r"(?<=\d) ([.,:/]) (?=\d)", r"\1"),  # 3.5
        (r" ([.,;:!?%…)\]}»”]+)", r"\1"),
        (r"([(\[{«“¿¡]) ", r"\1"),
        (r'" ([^"]*?) "', r'"\1"'),
    ]
]
