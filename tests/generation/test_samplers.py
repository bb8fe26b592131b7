"""Samplers draw from the model's distribution, cut where they are told to."""

import numpy as np
import pytest
import tiny
from scipy.stats import chisquare

import keras_transformer as kt
from keras_transformer.generation import (
    GreedySampler,
    RandomSampler,
    Temperature,
    TopK,
    TopKSampler,
    TopP,
    TopPSampler,
)

LOGITS = np.log([0.05, 0.3, 0.1, 0.4, 0.15])
DRAWS = 20_000


def draw(logits, count=DRAWS):
    uniform = np.random.default_rng(0).random(count, "float32")
    return tiny.numpy(
        RandomSampler().choose(np.tile(logits.astype("float32"), (count, 1)), uniform)
    )


def frequencies(tokens, size=5):
    return np.bincount(tokens, minlength=size)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def test_frequencies_are_those_of_the_distribution():
    assert chisquare(frequencies(draw(LOGITS)), softmax(LOGITS) * DRAWS).pvalue > 1e-3


def test_the_chi_square_test_can_fail():
    assert chisquare(frequencies(draw(LOGITS / 1.1)), softmax(LOGITS) * DRAWS).pvalue < 1e-3


def test_in_the_limit_of_no_temperature_it_is_greedy():
    logits = tiny.random_array(50, 7)
    uniform = np.random.default_rng(1).random(50, "float32")
    greedy = tiny.numpy(GreedySampler().choose(logits, uniform))
    np.testing.assert_array_equal(
        tiny.numpy(RandomSampler().choose(logits / 1e-4, uniform)), greedy
    )
    assert len(np.unique(greedy)) > 3


def test_the_largest_random_number_still_gives_a_token():
    uniform = np.full(50, np.nextafter(np.float32(1), np.float32(0)), "float32")
    tokens = tiny.numpy(RandomSampler().choose(tiny.random_array(50, 7), uniform))
    assert ((tokens >= 0) & (tokens < 7)).all()


@pytest.fixture(scope="module")
def model():
    return tiny.make("decoder_only", vocabulary_size=4, pad_id=None)


def test_generated_pairs_have_the_models_joint_distribution(model):
    """The second token's distribution depends on the first: 16 pairs, one prompt many times."""
    count, prompt = 4000, [3, 2]
    generator = kt.Generator(model, None, max_new_tokens=2, sampler=RandomSampler(seed=5))
    found = generator([prompt] * count)
    assert (found[:, :2] == prompt).all()
    first = np.exp(tiny.log_probabilities(model, [prompt]))[0, -1]
    second = np.exp(tiny.log_probabilities(model, [[*prompt, t] for t in range(4)]))[:, -1]
    expected = (first[:, None] * second).ravel()
    likely = expected * count > 5
    counts = frequencies(found[:, 2] * 4 + found[:, 3], 16)
    observed = np.append(counts[likely], counts[~likely].sum())
    wanted = np.append(expected[likely], expected[~likely].sum()) * count
    wanted, observed = wanted[wanted > 0], observed[wanted > 0]
    assert len(wanted) > 5
    assert chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 1e-3
    np.testing.assert_array_equal(generator([prompt] * count), found)  # a seed repeats


def test_seeds(model):
    prompts = [[3, 2]] * 8

    def generate(seed):
        with tiny.without_tracing():
            sampler, rules = RandomSampler(seed), [Temperature(2.0)]
            generator = kt.Generator(model, None, max_new_tokens=5, sampler=sampler, rules=rules)
            return generator(prompts), generator(prompts)

    first, again = generate(1)
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) > 1  # rows differ
    other, _ = generate(2)
    assert not np.array_equal(first, other)
    first, again = generate(None)
    assert not np.array_equal(first, again)


