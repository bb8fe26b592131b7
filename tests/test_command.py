"""The command `keras-transformer`, as its user meets it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import tiny

import keras_transformer as kt
import keras_transformer_command as command
from keras_transformer.completion import completion_script

RECIPES = ["causal-lm", "masked-lm", "text-classification", "translation"]
HEAVY = {"tensorflow", "jax", "torch", "keras", "keras_transformer", "numpy"}
IN_NEW_PROCESS = """
import sys
import keras_transformer_command
keras_transformer_command.main(sys.argv[1:])
print("imported", *{name.split(".")[0] for name in sys.modules})
"""


def run(*arguments, code=IN_NEW_PROCESS, **kwargs):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(command.__file__).parent)},
        capture_output=True,
        text=True,
        **kwargs,
    )


def message(*arguments):
    """What the command says as it gives up."""
    with pytest.raises(SystemExit) as stop:
        command.main([*arguments])
    assert isinstance(stop.value.code, str)  # printed on standard error, exit status 1
    assert "\n" not in stop.value.code
    return stop.value.code


# ------------------------------------------------------------------------------------------------
# Words
# ------------------------------------------------------------------------------------------------


def test_words_that_need_no_model_import_none(tmp_path):
    code = IN_NEW_PROCESS.replace("keras_transformer_command.main(sys.argv[1:])", "words(sys.argv)")
    words = """
def words(arguments):
    for line in ("--help", "recipes", f"copy translation {arguments[1]}", "--version"):
        try:
            keras_transformer_command.main(line.split())
        except SystemExit as stop:  # where nothing is installed there is no version
            assert "keras-transformer-zoo" in stop.code
"""
    done = run(str(tmp_path / "mine.py"), code=words + code, check=True)
    *_, last = done.stdout.splitlines()
    assert last.startswith("imported ") and not HEAVY & set(last.split())
    assert "recipes" in done.stdout and (tmp_path / "mine.py").is_file()


def test_recipes_are_listed_with_what_they_do(capsys):
    command.main(["recipes"])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(RECIPES) <= set(lines) and not any("built" in name for name in lines)
    page = (command.FOLDER / "translation.py").read_text()
    assert page.startswith(f'"""{lines["translation"]}\n')


def test_help_names_all_recipes_and_commands(capsys):
    command.main([])
    without = capsys.readouterr().out
    command.main(["--help"])
    assert capsys.readouterr().out == without
    assert {*RECIPES, *command.COMMANDS} <= set(without.split())


@pytest.mark.parametrize("name", ["text-classification", "text_classification"])
def test_copy_gives_the_page_and_overwrites_none(name, tmp_path):
    mine = tmp_path / "mine.py"
    command.main(["copy", name, str(mine)])
    page = (command.FOLDER / "text_classification.py").read_bytes()
    assert mine.read_bytes() == page
    mine.write_text("changed")
    assert "mine.py (File exists)" in message("copy", name, str(mine))
    assert mine.read_text() == "changed"
    assert "No such file" in message("copy", name, str(tmp_path / "none" / "mine.py"))


def test_unknown_words_are_refused_with_the_near_one(tmp_path):
    assert "did you mean translation?" in message("trnslation")
    assert "did you mean recipes?" in message("recipe")
    assert "did you mean causal-lm?" in message("copy", "causal_ml", str(tmp_path / "mine.py"))
    assert "did you mean fish?" in message("completion", "fsh")
    assert "did you mean" not in message("xyz")
    for line, said in (("recipes more", "more"), ("copy translation", "FILE"), ("info", "PATH")):
        assert said in message(*line.split())
    assert "--jsn" in message("info", "runs/x", "--jsn")


def test_ends_quietly():
    with pytest.raises(SystemExit) as stop, command.clear_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, command.__file__, "recipes"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


# ------------------------------------------------------------------------------------------------
# Recipes
# ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    batch_size: int = 8
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Options:
    run: str
    top_k: int = 1


