"""Rules leave exactly the tokens and probabilities that their definitions leave."""

import numpy as np
import pytest
import tiny
from scipy.stats import chisquare

import keras_transformer as kt
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenSequence,
    ForbiddenTokens,
    ForcedTokens,
    MinLength,
    MinP,
    NoRepeatNgrams,
    Past,
    RandomSampler,
    Renormalize,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)

PROBABILITIES = np.array([0.05, 0.3, 0.1, 0.4, 0.15])
DRAWS = 20_000


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def past(*rows, end_ids=(-1,), count=0):
    """After these rows of tokens, all of one length, with room for two more."""
    rows = np.array(rows, "int32")
    ids = np.pad(rows, [(0, 0), (0, 2)], constant_values=-1)
    return Past(tiny.ops.convert_to_tensor(ids), rows.shape[1], count, end_ids)


def apply(rules, logits, about=None):
    logits = tiny.ops.convert_to_tensor(np.asarray(logits, "float32"))
    for rule in rules:
        logits = rule(logits, about)
    return tiny.numpy(logits)


def allowed(rule, about, size=6):
    """The tokens that equal logits leave, a list for each row."""
    logits = apply([rule], np.ones((len(tiny.numpy(about.token_ids)), size)), about)
    return [np.flatnonzero(row > 0).tolist() for row in logits]


@pytest.mark.parametrize(
    "rules, expected",
    [
        ([Temperature(0.5)], PROBABILITIES**2),
        ([Temperature(2.0)], PROBABILITIES**0.5),
        ([TopK(2)], [0, 3, 0, 4, 0]),
        ([TopK(9)], PROBABILITIES),
        ([TopP(0.6)], [0, 3, 0, 4, 0]),  # 0.4 is not enough, 0.7 is
        ([TopP(0.75)], [0, 0.3, 0, 0.4, 0.15]),
        ([TopP(1.0)], PROBABILITIES),
        ([TopP(1e-6)], [0, 0, 0, 1, 0]),
        ([MinP(0.3)], [0, 0.3, 0, 0.4, 0.15]),
        ([MinP(1.0)], [0, 0, 0, 1, 0]),
        ([MinP(1e-6)], PROBABILITIES),
        ([ForbiddenTokens([3, 0])], [0, 0.3, 0.1, 0, 0.15]),
        ([ForbiddenTokens([])], PROBABILITIES),
        # Composed: each sees what the one before it left.
        ([TopK(3), TopP(0.8)], [0, 3, 0, 4, 0]),  # of the 3, 0.7 / 0.85 is enough
        ([ForbiddenTokens([3]), TopK(1)], [0, 1, 0, 0, 0]),
        ([Temperature(0.5), TopP(0.6)], [0, 0.09, 0, 0.16, 0]),  # 16/28.5 alone is not
        ([TopP(0.6), Temperature(0.5)], [0, 0.09, 0, 0.16, 0]),
        ([Temperature(0.25), TopP(0.6)], [0, 0, 0, 1, 0]),  # before the cut it is enough ...
        ([TopP(0.6), Temperature(0.25)], [0, 0.3**4, 0, 0.4**4, 0]),  # ... and after it is not
        ([MinP(0.3), Temperature(2.0), TopK(2)], [0, 0.3**0.5, 0, 0.4**0.5, 0]),
    ],
)
def test_what_is_drawn_has_exactly_this_distribution(rules, expected):
    expected = np.array(expected) / np.sum(expected)
    logits = apply(rules, np.log(PROBABILITIES)[None])
    np.testing.assert_allclose(softmax(logits)[0], expected, atol=1e-6)
    uniform = np.random.default_rng(0).random(DRAWS, "float32")
    tokens = tiny.numpy(RandomSampler().choose(np.tile(logits, (DRAWS, 1)), uniform))
    found = np.bincount(tokens, minlength=5)
    assert (found[expected == 0] == 0).all()  # never outside the set
    inside = expected > 0
    if inside.sum() > 1:
        assert chisquare(found[inside], expected[inside] * DRAWS).pvalue > 1e-3


