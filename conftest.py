"""For all tests: which run when, where their folders are, which formats are registered."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from perkey.formats import base as formats

pytest.register_assert_rewrite("contracts")

# The tests start many interpreters; each would compile perkey again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Machines may be slow, and are busy with other tests.
settings.register_profile("perkey", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("perkey")


LONG: Final = bool(os.environ.get("PERKEY_LONG"))
MEMORY: Final = "/dev/shm"  # noqa: S108 - the place of all that is to be in memory
ROOM: Final = 2 * 2**30
"""Bytes that must be free in memory for the folders of the tests."""

DISK: Final = os.environ.setdefault("PERKEY_TESTS_DISK", tempfile.gettempdir())
"""Where folders would be otherwise; the processes that run the tests inherit both."""

# Nothing that is collected is garbage, and looking for garbage in it takes a third of the time.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """Let the folders of the tests be in memory, where a synchronisation takes no time, if there is room.

    Those of the tests that take long are where TMPDIR says, or on the disk.
    """
    if not (LONG or _slow_ones_are_wanted(config)) and _has_room(MEMORY):
        os.environ.setdefault("TMPDIR", MEMORY)
        tempfile.tempdir = None  # what was found before is forgotten


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM


def _slow_ones_are_wanted(config: pytest.Config) -> bool:
    return "slow" in config.option.markexpr


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long, and is met in another combination, to runs of its own."""
    if LONG:
        return
    slow_ones_are_wanted = _slow_ones_are_wanted(config)
    later = {
        item
        for item in items
        if _takes_long(item) or (item.get_closest_marker("slow") and not slow_ones_are_wanted)
    }
    config.hook.pytest_deselected(items=list(later))
    items[:] = [item for item in items if item not in later]


def pytest_collection_finish() -> None:
    """Let what was collected be no part of what is searched for garbage, again and again."""
    gc.freeze()
    gc.enable()


def _takes_long(item: pytest.Item) -> bool:
    if item.get_closest_marker("long"):
        return True
    cls = getattr(item, "cls", None)
    return getattr(cls, "empty_places_take_long", False) and "[empty place" in item.name


@pytest.fixture
def on_the_disk() -> Iterator[Path]:
    """A folder that is not in memory, for a test about file systems."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(autouse=True)
def _formats_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the formats that a test registers, as code of the documentation does, when it ends."""
    monkeypatch.setattr(formats, "_formats", dict(vars(formats)["_formats"]))
