"""The translation recipe, as its user meets it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import user

import keras_transformer as kt
from keras_transformer.recipes import translation

RECIPE = Path(translation.__file__)
SMALL = (
    "--no-watch --tokenizer whitespace --num-layers 1 --num-heads 2 --hidden-dim 16 "
    "--intermediate-dim 32 --batch-tokens 160 --max-length 20 --epochs 3 --warmup-updates 10 "
    "--dropout 0.1 --average 2"
).split()


def write_corpus(folder):
    """Text whose translation is the same words, shouted."""
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]
    arguments = []
    for part, count in (("train", 120), ("valid", 12), ("test", 12)):
        lines = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]
        for side, text in (("source", lines), ("target", [line.upper() for line in lines])):
            path = folder / f"{part}.{side}"
            path.write_text("".join(line + "\n" for line in text))
            arguments += [f"--{'' if part == 'train' else part + '-'}{side}", str(path)]
    return arguments


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the finished run `runs/first`, and the arguments that made it."""
    folder = tmp_path_factory.mktemp("translation")
    arguments = [*write_corpus(folder), *SMALL]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        translation.main([*arguments, "--name", "first"])
    return folder, arguments


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained


def test_a_run_leaves_what_it_promises(there):
    run = Path("runs/first")
    assert (run / "model.keras").is_file() and (run / "tokenizer.json").is_file()
    assert len(list((run / "checkpoints").iterdir())) == 2
    settings = json.loads((run / "settings.json").read_text())
    assert settings["hidden_dim"] == 16 and settings["recipe"] == "translation"
    config = kt.TransformerConfig.from_json((run / "config.json").read_text())
    assert config.hidden_dim == 16 and config.max_sequence_length == 20
    found = user.metrics("first")
    assert {
        "bleu", "bleu_signature", "chrf", "valid_loss", "parameters", "updates", "train_seconds",
        "target_tokens_per_second", "padding_fraction",
    } <= set(found)  # fmt: skip
    assert found["parameters"] == keras.models.load_model(run / "model.keras").count_params()
    assert found["updates"] % 3 == 0 and found["updates"] > 3


def run_translate(monkeypatch, text, *arguments):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(SystemExit) as stop:
        translation.main(["translate", "--run", "runs/first", *arguments])
    return stop.value.code


def test_translate_keeps_lines_in_order(there, monkeypatch, capsys):
    lines = ["w3 w4 w5", "", "w1", "w3 w4 w5 w6 w7 w8", "w1"]
    assert run_translate(monkeypatch, "\n".join(lines).encode() + b"\n") == 0
    together = capsys.readouterr().out.split("\n")
    assert len(together) == 6 and together[1] == together[5] == ""
    assert together[2] == together[4]
    run_translate(monkeypatch, lines[0].encode() + b"\n")
    assert capsys.readouterr().out == together[0] + "\n"  # as it is alone


def test_translate_reports_what_it_cannot_read(there, monkeypatch, capsys):
    assert run_translate(monkeypatch, b"w1\n" + b"w1 " * 25 + b"\nw2\n", "--beams", "1") == 1
    out, err = capsys.readouterr()
    assert err.strip() == "line 2: 26 tokens, the model reads 20; not translated"
    assert out.count("\n") == 3 and out.split("\n")[1] == ""
    assert "line 2: expected UTF-8" in run_translate(monkeypatch, b"w1\n\xff\n")


def test_evaluate_scores_two_files(there, capsys):
    with pytest.raises(SystemExit) as stop:
        translation.main(
            "evaluate --run runs/first --source test.source --target test.target "
            "--tokenize none --lowercase".split()
        )
    assert stop.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert "case:lc" in found["bleu_signature"] and "tok:none" in found["bleu_signature"]
    assert 0 <= found["bleu"] <= 100 and 0 <= found["chrf"] <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--source nowhere --target train.target", "nowhere"),
        ("--source train.source --target test.target", "with 120 and"),
        ("--source empty --target empty", "empty"),
        ("--source latin --target latin", "latin, line 2: not UTF-8"),
        ("--pairs train.source", "train.source, line 1"),
        ("--source train.source", "go together"),
        ("--vocabulary-size 1000", "at most 28"),
        ("--max-length 1", "Expected pairs"),
        ("--tokenize 13b", "Expected tokenize to be one of 13a"),
        ("--average 0", "Expected --average to be at least 1"),
        ("--beams 0", "Expected --beams to be at least 1"),
        ("evaluate --run runs/first --source empty --target empty --tokenize 13b", "tokenize to"),
        ("translate --run runs/first --beams -1", "Expected --beams to be at least 1"),
        ("translate --run nowhere", "nowhere: no such folder"),
        ("evaluate --run runs/first --source nowhere --target test.target", "nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(there, arguments, said):
    Path("latin").write_bytes(b"a\n\xff\n")
    Path("empty").touch()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    arguments = arguments.split()
    if arguments[0].startswith("--") and arguments[0] not in ("--resume", "--pairs", "--settings"):
        arguments = [*there[1], *arguments]
        if arguments[-4:-1:2] == ["--source", "--target"] or arguments[-2] == "--source":
            arguments = [*SMALL, *arguments[len(there[1]) :]]
    assert said in user.message(translation, arguments)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_test_lines_that_are_too_long_are_counted(there):
    assert user.metrics("first")["test_lines_too_long"] == 0
    source, target = (Path(f"test.{side}").read_text() for side in ("source", "target"))
    Path("longer.source").write_text("w1 " * 20 + "\n" + source + "w2 " * 30 + "\n")
    Path("longer.target").write_text("W1\n" + target + "W2\n")
    longer = "--test-source longer.source --test-target longer.target --name longer".split()
    translation.main([*there[1], *longer, "--max-updates", "1"])
    assert user.metrics("longer")["test_lines_too_long"] == 2


def test_translations_stay_in_step_with_their_sources(there, monkeypatch, capsys):
    breaks = "a\nb\rc\x0bd\x0ce\x1cf\x1dg\x1eh\x85i\u2028j\u2029k"
    monkeypatch.setattr(
        kt.tasks.Translator, "__call__", lambda self, lines, **options: [breaks] * len(lines)
    )
    assert run_translate(monkeypatch, b"w1\nw2\nw3\n") == 0
    assert capsys.readouterr().out.splitlines() == ["a b c d e f g h i j k"] * 3


def test_pairs_hold_out_whole_sources(there, tmp_path):
    rows = [(f"w{i % 40}", f"W{i % 40} x{i}") for i in range(120)]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{s}\t{t}\n" for s, t in rows))
    settings = translation.Settings.parse(["--pairs", str(path)], "")
    train, valid, test = translation.read_corpus(settings)
    parts = [set(part[0]) for part in (train, valid, test)]
    assert len(valid[0]) == len(set(valid[0])) == 4 and len(test[0]) == 3
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert set(zip(*train, strict=True)) <= set(rows)


def test_as_a_command_a_mistake_is_no_traceback(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(RECIPE.parents[1])}
    done = subprocess.run(
        [sys.executable, RECIPE, "--preset", "gpt3"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("translation.py: Expected")
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())
