"""What recipes share: settings, held-out text, standard input, mistakes."""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from keras_transformer.text import train_tokenizer
from keras_transformer.training import Run, RunError, recipe

ROOT = Path(__file__).parents[2]


def make_parser():
    parser = argparse.ArgumentParser(prog="demo.py", allow_abbrev=False)
    parser.add_argument("--text")
    parser.add_argument("--texts", nargs="+")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--preset", default="gpt_nano")
    recipe.add_model_settings(parser.add_argument)
    recipe.add_run_settings(parser.add_argument, epochs=7)
    return parser


def parse(*arguments):
    return recipe.parse_training(make_parser(), list(arguments), {"rate": 0.5}, ["text"])


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def store(name, *arguments, **changes):
    """A run as `recipe.open_run` leaves it."""
    settings = {**vars(parse("--name", name, *arguments)), **changes}
    return Run.create(recipe.run_folder(name), settings)


def test_defaults_the_built_in_corpus_and_the_command_line():
    assert (parse().rate, parse().epochs, parse().recipe) == (0.5, 7, "demo")
    assert parse("--text", "a.txt").rate == 0.1
    assert parse("--rate", "0.9").rate == 0.9
    assert parse("--name", "one").name == "one" and parse().name.startswith("demo-2")


def test_the_share_of_unknown_tokens_is_told_and_bounded():
    tokenizer = train_tokenizer("whitespace", ["a b c d"])
    texts = {"train": ["a b", "", "c d"], "valid": ["a b c d a b c d a z"]}
    told = recipe.check_unknown(parse(), tokenizer, texts)
    assert told == "unknown tokens: train 0.00 %, valid 10.00 %"
    with pytest.raises(ValueError, match=r"at most 10 % .*Received: train 0.00 %, test targets 50"):
        recipe.check_unknown(parse(), tokenizer, {"train": ["a"]}, {"test": ["a z"]})
    allowed = parse("--max-unknown", "1")
    assert "test 100.00 %" in recipe.check_unknown(allowed, tokenizer, {"test": ["x y"]})
    many = ["a"] * 30_000 + ["z"] * 60_000
    assert "66.6" in recipe.check_unknown(allowed, tokenizer, {"train": many})


@pytest.mark.parametrize(
    "name", ["/tmp/x", "../x", "a/../../x", ".", "..", "./.", "", " ", "\t", "a\0b", "\0", "a\nb"]
)
def test_a_run_stays_in_its_folder(name):
    with pytest.raises(ValueError, match="folder inside runs"):
        parse("--name", name)
    assert recipe.run_folder("a/b").parts == ("runs", "a", "b")


@pytest.mark.parametrize(
    "flag",
    [
        *("--epochs=0", "--max-updates=0", "--max-updates=-1", "--num-layers=0", "--dropout=1"),
        *("--seed=4294967296", "--dropout=nan", "--seed=-1", "--max-unknown=2", "--lora=0"),
    ],
)
def test_numbers_that_no_run_can_have(flag):
    with pytest.raises(ValueError, match=rf"Expected (--[a-z-]+) to be .* Received: {flag}"):
        parse(flag)


def test_one_line():
    breaks = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
    assert recipe.one_line(f"a{'b'.join(breaks)}c").count("b") == len(breaks) - 1
    assert len(recipe.one_line("".join(f"x{end}" for end in breaks)).splitlines()) == 1
    assert recipe.one_line("") == ""


def test_a_mark_before_standard_input_and_a_closed_one(monkeypatch):
    data = io.TextIOWrapper(io.BytesIO("\ufeffé\r\nb".encode()))
    monkeypatch.setattr(sys, "stdin", data)
    assert list(recipe.standard_input()) == [(1, ["é", "b"])]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="it is closed"):
        list(recipe.standard_input())


def test_closed_streams_take_what_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with recipe.clear_errors("demo.py"):
        print("text", flush=True)
        print("message", file=sys.stderr)
        assert not sys.stdout.isatty()


