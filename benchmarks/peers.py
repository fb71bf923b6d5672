"""Other libraries, each as a mapping in a folder; those that are not installed are left out, and named."""

from __future__ import annotations

import pickle
import shelve
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from typing import Any, TypeAlias

Opener: TypeAlias = Callable[[str], Any]


def perkey(folder: str) -> Any:
    """Durable, as it comes."""
    from perkey import FileDirDict

    return FileDirDict[Any](folder)


def perkey_none(folder: str) -> Any:
    """Atomic, as durable as the system pleases."""
    from perkey import FileDirDict

    return FileDirDict[Any](folder, durability="none")


def persidict(folder: str) -> Any:
    """As it comes."""
    from persidict import FileDirDict

    return FileDirDict(base_dir=folder)


def zict(folder: str) -> Any:
    """Its files, with pickles in them."""
    from zict import File, Func

    return Func(pickle.dumps, pickle.loads, File(folder))


def diskcache(folder: str) -> Any:
    """Its cache, without a bound."""
    from diskcache import Cache

    return Cache(folder, eviction_policy="none", size_limit=1 << 40)


def shelf(folder: str) -> Any:
    """Python's own."""
    return shelve.open(f"{folder}/shelf")


def sqlitedict(folder: str) -> Any:
    """Committing each assignment, as the others do."""
    from sqlitedict import SqliteDict

    return SqliteDict(f"{folder}/db.sqlite", autocommit=True)


class JoblibStore:
    """Results of a function that joblib remembers; assigning also computes one, which takes 50 µs."""

    def __init__(self, folder: str) -> None:
        from joblib import Memory

        from benchmarks.values import small_dict

        self._remember = Memory(folder, verbose=0).cache(small_dict)

    def __getitem__(self, key: str) -> Any:
        return self._remember(int(key.removeprefix("key")))

    def __setitem__(self, key: str, value: Any) -> None:
        self._remember(int(key.removeprefix("key")))


PEERS: dict[str, Opener] = {
    "persidict": persidict,
    "zict": zict,
    "diskcache": diskcache,
    "sqlitedict": sqlitedict,
    "shelve": shelf,
    "joblib": JoblibStore,
}


def installed(names: dict[str, Opener]) -> dict[str, Opener]:
    """Return those that can be imported."""
    return {name: opener for name, opener in names.items() if find_spec(name) is not None}


def missing() -> list[str]:
    """Return the names of peers that cannot."""
    return [name for name in PEERS if find_spec(name) is None]


def close(mapping: Any) -> None:
    """Close what wants to be closed."""
    if hasattr(mapping, "close"):
        with closing(mapping):
            pass


def read_all(mapping: Any) -> list[tuple[Any, Any]]:
    """Go through keys and values, as the library offers it."""
    if hasattr(mapping, "items"):
        return list(mapping.items())
    return [(key, mapping[key]) for key in mapping]  # diskcache has no items()