def test_rows_do_not_mix():
    logits = tiny.random_array(6, 9)
    for rule in (Temperature(0.7), TopK(3), TopP(0.7), MinP(0.2), ForbiddenTokens([4])):
        alone = [apply([rule], row[None])[0] for row in logits]
        np.testing.assert_allclose(apply([rule], logits), alone, rtol=1e-5)


def test_the_repetition_penalty_pushes_down_what_was_said():
    about = past([1, 1, 4], [-1, -1, 0])  # the second row is padded
    logits = np.array([[3.0, 3.0, -3.0, 2.0, -2.0]] * 2)
    found = apply([RepetitionPenalty(2.0)], logits, about)
    expected = [[3.0, 1.5, -3.0, 2.0, -4.0], [1.5, 3.0, -3.0, 2.0, -2.0]]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(apply([RepetitionPenalty(1.0)], logits, about), logits)


def repeats_by_hand(row, n, size):
    """Tokens after which some n tokens of the row would be there twice."""
    row = [token for token in row if token >= 0]
    grams = {tuple(row[i : i + n]) for i in range(len(row) - n + 1)}
    last = row[len(row) - n + 1 :] if n > 1 else []
    return [t for t in range(size) if len(row) >= n - 1 and (*last, t) in grams]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_no_ngram_comes_twice(n):
    rng = np.random.default_rng(n)
    rows = rng.integers(0, 3, (40, 6))
    rows[:10, :4] = -1  # padded on the left
    rows[10:12, :5] = -1
    found = allowed(NoRepeatNgrams(n), past(*rows), size=4)
    expected = [repeats_by_hand(row.tolist(), n, 4) for row in rows]
    assert [sorted(set(range(4)) - set(row)) for row in found] == expected
    assert n > 4 or any(expected)


def test_the_end_must_wait():
    def at(count, *end_ids):
        return allowed(MinLength(3), past([5], end_ids=end_ids, count=count), size=3)

    assert at(2, 1) == [[0, 2]] and at(0, 1) == [[0, 2]]
    assert at(3, 1) == [[0, 1, 2]] and at(0, -1) == [[0, 1, 2]]
    assert at(2, 1, 0) == [[2]] and at(3, 1, 0) == [[0, 1, 2]]


def test_tokens_of_one_place():
    def at(count, rule):
        return allowed(rule, past([5], count=count), size=4)

    once = ForbiddenTokens([1, 3], at=1)
    assert [at(i, once) for i in range(3)] == [[[0, 1, 2, 3]], [[0, 2]], [[0, 1, 2, 3]]]
    logits = np.array([[3.0, -1.0, 2.0, 5.0]])
    for count, expected in ((1, logits), (2, [[-1e9, 0, -1e9, 0]])):
        found = apply([ForcedTokens([1, 3], at=2)], logits, past([5], count=count))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sequence", [[1, 2], [0, 1, 2], [2, 2, 2], [1, 1, 1, 1, 1, 1, 1, 1, 1]])
def test_a_forbidden_sequence_is_never_completed(sequence):
    rows = np.random.default_rng(0).integers(0, 3, (60, 6))
    rows[:10, :5] = -1  # padded on the left
    *before, last = sequence
    ends = [row[len(row) - len(before) :].tolist() == before for row in rows]
    assert any(ends) or len(sequence) > 6
    expected = [[t for t in range(3) if not (end and t == last)] for end in ends]
    assert allowed(ForbiddenSequence(sequence), past(*rows), size=3) == expected


def test_renormalized_log_probabilities():
    found = apply([ForbiddenTokens([3]), Renormalize()], np.log(PROBABILITIES)[None])
    expected = np.delete(PROBABILITIES, 3) / 0.6
    np.testing.assert_allclose(np.exp(np.delete(found[0], 3)), expected, rtol=1e-5)
    assert found[0, 3] < -1e8


