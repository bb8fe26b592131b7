"""Samplers draw from the model's distribution, cut where they are told to."""

import numpy as np
import pytest
import tiny
from scipy.stats import chisquare

import keras_transformer as kt
from keras_transformer.generation import GreedySampler, RandomSampler

LOGITS = np.log([0.05, 0.3, 0.1, 0.4, 0.15])
DRAWS = 20_000


def draw(sampler, count=DRAWS):
    uniform = np.random.default_rng(0).random(count, "float32")
    return tiny.numpy(sampler.choose(np.tile(LOGITS.astype("float32"), (count, 1)), uniform))


def frequencies(tokens, size=5):
    return np.bincount(tokens, minlength=size)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({}, softmax(LOGITS)),
        ({"temperature": 0.5}, softmax(LOGITS / 0.5)),
        ({"temperature": 2.0}, softmax(LOGITS / 2)),
        ({"top_k": 2}, [0, 3 / 7, 0, 4 / 7, 0]),
        ({"top_k": 9}, softmax(LOGITS)),
        ({"top_p": 0.6}, [0, 3 / 7, 0, 4 / 7, 0]),  # 0.4 is not enough, 0.7 is
        ({"top_p": 0.75}, np.array([0, 0.3, 0, 0.4, 0.15]) / 0.85),
        ({"top_p": 1.0}, softmax(LOGITS)),
        ({"top_p": 1e-6}, [0, 0, 0, 1, 0]),
        ({"top_k": 3, "top_p": 0.8}, [0, 3 / 7, 0, 4 / 7, 0]),  # of the 3, 0.7 / 0.85 is enough
    ],
)
def test_frequencies_are_those_of_the_distribution(arguments, expected):
    found, expected = frequencies(draw(RandomSampler(**arguments))), np.array(expected) * DRAWS
    assert (found[expected == 0] == 0).all()  # never outside the set
    inside = expected > 0
    if inside.sum() > 1:
        scaled = expected[inside] / expected[inside].sum() * DRAWS
        assert chisquare(found[inside], scaled).pvalue > 1e-3


def test_the_chi_square_test_can_fail():
    found = frequencies(draw(RandomSampler(temperature=1.1)))
    assert chisquare(found, softmax(LOGITS) * DRAWS).pvalue < 1e-3


@pytest.mark.parametrize("arguments", [{"top_k": 1}, {"temperature": 1e-4}, {"top_p": 1e-6}])
def test_the_limits_are_greedy(arguments):
    logits = tiny.random_array(50, 7)
    uniform = np.random.default_rng(1).random(50, "float32")
    greedy = tiny.numpy(GreedySampler().choose(logits, uniform))
    np.testing.assert_array_equal(
        tiny.numpy(RandomSampler(**arguments).choose(logits, uniform)), greedy
    )
    assert len(np.unique(greedy)) > 3


def test_the_largest_random_number_still_gives_a_token():
    uniform = np.full(50, np.nextafter(np.float32(1), np.float32(0)), "float32")
    tokens = tiny.numpy(RandomSampler(top_k=3).choose(tiny.random_array(50, 7), uniform))
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
            sampler = RandomSampler(temperature=2.0, seed=seed)
            generator = kt.Generator(model, None, max_new_tokens=5, sampler=sampler)
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
        sampler = RandomSampler(temperature=3.0, seed=0)
        found = kt.Generator(model, 1, pad_id=-1, max_new_tokens=6, sampler=sampler)([[3, 2]] * 40)
    rows = [row[2:] for row in found.tolist()]
    assert sum(1 in row for row in rows) > 10
    for row in rows:
        end = row.index(1) if 1 in row else 6
        assert set(row[end + 1 :]) <= {-1} and -1 not in row[:end]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"temperature": 0}, "temperature to be positive.*temperature=0"),
        ({"top_k": 0}, "top_k to be positive or None.*top_k=0"),
        ({"top_p": 0}, r"top_p in \(0, 1\] or None.*top_p=0"),
        ({"top_p": 1.5}, r"top_p in \(0, 1\] or None.*top_p=1.5"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"Expected {message}"):
        RandomSampler(**arguments)
