"""Tokenizers: text to ids and back. All kinds share one interface and the same special ids.

`train_tokenizer` and `load_tokenizer` choose the class. SentencePiece and WordPiece are KerasHub's,
trained by its own functions; `Whitespace` is for text that was split into subwords before.
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

    Special tokens have the same ids in every kind. They are never found in text: a user's literal
    `"[START]"` or `"</s>"` is encoded as ordinary characters.

    Attributes:
        kind: The kind, as for `train_tokenizer`.
        lowercase: Whether text is lower-cased before it is split.
        vocabulary_size: Number of ids, special tokens included.
        vocabulary: List of str, the token of each id.
        pad_id, unknown_id, start_id, end_id: 0, 1, 2, 3.

    Example:

    >>> tokenizer = train_tokenizer("whitespace", ["a house", "a cat"])
    >>> [ids] = tokenizer.encode(["a cat </s>"])
    >>> ids
    array([4, 6, 1], dtype=int32)
    >>> tokenizer.decode([[2, 4, 6, 3, 5, 0]])
    ['a cat']
    """

    pad_id, unknown_id, start_id, end_id = range(4)
    special_tokens = ("<pad>", "<unk>", "<s>", "</s>")
    file = "vocabulary.txt"

    def __init__(self, kind, lowercase, tokens):
        self.kind = kind
        self.lowercase = lowercase
        self.vocabulary = list(tokens)
        if self.vocabulary[:4] != list(self.special_tokens):
            raise TextError(
                f"Expected a {kind} vocabulary to begin with {', '.join(self.special_tokens)}. "
                f"Received: {', '.join(self.vocabulary[:4])}"
            )
        self.vocabulary_size = len(self.vocabulary)

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

    def save(self, folder):
        """Writes `tokenizer.json` and the vocabulary (`vocabulary.txt` or `tokenizer.model`).

        Args:
            folder: Where to; made if it is missing.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"kind": self.kind, "lowercase": self.lowercase}
        (folder / "tokenizer.json").write_text(json.dumps(settings, indent=2) + "\n")
        (folder / self.file).write_bytes(self._file_bytes())

    def _ordinary(self, ids):
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        return [i for i in ids if i not in (self.pad_id, self.start_id)]

    def _file_bytes(self):
        return "".join(token + "\n" for token in self.vocabulary).encode()

    @classmethod
    def _from_file(cls, kind, lowercase, path):
        return cls(kind, lowercase, read_lines(path))


class Whitespace(Tokenizer):
    """Splits at white space only; on output joins subwords that end in `@@`."""

    def __init__(self, kind, lowercase, tokens):
        super().__init__(kind, lowercase, tokens)
        ordinary = enumerate(self.vocabulary[4:], 4)  # a special token in text is only text
        self._id_of = {token: i for i, token in ordinary}

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase):
        counts = Counter(token for line in lines for token in _cased(line, lowercase).split())
        most = len(counts) + len(cls.special_tokens)
        if vocabulary_size is not None and vocabulary_size > most:
            raise _too_large(most, vocabulary_size)
        # most_common keeps the order of first appearance among equals
        ordinary = [token for token, _ in counts.most_common()]
        return cls(kind, lowercase, [*cls.special_tokens, *ordinary][:vocabulary_size])

    def _encode(self, lines):
        find = self._id_of.get
        return [[find(t, 1) for t in _cased(line, self.lowercase).split()] for line in lines]

    def plain(self, line):
        return re.sub(r"@@( |$)", "", line)

    def _text(self, ids):
        return self.plain(" ".join(self.vocabulary[i] for i in ids))


class WordPiece(Tokenizer):
    """KerasHub's `WordPieceTokenizer`, with its output's punctuation put back in place."""

    special_tokens = ("[PAD]", "[UNK]", "[START]", "[END]")

    def __init__(self, kind, lowercase, tokens):
        import keras_hub

        super().__init__(kind, lowercase, tokens)
        self._hub = keras_hub.tokenizers.WordPieceTokenizer(
            self.vocabulary, lowercase=lowercase, strip_accents=False, oov_token="[UNK]"
        )

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase):
        import keras_hub
        import tensorflow as tf

        tokens = keras_hub.tokenizers.compute_word_piece_vocabulary(
            tf.data.Dataset.from_tensor_slices(lines).batch(1024),
            vocabulary_size,
            lowercase=lowercase,
            reserved_tokens=list(cls.special_tokens),
        )
        if len(tokens) < 0.95 * vocabulary_size:  # the trainer itself is content with 95 %
            raise _too_large(len(tokens), vocabulary_size)
        return cls(kind, lowercase, tokens)

    def _encode(self, lines):
        return self._hub.tokenize(lines)

    def _text(self, ids):
        text = " ".join(self.vocabulary[i] for i in ids).replace(" ##", "")
        for pattern, replacement in _REJOIN:
            text = pattern.sub(replacement, text)
        return text


class SentencePiece(Tokenizer):
    """KerasHub's `SentencePieceTokenizer`: kind "sentencepiece" (unigram), "sentencepiece_bpe"."""

    file = "tokenizer.model"

    def __init__(self, kind, lowercase, proto):
        import keras_hub

        self._hub = keras_hub.tokenizers.SentencePieceTokenizer(proto)
        super().__init__(kind, lowercase, self._hub.get_vocabulary())

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase):
        import keras_hub
        import sentencepiece
        import tensorflow as tf

        sentencepiece.set_min_log_level(2)  # hundreds of lines of progress otherwise
        try:
            proto = keras_hub.tokenizers.compute_sentence_piece_proto(
                tf.data.Dataset.from_tensor_slices(lines),
                vocabulary_size,
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
        return cls(kind, lowercase, _cover_characters(proto, lines))

    def _encode(self, lines):
        return self._hub.tokenize(lines)

    def _text(self, ids):
        return self._hub.detokenize([ids])[0]

    def _file_bytes(self):
        return self._hub.proto

    @classmethod
    def _from_file(cls, kind, lowercase, path):
        return cls(kind, lowercase, Path(path).read_bytes())


KINDS = {
    "sentencepiece": SentencePiece,
    "sentencepiece_bpe": SentencePiece,
    "wordpiece": WordPiece,
    "whitespace": Whitespace,
}


def train_tokenizer(kind, lines, vocabulary_size=None, lowercase=False):
    """Learns a vocabulary from text.

    Args:
        kind: `"sentencepiece"` (unigram), `"sentencepiece_bpe"`, `"wordpiece"`, or `"whitespace"`
            for text that is already split into tokens (subwords marked as in `sub@@ words`).
        lines: List of str. For one vocabulary of both languages, source and target lines.
        vocabulary_size: Number of ids, the four special tokens included. WordPiece may stop up to
            5 % below it. Default `None`, for `"whitespace"` only: every token of the text.
        lowercase: Lower-case all text, here and in `encode`. Default `False`.

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
    if vocabulary_size is not None and vocabulary_size <= len(Tokenizer.special_tokens):
        raise ValueError(
            "Expected vocabulary_size to be more than the 4 special tokens. "
            f"Received: {vocabulary_size=}"
        )
    lines = [line for line in lines if line and not line.isspace()]
    if not lines:
        raise TextError("Expected text to learn a vocabulary from. Received: no line with text")
    return KINDS[kind]._train(kind, lines, vocabulary_size, lowercase)


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
        return cls._from_file(kind, lowercase, path.with_name(cls.file))
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
