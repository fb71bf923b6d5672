"""The conditional operations as one table: what each must answer, in words.

It is written down a second time here, away from the code that decides, in names that another library of
the same operations has, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, TypeAlias

Operation: TypeAlias = Literal["get", "set", "keep", "delete", "setdefault", "discard"]
Condition: TypeAlias = Literal["ANY_ETAG", "ETAG_IS_THE_SAME", "ETAG_HAS_CHANGED"]
Expected: TypeAlias = Literal["now", "stale", "absent"]
Retrieve: TypeAlias = Literal["ALWAYS_RETRIEVE", "NEVER_RETRIEVE", "IF_ETAG_CHANGED"]

OPERATIONS: Final[tuple[Operation, ...]] = ("get", "set", "keep", "delete", "setdefault", "discard")
CONDITIONS: Final[tuple[Condition, ...]] = ("ANY_ETAG", "ETAG_IS_THE_SAME", "ETAG_HAS_CHANGED")
RETRIEVALS: Final[tuple[Retrieve, ...]] = ("ALWAYS_RETRIEVE", "NEVER_RETRIEVE", "IF_ETAG_CHANGED")


@dataclass(frozen=True)
class Case:
    """One cell.

    Attributes:
        operation: `get_item_if`, `set_item_if` with a value or a joker, `setdefault_if`, `discard_if`.
        condition: The flag's name.
        expected: The etag that the item has now, had before, or its absence.
        retrieve: The flag's name.
        present: Whether there is an item.
    """

    operation: Operation
    condition: Condition
    expected: Expected
    retrieve: Retrieve
    present: bool


@dataclass(frozen=True)
class Answer:
    """What comes of it, in names.

    Attributes:
        satisfied: Whether the condition held.
        actual: The etag before: "now" or "absent".
        resulting: The etag after: "now", "new" or "absent".
        value: "old", "written", "not retrieved" or "absent".
        content: What is stored afterwards: "old", "written" or "absent".
    """

    satisfied: bool
    actual: str
    resulting: str
    value: str
    content: str


def cases(operation: Operation) -> list[Case]:
    """Return all cells of an operation."""
    retrievals = RETRIEVALS if operation != "discard" else ("NEVER_RETRIEVE",)
    return [
        Case(operation, condition, expected, retrieve, present)
        for condition, retrieve, present in product(CONDITIONS, retrievals, (True, False))
        for expected in (("now", "stale", "absent") if present else ("stale", "absent"))
    ]


def answer(case: Case) -> Answer:
    """Return what a cell must say."""
    actual = "now" if case.present else "absent"
    same = case.expected == actual
    satisfied = case.condition == "ANY_ETAG" or same == (case.condition == "ETAG_IS_THE_SAME")
    if case.operation == "set" and satisfied:
        return Answer(True, actual, "new", "written", "written")
    if case.operation == "setdefault" and satisfied and not case.present:
        return Answer(True, actual, "new", "written", "written")
    if case.operation in {"delete", "discard"} and satisfied:
        return Answer(True, actual, "absent", "absent", "absent")
    content = "old" if case.present else "absent"
    return Answer(satisfied, actual, actual, _value_found(case, same), content)


def _value_found(case: Case, same: bool) -> str:
    if not case.present:
        return "absent"
    wanted = case.retrieve == "ALWAYS_RETRIEVE" or (case.retrieve == "IF_ETAG_CHANGED" and not same)
    return "old" if wanted else "not retrieved"


def play(library: Any, d: Any, case: Case, values: tuple[Any, Any, Any]) -> Answer:
    """Bring an item into the state of a cell, operate on it, and return what came of it.

    Args:
        library: The module that has the flags.
        d: A dictionary of that library.
        case: The cell.
        values: Three values: the stale one, the one before, and the one to be written.
    """
    stale, old, new = values
    d["item"] = stale
    etags = {"stale": d.etag("item"), "absent": library.ITEM_NOT_AVAILABLE}
    d["item"] = old
    etags["now"] = d.etag("item")
    if not case.present:
        del d["item"]
    result = operate(library, d, case, etags[case.expected], new)
    etags["new"] = d.etag("item") if "item" in d else "no item"
    name_of = {etag: name for name, etag in reversed(etags.items())}
    content = d.get("item", library.ITEM_NOT_AVAILABLE)
    assert result.value_was_mutated == (result.actual_etag != result.resulting_etag)
    return Answer(
        result.condition_was_satisfied,
        name_of[result.actual_etag],
        name_of[result.resulting_etag],
        _name(library, result.new_value, old, new),
        _name(library, content, old, new),
    )


def operate(library: Any, d: Any, case: Case, expected: Any, new: Any) -> Any:
    """Call the operation of a cell with a certain etag, and return its result."""
    how = {"condition": getattr(library, case.condition), "expected_etag": expected}
    if case.operation == "discard":
        return d.discard_if("item", **how)
    how["retrieve_value"] = getattr(library, case.retrieve)
    if case.operation == "get":
        return d.get_item_if("item", **how)
    if case.operation == "setdefault":
        return d.setdefault_if("item", default_value=new, **how)
    values = {"set": new, "keep": library.KEEP_CURRENT, "delete": library.DELETE_CURRENT}
    return d.set_item_if("item", value=values[case.operation], **how)


def _name(library: Any, value: Any, old: Any, new: Any) -> str:
    if value is library.ITEM_NOT_AVAILABLE:
        return "absent"
    if value is library.VALUE_NOT_RETRIEVED:
        return "not retrieved"
    return {repr(old): "old", repr(new): "written"}[repr(value)]
