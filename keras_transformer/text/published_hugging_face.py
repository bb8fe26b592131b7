"""Published tokenizers that Hugging Face's `tokenizers` runs."""

import itertools

from keras_transformer.text.byte_pair import BytePair
from keras_transformer.text.frame import Frame
from keras_transformer.text.patterns import check_patterns
from keras_transformer.text.published_files import (
    check_merged,
    read_ids,
    read_json_object,
    read_merges,
    read_word_pieces,
)
from keras_transformer.text.published_tokenizer import Published
from keras_transformer.text.sentence_piece import SentencePiece
from keras_transformer.text.word_piece import WordPiece

# Qwen2's way to cut text before its bytes are merged: contractions, words, single digits, the rest.
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class PublishedByHuggingFace(Published):
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


class PublishedJson(PublishedByHuggingFace):
    """Of `tokenizer.json`, which holds everything."""

    names = ("tokenizer.json",)
    needs_tokens = False
    default_class = "PreTrainedTokenizerFast"

    def _make(self, folder, tokenizers):
        check_patterns(read_json_object(folder / "tokenizer.json"))
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


class PublishedWordPiece(PublishedByHuggingFace):
    """Of BERT's `vocab.txt`."""

    names = ("vocab.txt",)
    default_class = "BertTokenizer"

    def _make(self, folder, tokenizers):
        ids = read_word_pieces(folder / "vocab.txt")
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


class PublishedByteLevel(PublishedByHuggingFace):
    """Of `vocab.json` and `merges.txt`: byte-level BPE as GPT-2, RoBERTa, BART or Qwen2 have it."""

    names = ("vocab.json", "merges.txt")
    default_class = "GPT2Tokenizer"

    def _make(self, folder, tokenizers):
        ids = read_ids(folder / "vocab.json")
        merges = read_merges(folder / "merges.txt", ids)
        check_merged(folder / "merges.txt", ids, merges)
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
