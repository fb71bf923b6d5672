"""What all engines over obstore share: how its replies and errors read, and what a fork does to it.

obstore is a client in Rust. Its errors tell status and body of a reply in their text only, which is read here
and nowhere else; its threads exist in the process that started them only.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from perkey.content import Content
from perkey.errors import MissingExtraError
from perkey.expectations import Version
from perkey.stores.objects.engine import COPY_BYTES, Head, spooled
from perkey.waiting import driver

try:
    import obstore
    from obstore import exceptions
except ImportError as error:
    raise MissingExtraError("object stores through obstore", "obstore", "obstore") from error

PAGE: Final = 1000
"""Objects of a listing that come with one reply."""

METADATA_SERVICES: Final = ("//169.254.169.254/", "//metadata.google.internal/", "//metadata/")
"""Where obstore asks for credentials if it finds none elsewhere: machines of clouds answer there."""

FOREIGN: Final = (exceptions.BaseError, FileNotFoundError, NotImplementedError, ValueError)
"""What obstore raises."""


# --- Requests ---------------------------------------------------------------------------------------


def send(store: Any, verb: str, *arguments: Any, **options: Any) -> Any:
    """Make a request: in this thread, or as a task of the event loop that drives this code."""
    driving = driver()
    if driving is None:
        return getattr(store, verb)(*arguments, **options)
    return driving.request(partial(getattr(store, f"{verb}_async"), *arguments, **options))


def _drawn(stream: Any) -> Iterator[Any]:
    """Return what comes with a stream; each piece is waited for as by the code that asks for it."""
    return iter(partial(_next_of, stream), None)


def _next_of(stream: Any) -> Any:
    driving = driver()
    return next(stream, None) if driving is None else driving.request(partial(_next, stream))


async def _next(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream, None)


# --- Replies ----------------------------------------------------------------------------------------


def content_of(result: obstore.GetResult, limit: int | None) -> Content:
    """Return the content of a reply, as a temporary file if it is larger than `limit` bytes."""
    driving = driver()
    if limit is None or result.meta["size"] <= limit:
        return bytes(result.bytes() if driving is None else driving.request(result.bytes_async))
    return spooled(_drawn(result.stream(min_chunk_size=COPY_BYTES)))


def head_of(meta: Any, version: Version, write_id: str | None = None) -> Head:
    """Return what is known of an object."""
    return Head(version, meta["last_modified"].timestamp(), meta["size"], write_id)


def etag_of(reply: Any) -> str:
    """Return the ETag of a reply, without quotes."""
    return (reply["e_tag"] or "").strip('"')


def pages(store: Any, prefix: str, start_after: str) -> Iterator[Any]:
    """Yield the listing of all objects below a prefix, 1,000 at a time."""
    return _drawn(store.list(prefix or None, offset=start_after or None, chunk_size=PAGE))


def nameable(key: str) -> bool:
    """Tell whether obstore takes the name of an object as it is: not if a part is empty or made of dots."""
    return key.isprintable() and not {"", ".", ".."} & set(key.split("/"))


# --- Errors -----------------------------------------------------------------------------------------


class Said(NamedTuple):
    """What an error tells.

    Attributes:
        status: The status of the reply, 0 if there was none.
        code: The code in its body, if any.
        message: What to tell the user.
        trouble: What happened to the connection: ``"Connect"``, ``"Timeout"``, ``"Interrupted"``, ..., or "".
        redirected: Whether another place was named without saying which.
        unsigned: Whether no credentials could be had.
    """

    status: int
    code: str
    message: str
    trouble: str
    redirected: bool
    unsigned: bool


def said_by(error: Exception) -> Said:
    """Read an error of obstore; whatever is not found in its text is left empty."""
    told, _, inside = str(error).partition("\n\nDebug source:\n")
    reply = _REPLY.search(inside) or _STATUS.search(told)
    body = told.partition("status code: ")[2]
    code, message = (_tag(body, tag) for tag in ("Code", "Message"))
    trouble = _TROUBLE.search(inside)
    reason = f": {why.group(1)}" if trouble and (why := _REASON.search(inside)) else ""
    return Said(
        status=int(reply.group(1)) if reply else 0,
        code=code,
        message=message if code else told.strip() + reason,
        trouble=trouble.group(1) if trouble else "",
        redirected="BareRedirect" in inside,
        unsigned=any(sign in told for sign in _NO_CREDENTIALS),
    )


def _tag(body: str, tag: str) -> str:
    found = re.search(f"<{tag}>([^<]*)</{tag}>", body)
    return found.group(1) if found else ""


_REPLY: Final = re.compile(r"\binner: Status \{\s*status: (\d{3}),")
_STATUS: Final = re.compile(r"status code: (\d{3})\b")
_TROUBLE: Final = re.compile(r"\bHttpError \{\s*kind: (\w+),")
_REASON: Final = re.compile(r'\b(?:message|error): "([^"]*)"')
_NO_CREDENTIALS: Final = ("credential provider", *METADATA_SERVICES)


# --- Forks ------------------------------------------------------------------------------------------

_started = False
_stranded = False


def begin() -> bool:
    """Tell whether this process can use obstore, and take note that it does.

    It cannot if it was forked from one that had: the threads that would do the work are the parent's, and
    every request would wait for them for ever.
    """
    global _started  # noqa: PLW0603 - belongs to the process
    _started = not _stranded
    return _started


def _before_fork() -> None:
    global _started  # noqa: PLW0603 - the same
    # Another part of the program may have started them.
    _started = _started or _runs_here()


def _after_fork() -> None:
    global _started, _stranded
    _started, _stranded = False, _stranded or _started


def _runs_here() -> bool:
    """Tell whether a thread of obstore is seen, where threads can be seen at all."""
    try:
        return any(_is_worker(task) for task in os.listdir("/proc/self/task"))
    except OSError:
        return False


def _is_worker(task: str) -> bool:
    try:
        with open(f"/proc/self/task/{task}/comm", "rb") as name:
            return name.read().startswith(b"tokio")
    except OSError:
        return False  # it has ended


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
