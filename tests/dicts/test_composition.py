"""A dictionary is one class over `Items` and a `Policy`; handles pickled by earlier versions can be read."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

from perkey import (
    ANY_ETAG,
    ITEM_NOT_AVAILABLE,
    BasicS3Dict,
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    ObjectStoreDict,
    OverlappingMultiDict,
    PersiDict,
    S3Dict,
    WriteOnceDict,
    mapping,
)
from perkey.mapping import items_of
from perkey.naming import naming
from perkey.stores import MemoryStore, PrefixStore

AnyDict = PersiDict[Any]

KINDS: list[type[AnyDict]] = [
    BasicS3Dict,
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    ObjectStoreDict,
    S3Dict,
    WriteOnceDict,
]


# --- One class ----------------------------------------------------------------------------------------


def test_all_that_a_dictionary_does_is_in_one_class() -> None:
    """Its bases are the mapping of the standard library, and what every handle has in common."""
    from_perkey = [base for base in PersiDict.__mro__ if base.__module__.startswith("perkey.mapping")]
    assert from_perkey == [PersiDict]
    public = {name for name in dir(PersiDict) if not name.startswith("_")}
    assert public <= set(vars(PersiDict))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_dictionary_restates_an_operation(kind: type[AnyDict]) -> None:
    """They choose a place and a policy; only a part of them and their parameters are described anew."""
    classes = [base for base in kind.__mro__ if issubclass(base, PersiDict) and base is not PersiDict]
    own = {name for base in classes for name in vars(base) if not name.startswith("_")}
    assert own & set(dir(PersiDict)) <= {
        "get_params",
        "get_subdict",
        "read_only",
    }


def modules() -> list[Path]:
    folder = Path(mapping.__file__).parent
    return [*folder.glob("*.py"), *(folder.parent / "dicts").glob("*.py")]


@pytest.mark.parametrize("path", modules(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_private_name_of_another_object_is_used(path: Path) -> None:
    """A class may use its own, and those of another handle of its kind."""
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
    }
    foreign = {use for use in used if use[0] not in {"self", "cls", "handle"}}
    assert foreign <= {("sys", "_getframe")}


# --- Parts of an earlier state ------------------------------------------------------------------------


def state_of_the_first_version(d: AnyDict, **own: Any) -> dict[str, Any]:
    """Return what the first version put into the pickle of a handle."""
    return {
        "_naming": naming(d.digest_len, d.file_type),
        "_store": d.store,
        "_immutable": d.immutable_items,
        "_base_class": d.base_class_for_values,
        **own,
        "_registered": True,
        "_unique": b"0" * 16,
    }


def restored(kind: type[AnyDict], state: dict[str, Any]) -> Any:
    handle = object.__new__(kind)
    handle.__setstate__(copy.copy(state))
    return handle


def test_a_handle_of_the_first_version_is_restored(tmp_path: Path) -> None:
    d = FileDirDict[int](tmp_path, "json", True, 5, int, durability="none")
    d["a", "b"] = 1
    own = {"_durability": "none", "_create": True, "_locking": "auto"}
    again = restored(FileDirDict, state_of_the_first_version(d, **own))
    assert again.get_params() == d.get_params()
    assert again == d
    state = again.__getstate__()
    assert set(state) - {"_shares_place"} == set(state_of_the_first_version(d, **own))


def test_a_write_once_dictionary_of_the_first_version_keeps_its_counts() -> None:
    inner = LocalDict[int]()
    own = {"_shares_place": False, "_wrapped": inner, "_probability": 1.0, "_attempted": 3, "_passed": 2}
    again = restored(WriteOnceDict, {**state_of_the_first_version(inner), "_immutable": True, **own})
    assert again.p_consistency_checks == 1
    assert (again.consistency_checks_attempted, again.consistency_checks_failed) == (3, 1)
    again["a"] = 1
    again["a"] = 1
    assert again.consistency_checks_attempted == 4
    assert set(own) <= set(again.__getstate__())


def test_an_empty_dictionary_of_the_first_version_stays_empty() -> None:
    again = restored(EmptyDict, state_of_the_first_version(EmptyDict()))
    left = again.set_item_if("a", value=1, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
    assert left.new_value is left.resulting_etag is ITEM_NOT_AVAILABLE


def test_that_others_share_the_place_is_known_after_a_restart(tmp_path: Path) -> None:
    both = OverlappingMultiDict(FileDirDict, {"base_dir": str(tmp_path)}, pkl={}, json={})
    for d in (both.json, CachedDict(both.json, LocalDict()), WriteOnceDict(both.json)):
        again = pickle.loads(pickle.dumps(d))
        assert items_of(again).policy.shares_place
        assert items_of(again.get_subdict("a")).policy.shares_place


# --- Handles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [copy.copy, lambda d: d.get_subdict("p"), pickle.dumps])
def test_each_write_once_handle_counts_for_itself(part: Any) -> None:
    d = WriteOnceDict[int](LocalDict(), 1)
    d["p", "a"] = 1
    other = part(d)
    other = pickle.loads(other) if isinstance(other, bytes) else other
    d["p", "a"] = 1
    assert (d.consistency_checks_attempted, other.consistency_checks_attempted) == (1, 0)
    other.p_consistency_checks = 0
    assert d.p_consistency_checks == 1


def test_a_cached_write_once_dictionary_refuses_what_the_main_one_ignores() -> None:
    d = CachedDict(WriteOnceDict(LocalDict()), LocalDict())
    d["a"] = 1
    with pytest.raises(TypeError, match="cannot be changed"):
        d["a"] = 2


def test_a_part_is_over_the_same_store() -> None:
    d = PersiDict[int](MemoryStore())
    part = d.get_subdict("a")
    assert isinstance(part.store, PrefixStore)
    assert part.store.inner is d.store


# --- Two names ----------------------------------------------------------------------------------------


def test_the_default_has_two_names() -> None:
    d = LocalDict[int]()
    insert: Any = d.setdefault_if
    assert insert("a", 1).condition_was_satisfied
    assert insert("b", default=1).condition_was_satisfied
    assert insert("c", default_value=1).condition_was_satisfied
    assert insert("d", default=None).new_value is None
    for wrong in ({}, {"default": 1, "default_value": 1}):
        with pytest.raises(TypeError, match="argument 'default'"):
            insert("e", **wrong)
    assert set(d) == {("a",), ("b",), ("c",), ("d",)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_constructors_spell_out_their_arguments(kind: type[AnyDict]) -> None:
    for parameter in inspect.signature(kind).parameters.values():
        assert parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        assert parameter.annotation is not parameter.empty
        assert f"        {parameter.name}: " in (inspect.getdoc(kind) or "").replace("\n    ", "\n        ")
        assert f"{parameter.name}: as for" not in (inspect.getdoc(kind) or "").lower()
