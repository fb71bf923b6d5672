"""What commands print: lines, JSON and Python's own form; and how far long work has come."""

from __future__ import annotations

import errno
import io
import json
import os
import pprint
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO, TypeVar, cast

import click

from perkey.errors import counted

T = TypeVar("T")

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""They move the cursor or make a terminal answer; values and names of files may have them."""

_TYPED: Final = tuple(
    (re.compile(argument), option)
    for argument, option in (
        (r"\b(?:pass )?(delete|force|checksum|unconditional)=True\b", r"--\1"),
        (r"\boverwrite=False\b", "--no-clobber"),
        (r"\bunsigned=True\b", "?unsigned=true behind the address"),
        (r"\brepair='quarantine'", "--quarantine"),
        (r"\bfile_type='([^']*)'", r"--file-type \1"),
        (r"\bdigest_len=(\d+)", r"--digest-len \1"),
        (r"\bmode='a' makes it", "`perkey put` makes it"),
        (r"\[Errno \d+\] ", ""),
        (r"; clear\(\) does that", "; `perkey rm --all` does that"),
        (r"; only a constructor with create=True makes it", "; check the address"),
    )
)
"""What messages of the functions name, and what is typed for it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class _Closed(io.TextIOBase):
    """Stands for a standard stream that the caller has closed: whatever is read or written fails.

    Args:
        name: Which stream.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def buffer(self) -> _Closed:
        """Itself, for bytes."""
        return self

    def _refuse(self, *_: object) -> Any:
        raise OSError(errno.EBADF, "it is closed", self._name)

    read = readline = write = _refuse


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make the standard streams such that data is not lost in them.

    Streams that are closed raise when they are used. A pipe or a file gets UTF-8, whatever the code page
    is. What cannot be shown, such as names of files that are not UTF-8, is escaped.
    """
    before = sys.stdin, sys.stdout
    sys.stdin = sys.stdin or cast("TextIO", _Closed("standard input"))
    sys.stdout = sys.stdout or cast("TextIO", _Closed("standard output"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        elif "PYTHONIOENCODING" not in os.environ:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        sys.stdin, sys.stdout = before


def lines(texts: Iterable[str]) -> None:
    """Print lines, as fast as the reader takes them."""
    for text in texts:
        sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(text: object) -> None:
    """Print one line."""
    lines([str(text)])


def dumped(value: Any, *, indent: int | None = None, sort: bool = False) -> str:
    """Return JSON; what JSON does not know, as text."""
    return json.dumps(value, indent=indent, sort_keys=sort, default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def pretty(value: Any, depth: int | None) -> str:
    """Return a value in Python's form, down to a depth; 0 and None are all of it."""
    return pprint.pformat(value, depth=depth or None)


def harmless(text: str) -> str:
    """Return a text for a terminal: control characters are shown as Python writes them."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def note(text: str) -> None:
    """Report to people, aside from the output."""
    click.echo(harmless(text), err=True)


def sentence(error: BaseException) -> str:
    """Return the message of an error, in words for people."""
    if isinstance(error, OSError) and error.strerror:
        return as_typed(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    if type(error) is KeyError:
        return f"there is no {error}"
    return as_typed(str(error) or type(error).__name__)


def as_typed(text: str) -> str:
    """Return a message of a function with the options of the program in place of its arguments."""
    for argument, option in _TYPED:
        text = argument.sub(option, text)
    return text


def detail(text: str) -> None:
    """Report details, with --verbose."""
    if click.get_current_context().find_root().obj["verbose"]:
        note(text)


def track(items: Collection[T], label: str | None) -> Iterable[T]:
    """Iterate, and show the progress under a label at a terminal."""
    if label is None or not sys.stderr.isatty() or len(items) < 2:  # noqa: PLR2004 - one item is soon done
        return items
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import track as tracked  # noqa: PLC0415

    return tracked(items, label, console=Console(stderr=True), transient=True)


@contextmanager
def working(label: str) -> Iterator[None]:
    """Show at a terminal that work of unknown length is under way."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import

    with Console(stderr=True).status(label):
        yield


def each(items: Collection[T], label: str | None, act: Callable[[T], object]) -> None:
    """Do something with each; failures are reported in a line each, do not stop the others, and exit with 1.

    Args:
        items: What to do it with.
        label: As for `track`.
        act: Does it.
    """
    failed = False
    for item in track(items, label):
        try:
            act(item)
        except (click.Abort, click.exceptions.Exit):  # which are RuntimeErrors
            raise
        except (OSError, LookupError, RuntimeError, ValueError) as error:
            message = sentence(error)
            note(f"perkey: {message}" if str(item) in message else f"perkey: {item}: {message}")
            failed = True
    if failed:
        raise click.exceptions.Exit(1)


def form(values: Mapping[str, Any], depth: int | None, indent: int | None, *, sort: bool) -> str:
    """Return a state point or document as the options `--pretty`, `--indent` and `--sort` want it."""
    if depth is not None:
        return pretty(dict(values), depth)
    return dumped(dict(values), indent=indent, sort=sort)


def remark(text: str) -> None:
    """Report to people what is not an error, unless --quiet."""
    if not click.get_current_context().find_root().obj.get("quiet"):
        note(text)


def list_failures(found: Mapping[tuple[str, ...], str], total: int) -> None:
    """Print the reasons for which items failed, a line for each, and how many more there are."""
    for key, reason in found.items():
        note(f"perkey: {'/'.join(key)}: {' '.join(as_typed(reason).split())}")
    if total > len(found):
        note(f"perkey: {counted(total - len(found), 'more item')} failed, not listed here")


@contextmanager
def failures() -> Iterator[Callable[[str, object], None]]:
    """Yield a function that reports the failure of one item in a line; failures exit with 1 at the end."""
    failed = False

    def report(label: str, error: object) -> None:
        nonlocal failed
        failed = True
        text = sentence(error) if isinstance(error, BaseException) else str(error)
        note(f"perkey: {label}: {' '.join(text.split())}")

    yield report
    if failed:
        raise click.exceptions.Exit(1)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Yield a function to call for each item that is done; a terminal shows a bar, or a count.

    Args:
        label: What is done.
        total: How many items there are, if that is known.
    """
    context = click.get_current_context(silent=True)
    quiet = context is not None and context.find_root().obj.get("quiet")
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress as bars  # noqa: PLC0415 - slow to import
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=total)
        yield lambda: shown.advance(task)
