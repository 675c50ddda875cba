"""What the command line shows: progress with time left, tables, and messages.

Progress and messages go to standard error, so that standard output stays clean for results.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.progress import Progress as Step
from napari_convnet.progress import format_seconds, seconds_left

Result = TypeVar("Result")

#: A log file or a batch system's output gets a line this often instead of a moving bar.
_SECONDS_BETWEEN_LINES = 5.0
#: Width of tables in a file, which must not be cut as on a narrow screen.
_FILE_WIDTH = 160

_messages = Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Show one message, whatever characters are in it, on one line."""
    _messages.print(text, style=style, markup=False, soft_wrap=True)


def fail(error: UserError) -> NoReturn:
    """Show a message for the user and leave with exit status 1."""
    say(f"{error.code} {error.message}", "red")
    if error.details:
        say(error.details, "dim")
    sys.exit(1)


def say_ignored(image: CleanImage) -> None:
    """Say what of an image is not used or cannot be seen, if anything."""
    for note in image.notes:
        say(str(note))


def follow(steps: Generator[Step, None, Result], description: str) -> Result:
    """Run a job to its end and show how far it is."""
    show = _bar if _messages.is_terminal else _lines
    with closing(steps), show(description) as update:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            update(step)


@contextmanager
def _bar(description: str) -> Iterator[Callable[[Step], None]]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_messages) as bar:
        task = bar.add_task(description, total=None, text="")
        score = ""

        def update(step: Step) -> None:
            nonlocal score
            score = _score(step) or score
            bar.update(task, completed=step.done, total=step.total or None, text=step.text + score)

        yield update


@contextmanager
def _lines(description: str) -> Iterator[Callable[[Step], None]]:
    started = last = time.monotonic()
    score = ""

    def update(step: Step) -> None:
        nonlocal last, score
        score = _score(step) or score
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            left = seconds_left(now - started, step.done, step.total)
            time_left = "" if left is None else f", {format_seconds(left)} left"
            say(f"{description}: {step.text}{score}{time_left}")

    yield update
    say(f"{description}: done in {format_seconds(time.monotonic() - started)}{score}")


def _score(step: Step) -> str:
    score = getattr(step, "score", None)
    return "" if score is None else f", held-out score {score:.3f}"


@contextmanager
def stopped_by_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl+C into a request to stop; the second one interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def request(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()
        say("Stopping after this step; the best model is kept. Ctrl+C again leaves at once.")

    signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows of values under their column names, to standard output."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        is_number = all(isinstance(row[column], int | float | None) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(format_value(row[column]) for column in columns))
    results = Console(highlight=False)
    results.print(table, width=None if results.is_terminal else _FILE_WIDTH)


def format_value(value: Any) -> str:
    """Write a value as people read it; what could not be measured is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
