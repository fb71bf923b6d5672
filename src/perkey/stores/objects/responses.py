"""What all engines over obstore share: its requests, how replies and errors read, and what a fork does to it.

obstore is a client in Rust. Its errors have status and body of a reply in their text only, which is read here
and nowhere else. Its threads exist only in the process that started them.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from perkey.content import Content
from perkey.errors import MissingExtraError
from perkey.expectations import ABSENT, Expectation, Version
from perkey.stores.objects.engine import (
    COPY_BYTES,
    WRITE_ID,
    Body,
    Engine,
    Head,
    IncompleteReply,
    Marked,
    content_type,
    spooled,
    version_of,
)
from perkey.waiting import driver

try:
    from obstore import exceptions
except ImportError as error:
    raise MissingExtraError("object stores through obstore", "obstore", "obstore") from error

PAGE: Final = 1000
"""Objects of a listing that come with one reply."""

_PARTS_AT_ONCE: Final = 4

METADATA_SERVICES: Final = ("//169.254.169.254/", "//metadata.google.internal/", "//metadata/")
"""Where obstore asks for credentials if it finds none elsewhere: machines of clouds answer there."""

FOREIGN: Final = (exceptions.BaseError, FileNotFoundError, NotImplementedError, ValueError)
"""What obstore raises."""


# --- Requests ---------------------------------------------------------------------------------------


def request(store: Any, verb: str, *arguments: Any, **options: Any) -> Any:
    """Make a request: in this thread, or as a task of the event loop that drives this code."""
    driving = driver()
    if driving is None:
        return getattr(store, verb)(*arguments, **options)
    return driving.request(partial(getattr(store, f"{verb}_async"), *arguments, **options))


def _drawn(stream: Any) -> Iterator[Any]:
    """Yield the pieces of a stream; each is waited for as the code that asks for it waits."""
    return iter(partial(_next_of, stream), None)


def _next_of(stream: Any) -> Any:
    driving = driver()
    return next(stream, None) if driving is None else driving.request(partial(_next, stream))


async def _next(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream, None)


class Dialect:
    """What differs between services: names of metadata, versions, conditions. This is S3's.

    Attributes:
        write_id: Name of the metadata that has the marks of a write.
        has_parts: Whether there are uploads in parts.
    """

    write_id = WRITE_ID
    has_parts = True

    @staticmethod
    def version(reply: Any) -> Version:
        """Return the version in a reply: its ETag without quotes."""
        return version_of(reply["e_tag"], listed=True)

    @staticmethod
    def etag(version: Version) -> str:
        """Return the ETag of a version."""
        return version

    def same(self, version: Version) -> dict[str, str]:
        """Return the condition that an object is at a version, as obstore takes it."""
        # Ceph compares the header literally, quotes included.
        return {"e_tag": version}


class QuotingDialect(Dialect):
    """That of memory, which wants quotes around an ETag, as Azure does."""

    has_parts = False

    def same(self, version: Version) -> dict[str, str]:
        return {"e_tag": f'"{version}"'}


class AzureDialect(QuotingDialect):
    """That of Azure: names of metadata are identifiers."""

    write_id = WRITE_ID.replace("-", "_")
    has_parts = True


class GoogleDialect(Dialect):
    """That of Google, which compares generations: a version is a generation and an ETag."""

    @staticmethod
    def version(reply: Any) -> Version:
        return f"{reply['version'] or ''}/{Dialect.version(reply)}"

    @staticmethod
    def etag(version: Version) -> str:
        return version.rpartition("/")[2]

    def same(self, version: Version) -> dict[str, str]:
        return {"version": version.partition("/")[0], "e_tag": self.etag(version)}


S3: Final = Dialect()
DIALECTS: Final = {"s3": S3, "gs": GoogleDialect(), "az": AzureDialect(), "memory": QuotingDialect()}
"""The dialect of each kind of service."""


def get_object(
    store: Any, *, key: str, unless: Version | None, limit: int | None, dialect: Dialect = S3
) -> tuple[Content, Version] | None:
    """Return content and version, as `Engine.get`."""
    condition: Any = {} if unless is None else {"if_none_match": f'"{dialect.etag(unless)}"'}
    try:
        result = request(store, "get", key, options=condition)
    except exceptions.NotModifiedError:
        return None
    marked = Marked(_complete(dialect.version(result.meta)), result.attributes.get(dialect.write_id))
    if limit is None or result.meta["size"] <= limit:
        driving = driver()
        return bytes(result.bytes() if driving is None else driving.request(result.bytes_async)), marked
    return spooled(_drawn(result.stream(min_chunk_size=COPY_BYTES))), marked


def head_object(store: Any, *, key: str, dialect: Dialect = S3) -> Head:
    """Return what is known of an object, as `Engine.head`."""
    # A HEAD request; the method of that name does not return the metadata.
    result = request(store, "get", key, options={"head": True})
    head = _head_of(result.meta, dialect, result.attributes.get(dialect.write_id))
    _complete(head.version)
    return head


def _complete(version: Version) -> Version:
    """Return a version, which a reply about one object has."""
    if not version:
        raise IncompleteReply("ETag")
    return version


def put_object(
    store: Any,
    *,
    key: str,
    body: Body,
    expect: Expectation,
    write_id: str,
    parts: bool = False,
    dialect: Dialect = S3,
) -> Version:
    """Store an object, as `Engine.put`."""
    if not isinstance(body, bytes):
        body.seek(0)
    mode: Any = (
        dialect.same(expect) if isinstance(expect, str) else "create" if expect is ABSENT else "overwrite"
    )
    return dialect.version(
        request(
            store,
            "put",
            key,
            body,
            attributes={dialect.write_id: write_id, "Content-Type": content_type(key)},
            mode=mode,
            use_multipart=parts,
            chunk_size=Engine.part_size,
            max_concurrency=_PARTS_AT_ONCE,
        )
    )


class Listing:
    """All objects below a prefix, page by page; the store may be exchanged between two pages.

    Args:
        prefix: The beginning of the names.
        start_after: The name after which to begin, or "".
        dialect: That of the service.

    Attributes:
        last: The name that was yielded last.
    """

    def __init__(self, prefix: str, start_after: str, dialect: Dialect = S3) -> None:
        self._prefix = prefix
        self.last = start_after
        self._after = start_after
        self._dialect = dialect
        self._pages: Iterator[Any] = iter(())
        self._store: Any = None

    def objects(self, ask: Callable[[Callable[[Any], Any]], Any]) -> Iterator[tuple[str, Head]]:
        """Yield name and `Head` of each object.

        Args:
            ask: Calls a function with the store, and returns what it returns: a page, None for the end.
        """
        while (page := ask(self._next)) is not None:
            for found in page:
                if found["path"] <= self._after:
                    continue
                self.last = found["path"]
                # Markers of folders, "a/", are listed without their slash; the prefix may be one.
                if self.last.startswith(self._prefix):
                    yield self.last, _head_of(found, self._dialect)

    def _next(self, store: Any) -> Any:
        if self._store is not store:
            # Azurite and older services of Azure ignore the offset, and begin again.
            self._after = self.last
            about = {"offset": self.last or None, "chunk_size": PAGE}
            self._pages, self._store = _drawn(store.list(self._prefix or None, **about)), store
        page = next(self._pages, None)
        if page and page[-1]["path"] == self.last != self._after:
            raise IncompleteReply("new objects")  # the same page again, and so for ever
        return page


def _head_of(meta: Any, dialect: Dialect, write_id: str | None = None) -> Head:
    return Head(dialect.version(meta), meta["last_modified"].timestamp(), meta["size"], write_id)


def nameable(key: str) -> bool:
    """Return whether obstore takes the name of an object as it is: not if a part is empty or only dots."""
    return key.isprintable() and not {"", ".", ".."} & set(key.split("/"))


# --- Errors -----------------------------------------------------------------------------------------


REFUSED_BY_PROXY: Final = "Proxy"


class Response(NamedTuple):
    """The content of an error.

    Attributes:
        status: The status of the reply, 0 without a reply.
        code: The code in its body, if any.
        message: The text for the user.
        trouble: What happened to the connection: ``"Connect"``, ``"Timeout"``, ``"Interrupted"``, ..., or "".
            `REFUSED_BY_PROXY` if a proxy did not make it; another attempt would be the same.
        redirected: Whether another place was named without saying which.
        unsigned: Whether no credentials could be had.
    """

    status: int
    code: str
    message: str
    trouble: str
    redirected: bool
    unsigned: bool


class Rejected(exceptions.BaseError):
    """A request that was not sent by obstore failed.

    Attributes:
        response: How.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response.message)
        self.response = response


