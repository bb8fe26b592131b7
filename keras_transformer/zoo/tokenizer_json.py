"""Tokenizers that were trained here, as a `tokenizer.json` of Hugging Face's `tokenizers`."""

import re
import sys

from keras_transformer import text
from keras_transformer.text.patterns import QUOTES

# The blocks whose characters BERT takes for words of their own.
_CHINESE = (
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{2F800}-\x{2FA1F}"
)
# What Python splits words at, which is more than what Rust calls white space.
_SPACE = "".join(rf"\x{{{i:X}}}" for i in range(sys.maxunicode) if chr(i).isspace())
# Where `text.word_piece` takes spaces out, in expressions that keep nothing of what they find.
_WORD_PIECE_SPACES = (
    r"(?<=\w) (?=['’\-‐] \w)|(?<=\w ['’\-‐]) (?=\w)",
    r"(?<=\d) (?=[.,:\/] \d)|(?<=\d [.,:\/]) (?=\d)",
    r" (?=[.,;:!?%…)\]}»”])",
    r"(?<=[(\[{«“¿¡]) ",
    # After the first quotation mark of a pair; then, from there on, before the second.
    QUOTES,
)


def as_json(tokenizer: text.Tokenizer) -> bytes:
    """The bytes of a `tokenizer.json` that gives the ids of a tokenizer that was trained here.

    Args:
        tokenizer: `Tokenizer` of any kind but `"published"`.
    """
    model = _MAKERS[tokenizer.kind](tokenizer)
    model.add_special_tokens([tokenizer.vocabulary[i] for i in tokenizer.special_ids])
    return model.to_str().encode()


def _byte_pair(tokenizer):
    from tokenizers import Tokenizer

    model = Tokenizer.from_buffer(tokenizer.file_bytes())
    if tokenizer.lowercase:
        model.normalizer = _lowercase()
    return model


