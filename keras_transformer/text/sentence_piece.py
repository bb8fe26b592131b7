"""SentencePiece: KerasHub's, with the characters that its trainer leaves out."""

import re
from collections import Counter

from keras_transformer.text.corpus import TextError
from keras_transformer.text.tokenizer import Tokenizer, too_large


class SentencePiece(Tokenizer):
    """KerasHub's `SentencePieceTokenizer`: kind "sentencepiece" (unigram), "sentencepiece_bpe"."""

    file = "tokenizer.model"

    def __init__(self, kind, lowercase, proto, mask=False):
        import keras_hub

        self._hub = keras_hub.tokenizers.SentencePieceTokenizer(proto)
        super().__init__(kind, lowercase, self._hub.get_vocabulary(), mask)

    @staticmethod
    def _is_beginning(token):
        return token.startswith("▁")

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        import keras_hub
        import sentencepiece
        import tensorflow as tf

        sentencepiece.set_min_log_level(2)  # hundreds of lines of progress otherwise
        try:
            proto = keras_hub.tokenizers.compute_sentence_piece_proto(
                tf.data.Dataset.from_tensor_slices(lines),
                vocabulary_size - len(special_tokens[4:]),
                model_type="bpe" if kind == "sentencepiece_bpe" else "unigram",
                lowercase=lowercase,
            )
        except RuntimeError as error:
            if most := re.search(r"value <= (\d+)", str(error)):
                raise too_large(int(most[1]), vocabulary_size) from None
            if least := re.search(r"required_chars\. \d+ vs (\d+)", str(error)):
                raise TextError(
                    f"Expected vocabulary_size at least {int(least[1]):,} for this text's "
                    f"characters. Received: vocabulary_size={vocabulary_size}"
                ) from None
            raise
        proto = _cover_characters(proto, lines)
        proto = _add_special(proto, special_tokens[4:])
        return cls(kind, lowercase, proto, len(special_tokens) > 4)

    def _encode(self, lines):
        return self._hub.tokenize(lines)

    def _text(self, ids):
        return self._hub.detokenize([ids])[0]

    def _file_bytes(self):
        return self._hub.proto

    @staticmethod
    def _read_file(path):
        return path.read_bytes()


def _cover_characters(proto, lines):
    """Gives characters without a piece the places of the least useful long pieces.

    KerasHub's trainer leaves out the rarest 0.05 % of the text's characters: in Multi30k that makes
    digits, brackets and some accented letters unknown, in 2.7 % of the French sentences.
    """
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(proto)
    pieces = {piece.piece for piece in model.pieces} | {" "}
    text = SentencePieceProcessor(model_proto=proto).normalize(lines)
    missing = [c for c, _ in Counter("".join(text)).most_common() if c not in pieces]
    # A tenth at most: a script of thousands of rare characters must not crowd out the words.
    missing = missing[: len(model.pieces) // 10]
    # Pieces stand in falling order of score, and under BPE in the order of their merges.
    places = [p for p in reversed(model.pieces) if len(p.piece) > 1 and p.type == p.NORMAL]
    for place, character in zip(places, missing, strict=False):
        place.piece = character
    return model.SerializeToString()


def _add_special(proto, tokens):
    """Adds control pieces, which are never found in text, behind the others."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(proto)
    for token in tokens:
        piece = model.pieces.add(piece=token, score=0.0)
        piece.type = piece.CONTROL
    return model.SerializeToString()