def test_after_the_end_there_is_only_padding(model):
    with tiny.without_tracing():
        random = {"sampler": RandomSampler(seed=0), "rules": [Temperature(3.0)]}
        found = kt.Generator(model, 1, pad_id=-1, max_new_tokens=6, **random)([[3, 2]] * 40)
    rows = [row[2:] for row in found.tolist()]
    assert sum(1 in row for row in rows) > 10
    for row in rows:
        end = row.index(1) if 1 in row else 6
        assert set(row[end + 1 :]) <= {-1} and -1 not in row[:end]


def test_samples_of_a_prompt_are_what_repeated_prompts_give_best_first(model):
    prompts = [[3, 2], [1]]
    random = {"max_new_tokens": 5, "rules": [Temperature(2.0)], "pad_id": 0}
    with tiny.without_tracing():
        several = kt.Generator(model, None, sampler=RandomSampler(4, samples=3), **random)
        rows, scores = several.n_best(prompts)
        repeated = kt.Generator(model, None, sampler=RandomSampler(4), **random)
        expected, all_scores = repeated.n_best([p for p in prompts for _ in range(3)])
        best = several(prompts)
    assert rows.shape == (2, 3, 7) and scores.shape == (2, 3)
    assert (np.diff(scores) <= 0).all() and (np.diff(scores) < 0).any()
    np.testing.assert_array_equal(best, rows[:, 0])
    for i in range(2):
        alone = expected[3 * i : 3 * i + 3, 0].tolist()
        assert sorted(rows[i].tolist()) == sorted(alone)
        order = [alone.index(row) for row in rows[i].tolist()]
        np.testing.assert_allclose(scores[i], all_scores[3 * i : 3 * i + 3, 0][order])


def test_scores_are_the_models_own_log_probabilities_whatever_the_rules(model):
    random = {"sampler": RandomSampler(seed=0), "rules": [Temperature(2.0)]}
    with tiny.without_tracing():
        rows, scores = kt.Generator(model, None, max_new_tokens=3, **random).n_best([[3, 2]] * 4)
    logp = tiny.log_probabilities(model, rows[:, 0])
    for row, score, own in zip(rows[:, 0], scores[:, 0], logp, strict=True):
        np.testing.assert_allclose(score, sum(own[i - 1, row[i]] for i in (2, 3, 4)), atol=1e-4)


@pytest.mark.parametrize(
    ("sampler", "rule"),
    [(TopKSampler(2, seed=3), TopK(2)), (TopPSampler(0.6, seed=3), TopP(0.6))],
)
def test_a_cut_is_the_rule_after_all_others(model, sampler, rule):
    prompts, arguments = [[3, 2]] * 40, {"max_new_tokens": 5, "pad_id": 0}
    with tiny.without_tracing():

        def generate(sampler, *rules):
            rules = [Temperature(2.0), *rules]
            return kt.Generator(model, None, sampler=sampler, rules=rules, **arguments)(prompts)

        found = generate(sampler)
        np.testing.assert_array_equal(found, generate(RandomSampler(seed=3), rule))
        assert len(np.unique(found, axis=0)) > 1  # it draws
        assert not np.array_equal(found, generate(RandomSampler(seed=3)))  # and cuts


def test_cut_samplers_draw_several_samples_too(model):
    with tiny.without_tracing():
        for sampler in (TopKSampler(seed=1, samples=3), TopPSampler(seed=1, samples=3)):
            generator = kt.Generator(model, None, max_new_tokens=4, sampler=sampler, pad_id=0)
            assert generator.n_best([[3, 2], [1]])[0].shape == (2, 3, 6)


def test_errors():
    with pytest.raises(ValueError, match=r"Expected samples to be positive.*samples=0"):
        RandomSampler(samples=0)
    with pytest.raises(ValueError, match=r"Expected samples to be positive.*samples=0"):
        TopPSampler(samples=0)
    with pytest.raises(ValueError, match=r"Expected k of TopK to be positive.*k=0"):
        TopKSampler(0)
    with pytest.raises(ValueError, match=r"Expected p of TopP in \(0, 1\].*p=0"):
        TopPSampler(0)
