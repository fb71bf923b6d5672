"""The commands of `perkey`, and what becomes of their errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, Final

import click

from perkey import PerkeyError, __version__
from perkey.cli.groups import LazyGroup

_EXPECTED: Final = (PerkeyError, OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError)
_INTERRUPTED: Final = 130

# The help on a group of commands without a command; click 8.1 prints it itself.
_HELP: Final[type[click.UsageError] | tuple[()]] = getattr(click.exceptions, "NoArgsIsHelpError", ())


@click.group(
    cls=LazyGroup,
    modules={"space": "perkey.cli.space", "doctor": "perkey.cli.doctor"},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="perkey")
@click.option("--debug", is_flag=True, help="Show where in the program an error occurred.")
@click.option("-v", "--verbose", is_flag=True, help="Print details.")
@click.option("-y", "--yes", is_flag=True, help="Answer all questions with yes.")
@click.pass_context
def perkey(context: click.Context, *, debug: bool, verbose: bool, yes: bool) -> None:
    """Persistent dictionaries and data spaces."""
    say(context, debug=debug, yes=yes, verbose=verbose)


def say(context: click.Context, **flags: bool) -> None:
    """Note the options that are for all commands; they may be given before or after ``space``."""
    context.obj |= {name: context.obj[name] or value for name, value in flags.items()}


def run(words: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; see `perkey.cli.main`."""
    arguments = list(sys.argv[1:] if words is None else words)
    said: dict[str, Any] = {"debug": False, "yes": False, "verbose": False}
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = perkey.main(arguments, "perkey", standalone_mode=False, obj=said)
        sys.stdout.flush()
    except SystemExit as asked:  # of a program that was run, or click's answer to a reader that went away
        return _exit_code(asked.code)
    except click.Abort as error:
        if isinstance(error.__cause__ or error.__context__, EOFError):
            return _fail("input is needed, but standard input is closed; use --yes", 1)
        return _fail("interrupted", _INTERRUPTED)
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
        if said["debug"]:
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
    click.echo(f"perkey: {' '.join(message.split())}", err=True)
    return code


def sentence(error: BaseException) -> str:
    """Return the message of an error, in words for people."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if type(error) is KeyError:
        return f"there is no {error}"
    return str(error) or type(error).__name__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"perkey: warning: {message}", err=True)
