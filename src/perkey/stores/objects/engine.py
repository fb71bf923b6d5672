"""What an object service can do, for engines; and how it can fail, in the words of this project.

An engine speaks to one bucket by one client library and translates every foreign error, in one place, into
one of the signals below or a `BackendError`. `ObjectStore` decides what to do about a signal.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, BinaryIO, Final, NamedTuple, Self, TypeAlias, TypeVar

from perkey.answers import system_answer
from perkey.content import Content
from perkey.errors import BackendError, OperationTimeoutError
from perkey.expectations import ConditionKind, Expectation, Verb, Version
from perkey.retrying import Attempts, Retry

Body: TypeAlias = bytes | BinaryIO
"""What is uploaded: bytes, or a file of known length that can be read again from its start."""

T = TypeVar("T")

COPY_BYTES: Final = 1 << 20
"""How much of a large object is read at a time."""

WRITE_ID: Final = "perkey-write-id"
"""Name of the metadata that has the marks of a write and of those that it was built on."""

_SHARED: Final = 16
"""How many engines that came by pickle a process keeps for the next one that comes."""

DEFAULT_BUCKET: Final = "my-bucket"
"""The bucket of a dictionary that is opened without the name of one. At AWS it belongs to some account."""

PROBE = ".@perkey-probe"
"""The beginning of the names of objects that ask an endpoint a question; "@" is in no key."""


def bucket_advice(bucket: str) -> str:
    """Return the end of an error's message about a bucket that this caller may not use."""
    if bucket != DEFAULT_BUCKET:
        return ""
    return (
        f"; {DEFAULT_BUCKET!r} is the bucket that is used when no bucket_name is given, and it may belong to "
        "another account: pass the name of your own bucket"
    )


