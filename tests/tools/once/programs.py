"""Starts `workers` as programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WORKERS: Final = Path(__file__).with_name("workers.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a function of `workers`."""
    command = [sys.executable, str(WORKERS), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a function of `workers`, and kill it at the end of the block."""
    process = start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program wrote."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
