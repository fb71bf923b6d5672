"""Random programs on synced collections and on plain data, side by side."""

import copy
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from crews import times
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from perkey.synced import BufferedJSONDict, JSONDict, MemoryBufferedJSONDict, SyncedDict, SyncedList
from synced.places import InMongo, InStore, InZarr, zarr_group

KEYS = st.sampled_from(["a", "b", "c.d", "", "é", "py/object"])
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
)
DATA = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
INDICES = st.integers(-3, 3)
PICKS = st.integers(0, 9)


def walk(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each part of plain data and its path."""
    yield path, data
    if isinstance(data, dict | list):
        for step, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from walk(value, (*path, step))


def both(synced: Any, plain: Any, act: Callable[[Any], Any]) -> None:
    """Do the same to both, and compare what is returned or raised."""
    outcomes = []
    for target in (synced, plain):
        try:
            outcome = act(target)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            outcomes.append(type(error))
        else:
            outcomes.append(
                outcome() if isinstance(outcome, SyncedDict | SyncedList) else copy.deepcopy(outcome)
            )
    assert outcomes[0] == outcomes[1]
    assert type(outcomes[0]) is type(outcomes[1])


class Machine(RuleBasedStateMachine):
    """A synced dict, a second handle on the same place, and a plain dict."""

    open_document: Callable[[ExitStack], Callable[[], SyncedDict]]

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        opener = type(self).open_document(self.resources)
        self.handles = itertools.cycle([opener(), opener()])
        self.model: dict[str, Any] = {}

    def teardown(self) -> None:
        self.resources.close()

    def places(self, kind: type, pick: int) -> Iterator[tuple[Any, Any]]:
        """Yield the synced and the plain form of one of the dicts, or lists, if there is one."""
        found = [path for path, value in walk(self.model) if type(value) is kind]
        if found:
            synced, plain = next(self.handles), self.model
            for step in found[pick % len(found)]:
                synced, plain = synced[step], plain[step]
            yield synced, plain

    def dicts(self, pick: int) -> Iterator[tuple[Any, Any]]:
        return self.places(dict, pick)

    def lists(self, pick: int) -> Iterator[tuple[Any, Any]]:
        return self.places(list, pick)

    @rule(pick=PICKS, key=KEYS, value=DATA)
    def set(self, pick: int, key: str, value: Any) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.__setitem__(key, copy.deepcopy(value)))

    @rule(pick=PICKS, new=st.dictionaries(KEYS, DATA, max_size=3))
    def update(self, pick: int, new: Any) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.update(copy.deepcopy(new)))

    @rule(pick=PICKS, key=KEYS)
    def delete(self, pick: int, key: str) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.__delitem__(key))

    @rule(pick=PICKS, key=KEYS, default=DATA)
    def take(self, pick: int, key: str, default: Any) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.pop(key, default))

    @rule(pick=PICKS)
    def take_last(self, pick: int) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.popitem())

    @rule(pick=PICKS, key=KEYS, default=DATA)
    def set_default(self, pick: int, key: str, default: Any) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d.setdefault(key, copy.deepcopy(default)))

    @rule(pick=PICKS, key=KEYS)
    def look(self, pick: int, key: str) -> None:
        for synced, plain in self.dicts(pick):
            both(synced, plain, lambda d: d[key])
            both(synced, plain, lambda d: d.get(key))
            both(synced, plain, lambda d: (key in d, len(d), list(d)))
            assert synced == plain

    @rule(pick=PICKS, value=DATA, index=INDICES)
    def insert(self, pick: int, value: Any, index: int) -> None:
        for synced, plain in self.lists(pick):
            both(synced, plain, lambda items: items.insert(index, copy.deepcopy(value)))

    @rule(pick=PICKS, values=st.lists(DATA, max_size=3), start=INDICES, stop=INDICES)
    def replace_slice(self, pick: int, values: list[Any], start: int, stop: int) -> None:
        for synced, plain in self.lists(pick):
            both(synced, plain, lambda items: items.__setitem__(slice(start, stop), copy.deepcopy(values)))

    @rule(pick=PICKS, index=INDICES, value=DATA)
    def replace(self, pick: int, index: int, value: Any) -> None:
        for synced, plain in self.lists(pick):
            both(synced, plain, lambda items: items.__setitem__(index, copy.deepcopy(value)))

    @rule(pick=PICKS, index=INDICES, step=st.sampled_from([1, 2, -1]))
    def cut(self, pick: int, index: int, step: int) -> None:
        for synced, plain in self.lists(pick):
            both(synced, plain, lambda items: items.pop(index))
            both(synced, plain, lambda items: items.__delitem__(slice(None, None, step * 2)))

    @rule(pick=PICKS, values=st.lists(DATA, max_size=2))
    def add(self, pick: int, values: list[Any]) -> None:
        for synced, plain in self.lists(pick):
            both(synced, plain, lambda items: items.extend(copy.deepcopy(values)))
            both(synced, plain, lambda items: items.reverse())

    @rule(pick=PICKS, value=DATA)
    def transform(self, pick: int, value: Any) -> None:
        for synced, plain in self.dicts(pick):
            synced.transform(lambda data: {**data, "a": value})
            plain["a"] = copy.deepcopy(value)

    @rule(first=DATA, second=DATA)
    def edit_as_one(self, first: Any, second: Any) -> None:
        d = next(self.handles)
        with d.editing():
            d["b"] = [first]
            d["b"].append(second)
        self.model["b"] = copy.deepcopy([first, second])

    @invariant()
    def are_the_same(self) -> None:
        found = next(self.handles)()
        assert found == self.model
        assert repr(found) == repr(self.model)


def in_file(
    cls: type[JSONDict], capacity: int | None = None
) -> Callable[[ExitStack], Callable[[], SyncedDict]]:
    def opening(resources: ExitStack) -> Callable[[], SyncedDict]:
        folder = resources.enter_context(tempfile.TemporaryDirectory())
        if capacity is not None:
            resources.enter_context(cls.buffer_backend(capacity))
        return lambda: cls(Path(folder) / "data.json")

    return opening


def in_zarr(resources: ExitStack) -> Callable[[], SyncedDict]:
    return InZarr(zarr_group(Path(resources.enter_context(tempfile.TemporaryDirectory())))).dict


OPENERS: dict[str, Callable[[ExitStack], Callable[[], SyncedDict]]] = {
    "JSON file": in_file(JSONDict),
    "buffered": in_file(BufferedJSONDict, 60),
    "memory buffered": in_file(MemoryBufferedJSONDict, 0),
    "large buffer": in_file(MemoryBufferedJSONDict, 9),
    "memory": lambda _: InStore().dict,
    "MongoDB": lambda _: InMongo().dict,
    "Zarr": in_zarr,
}


@pytest.mark.parametrize("backend", OPENERS)
def test_behaves_like_plain_data(backend: str) -> None:
    machine = type("Here", (Machine,), {"open_document": staticmethod(OPENERS[backend])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=times(8, 200) if backend == "Zarr" else times(25, 1000),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