def _word_piece(tokenizer):
    """KerasHub's cutting and folding, from which that of BERT differs in control characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import BertProcessing

    unknown, start, end = (tokenizer.vocabulary[i] for i in tokenizer.special_ids[1:4])
    model = Tokenizer(models.WordPiece(_ids(tokenizer), unk_token=unknown))
    # Words end at ASCII spaces, before folding makes such spaces of others.
    steps = [normalizers.Replace(" ", "\n")]
    if tokenizer.lowercase:
        if tokenizer.strip_accents:
            steps = [normalizers.NFD(), normalizers.Replace(Regex(r"\p{Mn}"), ""), *steps]
        steps += [normalizers.NFKC(), normalizers.Lowercase()]
        steps += [normalizers.Replace("ß", "ss"), normalizers.Replace("ς", "σ")]
        steps += [normalizers.NFKC()]
    model.normalizer = normalizers.Sequence(steps)
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\p{Cc}\p{Cf}]"), "removed"),
            pre_tokenizers.Split(Regex(rf"[!-/:-@\[-`{{-~\p{{P}}{_CHINESE}]"), "isolated"),
        ]
    )
    rejoin = [decoders.Replace(Regex(pattern), "") for pattern in _WORD_PIECE_SPACES]
    word_piece = decoders.WordPiece(cleanup=False)
    model.decoder = decoders.Sequence([word_piece, decoders.Fuse(), *rejoin])
    if tokenizer.kind == "bert":
        model.post_processor = BertProcessing((end, tokenizer.end_id), (start, tokenizer.start_id))
    return model


def _sentence_piece(tokenizer):
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.file_bytes())
    spec, with_bytes = proto.normalizer_spec, proto.trainer_spec.byte_fallback
    scores = {piece.piece: piece.score for piece in proto.pieces}
    special = {tokenizer.vocabulary[i] for i in tokenizer.special_ids}
    unknown = tokenizer.vocabulary[tokenizer.unknown_id]
    if tokenizer.kind == "sentencepiece":
        # In text they are only text, whose pieces are likelier.
        hidden = {piece.piece for piece in proto.pieces if piece.type == piece.BYTE} | special
        scores |= dict.fromkeys(hidden, -1000.0)
        pieces = [(token, scores[token]) for token in tokenizer.vocabulary]
        model = models.Unigram(pieces, tokenizer.unknown_id, byte_fallback=with_bytes)
    else:
        merges = _merges(scores, special)
        model = models.BPE(
            _ids(tokenizer), merges, unk_token=unknown, fuse_unk=True, byte_fallback=with_bytes
        )
    model = Tokenizer(model)
    steps = []
    if tokenizer.lowercase and not spec.precompiled_charsmap:  # which folds case, too
        steps.append(_lowercase())
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(r"\A +| +(?= )"), ""))
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend("▁"))
    steps.append(normalizers.Replace(" ", "▁"))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(r"▁+\z"), ""))
    model.normalizer = normalizers.Sequence(steps)
    steps = [pre_tokenizers.Metaspace("▁", prepend_scheme="never")]
    if tokenizer.kind == "sentencepiece":
        steps += [
            pre_tokenizers.Split(Regex(p), "isolated") for p in _cuts(special, scores, with_bytes)
        ]
    model.pre_tokenizer = pre_tokenizers.Sequence(steps)
    first = r"\A▁+" if spec.remove_extra_whitespaces else r"\A▁"
    model.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(rf"\A{unknown}\z"), " ⁇ "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Replace(Regex(first), "")] if spec.add_dummy_prefix else []),
            decoders.Replace("▁", " "),
        ]
    )
    return model


def _cuts(special, scores, with_bytes):
    """Expressions for places beside unknown characters in special tokens and pieces for bytes.

    No piece of text goes on over such a place. What is cut there is only text.
    """
    hexadecimal = "0123456789ABCDEF"
    a_byte = [["<", "0", "x", hexadecimal, hexadecimal, ">"]] if with_bytes else []
    for token in [*special, *a_byte]:
        parts = [f"[{re.escape(characters)}]" for characters in token]
        unknown = [[c for c in characters if c not in scores] for characters in token]
        for i in range(1, len(token)):
            # Beside each other, unknown characters are one token, unless they are bytes.
            if with_bytes or bool(unknown[i - 1]) != bool(unknown[i]):
                for place, characters in ((i - 1, unknown[i - 1]), (i, unknown[i])):
                    if characters:
                        here = [*parts]
                        here[place] = f"[{re.escape(''.join(characters))}]"
                        yield f"(?<={''.join(here[:i])})(?={''.join(here[i:])})"


def _merges(scores, special):
    """The pairs of pieces that make a piece, the best scores first."""
    pieces = {piece: score for piece, score in scores.items() if piece not in special}
    return [
        (piece[:i], piece[i:])
        for piece in sorted(pieces, key=pieces.get, reverse=True)
        for i in range(1, len(piece))
        if piece[:i] in pieces and piece[i:] in pieces
    ]


def _whitespace(tokenizer):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    ids, steps = _ids(tokenizer), []
    unknown = tokenizer.vocabulary[tokenizer.unknown_id]
    if tokenizer.lowercase:
        steps.append(_lowercase())
    rejoin = [decoders.Replace(Regex(r"@@( |\z)"), "")]
    # In text special tokens are words, unknown ones or others of their name. The unknown comes
    # first, as what the others become is not to be looked at again.
    for i in sorted(tokenizer.special_ids, key=lambda i: i != tokenizer.unknown_id):
        token, name = tokenizer.vocabulary[i], unknown
        if token in tokenizer.vocabulary[i + 1 :]:
            name = f"{token}_"
            while name in ids:
                name += "_"
            ids[name] = tokenizer.vocabulary.index(token, i + 1)
            rejoin.append(decoders.Replace(Regex(rf"(?<![^ ]){re.escape(name)}(?![^ ])"), token))
        word = rf"(?<![^{_SPACE}]){re.escape(token)}(?![^{_SPACE}])"
        steps.append(normalizers.Replace(Regex(word), name))
    model = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    model.normalizer = normalizers.Sequence(steps)
    model.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{_SPACE}]+"), "removed")
    words = decoders.WordPiece(" ", cleanup=False)  # which no token begins with
    model.decoder = decoders.Sequence([words, decoders.Fuse(), *rejoin])
    return model


def _character(tokenizer):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    unknown = tokenizer.vocabulary[tokenizer.unknown_id]
    model = Tokenizer(models.WordLevel(_ids(tokenizer), unk_token=unknown))
    if tokenizer.lowercase:
        model.normalizer = _lowercase()
    model.pre_tokenizer = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")
    model.decoder = decoders.Fuse()
    return model


def _lowercase():
    """As Python's `lower`: Greek has another sigma at the end of a word."""
    from tokenizers import Regex, normalizers

    cased = r"[\p{Lu}\p{Ll}\p{Lt}]"
    ignored = r"[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'.:·’‘․‧]*"
    last = normalizers.Replace(Regex(rf"{cased}{ignored}\KΣ(?!{ignored}{cased})"), "ς")
    return normalizers.Sequence([last, normalizers.Lowercase()])


def _ids(tokenizer):
    # Of two tokens of one name the first is the special one.
    return {token: i for i, token in reversed(list(enumerate(tokenizer.vocabulary)))}


_MAKERS = {
    "sentencepiece": _sentence_piece,
    "sentencepiece_bpe": _sentence_piece,
    "wordpiece": _word_piece,
    "bert": _word_piece,
    "whitespace": _whitespace,
    "character": _character,
    "bpe": _byte_pair,
}