PROGRAM = """
import sys
from keras_transformer.training import recipe
with recipe.clear_errors("demo.py"):
    for i in range({lines}):
        print("é─", i)
    sys.exit(3)
"""


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_who_has_enough_ends_the_program_quietly(lines):
    command = [sys.executable, "-c", PROGRAM.format(lines=lines)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    with subprocess.Popen(command, **pipes) as process:
        assert lines == 1 or process.stdout.readline() == b"?? 0\n"
        process.stdout.close()
        assert b"pipe" not in process.stderr.read().lower()
    assert process.returncode == 128 + signal.SIGPIPE


def test_changes_to_a_preset_are_those_asked_for():
    assert recipe.model_changes(parse()) == {}
    settings = parse("--num-layers", "3", "--dropout", "0")
    assert recipe.model_changes(settings) == {"num_layers": 3, "dropout": 0.0}


def test_settings_of_a_run_come_before_defaults_and_after_the_command_line():
    store("one", "--text", "a.txt", "--rate", "0.3", "--epochs", "2")
    again = parse("--settings", "runs/one/settings.json", "--epochs", "4")
    assert (again.text, again.rate, again.epochs) == ("a.txt", 0.3, 4)
    assert again.name != "one"
    on = parse("--resume", "--name", "one")
    assert (on.text, on.rate, on.epochs, on.name, on.resume) == ("a.txt", 0.3, 2, "one", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("epochs", value)
            for value in ([3], [], {}, {"a": 1}, "three", "3", True, False, None, 3.5)
        ),
        *(("num_layers", value) for value in ([3], "", True, False)),
        *(("rate", value) for value in ([0.3], "0.3", True, None, float("nan"))),
        *(("precision", value) for value in ("float99", 32, None)),
        *(("resume", value) for value in (1, "no", [])),
        *(("text", value) for value in (5, ["a.txt"], True, {})),
        *(("texts", value) for value in ("a.txt", [], [5], True, {})),
    ],
)
def test_stored_settings_are_of_the_kind_that_flags_take(tmp_path, name, value):
    store("one", **{name: value})
    store("two", "--texts", "a.txt", "b c.txt", "--rate", "1e-5", "--dropout", "0")
    asked = ["--settings", "runs/one/settings.json"], ["--resume", "--name", "one"]
    for arguments in asked:
        with pytest.raises(RunError, match=f"runs/one.*: expected {name} to be as --"):
            parse(*arguments)
    again = parse("--settings", "runs/two/settings.json")
    assert (again.texts, again.rate, again.dropout) == (["a.txt", "b c.txt"], 1e-5, 0)


def test_how_a_run_was_begun_is_no_part_of_what_repeats_it():
    store("one", "--overwrite")
    store("two", resume=True, settings="runs/one/settings.json")
    for name in ("one", "two"):
        again = parse("--settings", f"runs/{name}/settings.json", "--name", "three")
        assert not again.overwrite  # or a run of that name would be lost without a word
        assert not again.resume
    assert not parse("--resume", "--name", "one").overwrite


def test_runs_of_another_recipe_are_refused():
    store("other", recipe="translation")
    for arguments in (
        ["--resume", "--name", "other"],
        ["--settings", "runs/other/settings.json"],
    ):
        with pytest.raises(RunError, match=r"is a run of translation\.py, not demo\.py"):
            parse(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--preset gpt_minni", "'gpt_mini'"),
        ("--num-heads 5", "num_heads=5"),
        ("--name one", "--overwrite"),
        ("--name one --resume --rate 0.4", "rate was 0.3 and is now 0.4"),
        ("--name notes --overwrite", "is not a run folder"),
    ],
)
def test_what_no_run_can_be_is_refused_before_any_work(tmp_path, arguments, said):
    store("one", "--rate", "0.3")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes" / "text").touch()
    with pytest.raises(ValueError, match=said):
        recipe.prepare(parse(*arguments.split()))
    for usual in ("--name two", "--name one --resume", "--name one --overwrite"):
        recipe.prepare(parse(*usual.split()))
    parser = make_parser()
    parser.set_defaults(preset=None)
    recipe.prepare(recipe.parse_training(parser, [], {}, ["text"]))
    assert Run.open(recipe.run_folder("one")).settings["rate"] == 0.3  # replaced only later


