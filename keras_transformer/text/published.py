"""The tokenizers of published checkpoints, read from the files that their folders hold."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_transformer.checks import refusal, require
from keras_transformer.text.byte_pair import BytePair
from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.frame import Frame
from keras_transformer.text.published_files import (
    read_json_object,
    read_merges,
    reason,
    sentence_piece_model,
)
from keras_transformer.text.published_tokenizer import Published
from keras_transformer.text.sentence_piece import SentencePiece
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.word_piece import WordPiece

# By `tokenizer_class`: what fairseq puts before the pieces of a SentencePiece model, and the first
# of these.
_FAIRSEQ = {
    "XLMRobertaTokenizer": (["<s>", "<pad>", "</s>", "<unk>"], 3),
    "CamembertTokenizer": (["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"], 1),
}
# Qwen2's way to cut text before its bytes are merged: contractions, words, single digits, the rest.
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class _HuggingFace(Published):
    """By Hugging Face's `tokenizers`."""

    def _load(self, folder):
        import tokenizers

        self._model = self._make(folder, tokenizers)
        cut = self._model.truncation or {}
        self._settings.setdefault("truncation_side", cut.get("direction"))
        self._model.no_truncation()
        self._model.no_padding()
        self._model.encode_special_tokens = True  # a special token in text is only text
        self._model.add_tokens([tokenizers.AddedToken(**token) for token in self._added.values()])
        names = {type(part).__name__ for part in (self._model.model, self._model.decoder)}
        kinds = {"WordPiece": WordPiece, "ByteLevel": BytePair}
        kind = next((kinds[name] for name in kinds if name in names), SentencePiece)
        self._is_beginning = kind._is_beginning
        return self._model.get_vocab()

    def _encode(self, lines):
        rows = self._model.encode_batch_fast(lines, add_special_tokens=False)
        return [row.ids for row in rows]

    def _text(self, ids):
        return self._model.decode(ids, skip_special_tokens=False)


class _Json(_HuggingFace):
    """Of `tokenizer.json`, which holds everything."""

    names = ("tokenizer.json",)
    needs_tokens = False
    default_class = "PreTrainedTokenizerFast"

    def _make(self, folder, tokenizers):
        return tokenizers.Tokenizer.from_buffer(self.files["tokenizer.json"])

    def _find_frames(self, named):
        def ids(text):
            return self._model.encode(text, add_special_tokens=False).ids

        text = next(text for text in ("a", *self.vocabulary) if ids(text))
        return [self._frame_of(self._model.encode(*[text] * count)) for count in (1, 2)]

    def _frame_of(self, row):
        """The frame of an example."""
        parts = []
        tokens = zip(row.ids, row.sequence_ids, row.type_ids, strict=True)
        for (text, segment), group in itertools.groupby(tokens, key=lambda token: token[1:]):
            special = [i for i, *_ in group]
            parts.append((special if text is None else text, segment))
        return Frame(*parts)


class _WordPiece(_HuggingFace):
    """Of BERT's `vocab.txt`."""

    names = ("vocab.txt",)
    default_class = "BertTokenizer"

    def _make(self, folder, tokenizers):
        tokens = read_lines(folder / "vocab.txt")
        ids = {token: i for i, token in enumerate(tokens)}
        get = self._settings.get
        model = tokenizers.models.WordPiece(ids, unk_token=self._named["unk"])
        model = tokenizers.Tokenizer(model)
        model.normalizer = tokenizers.normalizers.BertNormalizer(
            handle_chinese_chars=get("tokenize_chinese_chars", True),
            strip_accents=get("strip_accents"),
            lowercase=get("do_lower_case", True),
        )
        model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        model.decoder = tokenizers.decoders.WordPiece()
        return model


class _ByteLevel(_HuggingFace):
    """Of `vocab.json` and `merges.txt`: byte-level BPE as GPT-2, RoBERTa, BART or Qwen2 have it."""

    names = ("vocab.json", "merges.txt")
    default_class = "GPT2Tokenizer"

    def _make(self, folder, tokenizers):
        ids = read_json_object(folder / "vocab.json")
        merges = read_merges(folder / "merges.txt", ids)
        model = tokenizers.Tokenizer(tokenizers.models.BPE(ids, merges))
        space = bool(self._settings.get("add_prefix_space"))
        pre = tokenizers.pre_tokenizers
        if self._class == "Qwen2Tokenizer":
            model.normalizer = tokenizers.normalizers.NFC()
            split = pre.Split(tokenizers.Regex(_QWEN2_SPLIT), "isolated")
            model.pre_tokenizer = pre.Sequence([split, pre.ByteLevel(space, use_regex=False)])
        else:
            model.pre_tokenizer = pre.ByteLevel(space)
        model.decoder = tokenizers.decoders.ByteLevel()
        return model


