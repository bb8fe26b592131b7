"""Beam search finds what exhaustive search finds, and nothing depends on the batch."""

import itertools

import keras
import numpy as np
import pytest
import tiny
from tiny import END, PAD, START

import keras_transformer as kt
from keras_transformer.generation import BeamSearch
from keras_transformer.generation.decoding import CachedDecoding

PROMPTS = [[5, 7, 3, 9], [4], [8, 6]]
SOURCES = [[5, 7, 3, 9, 4], [4], [8, 6, 3]]


def penalty(n, alpha, kind):
    return ((5 + n) / 6) ** alpha if kind == "gnmt" else n**alpha


def tiny_vocabulary_model():
    """Its best continuation of [3, 2] depends on the length penalty."""
    model = tiny.make("decoder_only", vocabulary_size=4, pad_id=None, tie_embeddings=False)
    return tiny.randomize(model, seed=4)


def every_hypothesis(model, prompt, length, vocabulary):
    """`{tokens: log-probability}` of all that end with END or have `length` tokens."""
    tokens = np.array(list(itertools.product(range(vocabulary), repeat=length)))
    ids = np.concatenate([np.tile(prompt, (len(tokens), 1)), tokens], axis=1)
    logp = tiny.log_probabilities(model, ids)[:, len(prompt) - 1 : -1]
    logp = np.take_along_axis(logp, tokens[:, :, None], axis=2)[:, :, 0]
    found = {}
    for row, score in zip(tokens.tolist(), logp, strict=True):
        n = row.index(END) + 1 if END in row else length
        found[tuple(row[:n])] = score[:n].sum()
    return found


