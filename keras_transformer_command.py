"""The command `keras-transformer`: the recipes by their names, and what goes with them.

Help and pages come at once: nothing is imported here but the standard library, and what a command
needs of other packages when it runs.
"""

import ast
import contextlib
import difflib
import functools
import importlib.metadata
import inspect
import io
import itertools
import os
import signal
import sys
import types
import typing
from collections.abc import Collection, Iterator
from json import dumps
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE / "keras_transformer" / "recipes"
FOLDER = INSTALLED if INSTALLED.is_dir() else HERE / "recipes"  # as in the repository
NO_RECIPES = ("common", "settings")  # nor what is built in
SHELLS = ["bash", "zsh", "fish"]

HELP = """\
usage: keras-transformer RECIPE [flags]            train; RECIPE --help lists the flags
       keras-transformer RECIPE COMMAND [flags]    work with a finished run
       keras-transformer COMMAND ...

recipes:
{recipes}

commands:
{commands}

keras-transformer --version prints the version, and COMMAND --help says more.
"""


# ------------------------------------------------------------------------------------------------
# Recipes
# ------------------------------------------------------------------------------------------------


def find_recipes() -> dict[str, str]:
    """`{name: first line of its docstring}`; no page is imported."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem in NO_RECIPES or path.stem.startswith(("built_in_", "__")):
            continue
        page = ast.parse(path.read_bytes())
        if {"Settings", "main"} & {getattr(node, "name", None) for node in page.body}:
            found[path.stem.replace("_", "-")] = (ast.get_docstring(page) or "").partition("\n")[0]
    return found


def import_recipe(name: str) -> types.ModuleType:
    """The page of a recipe."""
    return importlib.import_module(f"keras_transformer.recipes.{name.replace('-', '_')}")


def run_recipe(name: str, arguments: list[str]) -> None:
    """Does what a recipe's page does, under the name of this command."""
    sys.argv[0] = f"keras-transformer {name}"  # which the page calls itself
    import_recipe(name).main(arguments)


def check_known(what: str, word: str, known: Collection[str]) -> None:
    """Refuses a word that is none of those known, with the one that may have been meant."""
    if word not in known:
        closest = difflib.get_close_matches(word, known, n=1)
        hint = f" (did you mean {closest[0]}?)" if closest else ""
        raise ValueError(f"Expected {what} among {', '.join(known)}. Received: {word}{hint}")


# ------------------------------------------------------------------------------------------------
# Commands: functions whose parameters are the words and flags of the command line
# ------------------------------------------------------------------------------------------------


def recipes() -> None:
    """List the recipes."""
    print(in_columns(find_recipes()))


def copy(recipe: str, file: str) -> None:
    """Copy a recipe's page, to change it.

    Args:
        recipe: Its name.
        file: Where to, such as mine.py; `python mine.py` then runs it.
    """
    recipe = recipe.replace("_", "-")
    check_known("a recipe", recipe, find_recipes())
    page = FOLDER / f"{recipe.replace('-', '_')}.py"
    try:
        with open(file, "xb") as target:
            target.write(page.read_bytes())
    except OSError as error:
        raise ValueError(
            f"Expected a new file, in a folder. Received: {file} ({error.strerror})"
        ) from None
    print(f"The recipe {recipe} is in {file}: python {file}")


def info(path: str, revision: str | None = None, json: bool = False) -> None:
    """Show what a run, a published folder or a model of the Hugging Face hub is.

    Args:
        path: A run's folder, a published folder or a hub id.
        revision: Branch, tag or commit of a hub id.
        json: As JSON.
    """
    from rich.console import Console

    from keras_transformer import tasks

    found = tasks.info(path, revision)
    if json:
        print(dumps(found, indent=2, ensure_ascii=False))
    else:
        Console().print(info_table(found))


def explore(
    path: str,
    text: list[str] = [],  # noqa: B006  tyro asks for a list
    out: str = "explore.html",
    reference: str | None = None,
    revision: str | None = None,
) -> None:
    """Write an HTML file to look inside a run, a published folder or a model of the hub.

    Args:
        path: A run's folder, a published folder or a hub id.
        text: A text to look at, once or several times; a translation after a tab.
        out: The file to write.
        reference: File of texts, a line each, after tabs their translations or labels: what heads
            are worth is measured on them, and neurons are shown by them.
        revision: Branch, tag or commit of a hub id.
    """
    if not text:
        raise ValueError('Expected a text to look at: --text "A dog runs." Received: none')
    import keras_transformer as kt
    from keras_transformer.tasks.loading import is_run
    from keras_transformer.text import read_lines

    def split(lines: list[str]) -> list[typing.Any]:
        return [tuple(line.split("\t")) if "\t" in line else line for line in lines]

    task = kt.tasks.load_task(path, revision, precision="float32")
    folder = Path(path).expanduser()
    file = kt.monitoring.explore(
        task,
        split(text),
        out,
        title=folder.name or path,
        reference=split(read_lines(reference)) if reference else (),
        checkpoints=kt.training.early_checkpoints(folder) if is_run(folder) else (),
    )
    print(f"open {file} in a browser: {file.stat().st_size / 1e6:.1f} MB")


