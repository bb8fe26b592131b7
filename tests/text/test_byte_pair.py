"""Byte-level BPE: no text is unknown, and words are cut as GPT-2 cuts them."""

import numpy as np
import pytest

from keras_transformer.text import train_tokenizer

TEXT = "The cat's hat! The cat sat.\n\nThe <s>hat</s> <s>sat</s> 12 21.\n" * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("bpe", [TEXT], 277)


def test_any_text_comes_back_and_nothing_is_unknown(tokenizer):
    code_points = np.random.default_rng(0).integers(0, 0x110000, 20_000)
    random = "".join(chr(c) for c in code_points if not 0xD800 <= c < 0xE000)
    every_byte = "".join(map(chr, range(0x800)))
    for text in (random, every_byte, "  \n\n \t x  ", TEXT):
        [ids] = tokenizer.encode([text])
        assert ids.min() > 3 and tokenizer.decode([ids]) == [text]


def test_ids_that_stop_within_a_character_end_in_a_replacement_character(tokenizer):
    [ids] = tokenizer.encode(["The 😀"])
    texts = [tokenizer.decode([ids[:n]])[0] for n in range(len(ids) - 4, len(ids) + 1)]
    assert texts == ["The ", *["The \ufffd"] * 3, "The 😀"]


def test_an_unknown_token_stays_visible(tokenizer):
    [ids] = tokenizer.encode(["The"])
    assert tokenizer.decode([[2, *ids, 1, 3, *ids]]) == ["The<unk>"]


@pytest.mark.parametrize("mask", [False, True])
def test_special_tokens_in_the_text_that_is_learned_from_are_ordinary(mask):
    written = "<pad><unk><s></s><mask> <s> </s>"
    tokenizer = train_tokenizer("bpe", [written], 271, mask=mask)
    [ids] = tokenizer.encode([written])
    assert not set(tokenizer.special_ids) & set(ids.tolist())
    assert tokenizer.decode([ids]) == [written]


def test_tokens_are_cut_as_gpt2_cuts_words(tokenizer):
    def tokens(line):
        [ids] = tokenizer.encode([line])
        return tokenizer.decode([[i] for i in ids])

    assert tokens("The cat's hat") == ["The", " cat", "'s", " hat"]
    assert tokens("The\n\nThe") == ["The", "\n", "\n", "The"]
    [ids] = tokenizer.encode(["The cat\nThe hat"])
    assert tokenizer.word_starts(ids).astype(int).tolist() == [1, 1, 1, 0, 1]


def test_a_vocabulary_without_room_for_the_bytes():
    with pytest.raises(ValueError, match=r"at least 260 for 256 bytes and 4 special.*=259"):
        train_tokenizer("bpe", [TEXT], 259)
    with pytest.raises(ValueError, match=r"at least 261 for 256 bytes and 5 special.*=260"):
        train_tokenizer("bpe", [TEXT], 260, mask=True)
    bytes_alone = train_tokenizer("bpe", [TEXT], 260)
    assert len(bytes_alone.encode(["The 😀"])[0]) == 8


def test_lowercase_is_learned_too():
    upper = train_tokenizer("bpe", [TEXT.upper()], 270, lowercase=True)
    assert upper.vocabulary == train_tokenizer("bpe", [TEXT.lower()], 270).vocabulary
