"""What all tokenizers share: special ids, `encode`, `decode` and `save`."""

import json
import re
from pathlib import Path

import numpy as np

from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.frame import Frame

DEFAULT_SIZE = 8000  # tokens of a vocabulary, where nobody asks for a number and a text has as many
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """What every tokenizer does. Make one with `train_tokenizer` or `load_tokenizer`.

    Special tokens are never found in text: a user's literal `"[START]"` or `"</s>"` is encoded as
    ordinary characters.

    Attributes:
        kind: The kind, as for `train_tokenizer`.
        lowercase: Whether text is lower-cased before it is split.
        lossless: Whether `decode(encode(text))` is the text itself, white space and newlines
            included, but for `lowercase` and unknown characters.
        vocabulary_size: Number of ids, special tokens included.
        vocabulary: List of str, the token of each id.
        pad_id, unknown_id, start_id, end_id: 0, 1, 2, 3 in every tokenizer that was trained here.
        mask_id: What a masked language model sees in a token's place; None without such a token.
        special_ids: List of all of these.
        prefix_ids, suffix_ids: What a published model wants before and after a text; else empty.

    Example:

    >>> from keras_transformer.text import train_tokenizer
    >>> tokenizer = train_tokenizer("whitespace", ["a house", "a cat"])
    >>> [ids] = tokenizer.encode(["a cat </s>"])
    >>> ids
    array([4, 6, 1], dtype=int32)
    >>> tokenizer.decode([[2, 4, 6, 3, 5, 0]])
    ['a cat']
    """

    special_tokens = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")  # the last one need not be there
    file = "vocabulary.txt"
    lossless = False
    prefix_ids = suffix_ids = ()
    frames = Frame((0, 0)), Frame((0, 0), (1, 1))  # of one text, of a pair
    cuts_left = False  # whether a text that is too long loses its beginning

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

    @property
    def decoder_start_id(self):
        """What a decoder reads first: the start, or the end where texts have a prefix, as BART's.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).decoder_start_id
        2
        """
        return self.end_id if self.prefix_ids else self.start_id

    @property
    def document_start_id(self):
        """What a document begins with: the start, or in vocabularies without one the end.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).document_start_id
        2
        """
        return self.end_id if self.start_id is None else self.start_id

    def encode(self, lines):
        """Turns lines into ids, without special tokens.

        Args:
            lines: List of str. An empty line gives an empty array.

        Returns:
            A list of int32 arrays, one a line.

        Raises:
            TextError: A line with half of a surrogate pair, which is no text, for kinds whose
                library cannot read it.
        """
        lines = list(lines)
        try:
            return [np.array(ids, "int32") for ids in self._encode(lines)]
        except (TypeError, UnicodeError):  # the libraries do not agree on what to raise
            check_surrogates(lines)
            raise

    def encode_stream(self, text):
        """All of a text of several lines as ids `(T,)`; an end token ends a line where the kind
        knows no newlines, and lines without words are left out.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).encode_stream("b a\\n\\na\\n").tolist()
        [5, 4, 3, 4, 3]
        """
        if self.lossless:
            return self.encode([text])[0]
        lines = [line for line in text.split("\n") if line.strip()]
        ids = (part for line in self.encode(lines) for part in (line, [self.end_id]))
        return np.concatenate([np.array([], "int32"), *ids])

    def encode_target(self, lines):
        """As `encode`, for texts to `decode` to: some checkpoints have a model for each language.

        Args:
            lines: List of str.

        Returns:
            A list of int32 arrays, one a line.
        """
        return self.encode(lines)

    def frame(self, lines, pairs=None, max_length=None):
        """As `encode`, with the special tokens that the model wants around a text or a pair.

        They are those of `transformers`, which this equals with `truncation=True`. Kinds that were
        trained here have none, but for `"bert"`.

        Args:
            lines: List of str.
            pairs: List of as many str, the second text of each pair. Default `None`: single texts.
            max_length: Most ids of a row, the special ones included. What is too much goes from the
                end of the longer text, and then of both in turn. Default `None`: nothing is cut.

        Returns:
            A list of int32 arrays, one a line.

        Raises:
            ValueError: Not as many pairs as lines, or no room for the special tokens.
        """
        return self.frame_with_segments(lines, pairs, max_length)[0]

    def frame_with_segments(self, lines, pairs=None, max_length=None):
        """As `frame`, and the segment of each id, BERT's second input.

        Returns:
            Two lists of int32 arrays, one a line: the ids, and 0 or 1 for each of them.

        Example:

        >>> from keras_transformer.text import train_tokenizer
        >>> tokenizer = train_tokenizer("bert", ["a dog", "a cat"] * 9, 16)
        >>> [ids], [segments] = tokenizer.frame_with_segments(["a"], ["a"])
        >>> [tokenizer.vocabulary[i] for i in ids], segments.tolist()
        (['[CLS]', 'a', '[SEP]', 'a', '[SEP]'], [0, 0, 0, 1, 1])
        """
        texts = [self.encode(text) for text in (lines, pairs) if text is not None]
        if len({len(rows) for rows in texts}) > 1:
            raise ValueError(
                f"Expected as many pairs as lines. Received: {len(texts[1])} and {len(texts[0])}"
            )
        frame = self.frames[pairs is not None]
        frame.check(max_length)
        rows = [frame.fill(row, max_length, self.cuts_left) for row in zip(*texts, strict=True)]
        return [ids for ids, _ in rows], [segments for _, segments in rows]

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

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).plain("a pul@@ ley")
        'a pulley'
        """
        return line

    def unknown(self, line):
        """The parts of a line that the text of the vocabulary did not have, for a message.

        Args:
            line: str.

        Returns:
            A list of str, each part once, in the line's order: words for kind `"whitespace"`, else
            characters (white space only where it has tokens of its own, for kind `"character"`).

        Example:

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("character", ["a cat"]).unknown("a tiny, tiny cat")
        ['i', 'n', 'y', ',']
        """
        parts = list(dict.fromkeys(self._parts(line)))
        ids = self.encode(parts)
        return [part for part, row in zip(parts, ids, strict=True) if self.unknown_id in row]

    def word_starts(self, ids):
        """Says where words begin in a line of ids, `(T,) -> (T,)` bool.

        >>> from keras_transformer.text import train_tokenizer
        >>> tokenizer = train_tokenizer("whitespace", ["a pul@@ ley"])
        >>> tokenizer.word_starts([4, 5, 6])
        array([ True,  True, False])
        """
        starts = self._begins_word[np.asarray(ids, "int32")]
        starts[:1] = True
        return starts

    def save(self, folder):
        """Writes `tokenizer.json` and, in a file that each kind names, the vocabulary.

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
        self._write(folder)

    def _write(self, folder):
        (folder / self.file).write_bytes(self._file_bytes())

    def _ordinary(self, ids):
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        return [i for i in ids if i not in (self.pad_id, self.start_id)]

    @staticmethod
    def _parts(line):
        return "".join(line.split())

    def _file_bytes(self):
        return "".join(token + "\n" for token in self.vocabulary).encode()

    @staticmethod
    def _read_file(path):
        return read_lines(path)