def test_resume_and_settings_need_what_they_name(tmp_path):
    with pytest.raises(ValueError, match="--resume needs the --name"):
        parse("--resume")
    with pytest.raises(RunError, match="not a run folder"):
        parse("--resume", "--name", "nowhere")
    with pytest.raises(OSError, match=r"nowhere\.json"):
        parse("--settings", "nowhere.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(RunError, match=r"list\.json does not hold a JSON dictionary"):
        parse("--settings", "list.json")


# Held-out text.


def test_a_tenth_at_most_is_held_out_with_all_that_equals_it():
    items = [f"line {i % 300}" for i in range(1000)]
    rest, held_out = recipe.hold_out(items, seed=0)
    assert len(held_out) == len(set(held_out)) == 30
    assert not set(rest) & set(held_out)
    assert rest == [item for item in items if item not in set(held_out)]
    rest, held_out = recipe.hold_out(items, seed=0, count=7)
    assert len(held_out) == 7 and len(set(rest)) == 293


def test_the_seed_decides():
    items = [f"line {i}" for i in range(300)]
    first, again, other = (recipe.hold_out(items, seed) for seed in (1, 1, 2))
    assert first == again and first != other
    shuffled = recipe.hold_out(items[::-1], 1)
    assert set(shuffled[1]) == set(first[1])  # not the order of the text


def test_the_key_says_what_is_equal_and_the_first_is_held_out():
    items = [(i % 40, i) for i in range(400)]
    rest, held_out = recipe.hold_out(items, 0, key=lambda item: item[0])
    assert len(held_out) == 4 and all(key == i for key, i in held_out)
    assert len(rest) == 360 and not {k for k, _ in rest} & {k for k, _ in held_out}


def test_one_long_line_costs_no_more_than_itself():
    items = [f"line {i}" for i in range(300)] + ["x" * 100_000, "nul\0"]
    tracemalloc.start()
    rest, held_out = recipe.hold_out(items, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    assert sorted(rest + held_out) == sorted(items) and len(held_out) == 30


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match=r"different lines of text\. Received: 9"):
        recipe.hold_out([*"abcdefghi"] * 5, seed=0)


# Standard input and mistakes.


def test_standard_input_comes_in_numbered_chunks(monkeypatch):
    text = "".join(f"é{i}\n" for i in range(2500)) + "\r\nlast"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = list(recipe.standard_input())
    assert [(first, len(lines)) for first, lines in found] == [(1, 1024), (1025, 1024), (2049, 454)]
    assert found[1][1][0] == "é1024" and found[2][1][-2:] == ["", "last"]


def test_a_line_that_is_not_utf_8_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n\xff\n")))
    with pytest.raises(ValueError, match="standard input, line 3: not UTF-8"):
        list(recipe.standard_input())


@pytest.mark.parametrize(
    "error", [ValueError("x is bad"), RunError("x is bad"), OSError("x is bad")]
)
def test_mistakes_are_one_sentence_and_bugs_are_not(error):
    with pytest.raises(SystemExit) as stop, recipe.clear_errors("demo.py"):
        raise error
    assert stop.value.code == "demo.py: x is bad"
    with pytest.raises(KeyError), recipe.clear_errors("demo.py"):
        raise KeyError("a bug")
    with pytest.raises(SystemExit) as stop, recipe.clear_errors("demo.py"):
        raise KeyboardInterrupt
    assert stop.value.code == 130


def test_a_run_without_its_model_is_not_over():
    store("one", "--text", "a.txt")
    with pytest.raises(RunError, match=r"has no model\.keras: its training is not over"):
        recipe.load_run("runs/one", "demo")
    assert json.loads((recipe.run_folder("one") / "settings.json").read_text())["recipe"] == "demo"


def test_what_was_not_measured_again_stays():
    run = store("one", "--text", "a.txt")
    recipe.save_metrics(run, {"loss": 3.0, "speed": None})
    recipe.save_metrics(run, {"loss": 2.0, "speed": 9.5})
    recipe.save_metrics(run, {"loss": 1.0, "speed": None})
    assert run.metrics == {"loss": 1.0, "speed": 9.5}


def test_a_published_model_has_no_built_in_settings_and_no_other_parts():
    settings = parse("--from-zoo", "there", "--dropout", "0.2", "--lora", "4")
    assert (settings.rate, settings.lora) == (0.1, 4)
    with pytest.raises(ValueError, match="--from-zoo brings its own model and tokenizer, not --nu"):
        parse("--from-zoo", "there", "--num-layers", "2")
    with pytest.raises(ValueError, match="--lora goes together with a pretrained model"):
        parse("--lora", "4")
    with pytest.raises(ValueError, match=r"Expected --lora to be at least 1\. Received: --lora=0"):
        parse("--from-zoo", "there", "--lora", "0")
