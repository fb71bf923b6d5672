"""What programs written for persidict do in other ways works, or says what to do instead."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import persidict
import pytest

import perkey
from perkey import (
    KEEP_CURRENT,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    OverlappingMultiDict,
    WriteOnceDict,
)

PAGE = (Path(__file__).parents[2] / "docs" / "coming_from.md").read_text()


def public(thing: Any) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


CLASSES = [
    name
    for name in public(persidict)
    if inspect.isclass(getattr(persidict, name))
    and getattr(persidict, name).__module__.startswith("persidict")
]


def test_public_names_are_there_or_on_the_page() -> None:
    for name in persidict.__all__ if hasattr(persidict, "__all__") else CLASSES:
        assert hasattr(perkey, name) or f"`{name}`" in PAGE, name


@pytest.mark.parametrize("name", [name for name in CLASSES if hasattr(perkey, name)])
def test_members_and_parameters_are_there_or_on_the_page(name: str) -> None:
    theirs, ours = getattr(persidict, name), getattr(perkey, name)
    for member in public(theirs):
        assert hasattr(ours, member) or f"`{member}`" in PAGE, member
    if issubclass(theirs, perkey.PersiDict | persidict.PersiDict):
        wanted = set(inspect.signature(theirs.__init__).parameters) - {"self", "args", "kwargs"}
        there = inspect.signature(ours.__init__).parameters
        assert [each for each in sorted(wanted) if each not in there and f"`{each}`" not in PAGE] == []


def test_local_dicts_share_a_backend() -> None:
    one: LocalDict[int] = LocalDict()
    other: LocalDict[int] = LocalDict(backend=one.store)  # type: ignore[arg-type]
    one["a"] = 1
    assert dict(other) == {("a",): 1}
    with pytest.raises(TypeError, match="store of another LocalDict"):
        LocalDict(backend=one)  # type: ignore[arg-type]


def test_keeping_the_current_probability() -> None:
    d: WriteOnceDict[int] = WriteOnceDict(LocalDict(), p_consistency_checks=0.5)
    d.p_consistency_checks = KEEP_CURRENT
    assert d.p_consistency_checks == 0.5
    assert WriteOnceDict(LocalDict(), p_consistency_checks=KEEP_CURRENT).p_consistency_checks == 0


def test_items_of_multi_dicts_are_in_their_dictionaries(tmp_path: Path) -> None:
    both = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, json={}, pkl={})
    assert both["json"] is both.json
    for change in (lambda: both["key"], lambda: both.__setitem__("key", 1), lambda: both.__delitem__("key")):
        with pytest.raises((KeyError, TypeError), match=r"attributes \.json, \.pkl"):
            change()
    assert list(tmp_path.iterdir()) == []


def test_the_page_names_the_policies() -> None:
    for d in (LocalDict(immutable_items=True), WriteOnceDict(LocalDict(), 0)):
        d["a"] = 1
        with pytest.raises(MutationPolicyError) as caught:
            del d["a"]
        assert caught.value.policy.partition(":")[0] in PAGE
