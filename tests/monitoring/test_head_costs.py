"""What heads cost: losses by hand with rows of a kernel at 0, and what is cut first."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tiny
from keras import ops

import keras_transformer as kt
from keras_transformer.monitoring import HeadCosts, cheapest_heads, head_costs, pruning_curve
from keras_transformer.monitoring.row_losses import BATCH_TOKENS, NOTHING, RowLosses

WORDS = "a dog runs the house is small and old".split()
LINES = ["a dog", "the house is small and old", "a dog runs the small house", "the small dog runs"]
PAIRS = [(line, " ".join(reversed(line.split()))) for line in LINES]
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
LABELS = ["bad", "good", "so so"]
CLASSES = list(zip(LINES, ["good", "bad", "so so", "bad"], strict=True))


@pytest.fixture(scope="module")
def tokenizer():
    return kt.text.train_tokenizer("whitespace", [" ".join(WORDS)] * 9, mask=True)


@pytest.fixture
def make(tokenizer):
    def make(family, **changes):
        fields = {"max_sequence_length": 12, **SIZES, **changes}
        config = kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **fields)
        if family == "classifier":
            model = tiny.randomize(kt.models.sequence_classifier(config, num_classes=3))
            return kt.tasks.TextClassifier(model, tokenizer, LABELS)
        model = tiny.randomize(getattr(kt.models, family)(config))
        if family == "encoder_decoder":
            return kt.tasks.Translator(model, tokenizer, beams=1)
        if family == "decoder_only":
            return kt.tasks.TextGenerator(model, tokenizer, 3)
        return kt.tasks.MaskFiller(model, tokenizer)

    return make


def nats(logits, labels):
    """The cross-entropy of each label `(P,)` under logits `(P, V)`."""
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    logits = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -logits[np.arange(len(labels)), labels]


def forward(task, *inputs):
    inputs = [ops.convert_to_tensor(np.array([x], "int32")) for x in inputs]
    found = task.model(keras.tree.pack_sequence_as(task.model.input, inputs), training=False)
    return tiny.numpy(found)[0]


def by_hand(task, example):
    """The losses of one example's tokens, alone and without padding."""
    if isinstance(task, kt.tasks.TextClassifier):
        text, label = example
        return nats(forward(task, *task.inputs(text))[None], [LABELS.index(label)])
    if isinstance(task, kt.tasks.TextGenerator):
        [ids] = task.inputs(example)
        return nats(forward(task, ids)[:-1], ids[1:])
    source, target = task.inputs(example)
    return nats(forward(task, source, target), [*target[1:], task.tokenizer.end_id])


CASES = {"encoder_decoder": PAIRS, "decoder_only": LINES, "classifier": CLASSES}


@pytest.mark.parametrize("family", CASES)
def test_costs_are_changes_of_the_loss_when_rows_of_a_kernel_are_0(family, make):
    task, examples = make(family), CASES[family]
    whole = [by_hand(task, example) for example in examples]
    counts = np.array([len(x) for x in whole])
    assert sorted(RowLosses(task, examples).tokens) == sorted(counts)
    before = task.model.get_weights()
    found = head_costs(task, examples)
    for old, new in zip(before, task.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert found.tokens == counts.sum()
    assert found.loss == pytest.approx(np.concatenate(whole).mean(), abs=1e-5)
    blocks = [x for x in task.model.layers if "block" in x.name]
    layers = [getattr(x, "cross_attention", None) for x in blocks]
    layers = [y for x, cross in zip(blocks, layers, strict=True) for y in (x.self_attention, cross)]
    layers = {layer.path: layer for layer in layers if layer is not None}
    assert list(found.costs) == list(found.errors) == list(layers)
    for path, layer in layers.items():
        kernel = layer.output_projection.kernel
        values = tiny.numpy(kernel).copy()
        for head in range(2):
            off = values.copy()
            off[4 * head : 4 * head + 4] = 0
            kernel.assign(off)
            changes = [by_hand(task, x) - y for x, y in zip(examples, whole, strict=True)]
            kernel.assign(values)
            cost = np.concatenate(changes).sum() / counts.sum()
            rest = [change.sum() - cost * len(change) for change in changes]
            error = np.sqrt(np.square(rest).sum() * len(rest) / (len(rest) - 1)) / counts.sum()
            assert found.costs[path][head] == pytest.approx(cost, abs=1e-5)
            assert found.errors[path][head] == pytest.approx(error, abs=1e-5)
    last = list(layers)[-1]
    assert np.abs(found.costs[last]).min() > 1e-4 and found.errors[last].min() > 1e-5


def test_the_error_is_what_other_examples_would_change():
    """Of many drawings of examples the costs are as far apart as the error of one says."""
    from keras_transformer.monitoring.head_costs import mean_and_error

    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, (2000, 50))
    sums = counts * rng.normal(0.3, 1.0, counts.shape) + rng.normal(0, 1, counts.shape)
    drawn = np.array([mean_and_error(*x) for x in zip(sums, counts, strict=True)])
    assert drawn[:, 0].std() == pytest.approx(drawn[:, 1].mean(), rel=0.05)
    mean, error = mean_and_error(np.ones(1), np.ones(1))
    assert mean == 1 and math.isnan(error)


