"""Which tokens are hidden, how often, and that batches lose and add nothing."""

import itertools
from collections import Counter

import numpy as np
import pytest

from keras_transformer.data import NOT_A_PAIR, MaskedBatches, Masker
from keras_transformer.text import train_tokenizer

PAD, UNKNOWN, START, END, MASK = SPECIAL = range(5)
V, T, P = 105, 128, 20
KINDS = {"wordpiece": 90, "sentencepiece": 75, "whitespace": None}


def make_rows(count=2000, seed=0):
    """Rows of ordinary tokens with all special ones among them."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(SPECIAL), V, (count, T), "int32")
    rows[rng.random(rows.shape) < 0.03] = UNKNOWN
    rows[rng.random(rows.shape) < 0.02] = MASK
    for row, length in zip(rows, rng.integers(T // 2, T + 1, count), strict=True):
        row[0], row[length - 1], row[length:] = START, END, PAD
    return rows


def make_masker(num_predictions=P, **settings):
    return Masker(V, MASK, SPECIAL, num_predictions, **settings)


def restore(token_ids, positions, labels):
    """The rows before masking, and where tokens were chosen."""
    chosen = np.zeros(token_ids.shape, bool)
    token_ids = token_ids.copy()
    for row in range(len(token_ids)):
        used = labels[row] != PAD
        assert not positions[row, ~used].any()
        assert len(set(positions[row, used])) == used.sum()
        chosen[row, positions[row, used]] = True
        token_ids[row, positions[row, used]] = labels[row, used]
    return token_ids, chosen


def within_5_sigma(count, trials, probability):
    sigma = (trials * probability * (1 - probability)) ** 0.5
    return abs(count - trials * probability) <= 5 * sigma


@pytest.mark.parametrize("rate", [0.15, 0.05])
def test_rates_are_those_of_the_paper(rate):
    rows = make_rows()
    before = rows.copy()
    ordinary = ~np.isin(rows, SPECIAL)
    assert ordinary.sum() > 100_000
    masked, positions, labels = make_masker(mask_rate=rate)(np.random.default_rng(0), rows)
    assert masked.dtype == positions.dtype == labels.dtype == np.int32
    np.testing.assert_array_equal(rows, before)  # the caller's array stays as it was

    restored, chosen = restore(masked, positions, labels)
    np.testing.assert_array_equal(restored, rows)  # labels are true, all else is unchanged
    assert not (chosen & ~ordinary).any()
    # A row's count is its share rounded up or down: the deviation is at most one half.
    assert abs(chosen.sum() - rate * ordinary.sum()) <= 5 * 0.5 * len(rows) ** 0.5
    assert (np.abs(chosen.sum(axis=1) - rate * ordinary.sum(axis=1)) < 1).all()
    for half in (slice(T // 2), slice(T // 2, T)):  # wherever a token stands
        assert within_5_sigma(chosen[:, half].sum(), ordinary[:, half].sum(), rate)

    now, truth = masked[chosen], rows[chosen]
    same_by_chance = 0.1 / (V - len(SPECIAL))
    assert within_5_sigma((now == MASK).sum(), len(now), 0.8)
    assert within_5_sigma((now == truth).sum(), len(now), 0.1 + same_by_chance)
    swapped = now[(now != MASK) & (now != truth)]
    assert within_5_sigma(len(swapped), len(now), 0.1 - same_by_chance)
    assert not np.isin(swapped, SPECIAL).any()
    if rate == 0.15:  # 18 of each on average
        assert set(swapped) == set(range(len(SPECIAL), V))


def test_the_state_of_the_generator_decides():
    rows, masker = make_rows(50), make_masker()
    first, again, other = (masker(np.random.default_rng(s), rows) for s in (3, 3, 4))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[1], other[1])


def test_extreme_rates():
    rows, rng = make_rows(50), np.random.default_rng(0)
    ordinary = ~np.isin(rows, SPECIAL)
    masked, _, labels = make_masker(T, mask_rate=1.0, mask_token_rate=1.0, random_rate=0.0)(
        rng, rows
    )
    np.testing.assert_array_equal(masked, np.where(ordinary, MASK, rows))
    assert ((labels != PAD).sum(axis=1) == ordinary.sum(axis=1)).all()
    masked, *found = make_masker(T, mask_rate=1.0, mask_token_rate=0.0, random_rate=0.0)(rng, rows)
    np.testing.assert_array_equal(masked, rows)
    np.testing.assert_array_equal(restore(masked, *found)[1], ordinary)


@pytest.mark.parametrize("num_predictions", [1, 7, 200])
def test_there_are_always_as_many_places(num_predictions):
    rows = make_rows(50)
    masker = make_masker(num_predictions, mask_rate=0.15, pad_id=PAD)
    masked, positions, labels = masker(np.random.default_rng(0), rows)
    assert positions.shape == labels.shape == (50, num_predictions)
    restored, chosen = restore(masked, positions, labels)
    np.testing.assert_array_equal(restored, rows)
    share = 0.15 * (~np.isin(rows, SPECIAL)).sum(axis=1)
    assert (chosen.sum(axis=1) >= np.minimum(np.floor(share), num_predictions)).all()


def test_unused_places_have_the_label_of_padding():
    _, positions, labels = make_masker(pad_id=-7)(np.random.default_rng(0), make_rows(50))
    assert (labels == -7).any() and not (labels == PAD).any()
    assert not positions[labels == -7].any() and (positions[labels != -7] > 0).all()


def words_of(starts, ordinary):
    """The columns of each word's ordinary tokens."""
    return [
        columns[ordinary[columns]]
        for columns in np.split(np.arange(len(starts)), np.flatnonzero(starts)[1:])
        if ordinary[columns].any()
    ]


