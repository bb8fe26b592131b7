"""Lines from standard input, answers to standard output, and tables to look at."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_transformer.checks import refusal, require
from keras_transformer.tasks.task import Task


def answer_lines(
    task: Task,
    said: str,
    show: Callable[[str, Any], str | None],
    answer: Callable[..., Iterable] | None = None,
    truncate: bool = False,
    advice: str | None = None,
) -> None:
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
            name_lines([None if wrong else long for long, wrong in whole], "read whole", first)
        good = [line for line, problem in zip(lines, problems, strict=True) if not problem]
        answers = iter((answer or task)(good, truncate=truncate))
        failed += name_lines(problems, said, first)
        for line, problem in zip(lines, problems, strict=True):
            text = show(line, None if problem else next(answers))
            if text is not None:
                print(text)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


def checked_line(
    task: Task, flag: str, line: str, truncate: bool = False, advice: str | None = None
) -> str:
    """The line that a flag gives; refuses one that cannot be answered."""
    [problem] = problems_of(task, [line], truncate, advice)
    if problem:
        raise ValueError(f"{flag}: {problem}.")
    return line


def problems_of(
    task: Task, lines: Sequence[str], truncate: bool = False, advice: str | None = None
) -> list[str | None]:
    """The task's `problems`, with advice for those that cutting would help."""
    problems = task.problems(lines, truncate)
    if not advice:
        return problems
    both = zip(problems, task.problems(lines, truncate=True), strict=True)
    return [f"{problem}; {advice}" if problem and not cut else problem for problem, cut in both]


def name_lines(problems: Iterable[str | None], said: str, first: int = 1) -> int:
    """Names lines on standard error that cannot be answered; how many they are."""
    found = [(number, problem) for number, problem in enumerate(problems, first) if problem]
    for number, problem in found:
        print(f"line {number}: {problem}; not {said}", file=sys.stderr)
    return len(found)


def show_table(
    title: str, titles: Sequence[str], rows: Iterable[Sequence[str]], most: int = 10
) -> None:
    """Prints the first rows of a table."""
    table = Table(*titles, title=title, show_lines=True)
    for row in itertools.islice(rows, most):
        table.add_row(*map(escape, row))
    Console().print(table)


def standard_input() -> Iterator[tuple[int, list[str]]]:
    """Yields `(number, lines)`: what standard input holds so far, and the first line's number.

    A line at a time from a terminal, else 1,024 at a time.

    Raises:
        ValueError: for a line that is not UTF-8, and where standard input is closed.
    """
    require(sys.stdin is not None, "lines on standard input", "it is closed")
    size = 1 if sys.stdin.isatty() else 1024
    stream = enumerate(sys.stdin.buffer, 1)
    while chunk := list(itertools.islice(stream, size)):
        yield chunk[0][0], [_decoded_line(line, number) for number, line in chunk]


def _decoded_line(line, number):
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        where = f"standard input, line {number}"
        raise refusal("UTF-8", "other bytes", where=where) from None


def one_line(text: str) -> str:
    """A text as one line, whatever ends lines in it: outputs stay in step with their inputs.

    >>> one_line("a\\u2028b\\n")
    'a b'
    """
    return " ".join(text.splitlines())
