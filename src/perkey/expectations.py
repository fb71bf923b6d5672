"""What a write or a removal expects to find: anything, no item, or a version.

Stores and files decide by these; dictionaries translate etag conditions into them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, TypeAlias

from perkey.errors import UnsupportedConditionError
from perkey.pages import page

Version: TypeAlias = str
"""Opaque; compared only for equality; never stands for two different contents of one name."""


class _Expectation(Enum):
    ANY = "any state"
    ABSENT = "no item"

    def __repr__(self) -> str:
        return self.name


ANY: Final = _Expectation.ANY
"""Expect nothing in particular."""

ABSENT: Final = _Expectation.ABSENT
"""Expect that the item does not exist."""

Expectation: TypeAlias = Version | _Expectation
"""What a write or removal expects to find: ANY, ABSENT or a version."""

Expectations: TypeAlias = Expectation | Callable[[tuple[str, ...]], Expectation]
"""What writes or removals of many items expect: all the same, or what a function returns for each name."""

Verb: TypeAlias = Literal["write", "remove"]
ConditionKind: TypeAlias = Literal["absent", "version"]


def expectation_of(expect: Expectations, name: tuple[str, ...]) -> Expectation:
    """Return what is expected of one of many items."""
    return expect(name) if callable(expect) else expect


def refuse(place: str, verb: Verb, kind: ConditionKind, reason: str) -> UnsupportedConditionError:
    """Return the error for a condition that a place cannot support."""
    what = "that it is absent" if kind == "absent" else "a certain version of it"
    return UnsupportedConditionError(
        f"{place}: cannot {verb} an item on the condition of {what}: {reason}. Nothing was changed; "
        f"unconditional operations work. See {page('s3' if '://' in place else 'concurrency')}."
    )
