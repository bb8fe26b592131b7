"""What the tokenizers of published checkpoints share: settings and special tokens."""

import json
from pathlib import Path

import numpy as np

from keras_transformer.checks import require, some
from keras_transformer.digests import forget_digests, note_digests
from keras_transformer.files import write_whole
from keras_transformer.reading import read_bytes
from keras_transformer.text.corpus import TextError
from keras_transformer.text.frame import Frame
from keras_transformer.text.published_files import check_ids, read_json_object
from keras_transformer.text.tokenizer import Tokenizer

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
_SETTINGS = ("special_tokens_map.json", "tokenizer_config.json", "added_tokens.json")
_SPACES = "a  b\n\n\tc \n"


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
    names: tuple[str, ...] = ()  # of the files it is made from
    default_class: str
    needs_tokens = True

    def __init__(self, folder: Path):
        self.kind = "published"
        self._read_settings(folder)
        ids = self._load(folder)
        added = {token["content"] for token in self._added.values()}
        special = added.union(filter(None, self._named.values()))
        check_ids(folder / self.names[0], ids, special, self._model_settings.get("vocab_size"))
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
        paths = [path for path in paths if path.is_file() or path.is_symlink()]
        files = {path.name: read_bytes(path, error=TextError) for path in paths}
        special, config, added = [
            read_json_object(folder / name) if name in files else {} for name in _SETTINGS
        ]
        path = folder / "config.json"
        self._model_settings = read_json_object(path) if path.is_file() else {}
        name = config.get("tokenizer_class")
        if not name:
            name = _CLASSES.get(self._model_settings.get("model_type"), self.default_class)
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
        require(
            not (self.needs_tokens and missing),
            f"a vocabulary with the special tokens of a {self._class}",
            f"{len(ids):,} tokens without {', '.join(missing)}",
            where=folder / self.names[0],
            error=TextError,
        )
        named = {role: ids.get(token) for role, token in named}
        start, end = (
            named[word] if named[word] is not None else named[other]
            for word, other in (("cls", "bos"), ("sep", "eos"))
        )
        self.pad_id, self.unknown_id, self.mask_id = named["pad"], named["unk"], named["mask"]
        self.start_id, self.end_id = start, end
        self.frames = self._find_frames(named)
        around = {i for frame in self.frames for i in frame.special_ids}
        require(
            around <= set(ids.values()) | {None},
            "special tokens that the vocabulary has",
            f"ids {some(sorted(around - set(ids.values()) - {None}))}",
            where=folder / self.names[0],
            error=TextError,
        )
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

    def _load(self, folder):
        raise NotImplementedError

    def _decoded(self, text):
        return self.decode(self.encode([text]))[0]

    def _ordinary(self, ids):
        # GPT-2's start token, which is its end token too, must not end the text that it begins.
        return super()._ordinary(ids[1:] if ids[:1] == [self.start_id] else ids)

    def _write(self, folder):
        folder = folder / self.file
        folder.mkdir(exist_ok=True)
        forget_digests(folder, self.files)
        for name, data in self.files.items():
            write_whole(folder / name, data)
        note_digests(folder, self.files)
