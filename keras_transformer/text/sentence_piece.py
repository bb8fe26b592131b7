"""SentencePiece, in whose output every text can be written."""

import io
import re
from collections import Counter

from keras_transformer.checks import refusal
from keras_transformer.text.corpus import TextError
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import DEFAULT_SIZE, cased, in_parts, too_large

# The trainer of SentencePiece does not survive a NUL, in text or in a piece.
_NUL = "\0"
_AS_IT_IS = "identity"  # the name of the normalisation that changes nothing


class SentencePiece(Tokenizer):
    """Google's `sentencepiece`: kind "sentencepiece" (unigram), "sentencepiece_bpe".

    Text is not normalised. A character without a piece is written in the pieces of its bytes, so
    that all text comes back (but for U+2581, which stands for a space), unless the vocabulary is
    too small for 256 of these: then it is unknown, and runs of spaces are one space.

    Ids that stop within a character decode to U+FFFD there.

    Reference:
        Kudo and Richardson 2018, "SentencePiece"; byte fallback: version 0.1.90 of its code.
    """

    file = "tokenizer.model"

    def __init__(self, kind: str, lowercase: bool, proto: bytes, mask: bool = False):
        from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

        self._proto = proto
        self._model = SentencePieceProcessor(model_proto=proto)
        tokens = [self._model.id_to_piece(i) for i in range(self._model.get_piece_size())]
        super().__init__(kind, lowercase, tokens, mask)
        model = sentencepiece_model_pb2.ModelProto.FromString(proto)
        self.lossless = model.trainer_spec.byte_fallback
        # Models of earlier versions normalise text and fold its case themselves.
        self._fold_case = lowercase and model.normalizer_spec.name == _AS_IT_IS

    @staticmethod
    def _is_beginning(token):
        return token.startswith("▁")

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        lines = [cased(line, lowercase).replace(_NUL, " ") for line in in_parts(lines)]
        extra = special_tokens[4:]
        proto = _learn(kind, lines, vocabulary_size, len(extra))
        proto = _add_special(_cover_characters(proto, lines), extra)
        return cls(kind, lowercase, proto, len(special_tokens) > 4)

    def _encode(self, lines):
        return self._model.encode([cased(line, self._fold_case) for line in lines])

    def _text(self, ids):
        return self._model.decode(ids)

    def file_bytes(self) -> bytes:
        return self._proto

    @staticmethod
    def _read_file(path):
        return path.read_bytes()


def _learn(kind, lines, vocabulary_size, extra):
    """A trained model, with room for extra pieces, and with pieces for all bytes if they fit."""
    import sentencepiece

    is_exact, room = vocabulary_size is not None, ""
    vocabulary_size = vocabulary_size or DEFAULT_SIZE
    for with_bytes in (True, False):
        proto = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=proto,
                vocab_size=vocabulary_size - extra,
                hard_vocab_limit=is_exact,
                model_type="bpe" if kind == "sentencepiece_bpe" else "unigram",
                normalization_rule_name=_AS_IT_IS,
                byte_fallback=with_bytes,
                remove_extra_whitespaces=not with_bytes,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                minloglevel=2,  # hundreds of lines of progress otherwise
            )
            return proto.getvalue()
        except RuntimeError as error:
            reason = str(error)
        if most := re.search(r"value <= (\d+)", reason):
            raise too_large(int(most[1]) + extra, vocabulary_size, room)
        least = re.search(r"required_chars\. \d+ vs (\d+)", reason)
        if not least:
            found = reason.splitlines()[0][:200]
            raise refusal("text that SentencePiece can learn from", found, error=TextError)
        least = int(least[1]) + extra
        room = f", or at least {least:,}, with pieces for all bytes"
    raise refusal(
        f"vocabulary_size at least {least:,} for this text's characters",
        vocabulary_size=vocabulary_size,
        error=TextError,
    )


def _cover_characters(proto, lines):
    """Gives characters without a piece the places of the least useful long pieces.

    The trainer leaves out the rarest 0.05 % of the text's characters: in Multi30k that makes
    digits, brackets and some accented letters unknown, or three tokens each, in 2.7 % of the French
    sentences.
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
