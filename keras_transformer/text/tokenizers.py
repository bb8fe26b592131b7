"""Tokenizers: text to ids and back. All kinds share one interface.

`train_tokenizer`, `load_tokenizer` and `load_vocabulary` choose the class. WordPiece is KerasHub's,
trained by its own function, byte-level BPE is Hugging Face's and SentencePiece is Google's: through
KerasHub it knows no bytes, always normalises, and dies of a NUL.
`Whitespace` is for text that was split into subwords before.
Training is deterministic: the same lines give the same tokenizer.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

from keras_transformer.checks import refusal, require, some
from keras_transformer.files import digest
from keras_transformer.reading import MOST, check_file, parse_json, read_bytes
from keras_transformer.text.byte_pair import BytePair
from keras_transformer.text.character import Character
from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.published import load_published
from keras_transformer.text.published_tokenizer import Published
from keras_transformer.text.sentence_piece import SentencePiece
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import check_surrogates
from keras_transformer.text.whitespace import Whitespace
from keras_transformer.text.word_piece import BertWordPiece, WordPiece

KINDS: dict[str, type[Tokenizer]] = {
    "sentencepiece": SentencePiece,
    "sentencepiece_bpe": SentencePiece,
    "wordpiece": WordPiece,
    "bert": BertWordPiece,
    "whitespace": Whitespace,
    "character": Character,
    "bpe": BytePair,
}


def train_tokenizer(
    kind: str,
    lines: Iterable[str],
    vocabulary_size: int | None = None,
    lowercase: bool = False,
    mask: bool = False,
) -> Tokenizer:
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
        raise refusal(f"kind to be one of {', '.join(map(repr, KINDS))}{hint}", kind=kind)
    special_tokens = KINDS[kind].special_tokens[: 5 if mask else 4]
    require(
        vocabulary_size is None or vocabulary_size > len(special_tokens),
        f"vocabulary_size to be more than the {len(special_tokens)} special tokens",
        vocabulary_size=vocabulary_size,
    )
    lines = list(lines)
    has_text = any(line.strip() for line in lines)
    require(has_text, "text to learn a vocabulary from", "no line with text", error=TextError)
    check_surrogates(lines)
    return KINDS[kind]._train(kind, lines, vocabulary_size, lowercase, special_tokens)


def load_vocabulary(path: str | Path) -> Tokenizer:
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
    missing = [token for token in BertWordPiece.special_tokens if token not in tokens]
    require(
        not missing,
        f"a vocabulary with the special tokens {', '.join(BertWordPiece.special_tokens)}",
        f"{len(tokens):,} tokens without {', '.join(missing)}",
        where=path,
        error=TextError,
    )
    ordinary = (token for token in tokens if token not in BertWordPiece.special_tokens)
    return BertWordPiece(
        "bert", all(token == token.lower() for token in ordinary), tokens, mask=True
    )


def load_tokenizer(folder: str | Path) -> Tokenizer:
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
        settings = _read_settings(path)
        kind, lowercase = settings["kind"], settings["lowercase"]
        if kind == "published":
            return load_published(path.with_name(Published.file))
        cls = KINDS[kind]
        file = path.with_name(cls.file)
        check_file(file, MOST)
        # Tokenizers were saved without a mask before there was one, and then without a digest.
        expected, received = settings.get("sha256", ""), digest(file)
        require(
            expected in ("", received),
            f"{cls.file} as it was written, of the digest {expected[:8]}",
            f"{received[:8]}",
        )
        return cls(kind, lowercase, cls._read_file(file), settings.get("mask", False))
    except (KeyboardInterrupt, SystemExit):
        raise
    # A foreign file may break anything, TensorFlow's ops included; a panic of Rust is no Exception.
    except BaseException as error:
        if isinstance(error, TextError) and str(error).startswith(str(folder)):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise TextError(f"{folder}: not a tokenizer's folder ({reason})") from None


def _read_settings(path):
    """What a tokenizer's `tokenizer.json` says: these things, of these types, and no others."""
    types = {"kind": str, "lowercase": bool, "mask": bool, "sha256": str}
    settings = parse_json(read_bytes(path), path.name, unique=True)
    require(isinstance(settings, dict), "a JSON object", type(settings).__name__)
    for name, value in settings.items():
        require(name in types, f"{some(types)}", repr(name))
        require(isinstance(value, types[name]), f"{name}, a {types[name].__name__}", repr(value))
    return settings