def test_whole_words_are_chosen_together():
    rows, rng = make_rows(), np.random.default_rng(1)
    ordinary = ~np.isin(rows, SPECIAL)
    starts = (rng.random(rows.shape) < 0.6) | np.isin(rows, [PAD, START, END])
    starts[:, :2] = True
    starts[:, 1:] |= rows[:, :-1] == END
    masked, *found = make_masker()(rng, rows, starts)
    restored, chosen = restore(masked, *found)
    np.testing.assert_array_equal(restored, rows)
    lengths = Counter()
    for row in range(len(rows)):
        for columns in words_of(starts[row], ordinary[row]):
            assert len(set(chosen[row, columns])) == 1
            lengths[len(columns)] += chosen[row, columns[0]]
    assert lengths[1] > lengths[2] > lengths[3] > 100  # none is too long to be chosen
    # A little less than the share where the number of places cuts a long word off.
    sigma = (0.15 * 0.85 * 3 * ordinary.sum()) ** 0.5  # of words up to three tokens and more
    assert 0.145 * ordinary.sum() <= chosen.sum() <= 0.15 * ordinary.sum() + 5 * sigma


def test_a_word_with_more_tokens_than_places_is_left_alone():
    rows = np.full((200, 12), 50, "int32")
    starts = np.tile(np.arange(12) % 6 == 0, (200, 1))
    starts[:, 1] = True  # words of 1, 5 and 6 tokens
    _, positions, labels = make_masker(2, mask_rate=0.5)(np.random.default_rng(0), rows, starts)
    assert {tuple(row[used]) for row, used in zip(positions, labels != PAD, strict=True)} == {
        (),
        (0,),
    }


@pytest.mark.parametrize(
    "settings", [{"mask_rate": 1.1}, {"mask_rate": 0.0}, {"mask_token_rate": 0.95}]
)
def test_shares_that_are_none_are_refused(settings):
    with pytest.raises(ValueError, match=r"Expected .*rate.* Received: .*rate="):
        make_masker(**settings)


def test_the_older_names_of_the_rates_mean_what_they_meant():
    rows = make_rows(50)
    old, new = (
        make_masker(**rates)(np.random.default_rng(0), rows)
        for rates in ({"rate": 0.4, "mask_rate": 0.7}, {"mask_rate": 0.4, "mask_token_rate": 0.7})
    )
    for before, now in zip(old, new, strict=True):
        np.testing.assert_array_equal(before, now)


# Batches. In the tokenizer that most of these tests use, word number i has id i + 5.


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("whitespace", [" ".join(f"w{i}" for i in range(700))], mask=True)


def make_lines(count=200, longest=40, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, count)
    return [rng.integers(len(SPECIAL), 700, n, "int32") for n in lengths]


def make(lines, tokenizer, batch_size=8, row_length=32, **settings):
    return MaskedBatches(lines, tokenizer, batch_size=batch_size, row_length=row_length, **settings)


