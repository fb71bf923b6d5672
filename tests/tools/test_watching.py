"""Watching: what lasts until the next look is seen, by whatever writer, and goes on from a token."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perkey import CachedDict, FileDirDict, LocalDict, PersiDict, claim, watch
from perkey.tools.watching import Change, Token

PLACES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, "json"),
    "memory": lambda _: LocalDict("json"),
    "part": lambda path: FileDirDict(path, "json").get_subdict("below"),
    "cached": lambda path: CachedDict(FileDirDict(path, "json"), LocalDict("json")),
}
places = pytest.mark.parametrize("place", PLACES)


def seen(changes: Any) -> list[tuple[tuple[str, ...], str]]:
    return sorted((change.key, change.kind) for change in changes)


@places
def test_what_has_happened_since_a_token(place: str, tmp_path: Path) -> None:
    d = PLACES[place](tmp_path)
    d.update({"a": 1, "b": 2, ("c", "x"): 3})
    token = watch(d).token
    assert seen(watch(d, since=token, timeout=0)) == []
    d["a"], d["new"] = 5, 6
    del d["c", "x"]
    with claim(d, "a"):
        expected = [(("a",), "written"), (("c", "x"), "deleted"), (("new",), "written")]
        for since in (token, bytes(token), pickle.loads(pickle.dumps(token))):
            assert seen(watch(d, since=since, timeout=0)) == expected
    assert seen(watch(d, since=Token(), timeout=0)) == [
        (("a",), "written"),
        (("b",), "written"),
        (("new",), "written"),
    ]


@places
def test_each_token_goes_on_after_its_change(place: str, tmp_path: Path) -> None:
    d = PLACES[place](tmp_path)
    d.update({f"k{n}": n for n in range(5)})
    before = watch(d).token
    d.update({"k1": 11, "new": 5})
    del d["k2"]
    changes = list(watch(d, since=before, timeout=0))
    assert len(changes) == 3
    for at, change in enumerate(changes):
        rest = watch(d, since=bytes(change.token), timeout=0)
        assert seen(rest) == seen(changes[at + 1 :])


def test_only_a_prefix(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    w = watch(d, "x", timeout=0)
    d["x", "a"] = d["y"] = 1
    assert seen(w) == [(("x", "a"), "written")]
    with pytest.raises(ValueError, match="prefix"):
        watch(d, "y", since=w.token)
    with pytest.raises(ValueError, match="token"):
        watch(d, since=b"other bytes")


def test_a_content_of_equal_size_and_coarse_time_is_seen(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    d["a"] = 1
    os.utime(d.path("a"), (1_700_000_000, 1_700_000_000))
    token = watch(d).token
    d.path("a").write_bytes(b"2")
    os.utime(d.path("a"), (1_700_000_000, 1_700_000_000))
    assert seen(watch(d, since=token, timeout=0)) == [(("a",), "written")]


@pytest.mark.parametrize("notified", [True, False])
def test_nothing_that_lasts_is_missed(
    notified: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under two writers, the changes lead to what is there at the end."""
    if not notified:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    d = FileDirDict[Any](tmp_path, "json", durability="none")
    d.update({f"k{n}": 0 for n in range(20)})
    known = {tuple(key) for key in d}
    w = watch(d, interval=0.05, timeout=2.0)

    def write(which: int) -> None:
        for n in range(150):
            d[f"k{(n * 7 + which) % 40}"] = n
            d.discard(f"k{(n * 3 + which) % 40}")

    writers = [threading.Thread(target=write, args=(which,)) for which in range(2)]
    for writer in writers:
        writer.start()
    for change in w:
        (known.add if change.kind == "written" else known.discard)(change.key)
    for writer in writers:
        writer.join()
    assert known == {tuple(key) for key in d}
    assert w.token == watch(d).token


def test_notifications_shorten_the_wait(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    with watch(d, interval=20, timeout=20) as w:
        threading.Timer(1.0, d.__setitem__, ("a", 1)).start()
        began = time.monotonic()
        assert next(w).key == ("a",)
        assert time.monotonic() - began < 15


def test_async_iteration(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")

    async def collect() -> list[Change]:
        found = []
        w = watch(d, interval=0.05, timeout=10)
        d["a"] = 1
        async for change in w:
            found.append(change)
            if change.key == ("a",):
                await asyncio.to_thread(d.__setitem__, "b", 2)
            else:
                break
        return found

    assert seen(asyncio.run(collect())) == [(("a",), "written"), (("b",), "written")]


def test_closing_ends_the_iteration() -> None:
    d = LocalDict[Any]()
    with watch(d, interval=0.02) as w:
        d["a"] = 1
        assert next(w).as_dict() == {"key": ["a"], "kind": "written"}
    assert list(w) == []


def test_a_folder_that_vanishes_is_an_error_and_not_a_deletion(tmp_path: Path) -> None:
    place = tmp_path / "place"
    d = FileDirDict[Any](place, "json", durability="none")
    d.update({"a": 1, "b": 2})
    seen = watch(d, interval=0.02, timeout=20)
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="place"):
        next(seen)
    (tmp_path / "elsewhere").rename(place)
    d["c"] = 3
    assert (next(seen).key, seen.token is None) == (("c",), False)
    seen.close()
