"""The engine for any address: whatever obstore can reach, in the words of this project."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from perkey.answers import answer
from perkey.content import Content
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.parallel import map_unordered
from perkey.stores.base import ABSENT, ANY, ConditionKind, Expectation, Verb, Version
from perkey.stores.objects import (
    WRITE_ID,
    Body,
    Engine,
    Head,
    NoSuchBucket,
    NoSuchObject,
    NotHonoured,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    again,
    content_type,
    size_of,
)
from perkey.stores.process_lock import ProcessLock

try:
    from obstore.exceptions import (
        AlreadyExistsError,
        NotModifiedError,
        NotSupportedError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import MemoryStore, from_url
except ImportError as error:
    raise MissingExtraError("ObjectStoreDict", "obstore", "obstore") from error

from perkey.stores import obstores
from perkey.stores.addresses import base_of, endpoint_in, harmless, harmless_to_clients, kind_of
from perkey.stores.obstores import FOREIGN, Said

_CONTENT_TYPE: Final = "Content-Type"
_WORKERS: Final = 16
_CHUNK: Final = 16 << 20
_CHUNKS_AT_ONCE: Final = 4
_CLIENT: Final = {
    "connect_timeout": timedelta(seconds=60),
    # Until the reply begins or goes on; the whole may take as long as it takes.
    "read_timeout": timedelta(minutes=5),
    "timeout": timedelta(days=1),
}

_NO_CONTAINER: Final = frozenset(("NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"))
_EXISTS: Final = frozenset(("BlobAlreadyExists", "PreconditionFailed", "ConditionNotMet"))
_CREDENTIALS: Final = frozenset(("ExpiredToken", "InvalidToken", "ExpiredTokenException"))
_DENIED: Final = frozenset((401, 403))
_NOT_FOUND: Final = 404
_FAILED_PRECONDITION: Final = 412
_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_LATER: Final = frozenset((409, 429, 503))


class UrlEngine(Engine):
    """An address through obstore; `ObstoreStore` says what the arguments are."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        credential_provider: Any = None,
    ) -> None:
        self.url = url
        self.kind = kind_of(url)
        if self.kind == "file":
            # Obstore cannot replace a certain version of a file, and syncs none.
            raise ValueError("a folder is no object service: use DirectoryStore")
        self.options = dict(options or {})
        self._endpoint = endpoint_in(self.options)
        self.client_options = dict(client_options or {})
        self._provider = credential_provider
        # What is in memory is kept by its handles, used or not.
        self._store: Any = _memory(base_of(url)) if self.kind == "memory" else None
        self._owner = os.getpid() if self.kind == "memory" else 0

    def __getstate__(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "options": harmless(self.options),
            "client_options": harmless_to_clients(self.client_options),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same as making it anew

    @property
    def endpoint(self) -> str:
        return self._endpoint or self.kind

    def describe(self, key: str = "") -> str:
        return f"{base_of(self.url)}/{key}"

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Tell whether obstore can express a condition: of writes all, of removals none."""
        del kind
        return verb == "write"

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        condition: Any = {} if unless is None else {"if_none_match": f'"{self._etag(unless)}"'}
        with self._translated("read", key) as store:
            try:
                result = store.get(key, options=condition)
            except NotModifiedError:
                return None
            return obstores.content_of(result, limit), self._version(result.meta)

    def head(self, key: str) -> Head:
        with self._translated("stat", key) as store:
            # A HEAD request; the method of that name does not tell the metadata.
            result = store.get(key, options={"head": True})
            write_id = result.attributes.get(self._write_id_name())
            return obstores.head_of(result.meta, self._version(result.meta), write_id)

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        size = size_of(body)
        if not isinstance(body, bytes):
            body.seek(0)
        # Obstore has no conditional uploads in parts: these are read into memory and go up at once.
        large = size > self.multipart_above if parts is None else parts
        about = {self._write_id_name(): write_id, _CONTENT_TYPE: content_type(key)}
        with self._translated("write", key) as store:
            reply = store.put(
                key,
                body,
                attributes=about,
                mode=self._mode(expect),
                use_multipart=large and expect is ANY and self.kind != "memory",
                chunk_size=_CHUNK,
                max_concurrency=_CHUNKS_AT_ONCE,
            )
            return self._version(reply)

    def delete(self, key: str, *, version: Version | None = None) -> None:
        if version is not None:
            failure = BackendError(
                f"cannot remove a certain version of {self.describe(key)}: obstore has no such request",
                **self._about("remove", key),
            )
            raise NotHonoured(failure)
        with self._translated("remove", key) as store:
            store.delete(key)

    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        try:
            with self._translated("remove", "") as store:
                store.delete(keys)
        except (BackendError, Signal):
            # It tells of one only, and not what became of the others.
            told = map_unordered(self._delete_again, keys, workers=_WORKERS, discard=_forget)
            return {key: error for key, error in told if isinstance(error, Exception)}
        return {}

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        pages: Iterator[Any] | None = None
        while True:
            with self._translated("list", prefix) as store:
                pages = pages or obstores.pages(store, prefix, start_after)
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                if found["path"].startswith(prefix):
                    yield found["path"], obstores.head_of(found, self._version(found))

    def list_folders(self, prefix: str) -> Iterator[str]:
        with self._translated("list", prefix) as store:
            found = store.list_with_delimiter(prefix or None)["common_prefixes"]
        return (folder[len(prefix) :] for folder in found)

    def create_bucket(self) -> None:
        raise BackendError(
            f"{self.describe()}: there is no such bucket or container; it has to be made first",
            **self._about("write", ""),
        )

    # --- Requests -----------------------------------------------------------------------------------

    def _delete_again(self, key: str) -> None:
        with contextlib.suppress(NoSuchObject, NoSuchBucket):
            again(lambda: self.delete(key), NoSuchObject, NoSuchBucket)

    @contextlib.contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[Any]:
        """Give the store of this process; what it raises is told in our words."""
        try:
            yield self._able(operation, key)
        except answer(*FOREIGN) as error:
            raise self._translate(error, operation, key) from error

    def _able(self, operation: str, key: str) -> Any:
        if not obstores.begin() and self.kind != "memory":  # which needs no threads
            raise BackendError(
                f"cannot {operation} {self.describe(key)}: obstore had been used before this process was "
                "forked, which its threads do not survive; start processes with 'spawn' or 'forkserver'",
                **self._about(operation, key),
            )
        if self._owner != os.getpid():
            self._store = self._make_store()  # several threads may make one each, and the last one stays
            self._owner = os.getpid()
        return self._store

    def _make_store(self) -> Any:
        if self.kind == "memory":
            return _memory(base_of(self.url))
        plain = {"allow_http": True} if self._is_plain() else {}
        more: Any = {"credential_provider": self._provider} if self._provider is not None else {}
        return from_url(
            self.url,
            config=cast("Any", self.options),
            client_options=cast("Any", {**_CLIENT, **plain, **self.client_options}),
            retry_config={"max_retries": 0},
            **more,
        )

    def _is_plain(self) -> bool:
        """Tell whether the endpoint is one without TLS; obstore takes it from the environment, too."""
        there = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        return (self._endpoint or (there if self.kind == "s3" else "")).startswith("http:")

    def _write_id_name(self) -> str:
        # On Azure a name must be an identifier.
        return WRITE_ID.replace("-", "_") if self.kind == "az" else WRITE_ID

    def _version(self, reply: Any) -> Version:
        """Return the version that a reply tells; Google compares generations, the others ETags."""
        etag = obstores.etag_of(reply)
        return f"{reply['version'] or ''}/{etag}" if self.kind == "gs" else etag

    def _etag(self, version: Version) -> str:
        return version.rpartition("/")[2] if self.kind == "gs" else version

    def _mode(self, expect: Expectation) -> Any:
        if not isinstance(expect, str):
            return "create" if expect is ABSENT else "overwrite"
        if self.kind == "gs":
            return {"version": expect.partition("/")[0], "e_tag": self._etag(expect)}
        # Ceph compares the header literally, quotes and all; Azure and memory want them.
        return {"e_tag": expect if self.kind == "s3" else f'"{expect}"'}

    # --- Errors -------------------------------------------------------------------------------------

    def _translate(self, error: Exception, operation: str, key: str) -> Exception:
        """Return the signal or error that a foreign exception means; the only place that knows them."""
        said = obstores.said_by(error)
        failure = BackendError(
            f"cannot {operation} {self.describe(key)}: {_words(said)}", **self._about(operation, key)
        )
        signal = _signal(error, said)
        if signal is not None:
            return signal(failure)
        if _is_refusal(error, said):
            return AccessDeniedError(
                f"cannot {operation} {self.describe(key)}: access denied, or no valid credentials "
                f"({_words(said)})",
                **self._about(operation, key),
            )
        if said.status in _LATER or said.trouble == "Connect":
            return TryAgain(failure)
        return Unclear(failure) if said.status >= _ERROR or said.trouble else failure

    def _about(self, operation: str, key: str) -> dict[str, Any]:
        return {"backend": self.kind, "operation": operation, "key": key or None}


def _signal(error: Exception, said: Said) -> type[Signal] | None:
    if said.code in _NO_CONTAINER:
        return NoSuchBucket
    if said.status == _NOT_FOUND or isinstance(error, FileNotFoundError):
        return NoSuchObject
    compared = isinstance(error, (AlreadyExistsError, PreconditionError)) and not said.status
    if compared or said.code in _EXISTS or said.status == _FAILED_PRECONDITION:
        return PreconditionFailed
    if said.status == _NOT_IMPLEMENTED or isinstance(error, (NotImplementedError, NotSupportedError)):
        return NotHonoured
    return None


def _is_refusal(error: Exception, said: Said) -> bool:
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
    return denied or said.unsigned or said.status in _DENIED or said.code in _CREDENTIALS


def _forget(result: None) -> None:
    del result


def _words(said: Said) -> str:
    return f"{said.code}: {said.message}" if said.code else said.message


_memories: weakref.WeakValueDictionary[str, MemoryStore] = weakref.WeakValueDictionary()
_naming = ProcessLock()


def _memory(name: str) -> MemoryStore:
    """Return the memory of a name, the same for all as long as anybody has it."""
    with _naming:
        return _memories.setdefault(name, MemoryStore())