def test_masks_are_a_share_and_the_same_each_time(make, tokenizer):
    task = make("masked_language_model")
    lines = [" ".join(np.random.default_rng(i).choice(WORDS, 9)) for i in range(200)]
    losses, again = RowLosses(task, lines), RowLosses(task, lines)
    assert losses.tokens.sum() == pytest.approx(0.15 * 9 * 200, rel=0.15)
    assert (losses.tokens > 0).all()
    np.testing.assert_array_equal(losses(), again())
    [hidden, positions], labels = losses.batches[0]
    row = int(np.flatnonzero((labels != NOTHING).sum(axis=1))[0])
    used = labels[row] != NOTHING
    logits = forward(task, hidden[row], positions[row])[used]
    place = int((((labels != NOTHING).sum(axis=1) > 0)[:row]).sum())
    assert losses()[place] == pytest.approx(nats(logits, labels[row][used]).sum(), abs=1e-4)
    found = head_costs(task, lines)
    assert found.tokens == losses.tokens.sum()
    assert all(np.isfinite(x).all() for x in [*found.costs.values(), *found.errors.values()])


def test_many_examples_are_read_in_few_shapes(make):
    rng = np.random.default_rng(0)
    pairs = [[" ".join(rng.choice(WORDS, n)) for n in rng.integers(1, 11, 2)] for _ in range(3000)]
    for task, examples in ((make("encoder_decoder"), pairs), (make("decoder_only"), LINES * 99)):
        losses = RowLosses(task, examples)
        shapes = {tuple(x.shape for x in [*inputs, labels]) for inputs, labels in losses.batches}
        assert len(shapes) <= 8 and len(losses.tokens) == len(examples)
        assert all(x.size <= BATCH_TOKENS for inputs, _ in losses.batches for x in inputs)


def test_what_has_nothing_to_predict_is_left_out(make):
    write = make("decoder_only")
    assert RowLosses(write, ["", "a", "a dog"]).tokens.tolist() == [1]
    long = " ".join(["dog"] * 99)
    assert RowLosses(write, [long]).tokens.tolist() == [11]  # its beginning or end
    assert RowLosses(make("encoder_decoder"), [(long, "a dog"), ("a", "")] + PAIRS[:1]).tokens == 3


