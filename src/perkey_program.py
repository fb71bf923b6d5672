"""The program `perkey` as it is installed; an interruption while perkey is imported shows no traceback.

This module is outside the package, because Python imports the package before any module of it.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program as `perkey.cli.main`, and return its exit code."""
    try:
        from perkey.cli import main as run  # noqa: PLC0415 - an interruption of this import is caught

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("perkey: interrupted\n")
        return 130
