"""What is written in a claim."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from perkey.answers import answer
from perkey.tools.once.holders import Holder

_LONGEST: Final = 20_000
"""Characters of a traceback that are kept, counted from its end."""


@dataclass(frozen=True)
class Failure:
    """An attempt that failed.

    Attributes:
        attempt: The nonce of the claim under which it ran.
        type: The class of the exception, with its module.
        text: The text of the exception.
        traceback: The traceback as text.
        holder: The process in which it failed, as text.
        count: How many attempts have failed, this one included.
    """

    attempt: str
    type: str
    text: str
    traceback: str
    holder: str
    count: int

    @classmethod
    def of(cls, error: BaseException, by: Record) -> Self:
        """Return what is kept of an exception."""
        kind = type(error)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        count = 1 if by.failure is None else by.failure.count + 1
        trace = "".join(traceback.format_exception(error))[-_LONGEST:]
        return cls(by.nonce, name, _text_of(error), trace, str(by.holder), count)

    @classmethod
    def parse(cls, fields: Any) -> Self | None:
        """Return a failure from its fields, or None."""
        if fields is None:
            return None
        texts = {name: str(fields[name]) for name in ("attempt", "type", "text", "traceback", "holder")}
        return cls(**texts, count=int(fields["count"]))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except answer(Exception) as broken:
        return f"<its text cannot be shown: {type(broken).__name__}>"


@dataclass(frozen=True)
class Record:
    """The content of a claim.

    Attributes:
        nonce: Random; each holder has another one.
        counter: How often the holder has renewed the claim, so that no two contents are equal.
        takeovers: How often the claim was taken from a holder that was silent, gone, or had it broken.
        lease: Seconds without a renewal after which the claim may be taken over.
        holder: The process.
        since: The date of the claiming, by the holder's clock; only shown.
        leaf: The last part of the item's name.
        free: Whether the holder has released it.
        failure: The last attempt that failed, if one did.
    """

    nonce: str
    counter: int
    takeovers: int
    lease: float
    holder: Holder
    since: float
    leaf: str
    free: bool = False
    failure: Failure | None = None

    def encode(self) -> bytes:
        """Return the content."""
        return json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, lease: float) -> Self:
        """Return a record from its content.

        Content that no holder wrote is a claim of an unknown holder: it is taken over if it does not change.

        Args:
            content: The content.
            lease: The lease of such a claim.
        """
        try:
            return cls._parse(json.loads(content))
        except answer(ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return cls("", 0, 0, lease, Holder("an unknown host", 0), 0.0, "")

    @classmethod
    def _parse(cls, fields: Any) -> Self:
        return cls(
            nonce=str(fields["nonce"]),
            counter=int(fields["counter"]),
            takeovers=int(fields["takeovers"]),
            lease=float(fields["lease"]),
            holder=Holder.parse(fields["holder"]),
            since=float(fields["since"]),
            leaf=str(fields["leaf"]),
            free=bool(fields["free"]),
            failure=Failure.parse(fields.get("failure")),
        )

    def renewed(self) -> Self:
        """Return the next content of the same holder."""
        return replace(self, counter=self.counter + 1)

    def released(self, failure: Failure | None, *, broken: bool = False) -> Self:
        """Return the content that leaves the claim free for the next holder."""
        takeovers = self.takeovers + broken
        return replace(self, counter=self.counter + 1, free=True, failure=failure, takeovers=takeovers)
