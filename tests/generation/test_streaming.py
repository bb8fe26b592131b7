"""What is streamed is what a call gives, in whole characters and up to a stop string."""

import numpy as np
import pytest
import tiny
from tiny import END, START

import keras_transformer as kt
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenTokens,
    MinLength,
    RandomSampler,
    Temperature,
)
from keras_transformer.generation.text_stream import TextStream

NEW = 7
PROMPTS = [[5, 7, 3, 9], [4], [8, 6]]
SAMPLERS = {"greedy": "greedy", "random": RandomSampler(seed=3)}


def decode(rows):
    """Every token a letter; text ends where tokens do."""
    return ["".join(chr(ord("a") + i) for i in row if i not in (tiny.PAD, END)) for row in rows]


def stream(generator, ids, stop=()):
    """The texts of all rows, and how many pieces there were."""
    pieces = list(generator.stream(ids, decode, stop))
    return ["".join(row) for row in zip(*pieces, strict=True)], len(pieces)


@pytest.fixture(scope="module")
def model():
    return tiny.make_talkative("decoder_only")


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("compiled", [False, True])
def test_streamed_is_what_a_call_gives(model, sampler, compiled):
    rules = [ForbiddenTokens([tiny.PAD])]  # which has no letter
    generator = kt.Generator(model, END, max_new_tokens=NEW, sampler=SAMPLERS[sampler], rules=rules)
    with tiny.contextlib.nullcontext() if compiled else tiny.without_tracing():
        rows = generator(PROMPTS)
        texts, pieces = stream(generator, PROMPTS)
        again, _ = stream(generator, PROMPTS)
    new = [row[len(p) :] for row, p in zip(rows.tolist(), PROMPTS, strict=True)]
    assert texts == decode(new) == again
    assert max(map(len, texts)) == pieces  # one by one


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_translation_too(sampler):
    model = tiny.make_talkative("encoder_decoder")
    with tiny.without_tracing():
        generator = kt.Generator(model, END, START, max_new_tokens=NEW, sampler=SAMPLERS[sampler])
        texts, _ = stream(generator, [[5, 7, 3], [4]])
        assert texts == decode(generator([[5, 7, 3], [4]]).tolist())


def test_samples_and_their_scores(model):
    sampler = RandomSampler(seed=3, samples=4)
    random = {"max_new_tokens": NEW, "sampler": sampler, "rules": [Temperature(3.0)]}
    with tiny.without_tracing():
        generator = kt.Generator(model, END, **random)
        rows, scores = generator.n_best(PROMPTS)
        texts, found = generator.write(PROMPTS, decode)
    np.testing.assert_allclose(found, scores, atol=1e-5)
    expected = [decode(row[:, len(p) :].tolist()) for row, p in zip(rows, PROMPTS, strict=True)]
    assert texts == expected and len({tuple(row) for row in texts}) == 3


def test_a_stop_string_ends_its_row_and_no_other(model):
    generator = kt.Generator(model, None, max_new_tokens=NEW)
    with tiny.without_tracing():
        free, _ = stream(generator, PROMPTS)
        stop = free[0][2:4]
        texts, _ = stream(generator, PROMPTS, ["zzz", stop])
        expected = [text.partition(stop)[0] for text in free]
        assert texts == expected and len(texts[0]) == 2
        assert any(text == whole for text, whole in zip(texts, free, strict=True))
        _, score = generator.write(PROMPTS[:1], decode, [stop])
        until = kt.Generator(model, None, max_new_tokens=4).n_best(PROMPTS[:1])[1]
        np.testing.assert_allclose(score, until, atol=1e-5)  # later tokens do not count
        _, scores = generator.write(PROMPTS, decode, [free[0][1:3]])
        until = kt.Generator(model, None, max_new_tokens=3).n_best(PROMPTS[:1])[1]
        np.testing.assert_allclose(scores[0], until[0], atol=1e-5)  # nor where other rows go on
        # All rows stopped: no step is wasted.
        _, pieces = stream(generator, PROMPTS[:1], [free[0][0]])
        assert pieces == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_text_goes_on_beyond_the_context(compiled):
    """Every leg is what a call gives for the last half of the context."""
    model = tiny.make_talkative("decoder_only", "pre_norm_learned", max_sequence_length=6)
    prompts = [[5, 7, 3, 9], [4, 5]]
    expected = [list(row) for row in prompts]
    with tiny.contextlib.nullcontext() if compiled else tiny.without_tracing():
        for row in expected:
            # Both rows are read anew when the longer one is full: after 3 tokens, then 4.
            for new in (3, 4, 4):
                known = row[-3:] if len(row) > 4 else row
                row += tiny.greedy_by_hand(model, known, new)
        generator = kt.Generator(model, None, max_new_tokens=11)
        assert generator.context == 6
        found = ["".join(row) for row in zip(*generator.stream(prompts, decode), strict=True)]
        assert found == decode([row[len(p) :] for row, p in zip(expected, prompts, strict=True)])
        with pytest.raises(ValueError, match=r"fit the context of 6\..*tokens=14"):
            generator(prompts)
        with pytest.raises(ValueError, match=r"fit the context of 6\..*tokens=7"):
            next(generator.stream([[3] * 7], decode))


