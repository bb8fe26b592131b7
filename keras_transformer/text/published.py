"""The tokenizers of published checkpoints, read from the files that their folders hold."""

from pathlib import Path

from keras_transformer.checks import refusal
from keras_transformer.text.corpus import TextError
from keras_transformer.text.published_files import reason
from keras_transformer.text.published_hugging_face import (
    PublishedByteLevel,
    PublishedJson,
    PublishedWordPiece,
)
from keras_transformer.text.published_sentence_piece import (
    PublishedFairseq,
    PublishedMarian,
    PublishedSentencePiece,
)
from keras_transformer.text.tokenizer import Tokenizer

# By the file that tells them apart. A `tokenizer.json` holds all that the other files do.
_READERS = {
    "tokenizer.json": PublishedJson,
    "source.spm": PublishedMarian,
    "sentencepiece.bpe.model": PublishedFairseq,
    "tokenizer.model": PublishedSentencePiece,
    "merges.txt": PublishedByteLevel,
    "vocab.txt": PublishedWordPiece,
}


def load_published(folder: str | Path) -> Tokenizer:
    """Loads the tokenizer of a published checkpoint.

    Reads, in this order: `tokenizer.json`; `source.spm`, `target.spm` and `vocab.json` (Marian);
    `sentencepiece.bpe.model` (XLM-RoBERTa and CamemBERT, with fairseq's ids); `tokenizer.model`
    (SentencePiece); `vocab.json` and `merges.txt` (byte-level BPE); `vocab.txt`
    (WordPiece). Settings and special tokens come from `tokenizer_config.json`,
    `special_tokens_map.json` and `added_tokens.json`. Where these do not say, the family, which
    `tokenizer_class` or else `model_type` in `config.json` names, has its usual ones.

    Args:
        folder: The checkpoint's folder.

    Returns:
        A `Tokenizer` of kind `"published"`, which also has `prefix_ids`, `suffix_ids`, `frame` and
        `files`.

    Raises:
        TextError: No such files, a broken one, or a vocabulary without its special tokens.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> tokens = "[PAD] [UNK] [CLS] [SEP] [MASK] cafe ##s".split()
    >>> _ = (folder / "vocab.txt").write_text("".join(token + chr(10) for token in tokens))
    >>> tokenizer = load_published(folder)
    >>> tokenizer.encode(["Cafés"])[0].tolist(), tokenizer.frame(["Cafés"])[0].tolist()
    ([5, 6], [2, 5, 6, 3])
    """
    folder = Path(folder)
    name = next((name for name in _READERS if (folder / name).is_file()), None)
    if name is None:
        files = ", ".join(_READERS)
        raise refusal(f"a tokenizer's files, one of {files}", "none", where=folder, error=TextError)
    try:
        return _READERS[name](folder)
    except TextError:
        raise
    except Exception as error:  # the libraries raise many kinds for a damaged file
        raise TextError(f"{folder / name}: not a tokenizer's file ({reason(error)})") from None