class Signal(Exception):  # noqa: N818 - not an error by itself
    """An answer of an object service that `ObjectStore` understands.

    Attributes:
        cause: The error to raise where it is not expected, or is the last answer.
        repeated: Whether the client library had sent the request before, so that the first one may have
            taken effect.
    """

    def __init__(self, cause: Exception, *, repeated: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.repeated = repeated


class IncompleteReply(ValueError):  # noqa: N818 - engines translate it
    """A reply of success lacks what those of all services have, such as an ETag: it is of something else.

    Args:
        missing: What it lacks.
    """

    def __init__(self, missing: object) -> None:
        super().__init__(
            f"the reply has no {missing}, as each reply of an object service has; check the address, and "
            "whether a proxy or a page for logging in answers in its place"
        )


def version_of(etag: str | None, *, listed: bool = False) -> Version:
    """Return the version that an ETag is, without quotes.

    A proxy that may change replies marks ETags as weak ("W/"), and services compare them without that mark.

    Args:
        etag: The ETag.
        listed: Whether it is in a listing, where some services leave it out: then "" is returned.

    Raises:
        IncompleteReply: The reply has no ETag.
    """
    if not etag and not listed:
        raise IncompleteReply("ETag")
    return (etag or "").removeprefix("W/").strip('"')


class NoSuchObject(Signal):
    """The object is not there; the bucket is, as far as known."""


class NoSuchBucket(Signal):
    """The bucket is not there."""


class NoSuchUpload(Signal):
    """The upload in parts is not there: it was completed or aborted, not necessarily by the one that asks."""


class PreconditionFailed(Signal):
    """The object was not as expected (412)."""


class Unsupported(Signal):
    """The service does not know such a condition (501)."""


class TryAgain(Signal):
    """The service did nothing, and may do it later (409, 503).

    Attributes:
        retry_after: Seconds that it asks to wait (Retry-After), or None.
    """

    def __init__(self, cause: Exception, *, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.retry_after = retry_after


class Unclear(Signal):
    """The reply, or its absence, does not show whether the request took effect (500, time-outs).

    Attributes:
        lost_race: Whether these are the service's words for a conditional write that was overtaken.
        retry_after: Seconds that it asks to wait (Retry-After), or None.
    """

    def __init__(
        self, cause: Exception, *, lost_race: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(cause)
        self.lost_race = lost_race
        self.retry_after = retry_after


class Marked(str):
    """A version as an engine returns it, with the metadata that has the marks of the write.

    Attributes:
        write_id: The metadata; None if another program wrote the object.
    """

    __slots__ = ("write_id",)

    write_id: str | None

    def __new__(cls, version: str, write_id: str | None) -> Self:
        made = super().__new__(cls, version)
        made.write_id = write_id
        return made


class Head(NamedTuple):
    """What is known of an object without its content.

    Attributes:
        version: Its ETag.
        mtime: When it was written, in seconds since the epoch.
        size: Its length in bytes.
        write_id: The marks of the write that made it, or None if another program did.
    """

    version: Version
    mtime: float
    size: int
    write_id: str | None = None


class Upload(NamedTuple):
    """An upload in parts that is neither complete nor aborted.

    Attributes:
        key: The object that it would make.
        id: What the service calls it.
        started: When it began, in seconds since the epoch.
    """

    key: str
    id: str
    started: float


class Engine(ABC):
    """One bucket through one client library. Each verb is one request unless noted.

    All verbs raise `NoSuchBucket`, `TryAgain`, `Unclear` and `BackendError`.

    Attributes:
        multipart_above: Bodies of more bytes than this are uploaded in parts.
        part_size: The least size of a part, in bytes.
        connections: How many requests it can make at a time.
        retry: For how long failed requests are tried again.
        is_asynchronous: Whether its requests are tasks of the event loop that drives the caller, if one does.
    """

    is_asynchronous = False
    multipart_above = 64 << 20
    part_size = 16 << 20
    connections = 48
    retry = Retry()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), pickle.dumps(self.__getstate__()))

    @abstractmethod
    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        """Return content and version, None if the object is still at `unless`; raises NoSuchObject.

        The version is `Marked`.
        """

    @abstractmethod
    def head(self, key: str) -> Head:
        """Return what is known of an object; raises NoSuchObject."""

    @abstractmethod
    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        """Store an object; raises PreconditionFailed, and NoSuchObject where a version was expected.

        Args:
            key: The object.
            body: Its content.
            expect: What it must be at.
            write_id: The marks of this write, kept with the object.
            parts: Whether to upload in parts, which takes several requests, none of which shows before the
                last; None leaves it to the size.
        """

    @abstractmethod
    def delete(self, key: str, *, version: Version | None = None) -> None:
        """Delete an object, if it is at `version`; an absent one is ignored, or raises NoSuchObject."""

    @abstractmethod
    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        """Delete up to 1,000 objects; return what went wrong, by key: errors, or signals."""

    @abstractmethod
    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        """Yield all objects whose names begin with `prefix`; one request for 1,000 of them."""

    @abstractmethod
    def list_folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands between `prefix` and the next slash in the names below it."""

    def erase(self, key: str) -> None:
        """Delete a probe object, with the old versions of it that a bucket keeps."""
        self.delete(key)

    @abstractmethod
    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield the uploads in parts below `prefix` that have not ended; one request for 1,000 of them."""

    @abstractmethod
    def abort(self, upload: Upload) -> None:
        """End an upload and delete its parts; no error if it has ended."""

    @abstractmethod
    def create_bucket(self) -> None:
        """Make the bucket, private; no error if this account has it already."""

    @abstractmethod
    def describe(self, key: str = "") -> str:
        """Return the address of an object."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """What names the service: endpoints differ in the conditions that they support."""

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return whether the client library can express a kind of condition at all."""
        del verb, kind
        return True


def _unpickled(kind: type[Engine], state: bytes) -> Engine:
    """Return the engine that this process has for a state: a client takes ten times as long as a request.

    Workers get their dictionary with each task. The environment names credentials and services.
    """
    return _shared(kind, state, frozenset(os.environ.items()), is_mocked())


@lru_cache(_SHARED)
def _shared(kind: type[Engine], state: bytes, *_: object) -> Engine:
    blank: Any = kind.__new__(kind)
    blank.__setstate__(pickle.loads(state))
    engine: Engine = blank
    return engine


def is_mocked() -> bool:
    """Return whether moto stands in for AWS; only boto3 takes notice."""
    moto = sys.modules.get("moto.core.models")
    return moto is not None and bool(moto.botocore_stubber.enabled)


def content_type(key: str) -> str:
    """Return the content type of an object."""
    return "application/json" if key.endswith(".json") else "application/octet-stream"


def spooled(pieces: Iterable[Any]) -> BinaryIO:
    """Return a temporary file of these pieces, at its start; the taker closes it."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    except system_answer(OSError) as error:
        # As it is, it could be taken for the service's word for an absent object.
        raise BackendError(
            f"no temporary file can be made for a large value: {error}", backend="local", operation="read"
        ) from error
    try:
        for piece in pieces:
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def size_of(body: Body) -> int:
    """Return the length of a body; of a file, the position is at its end then."""
    return len(body) if isinstance(body, bytes) else body.seek(0, io.SEEK_END)


def again(
    request: Callable[[], T],
    *expected: type[Signal],
    retry: Retry = Engine.retry,
    attempts: Attempts | None = None,
) -> T:
    """Make a request that can be repeated without harm, until it succeeds or its time is over.

    Args:
        request: Makes it.
        expected: The signals that the caller understands, beside those that mean "again".
        retry: For how long.
        attempts: Those of the operation that the request is a part of, if it is one.

    Raises:
        BackendError: The service did not do it, whatever the pauses.
        Signal: One of those expected.
    """
    began = time.monotonic()
    while True:
        try:
            return request()
        except (TryAgain, Unclear) as signal:
            attempts = attempts or Attempts(retry, began)
            pause(attempts, signal)
        except expected:
            raise
        except Signal as signal:
            raise signal.cause from signal.__cause__


def pause(attempts: Attempts, signal: TryAgain | Unclear) -> None:
    """Wait before another attempt.

    Raises:
        OperationTimeoutError: The time of the whole operation is over.
        BackendError: The time is too short for another attempt.
    """
    if attempts.pause(signal.cause, wanted=signal.retry_after):
        return
    cause = signal.cause
    if attempts.timed_out and isinstance(cause, BackendError):
        about = {"backend": cause.backend, "operation": cause.operation, "key": cause.key}
        raise OperationTimeoutError(f"the timeout is over: {cause}", **about) from cause
    raise cause from signal.__cause__