def completion(shell: str) -> None:
    """Print a script that completes recipes, commands and flags.

    Args:
        shell: bash, zsh or fish.
    """
    check_known("a shell", shell, SHELLS)
    from keras_transformer.completion import completion_script

    print(completion_script(shell, completions()), end="")


COMMANDS = {command.__name__: command for command in (recipes, copy, info, explore, completion)}


def in_columns(lines: dict[str, str]) -> str:
    """`{word: what it is}` as text, a line a word."""
    width = max(map(len, lines))
    return "\n".join(f"  {word:{width}}  {line}" for word, line in lines.items())


def info_table(found: dict[str, typing.Any]) -> typing.Any:
    """The dictionary of `tasks.info` as a table; what is absent or off is left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        parts = value if isinstance(value, dict) else {"": value}
        for part, shown in parts.items():
            if shown is not None and (part == "" or shown is not False):
                shown = f"{shown:,}" if type(shown) is int else str(shown)
                table.add_row(Text(name, "bold"), Text(part), Text(shown, overflow="fold"))
                name = ""
    return table


# ------------------------------------------------------------------------------------------------
# Completion: what may come after which words
# ------------------------------------------------------------------------------------------------


def completions() -> dict[str, list[str]]:
    """`{words so far: words that may come}`; where there is none, names of files may."""
    names = list(find_recipes())
    found = {
        "": [*COMMANDS, *names, "--help", "--version"],
        "copy": names,
        **{f"copy {name}": [] for name in names},
        "info": flags(info)[1:],
        "explore": flags(explore)[1:],
        "completion": SHELLS,
    }
    for name in names:
        page = import_recipe(name)
        # A command is a function of one parameter, a dataclass like the settings.
        commands = {f.__name__: typing.get_type_hints(f).values() for f in page.COMMANDS}
        found[name] = [*commands, *flags(page.Settings)]
        found |= {f"{name} {word}": flags(options) for word, (options,) in commands.items()}
    return found


def flags(made_of: typing.Callable) -> list[str]:
    """The flags that are made of a dataclass' fields, or of a function's parameters."""
    return [f"--{name.replace('_', '-')}" for name in inspect.signature(made_of).parameters]


# ------------------------------------------------------------------------------------------------
# Main
# ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turns mistakes into one sentence and status 1, Ctrl-C into 130; a closed pipe is quiet."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, and not when Python ends, where nothing can be caught
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, importlib.metadata.PackageNotFoundError) as error:
        sys.exit(f"keras-transformer: {error}")


def main(arguments: list[str] | None = None) -> None:
    """Does what the words of a command line say: those after its name, by default."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine
    with clear_errors():
        word, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
        known = find_recipes()
        name = word.replace("_", "-")
        if word in ("-h", "--help"):
            summaries = {
                c: (inspect.getdoc(f) or "").partition("\n")[0] for c, f in COMMANDS.items()
            }
            print(HELP.format(recipes=in_columns(known), commands=in_columns(summaries)), end="")
        elif word == "--version":
            print(importlib.metadata.version("keras-transformer-zoo"))
        elif word in COMMANDS:
            run_command(word, rest)
        else:
            check_known("a recipe or a command", name, [*known, *COMMANDS])
            run_recipe(name, rest)


def run_command(word: str, arguments: list[str]) -> None:
    """Calls a command with what tyro makes of the words after it."""
    import tyro
    from tyro.conf import (
        FlagCreatePairsOff,
        PositionalMetavarFromFieldName,
        PositionalRequiredArgs,
        UseAppendAction,
    )

    command, said = COMMANDS[word], io.StringIO()
    # Read before it runs: what it says is not tyro's.
    read = functools.wraps(command)(lambda *words, **flags: (words, flags))
    try:
        with contextlib.redirect_stderr(said):
            words, flags = tyro.cli(
                read,
                prog=f"keras-transformer {word}",
                args=arguments,
                config=(
                    PositionalRequiredArgs,
                    PositionalMetavarFromFieldName,
                    FlagCreatePairsOff,
                    UseAppendAction,
                ),
            )
    except SystemExit as stop:
        if stop.code:  # tyro's box, of which the first part says what is wrong
            rows = (row.strip("│ ") for row in said.getvalue().splitlines() if row.startswith("│"))
            wrong = " ".join(itertools.takewhile(lambda row: not row.startswith("──"), rows))
            raise ValueError(f"{wrong} (keras-transformer {word} --help)") from None
        raise
    command(*words, **flags)


if __name__ == "__main__":
    main()
