"""The driver runs, compares and reports; the measurements of ours work at a toy size."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_transformer.config import PRESETS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FAKE = """
import json, sys
peer, *_, last = sys.argv[1:]
if peer == "kerashub-tf":
    raise ModuleNotFoundError("No module named 'keras_hub'")
speed = {"ours-tf": 300, "torch": 100, "hf": 200}[peer]
print("chatter")
print(json.dumps({"tokens_per_second": speed, "parameters": 2e6, "peak_mib": 1024, "note": last}))
"""


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a file of `benchmarks/`, which are scripts next to each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    names = {path.stem for path in BENCHMARKS.glob("*.py")}
    yield __import__
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def fake(benchmark, monkeypatch, tmp_path):
    """The driver, with a script in place of the peers."""
    run = benchmark("run")
    (tmp_path / "train_step.py").write_text(FAKE)
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    return run


def results(run, tmp_path, *arguments):
    output = tmp_path / "results.md"
    run.main([*arguments, "--output", str(output)])
    text = output.read_text()
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return text, {row[2]: [cell.strip() for cell in row] for row in cells[1:]}


def test_the_table_compares_with_the_best_peer(fake, tmp_path):
    text, rows = results(
        fake,
        tmp_path,
        *"--only train --sizes tiny --precisions float32 --repeats 2".split(),
        *"--steps 7 --peers ours-tf torch hf kerashub-tf".split(),
    )
    assert rows["ours-tf"] == ["tiny", "float32", "ours-tf", "300", "1.50", "1,024", "2.0", "7"]
    assert rows["hf"][4] == "1.00"
    assert rows["torch"][4] == "0.50"
    assert rows["kerashub-tf"][-1].startswith("ModuleNotFoundError: No module named 'keras_hub'")
    assert "cores" in text and "Python 3" in text and "--repeats 2" in text
    assert text.count("\n| tiny | float32 |") == 4


def test_groups_are_compared_each_for_itself(fake):
    def case(work, peer):
        return fake.Case("train", work, "float32", peer, ())

    def report(speed):
        return {"tokens_per_second": speed, "peak_mib": 1, "parameters": 1e6}

    reports = {
        case("tiny", "ours-tf"): [report(90.0), report(100.0), report(900.0)],
        case("tiny", "torch"): [report(50.0)],
        case("base", "ours-tf"): [report(10.0)],
        case("base", "torch"): [{"failed": "no"}],
    }
    rows = [row[3:5] for row in fake.rows(reports)]
    assert rows == [["100", "2.00"], ["50.0", "1.00"], ["10.0", ""], ["", ""]]


def test_a_failing_peer_is_run_once(fake, monkeypatch):
    runs = []
    monkeypatch.setattr(fake, "run", lambda case: runs.append(case.peer) or {"failed": "no"})
    options = fake.parse(
        "--only train --sizes tiny --precisions float32 --peers torch hf --repeats 3".split()
    )
    fake.rounds(options)
    assert runs == ["torch", "hf"]


def test_every_part_runs_a_script(benchmark):
    run = benchmark("run")
    scripts = {case.part: case.command[0] for case in run.cases(run.parse([]))}
    assert scripts.keys() == run.PARTS.keys()
    assert all((BENCHMARKS / script).is_file() for script in scripts.values())


def test_an_absent_data_folder_is_reported(tmp_path):
    command = [sys.executable, BENCHMARKS / "epoch.py", "ours-tf", "multi30k", "float32", tmp_path]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode
    assert "skipped: no" in process.stderr.splitlines()[-1]


def test_an_epoch_of_ours(benchmark, monkeypatch, tmp_path):
    for side in ("en", "de"):
        (tmp_path / f"train.{side}").write_text("a b c\nd e\n" * 4)
    sizes = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16}
    monkeypatch.setitem(PRESETS, "transformer_tiny", PRESETS["transformer_tiny"] | sizes)
    measured = benchmark("epoch").measure("ours-tf", "multi30k", "float32", tmp_path)
    assert measured["tokens_per_second"] > 0 and "updates" in measured["note"]


def test_a_training_step_of_ours(benchmark, monkeypatch):
    work, train_step = benchmark("work"), benchmark("train_step")
    monkeypatch.setitem(work.SIZES, "tiny", work.Size(1, 8, 16, 2, 50, batch=4, length=6))
    measured = train_step.measure("ours-tf", "tiny", "float32", steps=1)
    assert measured["tokens_per_second"] > 0
    assert measured["parameters"] > 0


def test_a_masked_language_models_step_of_ours(benchmark, monkeypatch):
    work, masked_lm = benchmark("work"), benchmark("masked_lm")
    size = work.Size(1, 8, 16, 2, 50, batch=4, length=6)
    monkeypatch.setitem(work.BERT_SIZES, "tiny", size)
    measured = masked_lm.measure("ours-tf", "tiny", "float32", steps=1)
    assert measured["tokens_per_second"] > 0
    assert measured["parameters"] > 0


def test_the_masked_batch_is_the_same_for_all_peers(benchmark):
    work, masked_lm = benchmark("work"), benchmark("masked_lm")
    size = work.Size(1, 8, 16, 2, 50, batch=8, length=128)
    batch, tokens = masked_lm.make_batch(size)
    assert tokens == (batch["token_ids"] != work.PAD).sum() == batch["real"].sum()
    assert batch["labels"].shape == (8, masked_lm.PREDICTIONS)
    everywhere = masked_lm.labels_everywhere(batch)
    masked = batch["token_ids"] == work.MASK
    assert ((everywhere != masked_lm.IGNORED) == masked).all()
    assert masked.sum() == batch["weight"].sum()
    at_places = np.take_along_axis(everywhere, batch["masked_positions"], axis=1)
    used = batch["weight"] > 0
    assert (at_places[used] == batch["labels"][used]).all()
    assert (batch["labels"][used] > work.MASK).all()
    share = masked.sum(axis=1) / batch["real"].sum(axis=1)
    assert (share >= 0.15).all() and (share < 0.17).all()


def test_a_causal_language_models_step_of_ours(benchmark, monkeypatch):
    work, causal_lm = benchmark("work"), benchmark("causal_lm")
    size = work.Size(1, 8, 16, 2, 50, batch=4, length=6)
    monkeypatch.setitem(work.GPT2_SIZES, "tiny", size)
    measured = causal_lm.measure("ours-tf", "tiny", "float32", steps=1)
    assert measured["tokens_per_second"] > 0
    assert measured["parameters"] > 0


def test_every_token_after_the_first_is_a_label_of_the_causal_model(benchmark, monkeypatch):
    work, causal_lm = benchmark("work"), benchmark("causal_lm")
    size = work.Size(1, 8, 16, 2, 50, batch=4, length=6)
    monkeypatch.setitem(work.GPT2_SIZES, "tiny", size)
    seen = []

    def fit_seconds(keras, peer, model, *batch_and_steps):
        seen.extend(batch_and_steps[:-1])
        return 0.5

    monkeypatch.setattr(work, "fit_seconds", fit_seconds)
    measured = causal_lm.measure("ours-tf", "tiny", "float32")
    inputs, labels, weight = seen
    assert inputs.shape == labels.shape == weight.shape == (4, 6)
    assert (inputs > work.MASK).all() and (labels > work.MASK).all()
    assert (inputs[:, 1:] == labels[:, :-1]).all() and (weight == 1).all()
    assert (inputs != labels).any()
    assert measured["tokens_per_second"] == 4 * 6 / 0.5


def test_generation_of_ours(benchmark, monkeypatch, capsys):
    work, decode = benchmark("work"), benchmark("decode")
    size = work.Size(1, 8, 16, 2, 50, batch=2, length=4)
    for task in (work.Task(size, 3, beams=2), work.Task(size, 3, decoder_only=True)):
        monkeypatch.setitem(work.TASKS, "toy", task)
        measured = decode.measure("ours-tf", "toy", "float32", calls=1)
        assert measured["tokens_per_second"] > 0
    work.report(measured)
    assert json.loads(capsys.readouterr().out)["peak_mib"] > 0


def test_loading_is_measured(benchmark, tmp_path):
    import keras_transformer as kt

    kt.zoo.save(kt.models.decoder_only(kt.TransformerConfig.preset("gpt_nano")), tmp_path)
    measured = benchmark("loading").measure(tmp_path)
    assert 0 < measured["read_seconds"] <= measured["seconds"]
    assert measured["megabytes_per_second"] > 0
