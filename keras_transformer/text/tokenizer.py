"""What all tokenizers share: special ids, `encode`, `decode` and `save`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_transformer.checks import require
from keras_transformer.files import digest, write_whole
from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.frame import Frame
from keras_transformer.text.training import check_surrogates
from keras_transformer.types import Ids


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

    special_tokens: tuple[str, ...] = (
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
        "<mask>",
    )  # the last one need not be there
    file = "vocabulary.txt"
    lossless = False
    prefix_ids: Sequence[int] = ()
    suffix_ids: Sequence[int] = ()
    frames = Frame((0, 0)), Frame((0, 0), (1, 1))  # of one text, of a pair
    cuts_left = False  # whether a text that is too long loses its beginning

    def __init__(self, kind: str, lowercase: bool, tokens: Iterable[str], mask: bool = False):
        self.kind = kind
        self.lowercase = lowercase
        self.vocabulary = list(tokens)
        special = self.special_tokens[: 5 if mask else 4]
        missing = [token for token in special if token not in self.vocabulary]
        require(
            not missing,
            f"the special tokens {', '.join(special)} in a {kind} vocabulary",
            f"{len(self.vocabulary):,} tokens without {', '.join(missing)}",
            error=TextError,
        )
        # The first ones of their name: a text may hold the same words.
        self.special_ids = [self.vocabulary.index(token) for token in special]
        self.pad_id, self.unknown_id, self.start_id, self.end_id = self.special_ids[:4]
        self.mask_id = self.special_ids[4] if mask else None
        self.vocabulary_size = len(self.vocabulary)
        self._begins_word = np.array([self._is_beginning(token) for token in self.vocabulary])

    @property
    def decoder_start_id(self) -> int:
        """What a decoder reads first: the start, or the end where texts have a prefix, as BART's.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).decoder_start_id
        2
        """
        return self.end_id if self.prefix_ids else self.start_id

    @property
    def document_start_id(self) -> int:
        """What a document begins with: the start, or in vocabularies without one the end.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).document_start_id
        2
        """
        return self.end_id if self.start_id is None else self.start_id

    def encode(self, lines: Iterable[str]) -> list[np.ndarray]:
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

    def encode_stream(self, text: str) -> np.ndarray:
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

    def encode_target(self, lines: Sequence[str]) -> list[np.ndarray]:
        """As `encode`, for texts to `decode` to: some checkpoints have a model for each language.

        Args:
            lines: List of str.

        Returns:
            A list of int32 arrays, one a line.
        """
        return self.encode(lines)

    def frame(
        self,
        lines: Sequence[str],
        pairs: Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> list[np.ndarray]:
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

    def frame_with_segments(
        self,
        lines: Sequence[str],
        pairs: Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
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
        require(
            len({len(rows) for rows in texts}) < 2,
            "as many pairs as lines",
            f"{len(texts[-1])} and {len(texts[0])}",
        )
        frame = self.frames[pairs is not None]
        frame.check(max_length)
        rows = [frame.fill(row, max_length, self.cuts_left) for row in zip(*texts, strict=True)]
        return [ids for ids, _ in rows], [segments for _, segments in rows]

    def decode(self, ids: Iterable[Ids]) -> list[str]:
        """Turns ids into lines: up to the end token, special tokens left out, words rejoined.

        An unknown token stays visible as the vocabulary writes it.

        Args:
            ids: int array `(B, T)`, or a list of sequences of ids.

        Returns:
            A list of B str.
        """
        return [self._text(self._ordinary(np.asarray(row).tolist())) for row in ids]

    def plain(self, line: str) -> str:
        """The line as `decode` would write it: a reference to compare its output with.

        >>> from keras_transformer.text import train_tokenizer
        >>> train_tokenizer("whitespace", ["a b"]).plain("a pul@@ ley")
        'a pulley'
        """
        return line

    def unknown(self, line: str) -> list[str]:
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

    def word_starts(self, ids: Ids) -> np.ndarray:
        """Says where words begin in a line of ids, `(T,) -> (T,)` bool.

        >>> from keras_transformer.text import train_tokenizer
        >>> tokenizer = train_tokenizer("whitespace", ["a pul@@ ley"])
        >>> tokenizer.word_starts([4, 5, 6])
        array([ True,  True, False])
        """
        starts = self._begins_word[np.asarray(ids, "int32")]
        starts[:1] = True
        return starts

    def save(self, folder: str | Path) -> None:
        """Writes `tokenizer.json` and, in a file that each kind names, the vocabulary.

        The first has a digest of the second, by which damage is seen when it is loaded.

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
        self._write(folder)
        if (folder / self.file).is_file():  # else its folder notes the digests of what it holds
            settings["sha256"] = digest(folder / self.file)
        write_whole(folder / "tokenizer.json", json.dumps(settings, indent=2) + "\n")

    def _write(self, folder):
        write_whole(folder / self.file, self.file_bytes())

    # What a kind has of its own.

    @staticmethod
    def _is_beginning(token):
        raise NotImplementedError

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        raise NotImplementedError

    def _encode(self, lines):
        raise NotImplementedError

    def _text(self, ids):
        raise NotImplementedError

    def _ordinary(self, ids):
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        return [i for i in ids if i not in (self.pad_id, self.start_id)]

    @staticmethod
    def _parts(line):
        return "".join(line.split())

    def file_bytes(self) -> bytes:
        """The vocabulary as `save` writes it."""
        return "".join(token + "\n" for token in self.vocabulary).encode()

    @staticmethod
    def _read_file(path):
        return read_lines(path)
