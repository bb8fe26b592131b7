"""From the words of a command line to a recipe's functions, and mistakes as one sentence."""

import contextlib
import os
import shlex
import signal
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_transformer.checks import require
from keras_transformer.files import NotWritten
from keras_transformer.recipes.flags import check_bounds, one_of, program, read_flags
from keras_transformer.training import Run
from keras_transformer.training.signals import stopped_by_signals


def run(
    settings: Any,
    train: Callable[[Any], None],
    commands: Sequence[Callable],
    arguments: Sequence[str] | None = None,
) -> None:
    """What a recipe does from the command line.

    Args:
        settings: Class of the settings of a training run, a `common.Settings`.
        train: Function of such settings, which are checked.
        commands: Functions to do other things, each by its name as the first word, of one
            parameter: a dataclass of flags.
        arguments: List of str. Default `None`: the words of the command line.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with clear_errors():
        names = {command.__name__: command for command in commands}
        if arguments and not arguments[0].startswith("-"):
            word = arguments.pop(0)
            require(word in names, f"{one_of(names, word)}, or flags", word)
            command = names[word]
            (kind,) = typing.get_type_hints(command).values()
            options = read_flags(kind, arguments, command.__doc__, word=word)
            check_bounds(vars(options))
            return command(options)
        about = sys.modules[train.__module__].__doc__.partition("\n\n")[0]
        chosen = settings.parse(arguments, f"{about} Other commands: {', '.join(names)}.")
        if chosen.resume and chosen.is_done():
            print(f"{chosen.folder} is finished, and nothing is left to do without more --epochs.")
            return None
        try:
            with stopped_by_signals():
                train(chosen)
        except KeyboardInterrupt:
            print(f"\nInterrupted; {how_to_go_on(chosen)}", file=sys.stderr)
            raise
        except NotWritten as error:
            raise NotWritten(f"{error}; {how_to_go_on(chosen)}") from None


def how_to_go_on(settings: Any) -> str:
    """What is saved of a training run that was stopped, and how it goes on."""
    checkpoints = Run(settings.folder).checkpoints()
    if not checkpoints:
        return "nothing of it was saved."
    updates = int(checkpoints[-1].stem.split("-")[1].split("_")[0])
    command = f"python {sys.argv[0]}" if sys.argv[0].endswith(".py") else sys.argv[0]
    return (
        f"saved after {updates:,} updates. To go on:\n"
        f"  {command} --resume --name {shlex.quote(settings.name)}"
    )


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turns a user's mistake into one sentence on standard error and status 1, Ctrl-C into 130,
    SIGTERM and SIGHUP into 143 and 129.

    A terminal without a character shows another in its place, and a reader who has enough, such as
    `head`, ends the program without a word.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed: what is said goes nowhere, and not into the other one
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                yield
        finally:
            sys.stdout.flush()  # here, and not when Python ends, where nothing can be caught
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt as stop:
        sys.exit(getattr(stop, "status", 130))
    except (ValueError, OSError) as error:
        sys.exit(f"{program()}: {error}")


def _show_warning(message, category, *place):
    if category is UserWarning:  # and not of how some code is written
        print(f"{program()}: {message}", file=sys.stderr)