def test_examples_without_a_loss_are_refused(make, tokenizer):
    translate, write = make("encoder_decoder"), make("decoder_only")
    fill, classify = make("masked_language_model"), make("classifier")
    config = kt.TransformerConfig(vocabulary_size=tokenizer.vocabulary_size, **SIZES)
    embed = kt.tasks.TextEmbedder(kt.models.encoder_only(config), tokenizer)
    number = kt.tasks.TextClassifier(kt.models.sequence_classifier(config, 1), tokenizer)
    for task, examples, words in (
        (translate, ["a dog"], r"pairs \(source, target\) of str. Received: 'a dog'"),
        (write, [("a", "dog")], r"texts, each a str. Received: \('a', 'dog'\)"),
        (write, [""], "examples with tokens to predict. Received: 1 without"),
        (write, [], "examples with tokens to predict. Received: 0 without"),
        (fill, [3], "texts, each a str. Received: 3"),
        (classify, ["a dog"], r"pairs \(text, label\) with a label of 'bad', .*: 'a dog'"),
        (classify, [("a dog", "new")], r".*with a label of 'bad', .*\('a dog', 'new'\)"),
        (embed, ["a dog"], "a task that predicts tokens or classes: .* Received: TextEmbedder"),
        (number, [("a dog", "1.0")], "a classifier with labels"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {words}"):
            head_costs(task, examples)
    x = keras.Input((None,), dtype="int32")
    logits = keras.layers.Embedding(tokenizer.vocabulary_size, tokenizer.vocabulary_size)(x)
    write = kt.tasks.TextGenerator(keras.Model(x, logits), tokenizer, 3, max_length=9)
    with pytest.raises(ValueError, match="a model with attention of this package"):
        head_costs(write, LINES)


def costs_of(shared=1, **costs):
    costs = {path: np.array(values, "float64") for path, values in costs.items()}
    return HeadCosts(costs, costs, 2.0, 99, dict.fromkeys(costs, shared))


def test_the_cheapest_go_first_and_each_layer_keeps_one():
    rng = np.random.default_rng(0)
    costs = costs_of(a=rng.normal(size=4), b=rng.normal(size=3) - 5, c=[0.0])
    before = set()
    for n in range(6):
        heads = cheapest_heads(costs, n)
        cut = {(path, head) for path, found in heads.items() for head in found}
        assert len(cut) == n and before <= cut and "c" not in heads
        for path, head in cut - before:
            # What is cheaper is cut already, or the last of its layer.
            for other, values in costs.costs.items():
                if len(values) - len(heads.get(other, [])) > 1:
                    left = [x for i, x in enumerate(values) if i not in heads.get(other, [])]
                    assert costs.costs[path][head] <= min(left)
        before = cut
    for n in (6, -1):
        with pytest.raises(ValueError, match=rf"0 to 5 heads, for one of each layer.*n={n}"):
            cheapest_heads(costs, n)


def test_heads_that_share_keys_are_cut_together():
    costs = costs_of(2, a=[9.0, 0.0, 1.0, 2.0, 5.0, 6.0], b=[3.0, 3.1, 8.0, 8.0])
    assert [cheapest_heads(costs, n) for n in range(7)] == [
        {},
        {},
        {"a": [2, 3]},
        {"a": [2, 3]},
        {"a": [2, 3], "b": [0, 1]},
        {"a": [2, 3], "b": [0, 1]},
        {"a": [0, 1, 2, 3], "b": [0, 1]},
    ]
    mixed = costs_of(a=[0.0] * 4, b=[1.0] * 2)
    mixed = dataclasses.replace(mixed, shared={"a": 2, "b": 1})
    assert cheapest_heads(mixed, 1) == {}  # none comes before one that costs less
    assert cheapest_heads(mixed, 3) == {"a": [0, 1], "b": [0]}


def test_a_grouped_model_from_costs_to_a_smaller_one(make, tokenizer):
    grouped = {"num_heads": 4, "num_key_value_heads": 2, "position": "rotary"}
    task = make("decoder_only", **grouped, line_start_id=tokenizer.start_id)
    costs = head_costs(task, LINES)
    assert set(costs.shared.values()) == {2}
    heads = cheapest_heads(costs, 2)
    pruned = kt.models.prune_heads(task.model, heads)
    smaller = kt.tasks.TextGenerator(pruned, task.tokenizer, 3)
    [(_, whole), (cut, loss), *_] = pruning_curve(task, LINES, costs, points=3).points
    assert cut == 2 and whole == pytest.approx(costs.loss, abs=1e-6)
    assert head_costs(smaller, LINES).loss == pytest.approx(loss, abs=1e-5)
    assert smaller.max_length == task.max_length and smaller.config is None
    assert smaller.before == task.before == [tokenizer.start_id]
    with kt.models.heads_off(task.model, heads):
        assert smaller(LINES) == task(LINES)


@pytest.mark.slow
def test_a_curve_of_translations_is_of_bleu(make):
    task = make("encoder_decoder")
    sources = [source for source, _ in PAIRS]
    before = task(sources)
    pairs = list(zip(sources, [" ".join(line.split()[:8]) for line in before], strict=True))
    costs = head_costs(task, pairs)
    curve = pruning_curve(task, pairs, costs, points=4)
    assert curve.metric == "bleu" and [n for n, _ in curve.points] == [0, 2, 4, 6]
    for n, score in curve.points:
        pruned = kt.models.prune_heads(task.model, cheapest_heads(costs, n))
        outputs = kt.tasks.Translator(pruned, task.tokenizer, beams=1)(sources)
        targets = [target for _, target in pairs]
        assert score == kt.monitoring.TranslationScores()(outputs, targets)["bleu"]
    assert task(sources) == before
    with pytest.raises(ValueError, match="points to be at least 2"):
        pruning_curve(task, pairs, costs, points=1)


def test_costs_are_kept_as_they_are():
    costs = costs_of(a=[1.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        costs.loss = 1.0
