"""What is killed at each of its points; in a module that imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from perkey.synced import JSONDict


def update(path: Path) -> None:
    JSONDict(path).update(new=2)
