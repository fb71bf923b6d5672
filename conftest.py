"""For all tests: which belong to the long form only, where doctests run, which formats are registered."""

import os
import sys

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long, and is met in another combination, to the long form of the tests."""
    later = {item for item in items if _takes_long(item)}
    if later and not os.environ.get("PERKEY_LONG"):
        config.hook.pytest_deselected(items=list(later))
        items[:] = [item for item in items if item not in later]


def _takes_long(item: pytest.Item) -> bool:
    if item.get_closest_marker("long"):
        return True
    cls = getattr(item, "cls", None)
    return getattr(cls, "empty_places_take_long", False) and "[empty place" in item.name


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(autouse=True)
def _formats_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the formats that a test registers, as code of the documentation does, when it ends."""
    monkeypatch.setattr(formats, "_formats", dict(vars(formats)["_formats"]))
