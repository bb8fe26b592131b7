"""Tokenizers: text to ids and back. All kinds share one interface.

`train_tokenizer`, `load_tokenizer` and `load_vocabulary` choose the class. WordPiece is KerasHub's,
trained by its own function, byte-level BPE is Hugging Face's and SentencePiece is Google's: through
KerasHub it knows no bytes, always normalises, and dies of a NUL.
`Whitespace` is for text that was split into subwords before.
Training is deterministic: the same lines give the same tokenizer.
"""

import difflib
import json
from pathlib import Path

from keras_transformer.text.byte_pair import BytePair
from keras_transformer.text.character import Character
from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.published import Published, load_published
from keras_transformer.text.sentence_piece import SentencePiece
from keras_transformer.text.tokenizer import check_surrogates
from keras_transformer.text.whitespace import Whitespace
from keras_transformer.text.word_piece import Bert, WordPiece

KINDS = {
    "sentencepiece": SentencePiece,
    "sentencepiece_bpe": SentencePiece,
    "wordpiece": WordPiece,
    "bert": Bert,
    "whitespace": Whitespace,
    "character": Character,
    "bpe": BytePair,
}


def train_tokenizer(kind, lines, vocabulary_size=None, lowercase=False, mask=False):
    """Learns a vocabulary from text.

    Args:
        kind: `"sentencepiece"` (unigram), `"sentencepiece_bpe"`, `"wordpiece"`, `"bert"` (WordPiece
            with BERT's special tokens, which strips accents if `lowercase`), `"whitespace"` for
            text that is already split into tokens (subwords marked as in `sub@@ words`), or one
            that keeps white space and newlines: `"character"`, or `"bpe"`, GPT-2's byte-level BPE.
        lines: List of str. For one vocabulary of both languages, source and target lines. For the
            last two kinds with their newlines: an item may be a whole text.
        vocabulary_size: Number of ids, the four special tokens included. WordPiece may stop up to
            5 % below it. Default `None`: for `"whitespace"` and `"character"` every token of the
            text, where a number keeps the most frequent; for the others 8,000, or what a small
            text makes.
        lowercase: Lower-case all text, here and in `encode`. Default `False`.
        mask: Whether there is a fifth special token, for masked language models. Default `False`.

    Returns:
        A `Tokenizer`.

    Raises:
        ValueError: Unknown kind, no text, or a vocabulary larger than the text allows or too small
            for the kind.

    Example:

    >>> tokenizer = train_tokenizer("whitespace", ["a pul@@ ley", "a house"])
    >>> tokenizer.vocabulary_size
    8
    >>> [ids.tolist() for ids in tokenizer.encode(["a house", "a cat", ""])]
    [[4, 7], [4, 1], []]
    >>> tokenizer.decode([[4, 5, 6, 3, 0, 0]])
    ['a pulley']
    >>> tokenizer = train_tokenizer("bpe", ["To be,\\nor not to be.\\n"], 265)
    >>> tokenizer.decode(tokenizer.encode(["\\tOh là là!\\n\\n"]))
    ['\\tOh là là!\\n\\n']
    """
    if kind not in KINDS:
        closest = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f" (did you mean {closest[0]!r}?)" if closest else ""
        raise ValueError(
            f"Expected kind to be one of {', '.join(map(repr, KINDS))}{hint}. Received: {kind=}"
        )
    special_tokens = KINDS[kind].special_tokens[: 5 if mask else 4]
    if vocabulary_size is not None and vocabulary_size <= len(special_tokens):
        raise ValueError(
            f"Expected vocabulary_size to be more than the {len(special_tokens)} special tokens. "
            f"Received: {vocabulary_size=}"
        )
    lines = list(lines)
    if not any(line.strip() for line in lines):
        raise TextError("Expected text to learn a vocabulary from. Received: no line with text")
    check_surrogates(lines)
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
        if kind == "published":
            return load_published(path.with_name(Published.file))
        cls = KINDS[kind]
        # Tokenizers were saved without a mask before there was one.
        mask = settings.get("mask", False)
        return cls(kind, lowercase, cls._read_file(path.with_name(cls.file)), mask)
    except Exception as error:  # a foreign file may break anything, TensorFlow's ops included
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise TextError(f"{folder}: not a tokenizer's folder ({reason})") from None
