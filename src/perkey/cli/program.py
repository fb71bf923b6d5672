"""The commands of `perkey`, and what becomes of their errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final

import click

from perkey import PerkeyError, __version__
from perkey.cli.groups import LazyGroup
from perkey.cli.output import note, sentence, standard_streams

_EXPECTED: Final = (PerkeyError, OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError)
_INTERRUPTED: Final = 130

# The help on a group of commands without a command; click 8.1 prints it itself.
_HELP: Final[type[click.UsageError] | tuple[()]] = getattr(click.exceptions, "NoArgsIsHelpError", ())


_SECTIONS: Final = {
    "Look": (
        ("ls", "list keys"),
        ("tree", "draw keys as a tree"),
        ("get", "print values"),
        ("find", "find items by their values"),
        ("info", "describe a place or an item"),
        ("du", "sizes, by parts of keys"),
        ("view", "places in a browser"),
    ),
    "Change": (
        ("put", "write values"),
        ("rm", "remove items"),
        ("cp", "copy to another place"),
        ("sync", "make a copy equal"),
        ("convert", "change the format"),
        ("prune", "remove old items"),
    ),
    "Check": (
        ("verify", "find damaged values"),
        ("doctor", "what a place guarantees"),
        ("claims", "which process computes what"),
    ),
    "More": (
        ("space", "data spaces, as signac"),
        ("help", "examples of commands"),
        ("completion", "for bash, zsh, fish"),
    ),
}
"""The commands as they are listed. The texts stand here, so that listing them loads no command."""


class _Program(LazyGroup):
    """The program; its help fits a screen of 24 lines and 80 columns."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(
            f"Usage: {ctx.command_path} [OPTIONS] COMMAND ...\n\n"
            "  Persistent dictionaries: a PLACE is a folder or a URL (s3://bucket/prefix),\n"
            "  a KEY has slashes: run1/loss.  `perkey COMMAND --help` shows examples.\n"
            "  So: perkey ls results; perkey cp results s3://bucket/results\n\n"
        )
        for title, commands in _SECTIONS.items():
            half = (len(commands) + 1) // 2
            pairs = zip_longest(commands[:half], commands[half:], fillvalue=("", ""))
            for number, (left, right) in enumerate(pairs):
                head = title if not number else ""
                text = f"{head:<8}{left[0]:<8}{left[1]:<25}{right[0]:<12}{right[1]}"
                formatter.write(f"{text.rstrip()}\n")
        formatter.write(
            "\nOptions, before or after the command:\n"
            "  -q, --quiet    no progress           -v, --verbose  details\n"
            "  -y, --yes      yes to all questions  --debug        where an error occurred\n"
            "  --version      the version           -h, --help     this, or a command's help\n"
        )


@click.group(
    cls=_Program,
    modules={name: f"perkey.cli.{name}" for commands in _SECTIONS.values() for name, _ in commands},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="perkey")
@click.option("--debug", is_flag=True, help="Show where in the program an error occurred.")
@click.option("-v", "--verbose", is_flag=True, help="Print details.")
@click.option("-q", "--quiet", is_flag=True, help="Print data and errors only, no progress.")
@click.option("-y", "--yes", is_flag=True, help="Answer all questions with yes.")
@click.pass_context
def perkey(context: click.Context, *, debug: bool, verbose: bool, quiet: bool, yes: bool) -> None:
    """Persistent dictionaries and data spaces."""
    set_flags(context, debug=debug, quiet=quiet, yes=yes, verbose=verbose)


def set_flags(context: click.Context, **flags: bool) -> None:
    """Note the options that are for all commands; they may be given before or after ``space``."""
    context.obj |= {name: context.obj[name] or value for name, value in flags.items()}


def run(words: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; see `perkey.cli.main`."""
    with standard_streams():
        return _run(words)


def _run(words: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if words is None else words)
    flags: dict[str, Any] = {"debug": False, "quiet": False, "yes": False, "verbose": False}
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = perkey.main(arguments, "perkey", standalone_mode=False, obj=flags)
        sys.stdout.flush()
    except SystemExit as asked:  # of a program that was run, or click's answer to a reader that went away
        return _exit_code(asked.code)
    except click.Abort as error:
        if isinstance(error.__cause__ or error.__context__, EOFError):
            return _fail("input is needed, but standard input is closed; use --yes", 1)
        advice = flags.get("resume")
        return _fail(f"interrupted: {advice}" if advice else "interrupted", _INTERRUPTED)
    except click.UsageError as error:
        if isinstance(error, _HELP):
            click.echo(error.format_message(), err=True)
            return error.exit_code
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return _fail(error.format_message() + where, error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes it once more, and complains
        return 1
    except _EXPECTED as error:
        if flags["debug"]:
            raise
        return _fail(sentence(error), 1)
    return code if isinstance(code, int) else 0  # of click.exceptions.Exit, which main() has caught


def _exit_code(code: object) -> int:
    """Return the exit code of a program that has called `sys.exit`, as Python does."""
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


def _fail(message: str, code: int) -> int:
    note(f"perkey: {' '.join(message.split())}")
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"perkey: warning: {message}")
