"""The program `perkey`; everything but this module needs the extra ``cli``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from perkey.errors import MissingExtraError


def main(words: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    0 is success, 1 a failure, 2 a wrong command line and 130 an interruption; a failure is reported in one
    line on the standard error.

    Args:
        words: The command line without the program's name; None is that of this process.
    """
    try:
        missing = next((package for package in ("click", "rich") if not _is_there(package)), None)
        if missing is not None:
            asked = sys.argv[1:] if words is None else words
            command = next((word for word in asked if not word.startswith("-")), "")
            extra = "view" if command == "view" else "cli"  # the extra of the viewer brings the program, too
            sys.stderr.write(f"perkey: {MissingExtraError('the program perkey', extra, missing)}\n")
            return 1
        from perkey.cli.program import run  # noqa: PLC0415 - needs click

        return run(words)
    except KeyboardInterrupt:  # while it was loading, or printing what was left
        sys.stderr.write("perkey: interrupted\n")
        return 130


def _is_there(package: str) -> bool:
    # Looked for and not imported: rich is slow, and needed for long work only.
    return sys.modules.get(package, package) is not None and find_spec(package) is not None