def cased(line, lowercase):
    return line.lower() if lowercase else line


def check_surrogates(lines):
    """Refuses halves of surrogate pairs: UTF-8 cannot write them."""
    for number, line in enumerate(lines, 1):
        if found := _SURROGATE.search(line):
            raise TextError(
                f"Expected text. Received: {found[0]!r} in line {number:,}, half of a surrogate "
                "pair, which is no character"
            )


def in_parts(lines, most=1000):
    """Yields the lines, long ones in parts that begin with white space if their words allow it.

    The trainers of vocabularies leave long lines out, or take time that grows with the square of a
    word's length.

    >>> list(in_parts(["a cat", "two dogs"], most=6))
    ['a cat', 'two', ' dogs']
    """
    parts = re.compile(rf"(?s).{{0,{most - 1}}}\S(?!\S)|.{{1,{most}}}")
    for line in lines:
        yield from parts.findall(line) if len(line) > most else [line]


def most_frequent(counts, vocabulary_size, special_tokens):
    """The tokens of a Counter, all of them or as many as fit beside the special ones."""
    most = len(counts) + len(special_tokens)
    if vocabulary_size is None:
        vocabulary_size = most
    if vocabulary_size > most:
        raise too_large(most, vocabulary_size)
    # most_common keeps the order of first appearance among equals
    return [token for token, _ in counts.most_common(vocabulary_size - len(special_tokens))]


def too_large(most, vocabulary_size, room=""):
    return TextError(
        f"Expected vocabulary_size at most {most:,} for this text{room}. "
        f"Received: {vocabulary_size=}"
    )
