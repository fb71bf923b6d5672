"""The program `perkey`; everything but this function needs the extra ``cli``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perkey.errors import MissingExtraError


def main(words: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    0 is success, 1 a failure, 2 a wrong command line and 130 an interruption; what went wrong is said in one
    line on the standard error.

    Args:
        words: The command line without the program's name; None is that of this process.
    """
    try:
        import click  # noqa: F401, PLC0415 - an extra
        import rich  # noqa: F401, PLC0415 - the same
    except ModuleNotFoundError as error:
        missing = MissingExtraError("the program perkey", "cli", str(error.name))
        sys.stderr.write(f"perkey: {missing}\n")
        return 1
    try:
        from perkey.cli.program import run  # noqa: PLC0415 - needs click

        return run(words)
    except KeyboardInterrupt:  # while it was loading, or printing what was left
        sys.stderr.write("perkey: interrupted\n")
        return 130
