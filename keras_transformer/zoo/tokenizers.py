"""Tokenizers of checkpoints, in the files that Hugging Face's libraries read."""

import json
from pathlib import Path

from keras_transformer.digests import forget_digests, note_digests
from keras_transformer.files import write_whole
from keras_transformer.text import Tokenizer, load_published
from keras_transformer.zoo.checkpoint import find
from keras_transformer.zoo.tokenizer_json import as_json


def load_tokenizer(path_or_id: str | Path) -> Tokenizer:
    """Loads the tokenizer of a published checkpoint.

    Args:
        path_or_id: The checkpoint's folder, or its id on the Hugging Face hub.

    Returns:
        A `Tokenizer` with the checkpoint's own ids, as from `text.load_published`, which says what
        files it reads. `encode` gives a text's ids and `frame` the same ones between the special
        tokens that the model wants around them.

    Raises:
        TextError: No tokenizer's files in the folder, or a broken one.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> tokens = "[PAD] [UNK] [CLS] [SEP] [MASK] a cat".split()
    >>> _ = (folder / "vocab.txt").write_text("".join(token + chr(10) for token in tokens))
    >>> load_tokenizer(folder).frame(["A cat"])
    [array([2, 5, 6, 3], dtype=int32)]
    """
    return load_published(find(path_or_id))


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Writes the files from which `transformers.AutoTokenizer` makes a tokenizer of the same ids.

    Of a published tokenizer these are its own files. One that was trained here becomes a
    `tokenizer.json`, with the special tokens of `frame` around a text: none, but for `"bert"`.
    A few rare texts have other ids there. For all kinds: special tokens that are written out in a
    text, which `transformers` takes for the tokens. For `"bert"` and `"wordpiece"`: words of 51 to
    100 characters that have more than 100 bytes, and with `lowercase` signs that folding turns into
    punctuation (… and ⑴). For `"sentencepiece"`: words of which two segmentations are exactly as
    likely.

    Args:
        tokenizer: A `Tokenizer`.
        folder: Where to; made if it is missing.

    Example:

    >>> import tempfile
    >>> from keras_transformer.text import train_tokenizer
    >>> folder = tempfile.mkdtemp()
    >>> trained = train_tokenizer("bpe", ["To be, or not to be"], 265)
    >>> save_tokenizer(trained, folder)
    >>> bool((load_tokenizer(folder).encode(["not"])[0] == trained.encode(["not"])[0]).all())
    True
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = _files(tokenizer)
    forget_digests(folder, files)
    for name, data in files.items():
        write_whole(folder / name, data)
    note_digests(folder, files)


def _files(tokenizer):
    if tokenizer.kind == "published":
        return tokenizer.files
    roles = ("cls", "sep") if tokenizer.kind == "bert" else ("bos", "eos")
    tokens = dict(zip(("pad", "unk", *roles, "mask"), tokenizer.special_ids, strict=False))
    config = {f"{role}_token": tokenizer.vocabulary[i] for role, i in tokens.items()}
    # Says that tokenizer.json is to be taken as it is, whatever the model's family.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    config["clean_up_tokenization_spaces"] = False  # what decodes does what there is to do
    return {
        "tokenizer.json": as_json(tokenizer),
        "tokenizer_config.json": json.dumps(config, indent=2).encode(),
    }
