"""Published tokenizers that `sentencepiece` runs, some with ids of their own."""

import re
from collections.abc import Sequence

import numpy as np

from keras_transformer.checks import require
from keras_transformer.text.corpus import TextError
from keras_transformer.text.frame import Frame
from keras_transformer.text.published_files import read_ids, sentence_piece_model
from keras_transformer.text.published_tokenizer import Published
from keras_transformer.text.sentence_piece import SentencePiece

# By `tokenizer_class`: what fairseq puts before the pieces of a SentencePiece model, and the first
# of these.
_FAIRSEQ = {
    "XLMRobertaTokenizer": (["<s>", "<pad>", "</s>", "<unk>"], 3),
    "CamembertTokenizer": (["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"], 1),
}


class PublishedSentencePiece(Published):
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


class PublishedFairseq(PublishedSentencePiece):
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


class PublishedMarian(PublishedSentencePiece):
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
        self._ids = read_ids(folder / "vocab.json")
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