@pytest.mark.parametrize(
    "kind, alpha", [("gnmt", 0.0), ("gnmt", 1.0), ("power", 0.7), ("power", 2.0)]
)
def test_many_beams_are_exhaustive_search(kind, alpha):
    vocabulary, length, n_best = 4, 4, 6
    model = tiny_vocabulary_model()
    prompt = [3, 2]
    scores = {
        tokens: logp / penalty(len(tokens), alpha, kind)
        for tokens, logp in every_hypothesis(model, prompt, length, vocabulary).items()
    }
    expected = sorted(scores, key=scores.get, reverse=True)[:n_best]
    sampler = BeamSearch(vocabulary**length // 2, alpha, n_best, penalty=kind)
    with tiny.without_tracing():
        generator = kt.Generator(model, END, pad_id=-1, max_new_tokens=length, sampler=sampler)
        (found,), (found_scores,) = generator.n_best([prompt])
    assert [tuple(row[row >= 0][2:].tolist()) for row in found] == expected
    np.testing.assert_allclose(found_scores, [scores[e] for e in expected], atol=1e-4)


def test_the_penalties_prefer_different_lengths():
    """The exhaustive comparison would be blind if all penalties agreed."""
    model = tiny_vocabulary_model()
    scores = every_hypothesis(model, [3, 2], 4, 4)
    best = {
        max(scores, key=lambda t: scores[t] / penalty(len(t), alpha, kind))
        for kind, alpha in (("gnmt", 0.0), ("power", 2.0))
    }
    assert len(best) == 2


def test_one_beam_is_greedy():
    for model, inputs, start in (
        (tiny.make_talkative("decoder_only"), PROMPTS, None),
        (tiny.make_talkative("encoder_decoder"), SOURCES, START),
    ):
        arguments = {"end_id": 9, "start_id": start, "max_new_tokens": 6}
        with tiny.without_tracing():
            greedy = kt.Generator(model, **arguments)(inputs)
            beam = kt.Generator(model, sampler=BeamSearch(1), **arguments)(inputs)
        np.testing.assert_array_equal(beam, greedy)


@pytest.mark.parametrize("name", ["pre_norm_learned", "window", "by_hand"])
def test_rows_of_a_ragged_batch_are_as_alone_with_the_right_scores(name):
    if name == "by_hand":
        model = tiny.language_model_by_hand()
    else:
        model = tiny.make_talkative("decoder_only", name)
    alpha, beams = 0.6, 3
    with tiny.without_tracing():
        sampler = BeamSearch(beams, alpha, n_best=beams)
        generator = kt.Generator(model, END, max_new_tokens=5, sampler=sampler)
        rows, scores = generator.n_best(PROMPTS)
        for prompt, row, score in list(zip(PROMPTS, rows, scores, strict=True))[:2]:
            alone, alone_score = generator.n_best([prompt])
            np.testing.assert_array_equal(row[:, : len(prompt) + 5], alone[0])
            np.testing.assert_allclose(score, alone_score[0], atol=1e-5)
            assert (np.diff(score) <= 0).all() and len(np.unique(row, axis=0)) == beams
            for ids, value in zip(alone[0], score, strict=True):
                new = ids[len(prompt) :].tolist()
                n = new.index(END) + 1 if END in new else 5
                assert not any(new[n:])
                logp = tiny.log_probabilities(model, [ids])[0]
                total = sum(logp[len(prompt) - 1 + i, new[i]] for i in range(n))
                np.testing.assert_allclose(value, total / penalty(n, alpha, "gnmt"), atol=1e-4)


@pytest.mark.parametrize("by_hand", [True, False])
def test_translations_of_a_ragged_batch_are_as_alone_with_the_right_scores(by_hand):
    """Compiled, as it is used."""
    model = tiny.translator_by_hand() if by_hand else tiny.make_talkative("encoder_decoder")
    sampler = BeamSearch(3, length_penalty=1.0, n_best=2, penalty="power")
    generator = kt.Generator(model, END, START, max_new_tokens=5, sampler=sampler)
    rows, scores = generator.n_best(SOURCES)
    assert rows.shape == (3, 2, 5) and scores.shape == (3, 2)
    np.testing.assert_array_equal(generator(SOURCES), rows[:, 0])
    for source, row, score in zip(SOURCES, rows, scores, strict=True):
        padded = tiny.padded([source], 5)
        for ids, value in zip(row.tolist(), score, strict=True):
            n = ids.index(END) + 1 if END in ids else 5
            assert not any(ids[n:])
            logp = tiny.log_probabilities(model, padded, [[START, *ids]])[0]
            total = sum(logp[i, ids[i]] for i in range(n))
            np.testing.assert_allclose(value, total / n, atol=1e-4)
    with tiny.without_tracing():
        for source, row, score in zip(SOURCES, rows, scores, strict=True):
            alone, alone_score = generator.n_best([source])
            np.testing.assert_array_equal(alone[0], row)
            np.testing.assert_allclose(alone_score[0], score, atol=1e-5)


def ends_early():
    """A translator that is unsure, and likes to end."""
    model = tiny.translator_by_hand()
    logits = model.layers[-1]
    logits.kernel.assign(logits.kernel * 0.2)
    logits.bias.assign(logits.bias + 1.5 * np.eye(tiny.VOCABULARY)[END])
    return model


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_stopping_early_changes_nothing(alpha, monkeypatch):
    steps, step = [], CachedDecoding.step
    monkeypatch.setattr(CachedDecoding, "step", lambda *args: steps.append(1) or step(*args))
    model, found, counts = ends_early(), [], []
    sampler = BeamSearch(3, alpha, n_best=2, penalty="power")
    for forced in (False, True):
        if forced:
            monkeypatch.setattr(
                BeamSearch, "_may_improve", lambda self, score, *_: keras.ops.isfinite(score[:, 0])
            )
        steps.clear()
        with tiny.run_eagerly():
            generator = kt.Generator(model, END, START, max_new_tokens=12, sampler=sampler)
            found.append(generator.n_best(SOURCES))
        counts.append(len(steps))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)
    assert counts[1] == 12
    if alpha == 0:  # with alpha 1 a long hypothesis can still win for long
        assert counts[0] < 12