def translate(options: Options):
    """Translates lines."""


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A recipe `tiny-page` that keeps what it is called with, the only one in its folder."""
    for name in ("tiny_page", "built_in_page", "common", "__init__"):
        (tmp_path / f"{name}.py").write_text('"""What it does."""\nclass Settings:\n    pass\n')
    (tmp_path / "helpers.py").write_text('"""Of the recipe."""\n')
    page = types.ModuleType("keras_transformer.recipes.tiny_page")
    page.Settings, page.COMMANDS, page.calls = Settings, (translate,), []
    page.main = lambda arguments: page.calls.append((sys.argv[0], arguments))
    monkeypatch.setitem(sys.modules, page.__name__, page)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["elsewhere"])
    return page


@pytest.mark.parametrize("name", ["tiny-page", "tiny_page"])
def test_a_recipe_runs_under_its_name(page, name):
    command.main([name, "translate", "--run", "runs/x"])
    assert page.calls == [("keras-transformer tiny-page", ["translate", "--run", "runs/x"])]


def test_the_pages_are_a_package():
    for name in RECIPES:
        page = command.FOLDER / f"{name.replace('-', '_')}.py"
        assert Path(command.import_recipe(name).__file__) == page


def test_a_recipe_is_a_page_with_settings(page):
    assert command.find_recipes() == {"tiny-page": "What it does."}


# ------------------------------------------------------------------------------------------------
# Completion
# ------------------------------------------------------------------------------------------------

COMPLETED = {
    "": {"recipes", "copy", "info", "explore", "completion", "tiny-page", "--help", "--version"},
    "ti": {"tiny-page"},
    "tiny-page ": {"translate", "--batch-size", "--name"},
    "tiny-page --b": {"--batch-size"},
    "tiny-page --name ": {"file"},
    "tiny-page --name x --": {"--batch-size", "--name"},
    "tiny-page translate --": {"--run", "--top-k"},
    "tiny-page translate --run ": {"file"},
    "copy ": {"tiny-page"},
    "copy tiny-page ": {"file"},
    "info --": {"--revision", "--json"},
    "explore --": {"--text", "--out", "--reference", "--revision"},
    "completion z": {"zsh"},
}
BASH = """
COMP_WORDS=(keras-transformer "$@") COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_keras_transformer
[[ ${#COMPREPLY[@]} == 0 ]] && COMPREPLY=($(compgen -f)) # as "complete -o default"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { }
compadd() { for word in ${(P)2}; do [[ $word == $words[CURRENT]* ]] && print -r -- $word; done }
_files() { print file }
"""
FISH = 'complete -C "keras-transformer $argv[1]" | string replace -r "\\t.*" ""'


def completed(shell, script, line, folder):
    """What a shell offers after `keras-transformer` and the line."""
    (folder / "script").write_text(script)
    words = line.split(" ")
    code, arguments = {
        "bash": (f". ../script\n{BASH}", words),
        "zsh": (
            f'{ZSH}\n. ../script\nwords=(keras-transformer "$@") CURRENT=$#words\n'
            "_keras-transformer",
            words,
        ),
        "fish": (f". ../script\n{FISH}", [line]),
    }[shell]
    name = [] if shell == "fish" else [shell]  # which is $0
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "empty" / "file").touch()
    done = subprocess.run(
        [shell, "-c", code, *name, *arguments],
        cwd=folder / "empty",
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(folder)},
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", command.SHELLS)
def test_completion(page, shell, tmp_path, capsys):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command.main(["completion", shell])
    script = capsys.readouterr().out
    for line, expected in COMPLETED.items():
        assert completed(shell, script, line, tmp_path) == expected, line


def test_all_shells_complete_all_words():
    words = {"": ["a-word"], "a-word": ["--a-flag"]}
    for shell in command.SHELLS:
        script = completion_script(shell, words)
        assert "a-word" in script and "--a-flag" in script


# ------------------------------------------------------------------------------------------------
# Info
# ------------------------------------------------------------------------------------------------


def test_info_as_a_table_and_as_json(tmp_path, capsys):
    folder = str(tmp_path / "model")
    kt.zoo.save(kt.models.decoder_only(tiny.config(**tiny.GPT2)), folder)
    command.main(["info", folder, "--json"])
    assert json.loads(capsys.readouterr().out) == kt.tasks.info(folder)
    command.main(["info", folder])
    table = capsys.readouterr().out
    assert "GPT2LMHeadModel" in table and "vocabulary_size" in table
    assert "window" not in table  # which is None
    assert "Expected a folder" in message("info", folder + "/none")


def test_explore_writes_a_page(tmp_path, capsys):
    tokenizer = kt.text.train_tokenizer("bert", ["a dog runs"] * 9, 20, mask=True)
    config = kt.TransformerConfig.preset(
        "bert_base",
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        vocabulary_size=tokenizer.vocabulary_size,
    )
    folder = str(tmp_path / "bert")
    kt.zoo.save(kt.models.masked_language_model(config), folder, tokenizer)
    (tmp_path / "texts").write_text("a dog\na dog runs\n", encoding="utf-8")
    out, texts = str(tmp_path / "page.html"), str(tmp_path / "texts")
    command.main(
        ["explore", folder, "--text", "a [MASK]", "--text", "a dog", "--out", out]
        + ["--reference", texts]
    )
    assert "page.html in a browser" in capsys.readouterr().out
    assert "a [MASK]" in Path(out).read_text(encoding="utf-8")
    assert "Expected a text to look at" in message("explore", folder)
    assert "Expected a folder" in message("explore", "no such", "--text", "a")
    nowhere = str(tmp_path / "none" / "page.html")
    assert "could not be written" in message("explore", folder, "--text", "a", "--out", nowhere)
