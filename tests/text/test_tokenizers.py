"""Every kind of tokenizer: special ids, round trips, saving, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_transformer.text import (
    KINDS,
    TextError,
    load_tokenizer,
    load_vocabulary,
    read_parallel,
    train_tokenizer,
)

SIZES = {
    "sentencepiece": 75,
    "sentencepiece_bpe": 120,
    "wordpiece": 90,
    "bert": 90,
    "whitespace": None,
    "character": None,
    "bpe": 300,
}
SPLITS_PUNCTUATION = ("wordpiece", "bert")
DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = DATA / "multi30k-bpe"
BERT = DATA / "tokenizers" / "bert_base_uncased_vocab.txt"


def corpus():
    rng = np.random.default_rng(0)
    syllables = [
        "ka",
        "lo",
        "mi",
        "ne",
        "ru",
        "sta",
        "ver",
        "bin",
        "dol",
        "qui",
        "fe",
        "pax",
        "thu",
        "ziw",
        "goj",
        "yh",
    ]
    words = ["".join(rng.choice(syllables, n)) for n in rng.integers(1, 4, 80)]
    words += ["the", "cat", "a", "dog"]
    lines = [" ".join(rng.choice(words, 6)) + " ." for _ in range(400)]
    return [*lines, "a rare é , and 3 of [ these ] ."]


@pytest.fixture(scope="module", params=SIZES)
def tokenizer(request):
    return train_tokenizer(request.param, corpus(), SIZES[request.param])


@pytest.fixture(scope="module", params=SIZES)
def with_mask(request):
    return train_tokenizer(request.param, corpus(), SIZES[request.param], mask=True)


def as_lists(ids):
    return [row.tolist() for row in ids]


def test_every_kind_is_tested():
    assert list(SIZES) == list(KINDS)


def test_special_ids_are_the_same_everywhere(tokenizer):
    special = tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id
    assert special == (0, 1, 2, 3) and tokenizer.special_ids == [0, 1, 2, 3]
    assert tokenizer.mask_id is None
    assert len(set(tokenizer.vocabulary)) == tokenizer.vocabulary_size
    size = SIZES[tokenizer.kind]
    assert size is None or 0.95 * size <= tokenizer.vocabulary_size <= size


def test_text_comes_back(tokenizer):
    lines = corpus()[:20]
    ids = tokenizer.encode(lines)
    assert all(row.dtype == np.int32 and row.min() > 3 for row in ids)
    assert max(row.max() for row in ids) < tokenizer.vocabulary_size
    decoded = tokenizer.decode(ids)
    if tokenizer.kind in SPLITS_PUNCTUATION:
        decoded = [line.replace(".", " .") for line in decoded]
    assert decoded == lines


def test_a_stream_is_all_of_a_text(tokenizer):
    lines = ["the cat", "", "  ", "a dog"]
    text = "".join(f"{line}\n" for line in lines)
    stream, end = tokenizer.encode_stream(text).tolist(), tokenizer.end_id
    if tokenizer.lossless:
        assert stream == tokenizer.encode([text])[0].tolist()
    else:
        one, two = as_lists(tokenizer.encode(["the cat", "a dog"]))
        assert stream == [*one, end, *two, end]
    assert tokenizer.encode_stream("").tolist() == []
    assert tokenizer.document_start_id == tokenizer.start_id


def test_lossless_means_that_white_space_comes_back(tokenizer):
    line = " the  cat . "
    assert (tokenizer.decode(tokenizer.encode([line])) == [line]) == tokenizer.lossless


def test_even_rare_characters_are_known(tokenizer):
    [ids] = tokenizer.encode(corpus()[-1:])
    assert tokenizer.unknown_id not in ids


def test_unknown_parts_come_once_and_in_order(tokenizer):
    lines = ["the ž cat 漢字ž ž 漢字ž .", "the cat .", ""]
    unknown = {"whitespace": ["ž", "漢字ž"], "bpe": []}.get(tokenizer.kind, ["ž", "漢", "字"])
    assert [tokenizer.unknown(line) for line in lines] == [unknown, [], []]
    [ids] = tokenizer.encode(lines[:1])
    assert (tokenizer.unknown_id in ids) == bool(unknown)


def test_empty_lines_and_nothing_at_all(tokenizer):
    empty, words, blank = tokenizer.encode(["", "the cat", "  "])
    assert len(empty) == 0 and len(words) > 0
    assert tokenizer.decode([blank]) == ["  " if tokenizer.lossless else ""]
    assert tokenizer.decode([empty, words]) == ["", "the cat"]
    assert tokenizer.encode([]) == [] and tokenizer.decode([]) == []


def test_frames_of_texts_and_pairs(tokenizer):
    cat, dog = tokenizer.encode(["the cat", "a dog"])
    around = ([2], [3]) if tokenizer.kind == "bert" else ([], [])
    [ids], [segments] = tokenizer.frame_with_segments(["the cat"])
    assert ids.tolist() == [*around[0], *cat, *around[1]] and ids.dtype == "int32"
    assert segments.tolist() == [0] * len(ids)
    [ids], [segments] = tokenizer.frame_with_segments(["the cat"], ["a dog"])
    assert ids.tolist() == [*around[0], *cat, *around[1], *dog, *around[1]]
    assert segments.tolist() == [0] * (len(ids) - len(dog) - len(around[1])) + [1] * (
        len(dog) + len(around[1])
    )
    [cut] = tokenizer.frame(["the cat"], ["a dog"], max_length=len(ids) - 1)
    assert len(cut) == len(ids) - 1
    assert tokenizer.frame([]) == tokenizer.frame([], []) == []
    with pytest.raises(ValueError, match=r"as many pairs as lines. Received: 1 and 2"):
        tokenizer.frame(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="max_length, an int, of at least"):
        tokenizer.frame(["a"], max_length=-1)


def test_decode_stops_at_the_end_and_drops_special_tokens(tokenizer):
    cat, dog = tokenizer.encode(["the cat", "a dog"])
    row = [0, 2, *cat, 3, *dog, 0, 0]
    assert tokenizer.decode(np.array([row, row])) == ["the cat"] * 2


def test_special_tokens_written_out_are_ordinary_text(tokenizer):
    written = ["[PAD] [UNK] [START] [END] <pad> <s> </s>", "the cat</s>", *tokenizer.vocabulary[:4]]
    for ids in tokenizer.encode(written):
        assert not {0, 2, 3} & set(ids.tolist())


def test_the_mask_is_one_more_special_token(with_mask, tmp_path):
    last = with_mask.kind.startswith("sentencepiece")
    assert with_mask.mask_id == (with_mask.vocabulary_size - 1 if last else 4)
    assert with_mask.special_ids == [0, 1, 2, 3, with_mask.mask_id]
    assert with_mask.vocabulary[with_mask.mask_id] in ("[MASK]", "<mask>")
    size = SIZES[with_mask.kind]
    assert size is None or 0.95 * size <= with_mask.vocabulary_size <= size
    with_mask.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert (loaded.mask_id, loaded.vocabulary) == (with_mask.mask_id, with_mask.vocabulary)
    assert loaded.special_ids == with_mask.special_ids


def test_the_mask_changes_no_text(with_mask):
    lines = corpus()[:20]
    decoded = with_mask.decode(with_mask.encode(lines))
    if with_mask.kind in SPLITS_PUNCTUATION:
        decoded = [line.replace(".", " .") for line in decoded]
    assert decoded == lines


def test_a_mask_written_out_is_ordinary_text(with_mask):
    written = ["[MASK]", "<mask>", "the [MASK] cat", "the <mask> cat", "cat[MASK]", "cat<mask>dog"]
    written += [with_mask.vocabulary[i] for i in with_mask.special_ids]
    for ids in with_mask.encode(written):
        assert len(ids) > 0 and not {0, 2, 3, with_mask.mask_id} & set(ids.tolist())


@pytest.mark.parametrize("mask", [False, True])
def test_a_mask_in_the_text_that_is_learned_from_is_ordinary_too(mask):
    lines = ["a <mask> <mask> b"] * 3
    tokenizer = train_tokenizer("whitespace", lines, mask=mask)
    assert tokenizer.mask_id == (4 if mask else None)
    [ids] = tokenizer.encode(lines[:1])
    assert not set(tokenizer.special_ids) & set(ids.tolist())
    assert tokenizer.decode([ids]) == lines[:1]


@pytest.mark.parametrize("mask", [False, True])
def test_a_mask_in_the_text_that_is_learned_from_by_sentencepiece(mask):
    lines = [line.replace("cat", "cat(<mask>)") for line in corpus()] + ["x<mask>"] * 200
    tokenizer = train_tokenizer("sentencepiece_bpe", lines, 150, mask=mask)
    assert (tokenizer.mask_id is not None) == mask
    for ids in tokenizer.encode(["x<mask>", "cat(<mask>)"]):
        assert not set(tokenizer.special_ids) & set(ids.tolist())


def test_words_start_where_the_text_has_them(with_mask):
    lines = [line.removesuffix(" .") for line in corpus()[:100]]  # letters alone
    for line, ids in zip(lines, with_mask.encode(lines), strict=True):
        starts = with_mask.word_starts(ids)
        assert starts.shape == ids.shape and starts.dtype == bool and starts[0]
        words = np.split(ids, np.flatnonzero(starts)[1:])
        decoded = [with_mask.decode([word])[0].strip() for word in words]
        assert decoded == line.split()
        again = with_mask.word_starts(ids.tolist())  # and left as it was
        np.testing.assert_array_equal(starts, again)


def test_words_of_odd_lines_start_too(with_mask):
    assert with_mask.word_starts([]).tolist() == []
    [ids] = with_mask.encode([" kalomi"])
    pieces = with_mask.word_starts(np.concatenate([ids, ids]))
    assert pieces.sum() == 2 and pieces[0] and pieces[len(ids)]
    assert with_mask.word_starts(ids[1:])[:1].all()  # a cut line begins with what it has


def test_marked_subwords_belong_to_the_word_they_begin():
    tokenizer = train_tokenizer("whitespace", ["a pul@@ ley sys@@ te@@ m b"])
    [ids] = tokenizer.encode(["pul@@ ley a sys@@ te@@ m b sys@@"])
    assert tokenizer.word_starts(ids).astype(int).tolist() == [1, 0, 1, 1, 0, 0, 1, 1]


def test_saved_and_loaded_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    lines = [*corpus(), "something Unseen ; ü", ""]
    assert as_lists(loaded.encode(lines)) == as_lists(tokenizer.encode(lines))
    assert (loaded.kind, loaded.vocabulary) == (tokenizer.kind, tokenizer.vocabulary)


def test_training_twice_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(tokenizer.kind, corpus(), SIZES[tokenizer.kind])
    assert again.vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].lossless])
def test_a_whole_text_comes_back_with_its_newlines(kind, tmp_path):
    text = "\tnaïve 😀\n\n\n  the cat\r\n\u3000\nsat\u2028on it .\n"
    for lines in [text], text.splitlines(keepends=True):
        train_tokenizer(kind, lines * 3, 275 if kind == "bpe" else None).save(tmp_path)
        tokenizer = load_tokenizer(tmp_path)
        ids = tokenizer.encode([text, *text.splitlines(keepends=True)])
        assert all(row.min() > 3 for row in ids)
        assert tokenizer.decode(ids[:1]) == [text] == ["".join(tokenizer.decode(ids[1:]))]


@pytest.mark.parametrize("kind", SIZES)
def test_lowercase_is_kept_with_the_tokenizer(kind, tmp_path):
    size = SIZES[kind]
    train_tokenizer(kind, [line.upper() for line in corpus()], size, lowercase=True).save(tmp_path)
    upper, lower = load_tokenizer(tmp_path).encode(["THE Cat", "the cat"])
    assert upper.tolist() == lower.tolist() and 1 not in upper


@pytest.mark.parametrize("kind", SIZES)
def test_a_vocabulary_larger_than_the_text_allows(kind):
    with pytest.raises(ValueError, match=r"at most [\d,]+ for this text.*99999") as error:
        train_tokenizer(kind, corpus(), 99999)
    most = int(str(error.value).split("at most ")[1].split()[0].replace(",", ""))
    assert train_tokenizer(kind, corpus(), most).vocabulary_size <= most


def test_sentencepiece_says_how_small_is_too_small():
    with pytest.raises(ValueError, match=r"at least \d+ for this text's characters"):
        train_tokenizer("sentencepiece", corpus(), 6)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"did you mean 'wordpiece'.*Received: kind='wordpeice'"):
        train_tokenizer("wordpeice", corpus(), 100)
    with pytest.raises(ValueError, match="4 special tokens"):
        train_tokenizer("whitespace", corpus(), 4)
    with pytest.raises(ValueError, match="5 special tokens"):
        train_tokenizer("whitespace", corpus(), 5, mask=True)
    with pytest.raises(ValueError, match="no line with text"):
        train_tokenizer("wordpiece", ["", " "], 100)
    for kind in ("wordpiece", "bert"):
        with pytest.raises(TextError, match=r"Expected text with words\. Received: none"):
            train_tokenizer(kind, ["\x15"])


def test_a_folder_that_holds_no_tokenizer(tmp_path):
    def refused():
        with pytest.raises(ValueError, match=f"{tmp_path}: not a tokenizer's folder"):
            load_tokenizer(tmp_path)

    refused()
    (tmp_path / "tokenizer.json").write_text("{not json")
    refused()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": "of another library"}))
    refused()
    for kind, cls in KINDS.items():
        (tmp_path / "tokenizer.json").write_text(json.dumps({"kind": kind, "lowercase": False}))
        refused()
        for content in ["some\nother\nfile\nof words\n", '["some", "other"]', "{}"]:
            (tmp_path / cls.file).write_text(content)
            refused()
        (tmp_path / cls.file).unlink()


def test_whitespace_order_size_and_joining():
    tokenizer = train_tokenizer("whitespace", ["b a c", "c a d", "a"])
    assert tokenizer.vocabulary[4:] == ["a", "c", "b", "d"]  # by frequency, then first seen
    assert train_tokenizer("whitespace", ["b a c", "c a d", "a"], 6).vocabulary[4:] == ["a", "c"]
    joined = train_tokenizer("whitespace", ["pul@@ ley sys@@ tem a@@ @@b"])
    assert joined.decode(joined.encode(["pul@@ ley sys@@ tem", "ley sys@@"])) == [
        "pulley system",
        "ley sys",
    ]


def test_whitespace_keeps_a_literal_special_token_apart():
    tokenizer = train_tokenizer("whitespace", ["<s> <s> a"])
    assert tokenizer.encode(["<s> a"])[0].tolist() == [4, 5]


def test_wordpiece_puts_punctuation_back():
    lines = ['He said: "don\'t, (ever) say 3.5!"', "A well-known l'eau, isn't it?"]
    tokenizer = train_tokenizer("wordpiece", lines * 20, 75)
    assert tokenizer.decode(tokenizer.encode(lines)) == lines


def write_vocabulary(folder, *tokens):
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path = folder / "vocab.txt"
    path.write_text("".join(token + "\n" for token in [*special, *tokens]))
    return path


def test_a_published_vocabulary_keeps_its_ids(tmp_path):
    path = write_vocabulary(tmp_path, "the", "cat", "##s", "!", "[", "]", "mask")
    tokenizer = load_vocabulary(path)
    special = tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id
    assert (special, tokenizer.mask_id) == ((0, 2, 3, 4), 5)
    assert (tokenizer.kind, tokenizer.vocabulary_size) == ("bert", 13)
    assert sorted(tokenizer.special_ids) == [0, 2, 3, 4, 5]
    lines = ["The cats!", "[MASK]", "dog"]
    expected = [[6, 7, 8, 9], [10, 12, 11], [2]]
    assert as_lists(tokenizer.encode(lines)) == expected
    assert tokenizer.decode([[3, 6, 7, 8, 9, 4, 7, 0]]) == ["the cats!"]
    tokenizer.save(tmp_path / "saved")
    loaded = load_tokenizer(tmp_path / "saved")
    assert as_lists(loaded.encode(lines)) == expected
    assert (loaded.mask_id, loaded.unknown_id, loaded.lowercase) == (5, 2, True)


@pytest.mark.parametrize(
    "tokens, lowercase, expected",
    [
        (["cafe", "Cafe"], False, [[7], [6], [2]]),  # capitals: a cased vocabulary
        (["cafe", "café"], True, [[6], [6], [6]]),
        (["cafe"], True, [[6], [6], [6]]),
    ],
)
def test_a_vocabulary_without_capitals_is_uncased(tmp_path, tokens, lowercase, expected):
    tokenizer = load_vocabulary(write_vocabulary(tmp_path, *tokens))
    assert tokenizer.lowercase == lowercase
    assert as_lists(tokenizer.encode(["Cafe", "cafe", "Café"])) == expected


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    path = write_vocabulary(tmp_path, "a")
    path.write_text(path.read_text().replace("[CLS]\n", "").replace("[MASK]", "[mask]"))
    with pytest.raises(TextError, match=r"vocab\.txt: .*without \[CLS\], \[MASK\]"):
        load_vocabulary(path)
    with pytest.raises(TextError, match="nowhere: no such file"):
        load_vocabulary("nowhere")


@pytest.mark.skipif(not BERT.exists(), reason=f"the real vocabulary {BERT} is not on this machine")
def test_berts_own_vocabulary():
    tokenizer = load_vocabulary(BERT)
    special = tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id
    assert (special, tokenizer.mask_id) == ((0, 100, 101, 102), 103)
    assert tokenizer.vocabulary_size == 30522 and tokenizer.lowercase
    lines = ["Hello world", "héllo, WORLD!", "unaffable", "[MASK]"]
    assert as_lists(tokenizer.encode(lines)) == [
        [7592, 2088],
        [7592, 1010, 2088, 999],
        [14477, 20961, 3468],  # the example of the paper's code: un ##aff ##able
        [1031, 7308, 1033],
    ]
    assert tokenizer.decode([[101, 7592, 1010, 2088, 999, 102, 0]]) == ["hello, world!"]
    assert tokenizer.word_starts([7592, 14477, 20961, 3468]).tolist() == [True, True, False, False]


@pytest.mark.skipif(not REAL.exists(), reason=f"the real text {REAL} is not on this machine")
def test_multi30k_has_the_published_vocabulary():
    source, target = read_parallel(REAL / "train.en", REAL / "train.de")
    tokenizer = train_tokenizer("whitespace", source + target)
    assert tokenizer.vocabulary_size == 9712
    plain = [line.replace("@@ ", "") for line in target]
    assert tokenizer.decode(tokenizer.encode(target)) == plain


ODD = {
    "NUL": ["a\0b", "\0", "\0\0 the \0"],
    "control": ["".join(map(chr, range(1, 32))), "\x7f\x80\x9f", "\u200b\u2060\ufeff"],
    "noncharacters": ["\ufffe\uffff\ufffd", "\U0010ffff \ue000"],
    "spaces": ["", "   ", "\t\n", " x  y ", "\u3000x\xa0y"],
    "combining": ["e" + "\u0301" * 3000],
    "directions": ["\u202e\u2066abc\u2069"],
    "pieces": ["▁", "a▁b", "<unk> </s> <0x41> [UNK]"],
}


@pytest.mark.parametrize("texts", ODD.values(), ids=ODD)
def test_no_text_crashes(tokenizer, texts, tmp_path):
    """An interpreter that dies would end the tests."""
    trained = train_tokenizer(tokenizer.kind, corpus()[:100] + texts)
    trained.save(tmp_path)
    for one in (tokenizer, trained, load_tokenizer(tmp_path)):
        ids = one.encode(texts)
        assert len(one.decode(ids)) == len(texts)
        assert all(isinstance(one.unknown(text), list) for text in texts)
    if trained.lossless and tokenizer.kind not in ("character",) and "▁" not in texts:
        assert trained.decode(trained.encode(texts)) == texts


def test_half_a_surrogate_pair_is_refused(tokenizer):
    if tokenizer.kind not in ("whitespace", "character"):
        with pytest.raises(TextError, match="half of a surrogate pair"):
            tokenizer.encode(["fine", "a \ud800 b"])
    with pytest.raises(TextError, match="line 2, half of a surrogate pair"):
        train_tokenizer(tokenizer.kind, ["fine", "a \ud800 b"], SIZES[tokenizer.kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_very_long_word_takes_no_long_time(kind):
    """Quadratic time would be minutes."""
    word = "abcdt" * 100_000
    tokenizer = train_tokenizer(kind, [*corpus()[:50], word])
    [ids] = tokenizer.encode([word])
    if tokenizer.lossless:
        assert tokenizer.decode([ids]) == [word]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_size_the_vocabulary_is_what_the_text_makes(kind):
    for lines in (corpus()[:10], ["a"], ["你好，世界！"]):
        tokenizer = train_tokenizer(kind, lines, mask=True)
        assert 5 < tokenizer.vocabulary_size <= 8000
        assert tokenizer.mask_id is not None and len(tokenizer.encode(lines)[0])
        if kind not in ("whitespace", "character", "wordpiece", "bert"):
            with pytest.raises(TextError, match="at most"):
                train_tokenizer(kind, lines, 8000)


@pytest.mark.parametrize("kind", ["sentencepiece", "sentencepiece_bpe"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_what_sentencepiece_writes_can_equal_its_references(kind, lowercase):
    lines = ["你好，世界！", "ﬁne ① Å", "½ of ２", "ｶﾞ  two spaces ", "e\u0301 é", "a\ttab"]
    tokenizer = train_tokenizer(kind, [*corpus()[:200], *lines], lowercase=lowercase)
    unseen = ["😀 ž ğ", "ไทย", "\u2028x", "\0", "𝕏"]
    texts = [line.lower() if lowercase else line for line in [*lines, *unseen]]
    assert tokenizer.lossless
    ids = tokenizer.encode([*lines, *unseen])
    assert tokenizer.decode(ids) == texts
    assert not any(tokenizer.unknown_id in row for row in ids)
    assert tokenizer.unknown("😀 ž") == []
    assert tokenizer.decode([ids[len(lines)][:2]])[0].endswith("\ufffd")  # within a character
