"""From the words of a command line to a recipe's functions, and back to the terminal.

Settings are dataclasses: tyro makes flags and their help of the fields and the comments after them.
"""

import contextlib
import dataclasses
import difflib
import io
import itertools
import math
import os
import shlex
import signal
import sys
import typing
import warnings
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_transformer.training import Run

# What numbers must be. NaN is none of it.
BOUNDS = {
    "at least 1": (
        lambda x: x >= 1,
        (
            *("epochs", "max_updates", "epoch_updates", "accumulate", "average", "patience"),
            *("batch_size", "batch_tokens", "max_length", "row_length", "vocabulary_size"),
            *("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "window", "lora"),
            *("beams", "guesses", "max_new_tokens", "samples", "top_k"),
        ),
    ),
    "at least 0": (
        lambda x: 0 <= x < math.inf,
        (
            *("warmup_updates", "weight_decay", "clip_norm", "freeze"),
            *("length_penalty", "temperature", "min_length", "no_repeat_ngrams"),
        ),
    ),
    "from 0 to 4294967295": (lambda x: 0 <= x < 2**32, ("seed",)),
    "above 0": (lambda x: 0 < x < math.inf, ("peak_learning_rate", "repetition_penalty")),
    "at least 0 and below 1": (lambda x: 0 <= x < 1, ("dropout", "label_smoothing")),
    "above 0 and at most 1": (lambda x: 0 < x <= 1, ("mask_rate", "top_p")),
    "from 0 to 1": (lambda x: 0 <= x <= 1, ("max_unknown", "min_p")),
}


def run(settings, train, commands, arguments=None):
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
            if word not in names:
                raise ValueError(f"Expected {one_of(names, word)}, or flags. Received: {word}")
            command = names[word]
            (kind,) = typing.get_type_hints(command).values()
            options = read_flags(kind, arguments, command.__doc__, word=word)
            check_bounds(vars(options))
            return command(options)
        about = sys.modules[train.__module__].__doc__.partition("\n\n")[0]
        chosen = settings.parse(arguments, f"{about} Other commands: {', '.join(names)}.")
        try:
            train(chosen)
        except KeyboardInterrupt:
            say_how_to_go_on(chosen)
            raise


def read_flags(kind, arguments, about="", default=None, word=""):
    """Makes an instance of a dataclass of flags.

    Args:
        kind: The dataclass; a comment after a field is the flag's help.
        arguments: List of str.
        about: What --help says besides.
        default: Another instance, for the flags that are not there.
        word: Name of the command, if any.

    Raises:
        ValueError: An unknown flag, or a value of another type.
    """
    check_flags(kind, arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            prog = f"{program()} {word}".strip()
            defaults = {} if default is None else {"default": default}
            return tyro.cli(kind, prog=prog, description=about, args=arguments, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise ValueError(_sentence(said.getvalue())) from None
        raise


def check_flags(kind, arguments):
    """Refuses flags that are none, and says which one is near."""
    fields = dataclasses.fields(kind)
    known = [flag_of(field.name) for field in fields]
    switches = [flag_of(f"no_{field.name}") for field in fields if field.type is bool]
    for word in arguments:
        flag = word.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in (*known, *switches, "--help", "--"):
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"Expected a flag that --help lists{hint}. Received: {flag}")


def _sentence(box):
    """The first paragraph of one of tyro's boxes."""
    lines = (line.strip("│ ") for line in box.splitlines() if line.startswith("│"))
    return " ".join(itertools.takewhile(lambda line: not line.startswith("──"), lines))


def one_of(names, word):
    """Names to choose from, and which of them may have been meant."""
    near = difflib.get_close_matches(word, names, n=1)
    return ", ".join(names) + (f" (did you mean {near[0]}?)" if near else "")


def flag_of(name):
    return f"--{name.replace('_', '-')}"


def program():
    """How this program was called, for messages."""
    return Path(sys.argv[0]).name


def check_bounds(options):
    """Refuses numbers that no run and no command can have; None stands for none."""
    for expected, (is_right, names) in BOUNDS.items():
        for name in names:
            value = options.get(name)
            if value is not None and not is_right(value):
                flag = flag_of(name)
                raise ValueError(f"Expected {flag} to be {expected}. Received: {flag}={value}")


def of_json(path, settings, stored):
    """The fields of the settings' class that JSON stores, each of its type; others are left out.

    Raises:
        ValueError: A value that no flag could have given.
    """
    found = {}
    for field in dataclasses.fields(settings):
        if field.name not in stored:
            continue
        value = stored[field.name]
        if isinstance(field.default, tuple):
            value = () if value is None else value
        if not _fits(value, field.type) and value != field.default:
            expected = f"{field.name} to be as {flag_of(field.name)} takes it"
            raise ValueError(f"{path}: expected {expected}. Received: {stored[field.name]!r}")
        found[field.name] = tuple(value) if isinstance(value, list) else value
    return found


def _fits(value, kind):
    """Whether what JSON holds is of a type."""
    options = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, list) and all(_fits(item, options[0]) for item in value)
    if typing.get_origin(kind) is typing.Literal:
        return value in options
    if options:
        return any(_fits(value, option) for option in options)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def say_how_to_go_on(settings):
    if checkpoints := Run(settings.folder).checkpoints():
        updates = int(checkpoints[-1].stem.split("-")[1].split("_")[0])
        command = f"python {sys.argv[0]}" if sys.argv[0].endswith(".py") else sys.argv[0]
        print(
            f"\nInterrupted; saved after {updates:,} updates. To go on:\n"
            f"  {command} --resume --name {shlex.quote(settings.name)}",
            file=sys.stderr,
        )


def answer_lines(task, said, show, answer=None, truncate=False, advice=None):
    """Standard input to standard output; a line that cannot be answered is named.

    Args:
        task: One of `kt.tasks`.
        said: What is not done with a line that is named, such as "translated".
        show: Function of a line and its answer, or None, to what is printed, or None for nothing.
        answer: Function of lines to their answers. Default `None`: the task itself.
        truncate: Whether lines that are too long are cut, and not named.
        advice: What to say of those that cutting would help, such as which flag does it.

    Ends with status 1 if a line was named.
    """
    failed = 0
    for first, lines in standard_input():
        problems = problems_of(task, lines, truncate, advice)
        if truncate:
            whole = zip(task.problems(lines), problems, strict=True)
            report([None if wrong else long for long, wrong in whole], "read whole", first)
        good = [line for line, problem in zip(lines, problems, strict=True) if not problem]
        answers = iter((answer or task)(good, truncate=truncate))
        failed += report(problems, said, first)
        for line, problem in zip(lines, problems, strict=True):
            text = show(line, None if problem else next(answers))
            if text is not None:
                print(text)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


def checked_line(task, flag, line, truncate=False, advice=None):
    """The line that a flag gives; refuses one that cannot be answered."""
    [problem] = problems_of(task, [line], truncate, advice)
    if problem:
        raise ValueError(f"{flag}: {problem}.")
    return line


def problems_of(task, lines, truncate=False, advice=None):
    """The task's `problems`, with advice for those that cutting would help."""
    problems = task.problems(lines, truncate)
    if not advice:
        return problems
    both = zip(problems, task.problems(lines, truncate=True), strict=True)
    return [f"{problem}; {advice}" if problem and not cut else problem for problem, cut in both]


def report(problems, said, first=1):
    """Names lines on standard error that cannot be answered; how many they are."""
    found = [(number, problem) for number, problem in enumerate(problems, first) if problem]
    for number, problem in found:
        print(f"line {number}: {problem}; not {said}", file=sys.stderr)
    return len(found)


def show_table(title, titles, rows, most=10):
    """Prints the first rows of a table."""
    table = Table(*titles, title=title, show_lines=True)
    for row in itertools.islice(rows, most):
        table.add_row(*map(escape, row))
    Console().print(table)


def standard_input():
    """Yields `(number, lines)`: what standard input holds so far, and the first line's number.

    A line at a time from a terminal, else 1,024 at a time.

    Raises:
        ValueError: for a line that is not UTF-8, and where standard input is closed.
    """
    if sys.stdin is None:
        raise ValueError("Expected lines on standard input. Received: it is closed")
    size = 1 if sys.stdin.isatty() else 1024
    stream = enumerate(sys.stdin.buffer, 1)
    while chunk := list(itertools.islice(stream, size)):
        yield chunk[0][0], [_decode(line, number) for number, line in chunk]


def _decode(line, number):
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"standard input, line {number}: not UTF-8.") from None


def one_line(text):
    """A text as one line, whatever ends lines in it: outputs stay in step with their inputs.

    >>> one_line("a\\u2028b\\n")
    'a b'
    """
    return " ".join(text.splitlines())


@contextlib.contextmanager
def clear_errors():
    """Turns a user's mistake into one sentence on standard error and status 1, Ctrl-C into 130.

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
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError) as error:
        sys.exit(f"{program()}: {error}")


def _show_warning(message, category, *place):
    if category is UserWarning:  # and not of how some code is written
        print(f"{program()}: {message}", file=sys.stderr)