def rows_of(batches, epoch=0):
    """`(row before masking, where tokens were chosen)`, both `(T,)`, for every row."""
    for inputs, labels in batches.epoch(epoch):
        yield from zip(
            *restore(inputs["token_ids"], inputs["masked_positions"], labels), strict=True
        )


def lines_of(row):
    """The lines of a row, as tuples, without their special tokens."""
    found = []
    row = row[: np.count_nonzero(row)]
    for piece in np.split(row, np.flatnonzero(row == START))[1:]:
        assert piece[-1] == END
        found.append(tuple(piece[1:-1].tolist()))
    assert sum(len(line) + 2 for line in found) == len(row)  # and nothing else
    return found


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_line_comes_once_an_epoch(tokenizer, shuffle):
    lines = [*make_lines(longest=30), []]
    batches = make(lines, tokenizer, shuffle=shuffle)
    for epoch in (0, 1):
        found = [line for row, _ in rows_of(batches, epoch) for line in lines_of(row)]
        assert Counter(found) == Counter(tuple(line.tolist()) for line in lines[:-1])
    assert (batches.num_lines, batches.num_cut) == (200, 0)


def test_long_lines_are_cut_into_pieces_and_lose_nothing(tokenizer):
    lines = [np.arange(5, 5 + n, dtype="int32") + i for i, n in enumerate([100, 30, 31, 60, 4])]
    batches = make(lines, tokenizer)
    found = [line for row, _ in rows_of(batches) for line in lines_of(row)]
    assert sorted(map(len, found)) == [1, 4, 10, *[30] * 7]
    assert Counter(i for line in found for i in line) == Counter(np.concatenate(lines).tolist())
    assert all(b == a + 1 for line in found for a, b in itertools.pairwise(line))
    assert (batches.num_lines, batches.num_cut) == (5, 3)
    assert batches.describe().startswith("5 lines (3 longer than a row) packed into ")


@pytest.mark.parametrize("next_sentence", [False, True])
def test_shapes_are_static_and_figures_agree_with_the_batches(tokenizer, next_sentence):
    lines = make_documents() if next_sentence else make_lines()
    batches = make(lines, tokenizer, batch_size=7, row_length=30, next_sentence=next_sentence)
    count = real = positions = rows = 0
    for inputs, labels in batches.epoch(0):
        if next_sentence:
            labels, is_random = labels
            assert is_random.shape == (7,) and inputs["segment_ids"].shape == (7, 30)
            assert is_random.dtype == inputs["segment_ids"].dtype == np.int32
            np.testing.assert_array_equal(is_random == NOT_A_PAIR, ~inputs["token_ids"].any(axis=1))
        assert inputs["token_ids"].shape == (7, 30)
        assert inputs["masked_positions"].shape == labels.shape == (7, 5)
        assert inputs["token_ids"].dtype == inputs["masked_positions"].dtype == np.int32
        assert labels.dtype == np.int32 and labels.any()
        filled = inputs["token_ids"].any(axis=1)
        assert not labels[~filled].any()
        count, rows = count + 1, rows + filled.sum()
        real += np.count_nonzero(inputs["token_ids"])
        positions += inputs["token_ids"].size
    assert rows % 7  # the last batch is not full
    assert (count, rows) == (batches.num_batches, batches.num_rows)
    assert batches.num_predictions == 5
    assert batches.tokens == real
    assert batches.padding_fraction == pytest.approx(1 - real / positions)


def same(first, second):
    flat = [[a for batch in epoch for a in flatten(batch)] for epoch in (first, second)]
    return len(flat[0]) == len(flat[1]) and all(map(np.array_equal, *flat))


def flatten(batch):
    inputs, labels = batch
    return [
        *(inputs[key] for key in sorted(inputs)),
        *(labels if type(labels) is tuple else [labels]),
    ]


@pytest.mark.parametrize("next_sentence", [False, True])
def test_epochs_depend_on_the_seed_and_their_number_alone(tokenizer, next_sentence):
    lines = make_documents() if next_sentence else make_lines()
    settings = {"next_sentence": next_sentence}
    batches = make(lines, tokenizer, seed=5, **settings)
    first = list(batches.epoch(1))
    list(batches.epoch(2))
    assert same(first, batches.epoch(1))
    assert same(first, make(lines, tokenizer, seed=5, **settings).epoch(1))
    assert not same(first, batches.epoch(2))
    assert not same(first, make(lines, tokenizer, seed=6, **settings).epoch(1))
    validation = make(lines, tokenizer, seed=5, shuffle=False, **settings)
    assert same(validation.epoch(0), validation.epoch(7))