@pytest.fixture(scope="module")
def model():
    return tiny.make_talkative("decoder_only", position="rotary")


def generate(model, rules, prompts=([5, 7, 3, 9], [4]), end_id=None, **arguments):
    with tiny.without_tracing():
        generator = kt.Generator(model, end_id, max_new_tokens=9, rules=rules, **arguments)
        return generator(list(prompts))


SAMPLERS = ["greedy", RandomSampler(seed=3), BeamSearch(3, n_best=1)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=["greedy", "random", "beams"])
class TestInGeneration:
    def test_forbidden_tokens_are_never_said(self, model, sampler):
        said = np.unique(generate(model, [], sampler=sampler)[:, 4:])
        forbidden = [int(t) for t in said if t != tiny.PAD][:2]
        rows = generate(model, [ForbiddenTokens(forbidden)], sampler=sampler)
        assert not np.isin(rows[0, 4:], forbidden).any()

    def test_no_ngram_is_repeated_not_even_of_the_prompt(self, model, sampler):
        prompt = [5, 7, 5, 7, 5]
        rows = generate(model, [NoRepeatNgrams(2)], [prompt, [4]], sampler=sampler)
        for row, start in ((rows[0, :14], 4), (rows[1, :10], 0)):
            pairs = list(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))
            assert not set(pairs[start:]) & set(pairs[:start])
            assert len(set(pairs[start:])) == len(pairs[start:])

    def test_a_least_length(self, model, sampler):
        free = generate(model, [], sampler=sampler)[0, 4:]
        end = int(free[1])  # so that without a rule it would soon be over
        rows = generate(model, [MinLength(6)], end_id=end, sampler=sampler)
        assert end not in rows[0, 4:10]

    def test_compiled(self, model, sampler):
        rules = [RepetitionPenalty(1.5), NoRepeatNgrams(2), MinLength(2), TopK(8)]
        eager = generate(model, rules, sampler=sampler)
        generator = kt.Generator(model, None, max_new_tokens=9, rules=rules, sampler=sampler)
        np.testing.assert_array_equal(generator([[5, 7, 3, 9], [4]]), eager)


def test_a_beam_search_compares_what_rules_leave_of_log_probabilities(model):
    rules = [RepetitionPenalty(1.3), ForbiddenTokens([6])]
    beams = BeamSearch(4, length_penalty=0.0)
    with tiny.without_tracing():
        rows, scores = kt.Generator(
            model, None, max_new_tokens=3, rules=rules, sampler=beams
        ).n_best([[5, 7]])
    row = rows[0, 0].tolist()
    total = 0.0
    for i in (2, 3, 4):
        logp = tiny.log_probabilities(model, [row[:i]])[:, -1]
        total += apply(rules, logp, past(row[:i]))[0, row[i]]
    np.testing.assert_allclose(scores[0, 0], total, atol=1e-4)


@pytest.mark.parametrize(
    "rule, argument, message",
    [
        (Temperature, 0, "temperature to be positive.*temperature=0"),
        (TopK, 0, "k of TopK to be positive.*k=0"),
        (TopP, 0, r"p of TopP in \(0, 1\].*p=0"),
        (TopP, 1.5, r"p of TopP in \(0, 1\].*p=1.5"),
        (MinP, 0, r"p of MinP in \(0, 1\].*p=0"),
        (RepetitionPenalty, 0, "penalty to be positive.*penalty=0"),
        (NoRepeatNgrams, 0, "n of NoRepeatNgrams to be positive.*n=0"),
        (MinLength, -1, "length of MinLength to be at least 0.*length=-1"),
        (ForbiddenTokens, [-1], r"tokens to be at least 0.*token_ids=\[-1\]"),
        (ForbiddenSequence, [3], r"a sequence of at least two tokens.*token_ids=\[3\]"),
    ],
)
def test_errors(rule, argument, message):
    with pytest.raises(ValueError, match=f"Expected {message}"):
        rule(argument)
