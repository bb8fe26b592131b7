"""Tokenizers: text to ids and back. All kinds share one interface.

`train_tokenizer`, `load_tokenizer` and `load_vocabulary` choose the class. SentencePiece and
WordPiece are KerasHub's, trained by its own functions; `Whitespace` is for text that was split
into subwords before.
Training is deterministic: the same lines give the same tokenizer. (SentencePiece leaves lines of
more than 4,192 bytes out of its training, not out of `encode`.)
"""

import difflib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from keras_transformer.text.corpus import TextError, read_lines


class Tokenizer:
    """What every tokenizer does. Make one with `train_tokenizer` or `load_tokenizer`.

    Special tokens are never found in text: a user's literal `"[START]"` or `"</s>"` is encoded as
    ordinary characters.

    Attributes:
        kind: The kind, as for `train_tokenizer`.
        lowercase: Whether text is lower-cased before it is split.
        vocabulary_size: Number of ids, special tokens included.
        vocabulary: List of str, the token of each id.
        pad_id, unknown_id, start_id, end_id: 0, 1, 2, 3 in every tokenizer that was trained here.
        mask_id: What a masked language model sees in a token's place; None without such a token.
        special_ids: List of all of these.

    Example:

    >>> tokenizer = train_tokenizer("whitespace", ["a house", "a cat"])
    >>> [ids] = tokenizer.encode(["a cat </s>"])
    >>> ids
    array([4, 6, 1], dtype=int32)
    >>> tokenizer.decode([[2, 4, 6, 3, 5, 0]])
    ['a cat']
    """

    special_tokens = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")  # the last one need not be there
    file = "vocabulary.txt"

    def __init__(self, kind, lowercase, tokens, mask=False):
        self.kind = kind
        self.lowercase = lowercase
        self.vocabulary = list(tokens)
        special = self.special_tokens[: 5 if mask else 4]
        if missing := [token for token in special if token not in self.vocabulary]:
            raise TextError(
                f"Expected the special tokens {', '.join(special)} in a {kind} vocabulary. "
                f"Received: {len(self.vocabulary):,} tokens without {', '.join(missing)}"
            )
        # The first ones of their name: a text may hold the same words.
        self.special_ids = [self.vocabulary.index(token) for token in special]
        self.pad_id, self.unknown_id, self.start_id, self.end_id = self.special_ids[:4]
        self.mask_id = self.special_ids[4] if mask else None
        self.vocabulary_size = len(self.vocabulary)
        self._begins_word = np.array([self._is_beginning(token) for token in self.vocabulary])

    def encode(self, lines):
        """Turns lines into ids, without special tokens.

        Args:
            lines: List of str. An empty line gives an empty array.

        Returns:
            A list of int32 arrays, one a line.
        """
        return [np.array(ids, "int32") for ids in self._encode(list(lines))]

    def decode(self, ids):
        """Turns ids into lines: up to the end token, special tokens left out, words rejoined.

        An unknown token stays visible as the vocabulary writes it.

        Args:
            ids: int array `(B, T)`, or a list of sequences of ids.

        Returns:
            A list of B str.
        """
        return [self._text(self._ordinary(np.asarray(row).tolist())) for row in ids]

    def plain(self, line):
        """The line as `decode` would write it: a reference to compare its output with.

        >>> train_tokenizer("whitespace", ["a b"]).plain("a pul@@ ley")
        'a pulley'
        """
        return line

    def word_starts(self, ids):
        """Says where words begin in a line of ids, `(T,) -> (T,)` bool.

        >>> tokenizer = train_tokenizer("whitespace", ["a pul@@ ley"])
        >>> tokenizer.word_starts([4, 5, 6])
        array([ True,  True, False])
        """
        starts = self._begins_word[np.asarray(ids, "int32")]
        starts[:1] = True
        return starts

    def save(self, folder):
        """Writes `tokenizer.json` and the vocabulary (`vocabulary.txt` or `tokenizer.model`).

        Args:
            folder: Where to; made if it is missing.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "kind": self.kind,
            "lowercase": self.lowercase,
            "mask": self.mask_id is not None,
        }
        (folder / "tokenizer.json").write_text(json.dumps(settings, indent=2) + "\n")
        (folder / self.file).write_bytes(self._file_bytes())

    def _ordinary(self, ids):
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        return [i for i in ids if i not in (self.pad_id, self.start_id)]

    def _file_bytes(self):
        return "".join(token + "\n" for token in self.vocabulary).encode()

    @classmethod
    def _from_file(cls, kind, lowercase, mask, path):
        return cls(kind, lowercase, read_lines(path), mask)


class Whitespace(Tokenizer):
    """Splits at white space only; on output joins subwords that end in `@@`."""

    def __init__(self, kind, lowercase, tokens, mask=False):
        super().__init__(kind, lowercase, tokens, mask)
        special = set(self.special_ids)  # a special token in text is only text
        self._id_of = {token: i for i, token in enumerate(self.vocabulary) if i not in special}

    @staticmethod
    def _is_beginning(token):
        return not token.endswith("@@")  # said of the token after it

    def word_starts(self, ids):
        starts = np.roll(self._begins_word[np.asarray(ids, "int32")], 1)
        starts[:1] = True
        return starts

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        counts = Counter(token for line in lines for token in _cased(line, lowercase).split())
        most = len(counts) + len(special_tokens)
        if vocabulary_size is not None and vocabulary_size > most:
            raise _too_large(most, vocabulary_size)
        # most_common keeps the order of first appearance among equals
        ordinary = [token for token, _ in counts.most_common()]
        tokens = [*special_tokens, *ordinary][:vocabulary_size]
        return cls(kind, lowercase, tokens, len(special_tokens) > 4)

    def _encode(self, lines):
        find = self._id_of.get
        return [[find(t, 1) for t in _cased(line, self.lowercase).split()] for line in lines]

    def plain(self, line):
        return re.sub(r"@@( |$)", "", line)

    def _text(self, ids):
        return self.plain(" ".join(self.vocabulary[i] for i in ids))


class WordPiece(Tokenizer):
    """KerasHub's `WordPieceTokenizer`, with its output's punctuation put back in place."""

    special_tokens = ("[PAD]", "[UNK]", "[START]", "[END]", "[MASK]")
    strip_accents = False

    def __init__(self, kind, lowercase, tokens, mask=False):
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

        tokens = keras_hub.tokenizers.compute_word_piece_vocabulary(
            tf.data.Dataset.from_tensor_slices(lines).batch(1024),
            vocabulary_size,
            lowercase=lowercase,
            reserved_tokens=list(special_tokens),
        )
        if len(tokens) < 0.95 * vocabulary_size:  # the trainer itself is content with 95 %
            raise _too_large(len(tokens), vocabulary_size)
        return cls(kind, lowercase, tokens, len(special_tokens) > 4)

    def _encode(self, lines):
        return self._hub.tokenize(lines)

    def _text(self, ids):
        text = " ".join(self.vocabulary[i] for i in ids).replace(" ##", "")
        for pattern, replacement in _REJOIN:
            text = pattern.sub(replacement, text)
        return text


class Bert(WordPiece):
    """WordPiece with the special tokens and the normalisation of Devlin et al. 2019.

    "Uncased", that is with `lowercase`, it also strips accents.
    """

    special_tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    strip_accents = True


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
                raise _too_large(int(most[1]), vocabulary_size) from None
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

    @classmethod
    def _from_file(cls, kind, lowercase, mask, path):
        return cls(kind, lowercase, Path(path).read_bytes(), mask)


KINDS = {
    "sentencepiece": SentencePiece,
    "sentencepiece_bpe": SentencePiece,
    "wordpiece": WordPiece,
    "bert": Bert,
    "whitespace": Whitespace,
}


def train_tokenizer(kind, lines, vocabulary_size=None, lowercase=False, mask=False):
    """Learns a vocabulary from text.

    Args:
        kind: `"sentencepiece"` (unigram), `"sentencepiece_bpe"`, `"wordpiece"`, `"bert"` (WordPiece
            with BERT's special tokens, which strips accents if `lowercase`), or `"whitespace"` for
            text that is already split into tokens (subwords marked as in `sub@@ words`).
        lines: List of str. For one vocabulary of both languages, source and target lines.
        vocabulary_size: Number of ids, the four special tokens included. WordPiece may stop up to
            5 % below it. Default `None`, for `"whitespace"` only: every token of the text.
        lowercase: Lower-case all text, here and in `encode`. Default `False`.
        mask: Whether there is a fifth special token, for masked language models. Default `False`.

    Returns:
        A `Tokenizer`.

    Raises:
        ValueError: Unknown kind, no text, or a vocabulary larger than the text allows.

    Example:

    >>> tokenizer = train_tokenizer("whitespace", ["a pul@@ ley", "a house"])
    >>> tokenizer.vocabulary_size
    8
    >>> [ids.tolist() for ids in tokenizer.encode(["a house", "a cat", ""])]
    [[4, 7], [4, 1], []]
    >>> tokenizer.decode([[4, 5, 6, 3, 0, 0]])
    ['a pulley']
    """
    if kind not in KINDS:
        closest = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f" (did you mean {closest[0]!r}?)" if closest else ""
        raise ValueError(
            f"Expected kind to be one of {', '.join(map(repr, KINDS))}{hint}. Received: {kind=}"
        )
    if vocabulary_size is None and kind != "whitespace":
        raise ValueError(f"Expected vocabulary_size for {kind=}. Received: vocabulary_size=None")
    special_tokens = KINDS[kind].special_tokens[: 5 if mask else 4]
    if vocabulary_size is not None and vocabulary_size <= len(special_tokens):
        raise ValueError(
            f"Expected vocabulary_size to be more than the {len(special_tokens)} special tokens. "
            f"Received: {vocabulary_size=}"
        )
    lines = [line for line in lines if line and not line.isspace()]
    if not lines:
        raise TextError("Expected text to learn a vocabulary from. Received: no line with text")
    return KINDS[kind]._train(kind, lines, vocabulary_size, lowercase, special_tokens)


def load_vocabulary(path):
    """Makes a tokenizer of kind `"bert"` from a published `vocab.txt`, a token a line.

    A vocabulary without capitals is an uncased one: text is lower-cased and loses its accents.

    Args:
        path: The file.

    Returns:
        A `Tokenizer` whose ids are the file's line numbers, from 0.

    Raises:
        TextError: As `read_lines`, or the file lacks one of BERT's special tokens.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "vocab.txt"
    >>> _ = path.write_text("[PAD] [UNK] [CLS] [SEP] [MASK] cafe ##s".replace(" ", chr(10)))
    >>> tokenizer = load_vocabulary(path)
    >>> tokenizer.encode(["Cafés"])[0].tolist(), tokenizer.mask_id
    ([5, 6], 4)
    """
    tokens = read_lines(path)
    if missing := [token for token in Bert.special_tokens if token not in tokens]:
        raise TextError(
            f"{path}: expected a vocabulary with the special tokens "
            f"{', '.join(Bert.special_tokens)}, it lacks {', '.join(missing)}"
        )
    ordinary = (token for token in tokens if token not in Bert.special_tokens)
    return Bert("bert", all(token == token.lower() for token in ordinary), tokens, mask=True)


def load_tokenizer(folder):
    """Loads what `Tokenizer.save` wrote.

    Args:
        folder: The folder given to `save`.

    Returns:
        A `Tokenizer` that gives the same ids as the saved one.

    Raises:
        ValueError: The folder does not hold a tokenizer.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> train_tokenizer("whitespace", ["a house"]).save(folder)
    >>> load_tokenizer(folder).vocabulary
    ['<pad>', '<unk>', '<s>', '</s>', 'a', 'house']
    """
    path = Path(folder) / "tokenizer.json"
    try:
        settings = json.loads(path.read_text())
        kind, lowercase = settings["kind"], settings["lowercase"]
        cls = KINDS[kind]
        # Tokenizers were saved without a mask before there was one.
        return cls._from_file(
            kind, lowercase, settings.get("mask", False), path.with_name(cls.file)
        )
    except Exception as error:  # a foreign file may break anything, TensorFlow's ops included
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise TextError(f"{folder}: not a tokenizer's folder ({reason})") from None


def _cased(line, lowercase):
    return line.lower() if lowercase else line


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


def _too_large(most, vocabulary_size):
    return TextError(
        f"Expected vocabulary_size at most {most:,} for this text. Received: {vocabulary_size=}"
    )


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
