"""Prompts to what follows: settings, of a call or of a folder, and what is refused."""

import making
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.generation import BeamSearch, RandomSampler
from keras_transformer.tasks import TextGenerator

LINES = [*making.LINES, "runs the old house", "is", "the dog is old"]


@pytest.fixture(scope="module")
def write():
    """Of the first random weights that say something after each line."""
    tokenizer = making.tokenizer_of(TextGenerator)
    model = kt.models.decoder_only(making.config_of(tokenizer, tie_embeddings=False))
    write = TextGenerator(model, tokenizer, max_new_tokens=6)
    for seed in range(100):
        tiny.randomize(model, seed)
        if all(len({*by_hand(write, line).split()}) > 2 for line in LINES):
            return write


def by_hand(write, line, count=6):
    """Greedy, without a cache, of what is no special token."""
    ids = write.tokenizer.encode([line])[0].tolist()
    begin = len(ids)
    while len(ids) < begin + count:
        logits = tiny.forward(write.model, [ids])[0, -1]
        logits[[i for i in write.tokenizer.special_ids if i != write.tokenizer.end_id]] = -np.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == write.tokenizer.end_id:
            break
    text = write.tokenizer.decode([ids])[0]
    return text[len(line) :]


def test_greedy_unless_asked_otherwise(write):
    expected = [by_hand(write, line) for line in LINES]
    assert write(LINES) == expected and any(expected)
    assert write(LINES, temperature=0, top_k=3) == expected
    assert write(LINES, sampler="greedy") == expected
    assert write(LINES, top_k=1) == expected  # drawn, of one
    assert write(LINES, sampler=BeamSearch(1)) == expected


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 2.0, "seed": 3}, {"top_p": 0.9, "seed": 1, "stop": ["dog"]}],
)
@pytest.mark.parametrize("count", [5, 30])  # beyond the context, too
def test_a_stream_is_what_a_call_gives(write, settings, count):
    settings = {"max_new_tokens": count, **settings}
    for line in LINES[:3]:
        pieces = [*write.stream(line, **settings)]
        assert "".join(pieces) == write(line, **settings)
    assert len(pieces) > 1


def test_settings_of_a_call_are_those_of_construction(write):
    chosen = {
        "temperature": 3.0,
        "min_p": 0.01,
        "seed": 1,
        "forbid": ["dog", "old"],
        "min_length": 5,
        "no_repeat_ngrams": 2,
        "repetition_penalty": 1.2,
        "max_new_tokens": 5,
    }
    found = write(LINES, **chosen)
    made = TextGenerator(write.model, write.tokenizer, **chosen)
    assert made(LINES) == found == write(LINES, **chosen)
    assert not {"dog", "old"} & {*" ".join(found).split()}
    assert all(len(text.split()) == 5 for text in found)  # no end before
    assert made(LINES, seed=2) != found
    assert write(LINES) == [by_hand(write, line) for line in LINES]  # for that call


def test_the_seed_is_no_program_of_its_own(write):
    count = len(write.generators.kept)
    texts = {write("the dog", temperature=1.5, seed=seed) for seed in range(8)}
    assert len(texts) > 1 and len(write.generators.kept) == count + 1
    many = write(["the dog"] * 24, temperature=1.5, seed=0)
    assert many[:8] != many[8:16]  # other random numbers for each batch


def test_the_best_of_several(write):
    settings = {"temperature": 2.0, "seed": 1}
    found = write.n_best(LINES, 4, **settings)
    for row in found:
        assert len(row) == 4
        assert [score for _, score in row] == sorted((s for _, s in row), reverse=True)
    assert write(LINES, samples=4, **settings) == [row[0][0] for row in found]
    [(text, _)] = write.n_best(LINES[0], 1)
    assert text == write(LINES[0])
    with pytest.raises(ValueError, match=r"for texts that differ. Received: samples=2"):
        write.n_best("a dog", 2)


def test_beam_search(write):
    beam = BeamSearch(4, length_penalty=0.0)
    found = write.n_best(LINES, 3, sampler=beam)
    assert all(len({text for text, _ in row}) == 3 for row in found)
    assert write(LINES, sampler=beam) == [row[0][0] for row in found]
    assert write(LINES[1], sampler=beam) == found[1][0][0]
    text = max((row[0][0] for row in found), key=len)
    line = LINES[[row[0][0] for row in found].index(text)]
    word = text.split()[0]
    assert write(line, sampler=beam, stop=["zebra", word]) == text[: text.index(word)] != text
    # Where the context is full there is no more.
    assert write(LINES, sampler=beam, max_new_tokens=50) == write(
        LINES, sampler=beam, max_new_tokens=None
    )
    with pytest.raises(ValueError, match="goes token by token"):
        next(write.stream("a dog", sampler=beam))