def parse_error(error: Exception) -> Response:
    """Read an error of obstore; what is not found in its text is left empty."""
    if isinstance(error, Rejected):
        return error.response
    told, _, inside = str(error).partition("\n\nDebug source:\n")
    reply = _REPLY.search(inside) or _STATUS.search(told)
    code, message = read_body(told.partition("status code: ")[2])
    unsent = _UNSENT.search(inside)
    trouble = None if unsent else _TROUBLE.search(inside)
    why = unsent or (trouble and _REASON.search(inside))
    reason = f": {why.group(1)}" if why else ""
    refused = _TUNNEL.search(inside)
    if refused:
        reason = ": a proxy refuses the connection"
    return Response(
        status=int(reply.group(1)) if reply else 0,
        code=code,
        message=message if code else told.strip() + reason,
        trouble=REFUSED_BY_PROXY if refused else trouble.group(1) if trouble else "",
        redirected="BareRedirect" in inside,
        unsigned=any(sign in told for sign in _NO_CREDENTIALS),
    )


def read_body(body: str) -> tuple[str, str]:
    """Return code and message in the body of a service's refusal, "" for what is not there."""
    return _tag(body, "Code"), _tag(body, "Message")


def _tag(body: str, tag: str) -> str:
    found = re.search(f"<{tag}>([^<]*)</{tag}>", body)
    return found.group(1) if found else ""


_REPLY: Final = re.compile(r"\binner: Status \{\s*status: (\d{3}),")
_STATUS: Final = re.compile(r"status code: (\d{3})\b")
_TROUBLE: Final = re.compile(r"\bHttpError \{\s*kind: (\w+),")
_TUNNEL: Final = re.compile(r"\b(?:TunnelUnsuccessful|ProxyAuthRequired)\b")
_UNSENT: Final = re.compile(r"\bkind: Builder,\s.*?\bsource: (\w+)", re.DOTALL)
"""A request that could not be made of its address and headers; another attempt would be the same."""
_REASON: Final = re.compile(r'\b(?:message|error): "([^"]*)"')
_NO_CREDENTIALS: Final = ("credential provider", *METADATA_SERVICES)


# --- Forks ------------------------------------------------------------------------------------------

_started = False
_stranded = False


def begin() -> bool:
    """Return whether this process can use obstore, and take note that it does.

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
    """Return whether a thread of obstore is seen, where threads can be seen at all."""
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