class _SentencePiece(Published):
    """Of `tokenizer.model`, by `sentencepiece`, whose ids are the checkpoint's."""

    names: tuple[str, ...] = ("tokenizer.model",)
    default_class = "LlamaTokenizer"
    _is_beginning = staticmethod(SentencePiece._is_beginning)

    def _load(self, folder):
        self._model = self._decoder = sentence_piece_model(folder / self.names[0])
        ids = {self._model.id_to_piece(i): i for i in range(self._model.get_piece_size())}
        return ids | {token["content"]: i for i, token in self._added.items()}

    def _encode(self, lines):
        return self._model.encode(lines)

    def _text(self, ids):
        # By pieces and not by ids: pieces that the model does not have stay as they are.
        return self._decoder.decode_pieces([self.vocabulary[i] for i in ids])


class _Fairseq(_SentencePiece):
    """Of `sentencepiece.bpe.model`, whose ids fairseq moved behind special tokens of its own."""

    names = ("sentencepiece.bpe.model",)
    default_class = "XLMRobertaTokenizer"

    def _load(self, folder):
        require(
            self._class in _FAIRSEQ,
            f"it to be of a {' or '.join(_FAIRSEQ)}",
            self._class,
            where=folder / self.names[0],
            error=TextError,
        )
        pieces = list(super()._load(folder))[: self._model.get_piece_size()]
        first, skipped = _FAIRSEQ[self._class]
        self._shift = len(first) - skipped
        self._unknown = first.index("<unk>")
        tokens = [*first, *pieces[skipped:], "<mask>"]
        ids = {token: i for i, token in enumerate(tokens)}
        return ids | {token["content"]: i for i, token in self._added.items()}

    def _encode(self, lines):
        unknown = self._model.unk_id()
        return [
            [self._unknown if i == unknown else i + self._shift for i in row]
            for row in super()._encode(lines)
        ]


class _Marian(_SentencePiece):
    """Of `source.spm`, `target.spm` and `vocab.json`, which has the ids of both models' pieces.

    The source model encodes, the target model decodes. A text may begin with the language to
    translate into, as in `>>fra<< Hello`: that is one token.
    """

    names = ("source.spm", "target.spm", "vocab.json")
    default_class = "MarianTokenizer"

    def _load(self, folder):
        is_one = not self._settings.get("separate_vocabs")
        require(is_one, "one vocabulary of both languages", "two", where=folder, error=TextError)
        self._model, self._decoder = (
            sentence_piece_model(folder / name) for name in self.names[:2]
        )
        self._ids = read_json_object(folder / "vocab.json")
        return self._ids

    def _find_frames(self, named):
        self.start_id = self.pad_id
        end = [self.end_id]
        pair = Frame((0, 0), (1, 1), (end, 1), odd_to_first=True)
        return Frame((0, 0), (end, 0)), pair

    def encode_target(self, lines: Sequence[str]) -> list[np.ndarray]:
        return [np.array(ids, "int32") for ids in self._find(self._decoder, lines)]

    def _encode(self, lines):
        languages = [re.match("(>>.*?<<)?", line, re.DOTALL)[0] for line in lines]
        texts = [line.removeprefix(tag) for line, tag in zip(lines, languages, strict=True)]
        rows = zip(languages, self._find(self._model, texts), strict=True)
        return [[self._ids.get(tag, self.unknown_id)] * bool(tag) + ids for tag, ids in rows]

    def _find(self, model, lines):
        find, rows = self._ids.get, model.encode(lines, out_type=str)
        return [[find(piece, self.unknown_id) for piece in pieces] for pieces in rows]

    def _text(self, ids):
        # Pieces of the source model alone come through the target model with their mark of a space.
        return super()._text(ids).replace("▁", " ").strip()


# By the file that tells them apart. A `tokenizer.json` holds all that the other files do.
_READERS = {
    "tokenizer.json": _Json,
    "source.spm": _Marian,
    "sentencepiece.bpe.model": _Fairseq,
    "tokenizer.model": _SentencePiece,
    "merges.txt": _ByteLevel,
    "vocab.txt": _WordPiece,
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
