"""What perkey promises for a place, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that perkey promises for a place.

    Args:
        name: What.
        holds: Whether it holds there; None if that is not known.
        why: For which reason.
    """

    name: str
    holds: bool | None
    why: str


@dataclass(slots=True)
class Diagnosis:
    """What perkey promises for a place.

    Args:
        place: Its path or address.
        facts: The findings, as plain data.
        promises: What holds there.
        advice: What to change.
    """

    place: str
    facts: dict[str, Any] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def promise(self, name: str, holds: bool | None, why: str) -> None:
        """Add a promise."""
        self.promises.append(Promise(name, holds, why))
