"""What recipes share: settings, standard input, mistakes."""

import io
import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import user

from keras_transformer import zoo
from keras_transformer.recipes import beginning, command_line, common, terminal
from keras_transformer.text import train_tokenizer
from keras_transformer.training import Run, RunError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Settings(common.Settings):
    recipe: ClassVar = "demo"
    families: ClassVar = ()
    length: ClassVar = None
    built_in: ClassVar = "--rate 0.5"
    text: str | None = None  # a file
    texts: tuple[str, ...] = ()  # files
    rate: float = 0.1  # of learning
    preset: str = "gpt_nano"  # named size
    tokenizer: str = "whitespace"  # kind
    epochs: int = 7  # passes over the text

    def is_built_in(self):
        return not (self.text or self.from_zoo)


@dataclass(frozen=True, kw_only=True)
class Options(common.Finished):
    beams: int = 5  # hypotheses


def parse(*arguments):
    return Settings.parse(list(arguments), "")


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def store(name, *arguments, **changes):
    """A run as `common.begin_run` leaves it."""
    settings = parse("--name", name, *arguments)
    run = Run.create(settings.folder, {**settings.stored(), **changes})
    run.begin({})
    return run


def test_defaults_the_built_in_corpus_and_the_command_line():
    assert (parse().rate, parse().epochs, parse().stored()["recipe"]) == (0.5, 7, "demo")
    assert parse("--text", "a.txt").rate == 0.1
    assert parse("--rate", "0.9").rate == 0.9
    assert parse("--name", "one").name == "one" and parse().name.startswith("demo-2")


def test_the_share_of_unknown_tokens_is_told_and_bounded():
    tokenizer = train_tokenizer("whitespace", ["a b c d"])
    texts = ["a b", "", "c d"], ["a b c d a b c d a z"]
    shares = common.check_unknown(parse(), tokenizer, texts)
    assert shares == {"train": 0.0, "valid": 0.1}
    assert common.told(shares) == "train 0.00 %, valid 10.00 %"
    with pytest.raises(ValueError, match=r"at most 10 % .*Received: train 0.00 %, train targets 5"):
        common.check_unknown(parse(), tokenizer, [["a"]], [["a z"]])
    allowed = parse("--max-unknown", "1")
    assert common.check_unknown(allowed, tokenizer, [["x y"]]) == {"train": 1.0}
    many = ["a"] * 30_000 + ["z"] * 60_000
    assert 0.66 < common.check_unknown(allowed, tokenizer, [many])["train"] < 0.67


@pytest.mark.parametrize(
    "name", ["/tmp/x", "../x", "a/../../x", ".", "..", "./.", "", " ", "\t", "a\0b", "\0", "a\nb"]
)
def test_a_run_stays_in_its_folder(name):
    with pytest.raises(ValueError, match="folder inside runs"):
        parse("--name", name)
    assert parse("--name", "a/b").folder.parts == ("runs", "a", "b")


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
    assert terminal.one_line(f"a{'b'.join(breaks)}c").count("b") == len(breaks) - 1
    assert len(terminal.one_line("".join(f"x{end}" for end in breaks)).splitlines()) == 1
    assert terminal.one_line("") == ""


def test_a_mark_before_standard_input_and_a_closed_one(monkeypatch):
    data = io.TextIOWrapper(io.BytesIO("\ufeffé\r\nb".encode()))
    monkeypatch.setattr(sys, "stdin", data)
    assert list(terminal.standard_input()) == [(1, ["é", "b"])]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="it is closed"):
        list(terminal.standard_input())


def test_closed_streams_take_what_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with command_line.clear_errors():
        print("text", flush=True)
        print("message", file=sys.stderr)
        assert not sys.stdout.isatty()


