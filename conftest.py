"""For all tests: which belong to the long form only, and where doctests run."""

import os
import zlib

import pytest
from hypothesis import HealthCheck, settings

from perkey.testing.dicts.order import OrderClauses

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
    if getattr(getattr(item, "module", None), "one_engine_each", False) and "boto3" in item.name:
        return bool(zlib.crc32(item.name.encode()) % 2)
    if getattr(getattr(item, "module", None), "one_engine_each", False) and "obstore" in item.name:
        return not zlib.crc32(item.name.replace("obstore", "boto3").encode()) % 2
    half = getattr(cls, "half", None)
    if half is not None and zlib.crc32(item.name.encode()) % 2 != half:
        return True  # a class of another engine on the same service has it
    if getattr(cls, "order_takes_long", False) and item.name.partition("[")[0] in vars(OrderClauses):
        return True
    return getattr(cls, "empty_places_take_long", False) and "[empty place" in item.name


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
