"""Byte-level BPE, as GPT-2 has it."""

from keras_transformer.checks import require
from keras_transformer.reading import parse_json
from keras_transformer.text.corpus import TextError
from keras_transformer.text.patterns import check_patterns
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.training import DEFAULT_SIZE, cased, in_parts, too_large

# How GPT-2 writes the bytes that are white space: tab to carriage return, and space.
_WHITE_SPACE = tuple("ĉĊċČčĠ")


class BytePair(Tokenizer):
    """Hugging Face's byte-level BPE. All text is made of its 256 bytes: none is unknown.

    White space belongs to the word after it. Ids that stop within a character decode to U+FFFD
    there.

    Reference:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """

    file = "byte_pair.json"
    lossless = True

    def __init__(self, kind: str, lowercase: bool, serialized: bytes, mask: bool = False):
        import tokenizers

        self._model = tokenizers.Tokenizer.from_buffer(serialized)
        self._model.encode_special_tokens = True  # a special token in text is only text
        ids = self._model.get_vocab()
        super().__init__(kind, lowercase, sorted(ids, key=lambda token: ids[token]), mask)

    @staticmethod
    def _is_beginning(token):
        return token.startswith(_WHITE_SPACE)

    @classmethod
    def _train(cls, kind, lines, vocabulary_size, lowercase, special_tokens):
        import tokenizers

        byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = byte_level.alphabet()
        least = len(alphabet) + len(special_tokens)
        size = vocabulary_size or DEFAULT_SIZE
        require(
            size >= least,
            f"vocabulary_size at least {least} for {len(alphabet)} bytes and "
            f"{len(special_tokens)} special tokens",
            vocabulary_size=vocabulary_size,
            error=TextError,
        )
        model = tokenizers.Tokenizer(tokenizers.models.BPE())
        model.pre_tokenizer = byte_level
        model.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(special_tokens),
            initial_alphabet=alphabet,
            show_progress=False,
        )
        model.train_from_iterator((cased(line, lowercase) for line in in_parts(lines)), trainer)
        if vocabulary_size and model.get_vocab_size() < vocabulary_size:
            raise too_large(model.get_vocab_size(), vocabulary_size)
        return cls(kind, lowercase, model.to_str().encode(), len(special_tokens) > 4)

    def _encode(self, lines):
        lines = [cased(line, self.lowercase) for line in lines]
        return [row.ids for row in self._model.encode_batch_fast(lines)]

    def _text(self, ids):
        return self._model.decode(ids, skip_special_tokens=False)

    def file_bytes(self) -> bytes:
        return self._model.to_str().encode()

    @staticmethod
    def _read_file(path):
        data = path.read_bytes()
        found = parse_json(data, path.name, TextError)
        check_patterns(found)
        ids = sorted(found["model"]["vocab"].values())
        expected = "ids from 0 on, each once"
        require(ids == list(range(len(ids))), expected, "others", where=path.name, error=TextError)
        return data