PROGRAM = """
import sys
from keras_transformer.recipes import command_line
with command_line.clear_errors():
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
    assert beginning.model_changes(parse()) == {}
    settings = parse("--num-layers", "3", "--dropout", "0")
    assert beginning.model_changes(settings) == {"num_layers": 3, "dropout": 0.0}


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
        *(("texts", value) for value in ("a.txt", [5], True, {})),
    ],
)
def test_stored_settings_are_of_the_kind_that_flags_take(tmp_path, name, value):
    store("one", **{name: value})
    store("two", "--texts", "a.txt", "b c.txt", "--rate", "1e-5", "--dropout", "0")
    asked = ["--settings", "runs/one/settings.json"], ["--resume", "--name", "one"]
    for arguments in asked:
        with pytest.raises(ValueError, match=f"runs/one.*: expected {name} to be as --"):
            parse(*arguments)
    again = parse("--settings", "runs/two/settings.json")
    assert (again.texts, again.rate, again.dropout) == (("a.txt", "b c.txt"), 1e-5, 0)


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
        with pytest.raises(RunError, match=r"a run of demo\.py\. Received: one of translation\.py"):
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
        parse(*arguments.split())
    for usual in ("--name two", "--name one --resume", "--name one --overwrite"):
        parse(*usual.split())
    assert Run.open("runs/one").settings["rate"] == 0.3  # replaced only later


def test_resume_and_settings_need_what_they_name(tmp_path):
    with pytest.raises(ValueError, match="--resume needs the --name"):
        parse("--resume")
    with pytest.raises(RunError, match="Expected a run folder"):
        parse("--resume", "--name", "nowhere")
    with pytest.raises(OSError, match=r"nowhere\.json"):
        parse("--settings", "nowhere.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(RunError, match=r"list\.json: expected a JSON dictionary"):
        parse("--settings", "list.json")


# Standard input and mistakes.


def test_standard_input_comes_in_numbered_chunks(monkeypatch):
    text = "".join(f"é{i}\n" for i in range(2500)) + "\r\nlast"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = list(terminal.standard_input())
    assert [(first, len(lines)) for first, lines in found] == [(1, 1024), (1025, 1024), (2049, 454)]
    assert found[1][1][0] == "é1024" and found[2][1][-2:] == ["", "last"]


def test_a_line_that_is_not_utf_8_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n\xff\n")))
    with pytest.raises(ValueError, match="standard input, line 3: expected UTF-8"):
        list(terminal.standard_input())


@pytest.mark.parametrize(
    "error", [ValueError("x is bad"), RunError("x is bad"), OSError("x is bad")]
)
def test_mistakes_are_one_sentence_and_bugs_are_not(error):
    with pytest.raises(SystemExit) as stop, command_line.clear_errors():
        raise error
    assert stop.value.code == f"{Path(sys.argv[0]).name}: x is bad"
    with pytest.raises(KeyError), command_line.clear_errors():
        raise KeyError("a bug")
    with pytest.raises(SystemExit) as stop, command_line.clear_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130


def test_what_was_not_measured_again_stays(capsys):
    run = store("one", "--text", "a.txt")
    settings, position = parse("--resume", "--name", "one"), SimpleNamespace(updates=3, seconds=1.0)
    model = SimpleNamespace(count_params=lambda: 9)
    batches = SimpleNamespace(padding_fraction=0.5)
    for loss, history in ((2.0, {"tokens_per_second": [9.0, 10.0]}), (1.0, {})):
        common.finish(settings, run, model, batches, history, position, {"loss": loss})
        assert run.metrics["loss"] == loss and run.metrics["tokens_per_second"] == 9.5
    assert json.loads(capsys.readouterr().out.split("model:")[0])["loss"] == 2.0


def test_a_published_model_has_no_built_in_settings_and_no_other_parts(monkeypatch):
    monkeypatch.setattr(Settings, "families", ("gpt2",))
    monkeypatch.setattr(zoo, "load_config", lambda path: None)
    monkeypatch.setattr(zoo, "model_type", lambda path: "gpt2")
    settings = parse("--from-zoo", "there", "--dropout", "0.2", "--lora", "4")
    assert (settings.rate, settings.lora) == (0.1, 4)
    with pytest.raises(ValueError, match="--from-zoo brings its own model and tokenizer, not --nu"):
        parse("--from-zoo", "there", "--num-layers", "2")
    with pytest.raises(ValueError, match="--lora goes together with a pretrained model"):
        parse("--lora", "4")
    with pytest.raises(ValueError, match=r"Expected --lora to be at least 1\. Received: --lora=0"):
        parse("--from-zoo", "there", "--lora", "0")


# Flags and commands.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--epochz 3", r"that --help lists (did you mean --epochs?). Received: --epochz"),
        ("--xyzzy", "that --help lists. Received: --xyzzy"),
        ("--epochs 3.5", "Error parsing --epochs: invalid literal for int() with base 10: '3.5'"),
        ("--epochs", "Missing value for argument '--epochs'"),
        ("--precision float99", "--precision"),
        ("--epochs 3 stray", "stray"),
        ("anser --run x", "Expected answer (did you mean answer?), or flags. Received: anser"),
        ("answer", "--run"),
        ("answer --run x --beams 0", "Expected --beams to be at least 1. Received: --beams=0"),
        ("answer --run x --beems 2", "(did you mean --beams?). Received: --beems"),
        ("answer --run x --int9", "(did you mean --int8?)"),
    ],
)
def test_words_that_cannot_be_are_one_sentence(words, said):
    page = SimpleNamespace(main=lambda arguments: main(arguments))
    assert said in user.message(page, words.split())


def test_words_that_cannot_be_are_said_where_stdout_is_not_utf_8(monkeypatch):
    page = SimpleNamespace(main=lambda arguments: main(arguments))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert user.message(page, ["--epochs", "3.5"]).endswith("with base 10: '3.5'")
    assert user.message(page, ["stray"]).endswith("or flags. Received: stray")
    assert user.message(page, ["--", "a\nb"]).endswith("Unrecognized options: a b")
    assert user.message(page, ["--a\nb"]).endswith(r"Received: '--a\nb'")
    assert user.message(page, ["--checkpoint-every", "a\nb"]).endswith(r"Received: 'a\nb'")
    assert len(user.message(page, ["--", "a" * 99_999])) < 2100


def main(arguments, train=print):
    command_line.run(Settings, train, (answer,), arguments)


def answer(options: Options):
    """Answers."""
    print(options.run, options.beams)


def test_commands_and_training_get_their_flags(capsys):
    main(["answer", "--run", "x", "--beams", "2"])
    main(["answer", "--run", "x", "--beam=3"])  # as it was called
    main(["answer", "--run", "x", "--beam", "4"])
    assert capsys.readouterr().out == "x 2\nx 3\nx 4\n"
    found = []

    def keep(settings):
        found.append(settings)

    main("--no-resume --texts a b --rate=3".split(), train=keep)
    main(["--vocabulary_size", "5"], train=keep)
    assert found[0].texts == ("a", "b") and found[0].rate == 3.0
    assert found[1].vocabulary_size == 5


def test_help_says_what_the_comments_say(capsys):
    for words, line in ((["--help"], "passes over the text"), (["answer", "-h"], "hypotheses")):
        with pytest.raises(SystemExit) as stop:
            main(words, train=common.prepare)
        assert not stop.value.code
        assert line in capsys.readouterr().out


def test_after_ctrl_c_it_says_how_to_go_on(capsys):
    def interrupted(settings):
        store("a b").checkpoints_folder.joinpath("update-0000000012_000001.npz").touch()
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        command_line.run(Settings, interrupted, (), ["--name", "a b"])
    assert stop.value.code == 130
    said = capsys.readouterr().err
    assert "saved after 12 updates" in said and "--resume --name 'a b'" in said


def test_warnings_are_one_line(capsys):
    with command_line.clear_errors():
        warnings.warn("beware", stacklevel=1)
    assert capsys.readouterr().err.endswith(": beware\n")
