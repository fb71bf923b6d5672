"""Conditional operations answer as those of persidict 0.309 do, in every combination."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
from contracts.dicts.table import OPERATIONS, Operation, answer, cases, play

import perkey

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import persidict

VALUES = ({"n": 0}, {"n": 1}, {"n": 2})
JOKERS = ("KEEP_CURRENT", "DELETE_CURRENT")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_answer_alike_in_memory(operation: Operation) -> None:
    theirs: Any = persidict.LocalDict()
    ours = perkey.LocalDict[Any]()
    assert len(cases(operation)) >= 15
    for case in cases(operation):
        expected = answer(case)
        assert play(persidict, theirs, case, VALUES) == expected, case
        assert play(perkey, ours, case, VALUES) == expected, case


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_answer_alike_in_one_folder(operation: Operation, tmp_path: Path) -> None:
    """Each on its own key of the same folder; the peer is slow, so a part of the table does."""
    theirs: Any = persidict.FileDirDict(base_dir=str(tmp_path), digest_len=8)
    ours = perkey.FileDirDict[Any](tmp_path, durability="none")
    for case in cases(operation)[::3]:
        assert play(persidict, theirs, case, VALUES) == play(perkey, ours, case, VALUES), case


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("new", ["value", *JOKERS])
def test_transformations_leave_alike(present: bool, new: str) -> None:
    left = []
    for library in (persidict, perkey):
        d: Any = library.LocalDict()
        if present:
            d["a"] = VALUES[0]
        seen: list[Any] = []

        def transform(value: Any, library: Any = library, seen: list[Any] = seen) -> Any:
            seen.append("absent" if value is library.ITEM_NOT_AVAILABLE else value)
            return VALUES[1] if new == "value" else getattr(library, new)

        before = d.etag("a") if present else library.ITEM_NOT_AVAILABLE
        result = d.transform_item("a", transformer=transform)
        absent = library.ITEM_NOT_AVAILABLE
        left.append(
            (
                seen,
                result.resulting_etag == before,
                result.resulting_etag is absent,
                "absent" if result.new_value is absent else result.new_value,
                d.get("a", "absent"),
            )
        )
    assert left[0] == left[1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_empty_dictionaries_answer_alike(operation: Operation) -> None:
    from contracts.dicts.table import operate

    for case in cases(operation):
        if case.present:
            continue
        results = [
            operate(library, library.EmptyDict(), case, _etag(library, case.expected), VALUES[1])
            for library in (persidict, perkey)
        ]
        assert [_plain(result, lib) for result, lib in zip(results, (persidict, perkey), strict=True)] == [
            (answer(case).satisfied, "absent", "absent", "absent")
        ] * 2, case


def _etag(library: Any, expected: str) -> Any:
    return library.ITEM_NOT_AVAILABLE if expected == "absent" else "an etag"


def _plain(result: Any, library: Any) -> tuple[Any, ...]:
    fields = (result.actual_etag, result.resulting_etag, result.new_value)
    absent = library.ITEM_NOT_AVAILABLE
    return (
        result.condition_was_satisfied,
        *("absent" if field is absent else field for field in fields),
    )


def test_conditional_operations_take_what_the_peers_take() -> None:
    for verb in (
        "etag",
        "get_with_etag",
        "get_item_if",
        "set_item_if",
        "setdefault_if",
        "discard_if",
        "transform_item",
    ):
        theirs = inspect.signature(getattr(persidict.PersiDict, verb)).parameters
        ours = inspect.signature(getattr(perkey.PersiDict, verb)).parameters
        assert set(theirs) <= set(ours), verb


def test_a_missing_item_is_false_and_an_unread_one_is_not() -> None:
    assert not perkey.ITEM_NOT_AVAILABLE
    assert perkey.VALUE_NOT_RETRIEVED
    counters = perkey.LocalDict[int]()
    for _ in range(2):
        counters.transform_item("hits", lambda n: (n or 0) + 1)
    assert counters["hits"] == 2
    assert counters.setdefault_if("task", 7).condition_was_satisfied
    with pytest.raises(TypeError) as caught:
        counters.transform_item("absent", lambda n: n + 1)
    assert any("default=" in note for note in caught.value.__notes__)
