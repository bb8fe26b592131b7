"""Tokenizers of checkpoints, in the files that Hugging Face's libraries read."""

import json
from pathlib import Path

from keras_transformer.text import TextError, load_published
from keras_transformer.zoo.checkpoint import find


def load_tokenizer(path_or_id):
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


def save_tokenizer(tokenizer, folder):
    """Writes the files from which `transformers.AutoTokenizer` makes a tokenizer of the same ids.

    Of a published tokenizer these are its own files. One of kind `"bpe"` or `"bert"` that was
    trained here becomes a `tokenizer.json`. A few rare texts have other ids there. For `"bert"`:
    words of 51 to 100 characters that have more than 100 bytes, and with `lowercase` signs that
    folding turns into punctuation (… and ⑴). For `"bpe"` with `lowercase`: words that end in a
    capital sigma.

    Args:
        tokenizer: A `Tokenizer`.
        folder: Where to; made if it is missing.

    Raises:
        TextError: A tokenizer of another kind.

    Example:

    >>> import tempfile
    >>> from keras_transformer.text import train_tokenizer
    >>> folder = tempfile.mkdtemp()
    >>> trained = train_tokenizer("bpe", ["To be, or not to be"], 265)
    >>> save_tokenizer(trained, folder)
    >>> bool((load_tokenizer(folder).encode(["not"])[0] == trained.encode(["not"])[0]).all())
    True
    """
    if tokenizer.kind == "published":
        files = tokenizer.files
    elif tokenizer.kind in _MAKERS:
        files = _as_json(tokenizer, _MAKERS[tokenizer.kind](tokenizer))
    else:
        raise TextError(
            "Expected a published tokenizer or one of kind "
            f"{' or '.join(map(repr, _MAKERS))} to save. Received: kind={tokenizer.kind!r}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _as_json(tokenizer, model):
    tokens = dict(zip(_ROLES[tokenizer.kind], tokenizer.special_ids, strict=False))
    config = {f"{role}_token": tokenizer.vocabulary[i] for role, i in tokens.items()}
    # Says that tokenizer.json is to be taken as it is, whatever the model's family.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    return {
        "tokenizer.json": model.to_str().encode(),
        "tokenizer_config.json": json.dumps(config, indent=2).encode(),
    }


def _byte_pair(tokenizer):
    import tokenizers

    model = tokenizers.Tokenizer.from_buffer(tokenizer._file_bytes())
    if tokenizer.lowercase:
        model.normalizer = tokenizers.normalizers.Lowercase()
    return model


def _bert(tokenizer):
    """KerasHub's cutting and folding, from which that of BERT differs in control characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import BertProcessing

    ids = {token: i for i, token in reversed(list(enumerate(tokenizer.vocabulary)))}
    model = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    # Words end at ASCII spaces, before folding makes such spaces of others.
    steps = [normalizers.Replace(" ", "\n")]
    if tokenizer.lowercase:
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
    model.decoder = decoders.WordPiece()
    model.add_special_tokens([tokenizer.vocabulary[i] for i in tokenizer.special_ids])
    start, end = (("[CLS]", tokenizer.start_id), ("[SEP]", tokenizer.end_id))
    model.post_processor = BertProcessing(end, start)
    return model


_MAKERS = {"bpe": _byte_pair, "bert": _bert}
_ROLES = {
    "bpe": ("pad", "unk", "bos", "eos", "mask"),
    "bert": ("pad", "unk", "cls", "sep", "mask"),
}
# The blocks whose characters BERT takes for words of their own.
_CHINESE = (
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{2F800}-\x{2FA1F}"
)
