"""The tokenizer of single characters: its order, its size and what it has not seen."""

import pytest

from keras_transformer.text import train_tokenizer

TEXT = "b a\n\tc 😀 a\nb a"  # four spaces, three a, two b and newlines


@pytest.mark.parametrize("mask", [False, True])
def test_the_vocabulary_is_the_special_tokens_and_the_sorted_characters(mask):
    tokenizer = train_tokenizer("character", [TEXT], mask=mask)
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"][: 5 if mask else 4]
    assert tokenizer.vocabulary == special + ["\t", "\n", " ", "a", "b", "c", "😀"]
    [ids] = tokenizer.encode(["\t\n abc😀"])
    assert ids.tolist() == list(range(len(special), tokenizer.vocabulary_size))


def test_a_number_keeps_the_most_frequent():
    tokenizer = train_tokenizer("character", [TEXT], 6)
    assert tokenizer.vocabulary[4:] == [" ", "a"]
    assert tokenizer.encode(["a c\n"])[0].tolist() == [5, 4, 1, 1]
    assert tokenizer.decode([[5, 1, 4]]) == ["a<unk> "]
    assert train_tokenizer("character", [TEXT], 11).vocabulary_size == 11


def test_all_of_unicode_can_be_asked_for():
    tokenizer = train_tokenizer("character", [TEXT, chr(0x10FFFF)])
    ids = tokenizer.encode([chr(0x10FFFF), chr(0x10FFFE), "\0", "\ud800"])
    assert [row.tolist() for row in ids] == [[tokenizer.vocabulary_size - 1], [1], [1], [1]]


def test_white_space_begins_a_word():
    tokenizer = train_tokenizer("character", [TEXT])
    [ids] = tokenizer.encode(["ab a\nb"])
    assert tokenizer.word_starts(ids).astype(int).tolist() == [1, 0, 1, 0, 1, 0]


def test_white_space_can_be_unknown():
    tokenizer = train_tokenizer("character", ["a b"])
    assert tokenizer.unknown("a\tb c\n") == ["\t", "c", "\n"]
