"""What every backend promises, buffered or not: behave like a dict or list, and keep what is in it."""

import copy
import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from perkey.synced import DetachedNodeError, SyncedCollectionJSONEncoder, SyncedDict, SyncedList
from synced.places import Place

NESTED: dict[str, Any] = {"a": {"b": [1, {"c": None}]}, "n": 1.5, "t": "é\n", "yes": True}


@pytest.fixture(params=["direct", "buffered", "editing"])
def d(request: pytest.FixtureRequest, place: Place) -> Iterator[SyncedDict]:
    """An empty dict, used directly, in a buffer, or inside one atomic edit."""
    found = place.dict()
    blocks: dict[str, Any] = {"direct": nullcontext(), "buffered": found.buffered, "editing": found.editing()}
    with blocks[request.param]:
        yield found
        expected = found()
    assert place.dict() == expected
    assert place.get() in (expected, None)


@pytest.fixture(params=["direct", "buffered", "editing"])
def items(request: pytest.FixtureRequest, place: Place) -> Iterator[SyncedList]:
    """An empty list, used directly, in a buffer, or inside one atomic edit."""
    found = place.list()
    blocks: dict[str, Any] = {"direct": nullcontext(), "buffered": found.buffered, "editing": found.editing()}
    with blocks[request.param]:
        yield found
        expected = found()
    assert place.list() == expected
    assert place.get() in (expected, None)


def test_what_was_put_in_comes_out(d: SyncedDict) -> None:
    d.update(NESTED)
    assert d == NESTED
    assert d() == NESTED
    assert repr(d) == repr(NESTED)
    assert list(d.items()) == list(NESTED.items())
    assert list(d.keys()) == list(d) == list(NESTED)
    assert list(d.values()) == list(NESTED.values())
    assert (len(d), "a" in d, "z" in d) == (4, True, False)


def test_plain_data_is_a_copy(d: SyncedDict) -> None:
    d["a"] = {"b": [1]}
    d()["a"]["b"].append(2)
    d["a"]()["b"].append(2)
    assert d == {"a": {"b": [1]}}


def test_what_is_put_in_is_copied(d: SyncedDict) -> None:
    mine: dict[str, Any] = {"b": [1]}
    d["a"] = mine
    mine["b"].append(2)
    assert d == {"a": {"b": [1]}}


def test_nested_collections_write_through(d: SyncedDict) -> None:
    d["a"] = {"b": [1, {"c": 1}]}
    d["a"]["b"][1]["c"] = 2
    d["a"]["b"].append([3])
    d["a"]["b"][2] += [4]
    assert isinstance(d["a"], SyncedDict)
    assert isinstance(d["a"]["b"], SyncedList)
    assert d == {"a": {"b": [1, {"c": 2}, [3, 4]]}}


def test_dicts_do_what_dicts_do(d: SyncedDict) -> None:
    d["x"] = 1
    d.update([("y", 2)], z=3)
    d |= {"w": 4}
    del d["x"]
    assert d.pop("y") == 2
    assert d.pop("y", 7) == 7
    with pytest.raises(KeyError):
        d.pop("y")
    with pytest.raises(KeyError):
        d["y"]
    with pytest.raises(KeyError):
        del d["y"]
    assert d.get("y") is None
    assert d.get("y", 5) == 5
    assert d.setdefault("z", 9) == 3
    assert d.setdefault("l", []) == []
    d["l"].append(1)
    assert d == {"z": 3, "w": 4, "l": [1]}
    assert d.popitem() == ("l", [1])
    d.reset({"new": {}})
    assert d == {"new": {}}
    d.clear()
    assert not d
    with pytest.raises(KeyError):
        d.popitem()


def test_lists_do_what_lists_do(items: SyncedList) -> None:
    items.append(1)
    items.extend([2, [3]])
    items += [4]
    items.insert(0, 0)
    items.insert(-1, {"x": 1})
    assert items == [0, 1, 2, [3], {"x": 1}, 4]
    assert items[-1] == 4
    assert items[1:3] == [1, 2]
    items[3].append(5)
    items[-2]["x"] = 2
    items[0] = "first"
    items[1:3] = ["second", "third", "more"]
    del items[-1]
    del items[2:4]
    assert items == ["first", "second", [3, 5], {"x": 2}]
    items[2] += [6]
    assert items.pop(2) == [3, 5, 6]
    items.reverse()
    assert list(reversed(items)) == ["first", "second", {"x": 2}]
    items.remove("second")
    items.append([{"y": 1}])
    items.remove([items[-1][0]])
    assert (items.index("first"), items.count({"x": 2}), len(items)) == (1, 1, 2)
    items.reset((3, 1, 2))
    items.sort()
    assert items == [1, 2, 3]
    items.sort(key=lambda n: -n)
    assert list(items) == [3, 2, 1]
    assert 3 in items
    assert items > [1]
    items.clear()
    assert items == []


def test_what_lists_refuse_changes_nothing(items: SyncedList) -> None:
    items.extend([1, 2])
    for wrong in (
        lambda: items[5],
        lambda: items.__setitem__(5, 1),
        lambda: items.__delitem__(5),
        lambda: items.pop(5),
    ):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(ValueError, match="not in list"):
        items.remove(9)
    with pytest.raises(ValueError, match="extended slice"):
        items[::2] = [1, 2, 3]
    assert items == [1, 2]