def test_stopping_early_on_purpose_is_sooner_and_as_alone(monkeypatch):
    """And with a penalty that long hypotheses do not have, what is found then is worse."""
    model, steps, scores = ends_early(), {}, {}
    step = CachedDecoding.step
    for stop in ("never", False, True):
        calls = []

        def counted(*args, calls=calls):
            calls.append(1)
            return step(*args)

        monkeypatch.setattr(CachedDecoding, "step", counted)
        sampler = BeamSearch(3, 2.0, 3, penalty="power", early_stopping=stop)
        generator = kt.Generator(model, END, START, max_new_tokens=12, sampler=sampler)
        with tiny.run_eagerly():
            rows, scores[stop] = generator.n_best(SOURCES)
            steps[stop] = len(calls)
            for source, row, score in zip(SOURCES, rows, scores[stop], strict=True):
                alone, alone_score = generator.n_best([source])
                np.testing.assert_array_equal(alone[0], row)
                np.testing.assert_allclose(alone_score[0], score, atol=1e-5)
    assert steps[True] < steps[False] < steps["never"]
    assert scores[True].mean() < scores[False].mean() < scores["never"].mean()


def test_any_of_several_ends_ends_a_hypothesis():
    model, length = tiny_vocabulary_model(), 4
    sampler = BeamSearch(64, 0.7, 4, penalty="power")
    with tiny.without_tracing():
        generator = kt.Generator(model, [END, 3], pad_id=-1, max_new_tokens=length, sampler=sampler)
        (found,), (scores,) = generator.n_best([[3, 2]])
    hypotheses = {}
    for tokens in itertools.product(range(4), repeat=length):
        stop = next((i for i, t in enumerate(tokens, 1) if t in (END, 3)), length)
        hypotheses[tokens[:stop]] = None
    for tokens in hypotheses:
        logp = tiny.log_probabilities(model, [[3, 2, *tokens]])[0, 1:]
        total = sum(logp[i, token] for i, token in enumerate(tokens))
        hypotheses[tokens] = total / penalty(len(tokens), 0.7, "power")
    expected = sorted(hypotheses, key=hypotheses.get, reverse=True)[:4]
    assert [tuple(row[row >= 0][2:].tolist()) for row in found] == expected
    np.testing.assert_allclose(scores, [hypotheses[e] for e in expected], atol=1e-4)


def test_however_many_ends_there_are_some_hypotheses_stay_open():
    """With a penalty of all that is short, the longest wins if it is followed at all."""
    model = tiny.make_talkative("decoder_only")
    likely = np.argsort(tiny.log_probabilities(model, [[5, 7]])[0, -1])
    ends = [int(token) for token in likely[2:]]  # all but the two least probable
    with tiny.without_tracing():
        sampler = BeamSearch(2, length_penalty=8.0, penalty="power")
        row = kt.Generator(model, ends, max_new_tokens=5, sampler=sampler)([[5, 7]])[0]
    assert not set(row[2:6].tolist()) & set(ends)


def test_after_the_end_there_is_only_padding():
    with tiny.without_tracing():
        sampler = BeamSearch(4, n_best=4)
        generator = kt.Generator(ends_early(), END, START, 10, 6, sampler)
        rows, _ = generator.n_best(SOURCES)
    ends = 0
    for row in rows.reshape(-1, 6).tolist():
        if END in row:
            ends += 1
            assert set(row[row.index(END) + 1 :]) <= {10}
    assert ends > 6 and PAD != 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beams": 0}, "beams >= n_best >= 1.*beams=0"),
        ({"beams": 2, "n_best": 3}, "beams >= n_best >= 1.*n_best=3"),
        ({"n_best": 0}, "beams >= n_best >= 1"),
        ({"length_penalty": -0.5}, "length_penalty >= 0.*length_penalty=-0.5"),
        ({"early_stopping": "soon"}, "early_stopping to be .*early_stopping='soon'"),
        ({"penalty": "wu"}, "penalty to be 'gnmt' or 'power'.*penalty='wu'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"Expected {message}"):
        BeamSearch(**arguments)
