"""The tokenizers of published checkpoints, read from the files that their folders hold."""

import itertools
import json
import re
from pathlib import Path

import numpy as np

from keras_transformer.text.byte_pair import BytePair
from keras_transformer.text.corpus import TextError, read_lines
from keras_transformer.text.frame import Frame
from keras_transformer.text.sentence_piece import SentencePiece
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.word_piece import WordPiece

# Roles of special tokens, in Hugging Face's names without their ending "_token".
_ROLES = ("pad", "unk", "cls", "bos", "sep", "eos", "mask")
_BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ROBERTA = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
_LLAMA = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "add_bos": True}
_GEMMA = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "mask": "<mask>"}
# By `tokenizer_class`: what holds where a folder's own settings do not say.
_DEFAULTS = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "RobertaTokenizer": _ROBERTA,
    "BartTokenizer": _ROBERTA,
    "XLMRobertaTokenizer": _ROBERTA,
    "CamembertTokenizer": _ROBERTA,
    "GPT2Tokenizer": {"bos": "<|endoftext|>", "eos": "<|endoftext|>"},
    "Qwen2Tokenizer": {"pad": "<|endoftext|>", "eos": "<|endoftext|>"},
    "LlamaTokenizer": _LLAMA,
    "GemmaTokenizer": {**_GEMMA, "add_bos": True},
    "MarianTokenizer": {"pad": "<pad>", "unk": "<unk>", "eos": "</s>"},
}
_SEGMENTS = ("BertTokenizer", "DistilBertTokenizer")  # those whose pairs have two
_CLASSES = {name.removesuffix("Tokenizer").lower(): name for name in _DEFAULTS}
_CLASSES |= {"mistral": "LlamaTokenizer", "xlm-roberta": "XLMRobertaTokenizer"}
# By `tokenizer_class`: what fairseq puts before the pieces of a SentencePiece model, and the first
# of these.
_FAIRSEQ = {
    "XLMRobertaTokenizer": (["<s>", "<pad>", "</s>", "<unk>"], 3),
    "CamembertTokenizer": (["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"], 1),
}
_SETTINGS = ("special_tokens_map.json", "tokenizer_config.json", "added_tokens.json")
_SPACES = "a  b\n\n\tc \n"
# Qwen2's way to cut text before its bytes are merged: contractions, words, single digits, the rest.
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Published(Tokenizer):
    """What the tokenizers of published checkpoints share. Make one with `load_published`.

    The ids are the checkpoint's own. Special tokens are never found in text, unlike with Hugging
    Face's default. Tokens that the files add to the vocabulary without calling them special are
    found in text by the `tokenizers` library, and so are the symbols that a SentencePiece model was
    trained to keep whole. SentencePiece finds no other added token.

    Attributes:
        pad_id, unknown_id, start_id, end_id, mask_id: None where the checkpoint has no such token:
            GPT-2 has only `<|endoftext|>`, as start and end. Start and end are [CLS] and [SEP]
            where there are such. Marian's decoder starts with `<pad>`.
        lossless: As for every tokenizer, but for one space before the text.
        prefix_ids, suffix_ids: Lists of ids, what the model wants before and after a text.
        files: Dict of names to bytes, what `load_published` needs to make the tokenizer again.
    """

    file = "published"
    names = ()  # of the files it is made from
    needs_tokens = True

    def __init__(self, folder):
        self.kind = "published"
        self._read_settings(folder)
        ids = self._load(folder)
        self.vocabulary = [""] * (max(ids.values()) + 1)
        for token, i in ids.items():
            self.vocabulary[i] = token
        self.vocabulary_size = len(self.vocabulary)
        self._begins_word = np.array([self._is_beginning(token) for token in self.vocabulary])
        self._set_special_ids(folder, ids)
        # What text comes back as says more than any setting of the libraries.
        self.lowercase = self._decoded("A") == "a"
        spaces = "".join(c for c in _SPACES if self.unknown_id not in self.encode([c])[0])
        self.lossless = self._decoded(spaces) == spaces

    def _read_settings(self, folder):
        paths = [folder / name for name in (*self.names, *_SETTINGS)]
        files = {path.name: path.read_bytes() for path in paths if path.is_file()}
        special, config, added = [
            _read_json(folder / name) if name in files else {} for name in _SETTINGS
        ]
        name = config.get("tokenizer_class")
        if not name:
            model = _read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
            name = _CLASSES.get(model.get("model_type"), self.default_class)
        self._class = name.removesuffix("Fast")
        defaults = {f"{k}_token": value for k, value in _DEFAULTS.get(self._class, {}).items()}
        self._settings = defaults | special | config
        tokens = {role: self._settings.get(f"{role}_token") for role in _ROLES}
        self._named = {
            role: token["content"] if isinstance(token, dict) else token
            for role, token in tokens.items()
        }
        named = self._named.values()
        added = config.get("added_tokens_decoder") or {
            i: {"content": token, "special": token in named, "normalized": token not in named}
            for token, i in added.items()
        }
        self._added = dict(sorted((int(i), token) for i, token in added.items()))
        config = defaults | config | {"tokenizer_class": name}
        self.files = files | {"tokenizer_config.json": json.dumps(config, indent=2).encode()}

    def _set_special_ids(self, folder, ids):
        named = self._named.items()
        missing = [token for role, token in named if token and token not in ids and role != "mask"]
        if self.needs_tokens and missing:
            raise TextError(
                f"{folder / self.names[0]}: expected a vocabulary with the special tokens of a "
                f"{self._class}. Received: {len(ids):,} tokens without {', '.join(missing)}"
            )
        named = {role: ids.get(token) for role, token in named}
        start, end = (
            named[word] if named[word] is not None else named[other]
            for word, other in (("cls", "bos"), ("sep", "eos"))
        )
        self.pad_id, self.unknown_id, self.mask_id = named["pad"], named["unk"], named["mask"]
        self.start_id, self.end_id = start, end
        self.frames = self._find_frames(named)
        self.prefix_ids, self.suffix_ids = self.frames[0].before, self.frames[0].after
        self.cuts_left = self._settings.get("truncation_side") == "left"
        every = (self.pad_id, self.unknown_id, start, end, self.mask_id)
        self.special_ids = [i for i in dict.fromkeys(every) if i is not None]

    def _find_frames(self, named):
        if named["cls"] is not None:
            start, end = [named["cls"]], [named["sep"]]
            single = (start, 0), (0, 0), (end, 0)
            if self._class in _SEGMENTS:
                return Frame(*single), Frame(*single, (1, 1), (end, 1))
            return Frame(*single), Frame(*single, (end, 0), (1, 0), (end, 0))
        start, end = (
            [named[role]] if self._settings.get(f"add_{role}_token") else []
            for role in ("bos", "eos")
        )
        single = (start, 0), (0, 0), (end, 0)
        return Frame(*single), Frame(*single, (start, 1), (1, 1), (end, 1))

    def _decoded(self, text):
        return self.decode(self.encode([text]))[0]

    def _ordinary(self, ids):
        # GPT-2's start token, which is its end token too, must not end the text that it begins.
        return super()._ordinary(ids[1:] if ids[:1] == [self.start_id] else ids)

    def _write(self, folder):
        (folder / self.file).mkdir(exist_ok=True)
        for name, data in self.files.items():
            (folder / self.file / name).write_bytes(data)


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
        ids = _read_json(folder / "vocab.json")
        merges = _read_merges(folder / "merges.txt", ids)
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

    names = ("tokenizer.model",)
    default_class = "LlamaTokenizer"
    _is_beginning = staticmethod(SentencePiece._is_beginning)

    def _load(self, folder):
        self._model = self._decoder = _processor(folder / self.names[0])
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
        if self._class not in _FAIRSEQ:
            raise TextError(
                f"{folder / self.names[0]}: expected it to be of a {' or '.join(_FAIRSEQ)}. "
                f"Received: {self._class}"
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
        if self._settings.get("separate_vocabs"):
            raise TextError(f"{folder}: expected one vocabulary of both languages. Received: two")
        self._model, self._decoder = (_processor(folder / name) for name in self.names[:2])
        self._ids = _read_json(folder / "vocab.json")
        return self._ids

    def _find_frames(self, named):
        self.start_id = self.pad_id
        end = [self.end_id]
        pair = Frame((0, 0), (1, 1), (end, 1), odd_to_first=True)
        return Frame((0, 0), (end, 0)), pair

    def encode_target(self, lines):
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


def load_published(folder):
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
        raise TextError(
            f"{folder}: expected a tokenizer's files, one of {', '.join(_READERS)}, found none"
        )
    try:
        return _READERS[name](folder)
    except TextError:
        raise
    except Exception as error:  # the libraries raise many kinds for a damaged file
        raise TextError(f"{folder / name}: not a tokenizer's file ({_reason(error)})") from None


def _reason(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _read_json(path):
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TextError(f"{path}: expected JSON. Received: {_reason(error)}") from None
    if not isinstance(value, dict):
        raise TextError(f"{path}: expected a JSON object. Received: {type(value).__name__}")
    return value


def _read_merges(path, ids):
    merges = []
    for number, line in enumerate(read_lines(path), 1):
        if line.startswith("#version"):
            continue
        pair = tuple(line.split(" "))
        if len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys():
            raise TextError(
                f"{path}, line {number}: expected two tokens of vocab.json that join to a third. "
                f"Received: {line!r}"
            )
        merges.append(pair)
    return merges


def _processor(path):
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise TextError(
            f"{path}: expected a SentencePiece model. Received: {_reason(error)}"
        ) from None
