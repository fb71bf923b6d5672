"""Whether a write took place, by marks that each write leaves with its object.

A proxy or a client library may send a request twice, and pass on the second reply: a conditional write then
meets its own success as a conflict. So each write has a random mark, kept in the object's metadata. A
conditional write also keeps the marks of the last 16 writes that it was built on, which its writer has read:
its lineage. After a conflict the writer compares: its own mark in the lineage of the present version means
that its write took place, even if other writers have built on it since.

Beyond those 16, the lineage has the first mark of the unbroken chain (the root), the length of the chain, and
four characters of each of the 112 marks before. They show in all but one of 100,000 cases that a write did
not take place, so that a slow writer among fast rivals meets a conflict, as it should, and no doubt.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

from perkey.expectations import ABSENT, ANY, Expectation, Version

CHAIN: Final = 16
"""How many marks of earlier writes are kept in full."""

_LENGTH: Final = 4
"""Of how many characters an abbreviated mark is; a character has 6 bits."""
_OLDER: Final = 112
"""How many abbreviated marks are kept; all metadata of an object must be shorter than 2 KB."""
_FIELDS: Final = 4
_NONE: Final = "-"


class Root(Enum):
    """What began a chain of writes."""

    INSERTED = "+"
    ASSIGNED = "="
    """An unconditional write, or one of another program: its predecessor is unknown."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The marks of a write and of those that it was built on.

    Attributes:
        marks: Its own mark, and up to 16 of its predecessors, the newest first.
        began: How the chain began.
        root: The mark of the write that began it.
        depth: How many writes lie between that one and this.
        older: Abbreviated marks of those before `marks`, the newest first.
    """

    marks: tuple[str, ...]
    began: Root
    root: str
    depth: int = 0
    older: str = ""

    def __str__(self) -> str:
        """Return the metadata; that of an assignment is the mark alone."""
        if self.began is Root.ASSIGNED and not self.depth:
            return self.marks[0]
        # The end must not be empty: clients and services drop spaces there.
        return f"{','.join(self.marks)} {self.older or _NONE} {self.began.value}{self.root} {self.depth}"


def read_lineage(metadata: str | None, version: Version) -> Lineage:
    """Return the lineage in the metadata of an object; any text has a meaning.

    Args:
        metadata: None if another program wrote the object: the version then serves as its mark.
        version: The object's version.
    """
    if not metadata:
        mark = blake2b(version.encode(), digest_size=12).hexdigest()
        return Lineage((mark,), Root.ASSIGNED, mark)
    marks, *about = metadata.split(" ")
    chain = tuple(marks.split(","))
    if len(about) == _FIELDS - 1 and about[1][:1] in {"+", "="} and about[2].isdecimal():
        older = "" if about[0] == _NONE else about[0]
        return Lineage(chain, Root(about[1][0]), about[1][1:], int(about[2]), older)
    return Lineage(chain[:1], Root.ASSIGNED, chain[0])


def new_mark() -> str:
    """Return a mark for a new write: 16 characters, 96 random bits."""
    return urlsafe_b64encode(os.urandom(12)).decode()


def lineage_of(mark: str, expect: Expectation, predecessor: Lineage | None) -> Lineage:
    """Return the lineage of a new write.

    Args:
        mark: Its mark.
        expect: What it expects to find.
        predecessor: The lineage of the version that it expects, if it expects one.
    """
    if expect is ANY or (predecessor is None and expect is not ABSENT):
        return Lineage((mark,), Root.ASSIGNED, mark)
    if predecessor is None:
        return Lineage((mark,), Root.INSERTED, mark)
    marks = (mark, *predecessor.marks)
    dropped = "".join(old[:_LENGTH] for old in marks[CHAIN + 1 :])
    older = (dropped + predecessor.older)[: _OLDER * _LENGTH]
    return Lineage(marks[: CHAIN + 1], predecessor.began, predecessor.root, predecessor.depth + 1, older)


class Verdict(Enum):
    """What is known of a conditional write that was answered by a conflict."""

    DONE = "it took place"
    CONFLICT = "it did not"
    UNKNOWN = "it may have taken place"


def judge(
    mine: Lineage, expected: Lineage | None, found: Lineage | None, *, repeated: bool, suspected: bool
) -> Verdict:
    """Return whether a conditional write took place, by the present version.

    Args:
        mine: The write.
        expected: The version that it expected; None if it expected absence.
        found: The lineage of the present version; None if the item is absent.
        repeated: Whether this very request was sent more than once, or its reply was lost.
        suspected: Whether requests to this service are known to be repeated on their way.
    """
    doubted = Verdict.UNKNOWN if repeated or suspected else Verdict.CONFLICT
    if found is None:
        return doubted  # it may have been removed since
    mark = mine.marks[0]
    if mark in found.marks or mark == found.root:
        return Verdict.DONE
    if expected is not None and expected.marks[0] in found.marks:
        return Verdict.CONFLICT
    if expected is not None and (found.began, found.root) == (expected.began, expected.root):
        return _judge_older(mark, expected, found, doubted)
    if found.began is Root.ASSIGNED:
        return Verdict.UNKNOWN if repeated else Verdict.CONFLICT
    # Inserted: either by the rival that was faster, or after a removal.
    return Verdict.CONFLICT if expected is None else doubted


def _judge_older(mark: str, expected: Lineage, found: Lineage, doubted: Verdict) -> Verdict:
    """Judge where more than 16 writes followed the expected version in an unbroken chain."""
    older = {found.older[at : at + _LENGTH] for at in range(0, len(found.older), _LENGTH)}
    if mark[:_LENGTH] in older:
        return Verdict.UNKNOWN
    known = len(found.marks) - 1 + len(found.older) // _LENGTH
    return Verdict.CONFLICT if found.depth - expected.depth <= known else doubted


def was_kept(expected: Lineage | None, found: Lineage) -> bool:
    """Return whether an item was surely not removed since a version: other writers have built on that."""
    if expected is None:
        return False
    return expected.marks[0] in found.marks or (found.began, found.root) == (expected.began, expected.root)


class Lineages:
    """Remembers the lineages of versions that this process has read or written.

    A version is a text that users keep, so the lineage cannot travel with it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, Version], str | None] = {}

    def __reduce__(self) -> tuple[type[Lineages], tuple[()]]:
        return Lineages, ()

    def remember(self, key: str, version: Version, metadata: str | None) -> None:
        """Remember the metadata of an object at a version."""
        known = self._known
        if len(known) >= _MOST:
            # The oldest half; another thread may do the same, which does no harm.
            for old in list(known)[: _MOST // 2]:
                known.pop(old, None)
        known[key, version] = metadata

    def of(self, key: str, version: Version) -> Lineage | None:
        """Return the lineage of a version, None if it is not remembered."""
        try:
            return read_lineage(self._known[key, version], version)
        except KeyError:
            return None


_MOST: Final = 1 << 14