def test_a_failed_edit_changes_nothing(d: SyncedDict) -> None:
    d["a"] = [1]
    with pytest.raises(TypeError):
        d.update({"b": 1, "c": b"no"})
    with pytest.raises(TypeError):
        d["a"].extend([2, {3}])
    with pytest.raises(ZeroDivisionError):
        d.transform(lambda data: data.clear() or 1 / 0)
    with pytest.raises(ValueError, match="dict"):
        d.reset([1])
    assert d == {"a": [1]}


def test_transform_is_one_step(d: SyncedDict) -> None:
    assert d.transform(lambda data: {**data, "n": 1}) == {"n": 1}
    assert d.transform(lambda data: data.update(m=[2])) == {"n": 1, "m": [2]}
    assert d["m"].transform(lambda data: [*data, 3]) == [2, 3]
    assert d == {"n": 1, "m": [2, 3]}


def test_iterating_sees_one_moment(d: SyncedDict) -> None:
    d.update({"a": 1, "b": 2})
    for key in d:
        d[key + key] = 1
    for key, value in d.items():
        assert value
        del d[key]
    assert d == {}


def test_equality_is_that_of_the_content(d: SyncedDict) -> None:
    d["a"] = {"x": [1]}
    d["b"] = {"x": [1]}
    assert d["a"] == d["b"]
    assert d["a"] == {"x": [1]}
    assert d["a"] != {"x": [2]}
    assert d["a"]["x"] != {"x": [1]}
    assert d["a"]["x"] == np.array([1])
    assert d["a"]["x"] != np.array([1, 2])
    with pytest.raises(TypeError, match="unhashable"):
        hash(d)


def test_a_place_that_is_gone_is_an_error(d: SyncedDict) -> None:
    d["a"] = {"b": [1]}
    inner, deeper = d["a"], d["a"]["b"]
    d["a"] = {"c": 1}
    assert inner == {"c": 1}
    with pytest.raises(DetachedNodeError, match=r"\['a'\]\['b'\] of .* is gone"):
        deeper.append(2)
    d["a"] = [1]
    with pytest.raises(DetachedNodeError, match="holds a list now, not a dict"):
        inner()
    with pytest.raises(LookupError):
        inner["c"] = 2
    assert d == {"a": [1]}


def test_copies_stay_synced(d: SyncedDict) -> None:
    d["a"] = {"b": 1}
    copy.deepcopy(d)["x"] = 1
    copy.copy(d["a"])["b"] = 2
    assert d == {"a": {"b": 2}, "x": 1}


def test_a_synced_collection_can_be_put_in(d: SyncedDict) -> None:
    d["a"] = {"b": [1]}
    d["copy"] = d["a"]
    d["list"] = [d["a"]["b"]]
    d["a"]["b"].append(2)
    assert d == {"a": {"b": [1, 2]}, "copy": {"b": [1]}, "list": [[1]]}


def test_json_can_write_it(d: SyncedDict) -> None:
    d["a"] = {"b": [1]}
    assert json.dumps({"d": d}, cls=SyncedCollectionJSONEncoder) == '{"d": {"a": {"b": [1]}}}'


# --- Directly only: what concerns several handles ---------------------------------------------------


def test_reading_stores_nothing(place: Place) -> None:
    d = place.dict(data={"a": 1})
    assert d == {"a": 1}
    assert place.get() is None


def test_initial_data_is_stored_with_the_first_edit(place: Place) -> None:
    d = place.dict(data={"a": 1})
    d["b"] = 2
    assert place.get() == {"a": 1, "b": 2}


def test_initial_data_never_replaces_what_is_there(place: Place) -> None:
    place.put({"there": 1})
    d = place.dict(data={"a": 1})
    assert d == {"there": 1}
    d["b"] = 2
    assert place.get() == {"there": 1, "b": 2}


def test_other_handles_see_edits_at_once(place: Place) -> None:
    one, other = place.dict(), place.dict()
    one["a"] = {"b": 1}
    assert other == {"a": {"b": 1}}
    other["a"]["b"] = 2
    one["a"]["c"] = 3
    assert one == other == {"a": {"b": 2, "c": 3}}


def test_other_programs_are_seen_at_once(place: Place) -> None:
    d = place.dict()
    for n in range(5):
        place.put({"n": n})
        assert d["n"] == n
        d["seen"] = n
        assert place.get() == {"n": n, "seen": n}


def test_editing_is_all_or_nothing(place: Place) -> None:
    d = place.dict()
    d["n"] = 1
    with d.editing() as same:
        assert same is d
        d["n"] += 1
        d["more"] = [d["n"]]
        assert place.get() == {"n": 1}
    assert place.get() == {"n": 2, "more": [2]}
    with pytest.raises(RuntimeError, match="on purpose"):
        fail_while_editing(d)
    assert d == place.get() == {"n": 2, "more": [2]}


def fail_while_editing(d: SyncedDict) -> None:
    with d["more"].editing():
        d["n"] = 3
        raise RuntimeError("on purpose")
