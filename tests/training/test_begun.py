"""What is resumed is what was begun; what is not the same is refused, or said."""

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.training import Position, Run, RunError
from keras_transformer.training.begun import begin, check_begun, facts_of, go_on
from keras_transformer.training.checkpoint_files import write_checkpoint

FILES = {"classes.json": ["bad", "good"]}


def stream(count=64, first=4):
    ids = np.arange(count) % 7 + first
    return kt.data.StreamBatches(ids, batch_size=2, row_length=8)


def facts(train=None, total=9, version="1.0"):
    rate = kt.training.LinearDecay(1.0, 1, total)
    batches = [train or stream(), stream(16)]
    return facts_of(version, batches, keras.optimizers.Adam(rate))


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "run", {})
    (run.folder / "vocabulary.txt").write_text("a\nb\n")
    begin(run, facts(), FILES)
    return run


def test_the_same_is_gone_on_with_without_a_word(run):
    check_begun(run, facts(), FILES, data_changed=False)
    assert go_on(run, facts()) == []


def test_other_text_is_refused_or_goes_on_at_the_next_epoch(run):
    write_checkpoint(run.checkpoints_folder / "update-0000000003.npz", {}, Position(1, 2, 3), {})
    before = run.begun
    for changed in (facts(stream(32)), facts(stream(first=5))):
        with pytest.raises(RunError, match=r"--data-changed .*Received: other text to train"):
            check_begun(run, changed, FILES, data_changed=False)
        assert run.begun == before
    with pytest.raises(RunError, match="of 1 batches and not 3"):
        check_begun(run, facts(stream(32)), FILES, data_changed=False)
    check_begun(run, changed, FILES, data_changed=True)
    assert go_on(run, changed) == ["other text to train, from epoch 3 on"]
    assert run.begun["first_epoch"] == 2
    check_begun(run, changed, FILES, data_changed=False)  # is its text now
    assert go_on(run, changed) == [] and run.begun["first_epoch"] == 2


def test_other_labels_are_refused_whatever_is_said(run):
    for labels in (["good", "bad"], ["bad", "good", "fair"]):
        for data_changed in (False, True):
            said = r"classes.json: expected what the run was begun with, \['bad', 'good'\]"
            with pytest.raises(RunError, match=said):
                check_begun(run, facts(), {"classes.json": labels}, data_changed)


@pytest.mark.parametrize("content", ["", "b\na\n"])
def test_a_file_that_is_not_what_it_was_is_named(run, content):
    (run.folder / "vocabulary.txt").write_text(content)
    with pytest.raises(RunError, match=r"vocabulary.txt: expected the file that training wrote"):
        check_begun(run, facts(), FILES, data_changed=True)


def test_a_longer_run_says_what_that_does_to_its_rate(run):
    write_checkpoint(run.checkpoints_folder / "update-0000000006.npz", {}, Position(2, 0, 6), {})
    [said] = go_on(run, facts(total=18))
    assert said.startswith("learning rate: 0.667 at the next update, 0.333 as it was before")
    assert go_on(run, facts(total=18)) == []


def test_another_version_is_said(run):
    assert go_on(run, facts(version="2.0")) == ["version: 2.0; begun with 1.0"]


def test_a_run_of_before_is_taken_as_it_is(tmp_path):
    run = Run.create(tmp_path / "run", {})
    check_begun(run, facts(), FILES, data_changed=False)
    assert go_on(run, facts()) == []


ROWS = {"batch_size": 2, "row_length": 8}


def batches_of(kind, lines):
    tokenizer = kt.text.train_tokenizer("whitespace", ["a b c d e f g"], mask=True)
    ids = tokenizer.encode(lines)
    ends = {"start_id": tokenizer.start_id, "end_id": tokenizer.end_id}
    return {
        "pairs": lambda: kt.data.PairBatches(ids, ids[::-1], batch_tokens=64, **ends),
        "stream": lambda: kt.data.StreamBatches(np.concatenate(ids), **ROWS),
        "documents": lambda: kt.data.DocumentBatches(ids, **ROWS, **ends),
        "labelled": lambda: kt.data.LabelledBatches(
            ids, [0] * len(ids), batch_size=2, max_length=8, **ends
        ),
        "masked": lambda: kt.data.MaskedBatches(ids, tokenizer, **ROWS),
        "sentences": lambda: kt.data.MaskedBatches(ids, tokenizer, next_sentence=True, **ROWS),
    }[kind]()


@pytest.mark.parametrize(
    "kind", ["pairs", "stream", "documents", "labelled", "masked", "sentences"]
)
def test_a_digest_is_of_all_text_and_of_its_order(kind):
    lines = ["a b c", "d e", "", "f g", "a b", "c d"] * 4
    digests = [
        batches_of(kind, text).digest()
        for text in (lines, lines, [*lines[:-1], "c e"], lines[::-1], lines[:-6])
    ]
    assert digests[0] == digests[1] and len({*digests}) == 4