def test_the_older_name_of_the_rate_still_says_it(tokenizer):
    old, new = (make(make_lines(), tokenizer, **{name: 0.4}) for name in ("rate", "mask_rate"))
    assert same(old.epoch(0), new.epoch(0)) and old.num_predictions == 13


def test_a_row_has_other_masks_and_other_company_in_every_epoch(tokenizer):
    batches = make(make_lines(), tokenizer)
    masks = [{tuple(row): tuple(chosen) for row, chosen in rows_of(batches, e)} for e in (0, 1)]
    full = [row for row in masks[0] if any(row)]
    assert sum(masks[0][row] == masks[1][row] for row in full) < 0.1 * len(full)
    orders = [[tuple(row) for row, _ in rows_of(batches, epoch)] for epoch in (0, 1)]
    company = [{frozenset(order[i : i + 8]) for i in range(0, 80, 8)} for order in orders]
    assert not company[0] & company[1]


@pytest.mark.parametrize("next_sentence", [False, True])
def test_dataset_goes_on_from_any_place(tokenizer, next_sentence):
    lines = make_documents() if next_sentence else make_lines()
    batches = make(lines, tokenizer, next_sentence=next_sentence)
    n = batches.num_batches
    assert n > 5
    expected = [*batches.epoch(3)][4:] + [*batches.epoch(4)] + [*batches.epoch(5)][:2]
    dataset = batches.dataset(initial_epoch=3, skip_batches=4)
    assert same(expected, dataset.take(n - 4 + n + 2).as_numpy_iterator())
    validation = make(lines, tokenizer, next_sentence=next_sentence, shuffle=False)
    assert int(validation.dataset().cardinality()) == validation.num_batches
    for _ in range(2):
        assert same(validation.epoch(0), validation.dataset().as_numpy_iterator())


def syllable_text():
    rng = np.random.default_rng(0)
    syllables = "ka lo mi ne ru sta ver bin dol qui fe pax thu ziw goj yh".split()
    words = ["".join(rng.choice(syllables, n)) for n in rng.integers(1, 5, 60)]
    return words, [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(300)]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_words_of_every_tokenizer(kind):
    words, text = syllable_text()
    if kind == "whitespace":  # in pieces of at most four letters, marked
        pieces = {w: [w[i : i + 4] for i in range(0, len(w), 4)] for w in words}
        text = [" ".join("@@ ".join(pieces[word]) for word in line.split()) for line in text]
    tokenizer = train_tokenizer(kind, text, KINDS[kind], mask=True)
    batches = make(
        tokenizer.encode(text), tokenizer, batch_size=32, row_length=256, whole_words=True
    )
    assert batches.num_cut == 0
    found, num_ordinary, num_chosen, long_words = [], 0, 0, 0
    for row, chosen in rows_of(batches):
        ends = np.flatnonzero(row == END)
        for begin, end in zip(np.flatnonzero(row == START) + 1, ends, strict=True):
            ids, hidden = row[begin:end], chosen[begin:end]
            bounds = np.flatnonzero(tokenizer.word_starts(ids))[1:]
            line = []
            for word, choice in zip(np.split(ids, bounds), np.split(hidden, bounds), strict=True):
                assert len(set(choice)) == 1
                line += tokenizer.decode([word])
                long_words += choice[0] and len(word) > 1
            found.append(" ".join(line))
            num_ordinary, num_chosen = num_ordinary + len(ids), num_chosen + hidden.sum()
    plain = [tokenizer.plain(line) for line in text]
    assert sorted(found) == sorted(plain)  # the words are those of the text
    assert long_words > 50
    assert 0.13 * num_ordinary < num_chosen < 0.16 * num_ordinary


