"""Dictionaries in folders: each operation against the floor and against peers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import floor, peers
from benchmarks.measuring import FLOOR, Act, Contest, Outcome, Settings
from benchmarks.values import SIZES, keys, small_dict
from perkey.formats import format_of
from perkey.naming import naming

LISTERS = ("persidict", "zict", "diskcache", "sqlitedict", "shelve")
WEAK = ("zict", "shelve", "joblib")
"""Those that sync nothing."""


class Bench:
    """Filled places of all contenders, and what they do in them.

    Args:
        folder: Where all of it is.
        values: What is in each place.
    """

    def __init__(self, folder: str, values: dict[str, Any]) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._opened: list[Any] = []
        self.values = values
        encode = format_of("pkl").encode
        self.files: dict[str, bytes] = {}
        for key, value in values.items():
            data = encode(value)
            assert isinstance(data, bytes)
            self.files[naming(8, "pkl").name_of(key)[0]] = data
        self.floor = self.new_folder(FLOOR)
        for name, data in self.files.items():
            floor.write(f"{self.floor}/{name}", data)
        self.openers = {"perkey": peers.perkey, **peers.installed(peers.PEERS)}
        self.filled = {name: self._fill(name, opener) for name, opener in self.openers.items()}

    def close(self) -> None:
        """Close all places. Their files stay till the end of the command, see `benchmarks.rewrites`."""
        for mapping in self._opened:
            peers.close(mapping)

    def new_folder(self, name: str) -> str:
        """Make an empty folder."""
        path = f"{self._folder}/{name}-{next(self._numbers)}"
        os.makedirs(path)
        return path

    def _open(self, opener: peers.Opener, folder: str) -> Any:
        mapping = opener(folder)
        self._opened.append(mapping)
        return mapping

    def _fill(self, name: str, opener: peers.Opener) -> Any:
        opener = peers.perkey_none if name == "perkey" else opener
        mapping = self._open(opener, self.new_folder(name))
        for key, value in self.values.items():
            mapping[key] = value
        return mapping

    # --- Contests -----------------------------------------------------------------------------------

    def get(self, rounds: int) -> Contest:
        """Read each item."""

        def bare() -> None:
            for name in self.files:
                floor.read(f"{self.floor}/{name}")

        def read(mapping: Any) -> None:
            for key in self.values:
                mapping[key]

        return self._contest("get", bare, read, rounds=rounds)

    def contains(self, rounds: int) -> Contest:
        """Ask for each item."""

        def bare() -> None:
            for name in self.files:
                os.stat(f"{self.floor}/{name}")

        def ask(mapping: Any) -> None:
            for key in self.values:
                assert key in mapping

        return self._contest("in", bare, ask, but=("joblib",), rounds=rounds)

    def listings(self, rounds: int) -> Iterator[Contest]:
        """Go through all items, by and by more of them."""
        but = tuple(name for name in self.openers if name not in {"perkey", *LISTERS})
        count = self._contest("len", lambda: floor.count(self.floor), len, but=but, rounds=rounds)
        yield count.repeated(20)  # one takes no longer than a disturbance
        yield self._contest("keys", lambda: floor.names(self.floor), list, but=but, rounds=rounds)
        yield self._contest(
            "items", lambda: floor.read_all(self.floor), peers.read_all, but=but, rounds=rounds
        )

    def set_new(self, rounds: int, *, durable: bool) -> Contest:
        """Write items that are not there, each time into a new place."""
        return self._writing("set new", rounds, durable=durable, fresh=True)

    def set_old(self, rounds: int, *, durable: bool) -> Contest:
        """Write items that are there."""
        return self._writing("set old", rounds, durable=durable, fresh=False)

    def update(self, rounds: int) -> Contest:
        """Write all items at once into a new place, durably; the floor writes them one by one."""
        return self._writing("update", rounds, durable=True, fresh=True, at_once=True)

    def _contest(self, name: str, bare: Any, act: Any, *, but: tuple[str, ...] = (), rounds: int) -> Contest:
        acts: dict[str, Act] = {FLOOR: bare}
        for contender, mapping in self.filled.items():
            if contender not in but:
                acts[contender] = partial(act, mapping)
        return Contest(name, len(self.values), acts, rounds=rounds)

    def _writing(
        self, name: str, rounds: int, *, durable: bool, fresh: bool, at_once: bool = False
    ) -> Contest:
        writers = self._writers(durable=durable, at_once=at_once)
        places: dict[str, Any] = {}
        acts: dict[str, Act] = {who: partial(_write_into, places, who, act) for who, act in writers.items()}

        def prepare(who: str) -> None:
            os.sync()  # nobody's syncs are to write what others left
            if fresh or who not in places:
                places[who] = self._new_place(who, durable=durable)
                if not fresh:
                    acts[who]()

        kind = "" if at_once else (", durable" if durable else ", durability none")
        before: dict[str, Act] = {who: partial(prepare, who) for who in acts}
        return Contest(name + kind, len(self.values), acts, before, rounds)

    def _new_place(self, who: str, *, durable: bool) -> Any:
        folder = self.new_folder(who)
        if who == FLOOR:
            return folder
        weak = who == "perkey" and not durable
        return self._open(peers.perkey_none if weak else self.openers[who], folder)

    def _writers(self, *, durable: bool, at_once: bool) -> dict[str, Callable[[Any], None]]:
        write = floor.write_durably if durable else floor.write

        def bare(folder: str) -> None:
            for leaf, data in self.files.items():
                write(f"{folder}/{leaf}", data)

        def assign(mapping: Any) -> None:
            if at_once and hasattr(mapping, "update"):
                mapping.update(self.values)
                return
            for key, value in self.values.items():
                mapping[key] = value

        # sqlitedict and diskcache are as durable as their settings of SQLite, which is between the two.
        but = WEAK if durable else ("diskcache", "sqlitedict")
        return {FLOOR: bare, **{who: assign for who in self.openers if who not in but}}


def _write_into(places: dict[str, Any], who: str, act: Callable[[Any], None]) -> None:
    act(places[who])


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure all operations on small dicts of about 1 KiB, and some on other sizes."""
    yield from _main_size(settings)
    if not settings.quick:
        yield from _other_sizes(settings)


def _main_size(settings: Settings) -> Iterator[Outcome]:
    suite = "1 KiB"
    rounds = settings.pick(3, 7)
    names = keys(settings.pick(300, 1000))
    bench = Bench(f"{settings.folder}/items", {key: small_dict(i) for i, key in enumerate(names)})
    try:
        for contest in (
            bench.get(rounds),
            bench.contains(rounds),
            *bench.listings(rounds),
            bench.set_new(rounds, durable=True),
            bench.set_new(rounds, durable=False),
        ):
            yield contest.hold(suite)
    finally:
        bench.close()
    names = keys(settings.pick(300, 10_000))
    bench = Bench(f"{settings.folder}/updates", {key: small_dict(i) for i, key in enumerate(names)})
    try:
        yield bench.update(settings.pick(1, 3)).hold(suite)
    finally:
        bench.close()


def _other_sizes(settings: Settings) -> Iterator[Outcome]:
    for suite, size in SIZES.items():
        if suite == "1 KiB":
            continue
        names = keys(100 if size > 1 << 16 else 500)
        values = {key: small_dict(i, size) for i, key in enumerate(names)}
        bench = Bench(f"{settings.folder}/items-{suite}", values)
        try:
            yield bench.get(5).hold(suite)
            yield bench.set_new(5, durable=True).hold(suite)
            yield bench.set_new(5, durable=False).hold(suite)
        finally:
            bench.close()
