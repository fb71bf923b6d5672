"""What was cached too long ago is read anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perkey import CachedDict, FileDirDict, LocalDict, PersiDict
from perkey.stores import CachedStore, MemoryStore
from perkey.testing import FaultyStore

LARGE = "x" * (3 << 20)
CACHES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "memory": lambda _: LocalDict(),
    "folder": lambda path: FileDirDict(path / "cache", durability="none"),
}


class Clock:
    """Stands in for `time.time`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr("perkey.stores.cached.time.time", lambda: real() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("value", ["small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("max_age", [100, timedelta(seconds=100)])
def test_a_trusted_value_is_served_for_so_long(
    cache: str, value: str, max_age: Any, clock: Clock, tmp_path: Path
) -> None:
    main = FileDirDict[Any](tmp_path / "main", immutable_items=True)
    d = CachedDict(main, CACHES[cache](tmp_path), max_age=max_age)
    d["a"] = value
    assert d["a"] == value
    main.path("a").unlink()
    clock.ahead = 99
    assert d["a"] == value
    assert "a" in d
    assert type(d)(**d.get_params())["a"] == value
    clock.ahead = 101
    assert "a" not in d
    with pytest.raises(KeyError):
        d.get_subdict()["a"]


@pytest.mark.parametrize("ahead", [101.0, -1000.0])
def test_an_expired_entry_is_removed_when_it_is_met(ahead: float, clock: Clock) -> None:
    """One from the future, too: a clock was set back."""
    main, cache = FaultyStore(MemoryStore()), MemoryStore()
    store = CachedStore(main, cache, max_age=100)
    version = store.write(("a",), b"content")
    assert store.read(("a",)) == (b"content", version)
    clock.ahead = ahead
    main.calls.clear()
    assert store.read(("a",)) == (b"content", version)
    assert len(list(cache.scan())) == 1  # kept anew
    assert store.read(("a",), unless=version) is None
    main.inner.remove(("a",))
    clock.ahead += 101 if ahead > 0 else -1000
    with pytest.raises(KeyError):
        store.read(("a",))
    assert list(cache.scan()) == []


def test_without_an_age_entries_do_not_expire(clock: Clock) -> None:
    main = LocalDict[Any](immutable_items=True)
    d = CachedDict(main, LocalDict())
    d["a"] = 1
    clock.ahead = 1e9
    main.store.remove(next(main.store.scan()))
    assert d["a"] == 1


@pytest.mark.parametrize("wrong", ["1h", True, [1]])
def test_wrong_ages_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="max_age"):
        CachedDict(LocalDict(), LocalDict(), max_age=wrong)
    with pytest.raises(ValueError, match="max_age"):
        CachedDict(LocalDict(), LocalDict(), max_age=-1)