def test_the_start_token_stays_when_the_last_half_is_read_again(model):
    prompts, expected = [[START, 5, 7], [9, 5, 7]], []
    with tiny.without_tracing():
        for prompt in prompts:
            known, text = list(prompt), []
            for new in (4, 4):
                more = tiny.greedy_by_hand(model, known, new)
                text, known = text + more, known + more
                known = [START, *known[-2:]] if prompt[0] == START else known[-3:]
            expected.append(text)
        generator = kt.Generator(model, None, START, max_new_tokens=8, context=6)
        found = ["".join(row) for row in zip(*generator.stream(prompts, decode), strict=True)]
    assert found == decode(expected)


def test_an_end_in_the_prompt_hides_nothing(model):
    """Text after the end of another one, as a tokenizer shows it, which stops at an end."""

    def until_end(rows):
        return decode([row[: row.index(END)] if END in row else row for row in rows])

    generator = kt.Generator(model, END, max_new_tokens=4)
    with tiny.without_tracing():
        for prompt in ([5, END], [END, 5, 7]):
            found = "".join(piece for [piece] in generator.stream([prompt], until_end))
            row = generator([prompt])[0, len(prompt) :].tolist()
            assert found == until_end([row])[0] != ""


def test_rules_and_scores_go_on_beyond_the_context(model):
    """What is forbidden until a length stays so, and legs' scores are summed."""
    with tiny.without_tracing():
        free = kt.Generator(model, None, max_new_tokens=9, context=5)
        [[text]], _ = free.write([[5, 7]], decode)
        end = 3
        rules = [MinLength(8)]
        late = kt.Generator(model, end, max_new_tokens=9, context=5, rules=rules)
        [[text]], [[score]] = late.write([[5, 7]], decode)
    ids, known, total = [ord(c) - ord("a") for c in text], [5, 7], 0.0
    assert len(ids) >= 8 and end not in ids[:8]
    for count, token in enumerate(ids):
        if count in (4, 8):
            known = known[-2:]
        total += tiny.log_probabilities(model, [known])[0, -1, token]
        known.append(token)
    np.testing.assert_allclose(score, total, atol=1e-4)


def test_leaving_early_is_fine(model):
    with tiny.without_tracing():
        pieces = kt.Generator(model, None, max_new_tokens=NEW).stream(PROMPTS[:1], decode)
        first = next(pieces)
        pieces.close()
        assert len(first[0]) == 1


def test_only_samplers_stream(model):
    generator = kt.Generator(model, END, sampler=BeamSearch(2))
    with pytest.raises(ValueError, match="Expected a sampler that goes token by token"):
        next(generator.stream(PROMPTS, decode))


def utf8(rows):
    return [bytes(row).decode("utf-8", errors="replace") for row in rows]


def push_all(text_stream, tokens):
    """The pieces of one row of tokens."""
    last = len(tokens) - 1
    return [text_stream.push([t], [i == last])[0] for i, t in enumerate(tokens)]


@pytest.mark.parametrize("text", ["naïve", "日本", "a🙂b🏳️‍🌈", "\ufffd?", "plain"])
def test_never_half_a_character(text):
    data = text.encode()
    pieces = push_all(TextStream(utf8, [[]]), data)
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
    # What is cut off at the end is shown as what it is.
    cut = push_all(TextStream(utf8, [[]]), "é".encode()[:1])
    assert cut == ["\ufffd"]


def words(rows):
    """As SentencePiece: a word's token brings the space before it, unless it is the first."""
    return [" ".join(f"w{i}" for i in row) for row in rows]


@pytest.mark.parametrize("prompt", [[], [1], list(range(9))])
def test_what_tokens_say_depends_on_those_before(prompt):
    pieces = push_all(TextStream(words, [prompt]), [5, 6, 7])
    [whole] = words([[*prompt, 5, 6, 7]])
    assert "".join(pieces) == whole[len(words([prompt])[0]) :]
    assert len(pieces) == 3


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_stop_string_is_found_across_tokens_and_never_shown(size):
    def pieces_of(text, stop):
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        text_stream = TextStream(
            lambda rows: ["".join(chunks[i] for i in r) for r in rows], [[]], stop
        )
        shown = []
        for i in range(len(chunks)):
            shown += text_stream.push([i], [i == len(chunks) - 1])
            if text_stream.over.all():
                break
        return "".join(shown)

    for text in ("ab##c#d", "ab#", "###", "abc", "#a##b", "a#b#c##"):
        assert pieces_of(text, ["##"]) == text.partition("##")[0]
        assert pieces_of(text, ["c#d", "##"]) == min(
            text.partition("##")[0], text.partition("c#d")[0], key=len
        )


def test_an_empty_stop_string():
    with pytest.raises(ValueError, match="Expected stop strings with text"):
        TextStream(utf8, [[]], [""])