def test_single_tokens_break_words_unless_asked():
    _, text = syllable_text()
    tokenizer = train_tokenizer("wordpiece", text, KINDS["wordpiece"], mask=True)
    ids = tokenizer.encode(text)
    broken = 0
    for row, chosen in rows_of(make(ids, tokenizer, row_length=256)):
        starts = tokenizer.word_starts(row) | np.isin(row, SPECIAL)
        for columns in words_of(starts, ~np.isin(row, SPECIAL)):
            broken += len(set(chosen[columns])) > 1
    assert broken > 50


# Next sentences. Sentence number i is its own token, i + 5, again and again.


def make_documents(longest=40, seed=0):
    rng = np.random.default_rng(seed)
    lines = []
    number = 0
    while number < 600:
        for _ in range(rng.integers(1, 12)):
            lines.append(np.full(rng.integers(1, longest), number + 5, "int32"))
            number += 1
        lines += [[]] * int(rng.integers(1, 3))  # an empty line more is no document
    return lines


def pairs_of(batches, epoch):
    """`(first, second, is_random)` for every row, sentences by number and length kept."""
    for inputs, (labels, is_random) in batches.epoch(epoch):
        rows, _ = restore(inputs["token_ids"], inputs["masked_positions"], labels)
        for row, segment_ids, label in zip(rows, inputs["segment_ids"], is_random, strict=True):
            if label == NOT_A_PAIR:
                assert not row.any() and not segment_ids.any()
                continue
            first_end, second_end = np.flatnonzero(row == END)
            assert row[0] == START and (row == START).sum() == 1
            assert not row[second_end + 1 :].any()
            place = np.arange(len(row))
            second = (place > first_end) & (place <= second_end)
            np.testing.assert_array_equal(segment_ids, second)
            [one], [other] = {*row[1:first_end]}, {*row[first_end + 1 : second_end]}
            lengths = first_end - 1, second_end - first_end - 1
            yield (int(one) - 5, int(other) - 5, int(label), *map(int, lengths))


def test_half_of_the_pairs_are_neighbours_and_the_rest_of_two_documents(tokenizer):
    lines = make_documents()
    document, sentences = {}, []
    for number, line in enumerate(lines):
        if len(line):
            document[len(sentences)] = sum(len(other) == 0 for other in lines[:number])
            sentences.append(line)
    followed = [i for i in range(len(sentences) - 1) if document[i] == document[i + 1]]
    batches = make(lines, tokenizer, next_sentence=True)
    assert batches.num_rows == len(followed)
    count = random = 0
    for epoch in range(6):
        pairs = list(pairs_of(batches, epoch))
        assert sorted(first for first, *_ in pairs) == followed  # each once an epoch
        for first, second, is_random, *lengths in pairs:
            if is_random:
                assert document[second] != document[first]
            else:  # class 0, as BERT has it
                assert second == first + 1
            whole, room = [len(sentences[first]), len(sentences[second])], 32 - 3
            if sum(whole) <= room:
                assert lengths == whole
            else:  # the row is full, and neither sentence is cut below its half
                assert sum(lengths) == room
                assert all(n >= min(w, room // 2) for n, w in zip(lengths, whole, strict=True))
        count += len(pairs)
        random += sum(is_random for *_, is_random, _, _ in pairs)
    assert count > 2500 and within_5_sigma(random, count, 0.5)


def test_pairs_are_drawn_anew_in_every_epoch(tokenizer):
    batches = make(make_documents(), tokenizer, next_sentence=True)
    first, second = ({p[:3] for p in pairs_of(batches, epoch)} for epoch in (0, 1))
    assert len(first & second) < 0.4 * len(first)  # a quarter is real in both


def test_unusable_lines_are_refused(tokenizer):
    with pytest.raises(ValueError, match=r"mask token, as train_tokenizer\(\.\.\., mask=True\)"):
        make(make_lines(), train_tokenizer("whitespace", ["a b"]))
    with pytest.raises(ValueError, match=r"at least 6\. Received: row_length=5"):
        make(make_lines(), tokenizer, row_length=5)
    for lines in ([], [[], []]):
        with pytest.raises(ValueError, match="Expected lines with tokens"):
            make(lines, tokenizer)
    for lines in (make_lines(), [[5], [], [6], [], [7]]):  # one document; no two lines of one
        with pytest.raises(ValueError, match="at least two lines with an empty line between"):
            make(lines, tokenizer, next_sentence=True)
    for rate in (1.5, 0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"Received: mask_rate={rate}"):
            make(make_lines(), tokenizer, mask_rate=rate)
