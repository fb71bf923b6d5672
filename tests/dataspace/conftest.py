"""A project of one's own, far from anybody's home."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crashes import folder_in_memory

from perkey.dataspace import Project, init_project


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that nobody's configuration is read or written."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, fast and not durable."""
    return init_project("test", tmp_path / "project", durability="none")


@pytest.fixture
def other(tmp_path: Path) -> Project:
    """Another empty project."""
    return init_project("other", tmp_path / "other", durability="none")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, if there is one."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files and folders that were brought to the disk, as they were then."""
    paths: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def record(fd: int, real: Callable[[int], None] = real) -> None:
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
            real(fd)

        monkeypatch.setattr(os, name, record)
    return paths
