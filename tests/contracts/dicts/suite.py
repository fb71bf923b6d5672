"""What every clause of the dictionary contract starts from: a dictionary, values for it, other items."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar, Final, TypeAlias

import pytest

from perkey.keys import NonEmptySafeStrTuple
from perkey.mapping import PersiDict

Plain: TypeAlias = dict[tuple[str, ...], Any]
"""What a dictionary should hold, as a plain dict."""


@dataclass(frozen=True)
class Values:
    """Values that a dictionary can hold.

    Attributes:
        make: Returns the value of a number; different ones for different numbers.
        number: Returns the number of a value.
        base_class: A class that all of them are of.
        unstorable: A value that the format refuses.
    """

    make: Callable[[int], Any]
    number: Callable[[Any], int]
    base_class: type
    unstorable: Any

    def __call__(self, number: int) -> Any:
        return self.make(number)


PICKLED: Final = Values(
    lambda n: {"n": n, "set": {n, "x"}, "raw": bytes([n % 256]), "pair": (n, None)},
    lambda value: int(value["n"]),
    dict,
    lambda: None,
)
"""Values for pickles: of types that other formats do not have."""

PLAIN: Final = Values(
    lambda n: {"n": n, "list": [n, None, True, n / 7], "text": "ü\n"},
    lambda value: int(value["n"]),
    dict,
    lambda: None,
)
"""Values that are plain JSON."""

TEXTS: Final = Values(lambda n: f"{n}|ü\r\n\t ", lambda value: int(value.split("|")[0]), str, 12)
"""Values for dictionaries of text."""

OTHERS: Final[dict[tuple[str, ...], int]] = {
    ("other",): 101,
    ("others", "a"): 102,
    ("others", "b", "c"): 103,
}
"""Keys that a dictionary may hold at first, and the numbers of their values; no clause touches them."""

FOREIGN: Final = (("foreign.other",), ("x", "foreign.other"), ("foreign",))
"""Names in the same place that are no keys of the dictionary."""


class DictSuite:
    """Base of all clauses; a backend's author overrides `make_dict`, and perhaps the rest.

    Each clause runs in an empty place and in one with other items and foreign ones.
    """

    values: ClassVar[Values] = PICKLED
    rounds: ClassVar[int] = 10
    """How often a race is run; for slow places fewer."""

    threads: ClassVar[int] = 4
    """How many threads race."""

    handles_share_the_place: ClassVar[bool] = True
    """Whether an unpickled handle, or one made with the same parameters, has the same items."""

    time_resolution: ClassVar[float] = 0.002
    """Seconds after which the place gives a later timestamp."""

    tmp_path: Path
    others: Plain
    """What was there before the test."""

    @pytest.fixture(autouse=True)
    def own_folder(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Make the test's folder; pytest's own would take longer the more of them there are."""
        self.tmp_path = Path(mkdtemp(dir=tmp_path_factory.getbasetemp(), prefix="place-"))
        yield
        rmtree(self.tmp_path)

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        """Return a dictionary that is empty and nobody else's.

        Args:
            **params: `immutable_items` and `base_class_for_values`, if they are not the usual ones.
        """
        raise NotImplementedError

    def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
        """Return another handle on the same items; where there is only one, that one."""
        unpickled: PersiDict[Any] = pickle.loads(pickle.dumps(d))
        return unpickled

    @pytest.fixture(params=["empty place", "place with other items"])
    def d(self, request: pytest.FixtureRequest) -> Iterator[PersiDict[Any]]:
        """A dictionary; at the end other items are as they were."""
        d = self.make_dict()
        self.fill(d, others=request.param != "empty place")
        yield d
        assert {key: d.get(key) for key in self.others} == self.others, "other items were touched"
        assert all(d.store.read(name) for name in FOREIGN if self.others), "foreign items were touched"

    def fill(self, d: PersiDict[Any], *, others: bool) -> None:
        """Put other and foreign items into the place, or none."""
        self.others = {}
        if others:
            for key, number in OTHERS.items():
                d[key] = self.values(number)
                self.others[key] = self.values(number)
            for name in FOREIGN:
                d.store.write(name, b"foreign")

    def assert_holds(self, d: PersiDict[Any], mine: Mapping[Any, Any]) -> None:
        """Assert that `d` holds these items besides the others, whichever way one looks."""
        assert_agrees(d, {**self.others, **{as_key(key): value for key, value in mine.items()}})

    def keys(self, d: PersiDict[Any]) -> set[tuple[str, ...]]:
        """Return the keys besides the others."""
        return {tuple(key) for key in d} - set(self.others)


def as_key(key: Any) -> tuple[str, ...]:
    """Return a key in its plain form."""
    return tuple(NonEmptySafeStrTuple(key))


def assert_agrees(d: PersiDict[Any], plain: Plain) -> None:
    """Assert that everything that tells of the content of `d` tells the same as a plain dict."""
    listed = list(d)
    assert all(type(key) is NonEmptySafeStrTuple for key in listed)
    assert sorted(listed) == sorted(d.keys()) == sorted(plain), "keys"
    assert len(d) == len(d.keys()) == len(d.values()) == len(d.items()) == len(plain), "len"
    assert bool(d) is bool(plain)
    items = list(d.items())
    assert {tuple(key): value for key, value in items} == plain, "items"
    assert len(items) == len(plain), "an item occurs twice"
    numbers = sorted(map(repr, plain.values()))
    assert sorted(map(repr, d.values())) == numbers or all(v in plain.values() for v in d.values()), "values"
    assert len(list(d.values())) == len(plain)
    for key, value in plain.items():
        assert key in d
        assert d[key] == value
    assert d == plain
    assert d.copy() == plain