def test_lines_do_not_change_each_other(write):
    for count in (6, 20, None):
        together = write(LINES, max_new_tokens=count)
        assert together == [write(line, max_new_tokens=count) for line in LINES]
    assert TextGenerator(write.model, write.tokenizer, 6, batch_size=2)(LINES) == write(LINES)


def test_stop_strings(write):
    text = write("the small", max_new_tokens=20)
    word = text.split()[2]
    assert write("the small", max_new_tokens=20, stop=[word, "zebra"]) == text[: text.index(word)]
    with pytest.raises(ValueError, match="stop strings with text"):
        write("a", stop=["a", ""])


def test_what_cannot_be_continued(write):
    long = "a " * 13
    problems = write.problems(["", "a zebra", "the cat and zebra", long, "a"])
    assert problems == [
        "an empty prompt",
        "'zebra' was never seen in training",
        "'cat', 'zebra' were never seen in training",
        "13 tokens, the model reads 12",
        None,
    ]
    with pytest.raises(ValueError, match=r"line 2: an empty prompt$"):
        write(["a", ""])
    with pytest.raises(ValueError, match=r"one token. Received: 'zebra dog', which is 2"):
        write("a", forbid="zebra dog")
    with pytest.raises(TypeError, match="warmth"):
        write("a", warmth=1)
    with pytest.raises(ValueError, match="temperature to be positive"):
        write("a", temperature=-1)
    with pytest.raises(ValueError, match="a str to stream from"):
        write.stream(["a"])


def test_the_end_of_a_long_prompt(write):
    long = "dog is " + "a dog runs the house is " * 2
    assert write(long, truncate=True) == write("a dog runs the house is " * 2)
    assert "".join(write.stream(long, truncate=True)) == write(long, truncate=True)


def test_documents_begin_with_their_start():
    tokenizer = making.tokenizer_of(TextGenerator)
    config = making.config_of(tokenizer, line_start_id=tokenizer.start_id)
    model = tiny.randomize(kt.models.decoder_only(config))
    write = TextGenerator(model, tokenizer, 5)
    assert write.before == [tokenizer.start_id] and write.problems([""]) == [None]
    assert write("") == by_hand_after_start(model, tokenizer)
    [row] = write._checked_rows(["a " * 20 + "dog"], truncate=True)
    assert len(row) == 12 and row[0] == tokenizer.start_id
    assert row[1:] == tokenizer.encode(["a " * 10 + "dog"])[0].tolist()


def by_hand_after_start(model, tokenizer):
    ids = [tokenizer.start_id]
    for _ in range(5):
        logits = tiny.forward(model, [ids])[0, -1]
        logits[[i for i in tokenizer.special_ids if i != tokenizer.end_id]] = -np.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == tokenizer.end_id:
            break
    return tokenizer.decode([ids])[0]


def test_a_folder_says_how(tmp_path):
    folder = making.make_published(
        TextGenerator, tmp_path, do_sample=True, temperature=2.0, top_k=5, max_new_tokens=4,
        repetition_penalty=1.5, num_return_sequences=2, bad_words_ids=[[5], [6, 7]],
    )  # fmt: skip
    write = TextGenerator.load(folder)
    said = write.settings
    assert (said.temperature, said.top_k, said.repetition_penalty) == (2.0, 5, 1.5)
    assert (said.max_new_tokens, said.samples, len(said.rules)) == (4, 2, 2)
    assert len({write("a dog runs") for _ in range(8)}) > 1  # it draws
    assert write("a dog", temperature=0, samples=1) == write("a dog", temperature=0, samples=1)
    greedy = TextGenerator.load(folder, temperature=0, samples=1, max_new_tokens=9)
    assert greedy.settings.max_new_tokens == 9 and greedy("a dog") == greedy("a dog")


def test_a_beam_search_of_a_folder(tmp_path):
    folder = making.make_published(TextGenerator, tmp_path, num_beams=3, length_penalty=0.5)
    write = TextGenerator.load(folder, max_new_tokens=4)
    model, tokenizer = kt.zoo.load(folder), kt.zoo.load_tokenizer(folder)
    beam = BeamSearch(3, 0.5, penalty="power", early_stopping=False)
    expected = TextGenerator(model, tokenizer, 4, sampler=beam)
    assert write(making.LINES) == expected(making.LINES)
    assert len(write.n_best("a dog", 4)) == 4


def test_several_ends(tmp_path):
    folder = making.make_published(TextGenerator, tmp_path, eos_token_id=[3, *range(5, 13)])
    write = TextGenerator.load(folder)
    assert write.tokenizer.vocabulary[4] == "a"
    assert set(" ".join(write(making.LINES)).split()) <= {"a"}  # the others end a text, unseen


def test_samplers_of_ones_own(write):
    sampler = RandomSampler(seed=4)
    assert write(LINES, sampler=sampler) == write(LINES, sampler=RandomSampler(), seed=4)
    assert write(LINES, sampler=sampler, seed=5) != write(LINES, sampler=sampler)
