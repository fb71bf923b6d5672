"""The engine for any address: whatever obstore can reach, in the words of this project."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from perkey.answers import answer
from perkey.content import STREAM_ABOVE, Content
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.expectations import ABSENT, ANY, ConditionKind, Expectation, Verb, Version
from perkey.files import ProcessLock
from perkey.parallel import map_unordered
from perkey.retrying import UPLOAD_IDLE_SECONDS, Retry
from perkey.stores.objects.engine import (
    WRITE_ID,
    Body,
    Engine,
    Head,
    Marked,
    NoSuchBucket,
    NoSuchObject,
    NotHonoured,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    Upload,
    again,
    content_type,
    size_of,
)

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

from perkey.stores.objects import obstore_replies as obstores
from perkey.stores.objects.addresses import (
    base_of,
    endpoint_in,
    harmless,
    harmless_to_clients,
    kind_of,
    option_names,
)
from perkey.stores.objects.aws_settings import read_settings
from perkey.stores.objects.obstore_replies import FOREIGN, Said
from perkey.waiting import blocking

T = TypeVar("T")

_CONTENT_TYPE: Final = "Content-Type"
_WORKERS: Final = 16
_CHUNK: Final = 16 << 20
_CHUNKS_AT_ONCE: Final = 4
_CONNECT_SECONDS: Final = 10.0
_NO_TIMEOUT: Final = timedelta(days=1)

_NO_CONTAINER: Final = frozenset(("NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"))
_EXISTS: Final = frozenset(("BlobAlreadyExists", "PreconditionFailed", "ConditionNotMet"))
_CREDENTIALS: Final = frozenset(
    ("ExpiredToken", "InvalidToken", "ExpiredTokenException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
     "TokenRefreshRequired", "AuthenticationFailed", "InvalidAuthenticationInfo")
)  # fmt: skip
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_BAD_REQUEST: Final = 400
_OF_CREDENTIALS: Final = frozenset(
    ("access_key_id", "secret_access_key", "token", "session_token", "skip_signature")
)
_OF_CLOUDS: Final = ("AWS_", "AZURE_", "GOOGLE_")
_DENIED: Final = frozenset((401, 403))
_NOT_FOUND: Final = 404
_FAILED_PRECONDITION: Final = 412
_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_LATER: Final = frozenset((409, 429, 503))


class UrlEngine(Engine):
    """An address through obstore; `ObstoreStore` says what the arguments are."""

    is_asynchronous = True

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        credential_provider: Any = None,
        retry: Retry = Engine.retry,
    ) -> None:
        self.url = url
        self.kind = kind_of(url)
        if self.kind == "file":
            # Obstore cannot replace a certain version of a file, and syncs none.
            raise ValueError("a folder is no object service: use DirectoryStore")
        self.options = dict(options or {})
        self._endpoint = endpoint_in(self.options)
        self.client_options = dict(client_options or {})
        self.retry = retry
        self._provider = credential_provider
        self._configured: str | None = None
        self._environment: dict[str, str] = {}
        # What is in memory is kept by its handles, used or not.
        self._store: Any = _memory(base_of(url)) if self.kind == "memory" else None
        self._large_store: Any = self._store
        self._owner = os.getpid() if self.kind == "memory" else 0

    def __getstate__(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "options": harmless(self.options),
            "client_options": harmless_to_clients(self.client_options),
            "retry": self.retry,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same as making it anew

    @property
    def endpoint(self) -> str:
        if self._endpoint or self.kind != "s3":
            return self._endpoint or self.kind
        if self._configured is None:
            try:
                self._configured = str(read_settings(credentials=False).options.get("endpoint", self.kind))
            except answer(*FOREIGN):
                return self.kind  # the first request raises what is wrong
        return self._configured

    def describe(self, key: str = "") -> str:
        return f"{base_of(self.url)}/{key}"

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Tell whether obstore can express a condition: of writes all, of removals none."""
        del kind
        return verb == "write"

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        condition: Any = {} if unless is None else {"if_none_match": f'"{self._etag(unless)}"'}

        def get(store: Any) -> tuple[Content, Version] | None:
            try:
                result = obstores.send(store, "get", key, options=condition)
            except NotModifiedError:
                return None
            marked = Marked(self._version(result.meta), result.attributes.get(self._write_id_name()))
            return obstores.content_of(result, limit), marked

        return self._do("read", key, get)

    def head(self, key: str) -> Head:
        # A HEAD request; the method of that name does not return the metadata.
        result = self._do("stat", key, lambda store: obstores.send(store, "get", key, options={"head": True}))
        write_id = result.attributes.get(self._write_id_name())
        return obstores.head_of(result.meta, self._version(result.meta), write_id)

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        size = size_of(body)
        # Obstore has no conditional uploads in parts: these are read into memory and go up at once.
        large = size > self.multipart_above if parts is None else parts
        about = {self._write_id_name(): write_id, _CONTENT_TYPE: content_type(key)}

        def put(store: Any) -> Any:
            if not isinstance(body, bytes):
                body.seek(0)
            return obstores.send(
                store,
                "put",
                key,
                body,
                attributes=about,
                mode=self._mode(expect),
                use_multipart=large and expect is ANY and self.kind != "memory",
                chunk_size=_CHUNK,
                max_concurrency=_CHUNKS_AT_ONCE,
            )

        return self._version(self._do("write", key, put, large=size > STREAM_ABOVE))

    def delete(self, key: str, *, version: Version | None = None) -> None:
        if version is not None:
            failure = BackendError(
                f"cannot remove a certain version of {self.describe(key)}: obstore has no such request",
                **self._about("remove", key),
            )
            raise NotHonoured(failure)
        self._do("remove", key, lambda store: obstores.send(store, "delete", key))

    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        try:
            self._do("remove", "", lambda store: obstores.send(store, "delete", keys))
        except (BackendError, Signal):
            # It tells of one only, and not what became of the others.
            told = map_unordered(self._delete_again, keys, workers=_WORKERS, discard=_forget)
            return {key: error for key, error in told if isinstance(error, Exception)}
        return {}

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        last = start_after
        pages: Iterator[Any] | None = None
        pages_of: Any = None

        def next_page(store: Any) -> Any:
            nonlocal pages, pages_of
            if pages is None or pages_of is not store:
                pages, pages_of = obstores.pages(store, prefix, last), store
            return next(pages, None)

        while (page := self._do("list", prefix, next_page)) is not None:
            for found in page:
                last = found["path"]
                if last.startswith(prefix):
                    yield found["path"], obstores.head_of(found, self._version(found))

    def list_folders(self, prefix: str) -> Iterator[str]:
        found = self._do(
            "list", prefix, lambda store: obstores.send(store, "list_with_delimiter", prefix or None)
        )
        return (folder[len(prefix) :] for folder in found["common_prefixes"])

    def uploads(self, prefix: str) -> Iterator[Upload]:
        if self.kind == "memory":
            return iter(())
        advice = (
            "use S3Dict, or a lifecycle rule"
            if self.kind == "s3"
            else "the service removes them by its rules"
        )
        raise BackendError(
            f"cannot list the uploads below {self.describe(prefix)}: obstore has no such request; {advice}",
            **self._about("list", prefix),
        )

    def abort(self, upload: Upload) -> None:
        raise BackendError(
            f"cannot abort an upload of {self.describe(upload.key)}: obstore has no such request",
            **self._about("remove", upload.key),
        )

    def create_bucket(self) -> None:
        raise BackendError(
            f"{self.describe()}: there is no such bucket or container; it has to be made first",
            **self._about("write", ""),
        )

    # --- Requests -----------------------------------------------------------------------------------

    def _delete_again(self, key: str) -> None:
        with contextlib.suppress(NoSuchObject, NoSuchBucket):
            again(lambda: self.delete(key), NoSuchObject, NoSuchBucket, retry=self.retry)

    def _do(self, operation: str, key: str, request: Callable[[Any], T], *, large: bool = False) -> T:
        """Do something by the store of this process; raises in our words.

        If the service rejects the credentials, it is done once more by a new store, which looks for
        credentials anew: they may be rotated while a program runs, and a rejected request has no effect.
        """
        try:
            return request(self._able(operation, key, large=large))
        except answer(*FOREIGN) as error:
            if not self._is_outdated(error):
                raise self._translate(error, operation, key) from error
        self._owner = 0
        try:
            return request(self._able(operation, key, large=large))
        except answer(*FOREIGN) as error:
            raise self._translate(error, operation, key) from error

    def _is_outdated(self, error: Exception) -> bool:
        """Return whether a service rejects the credentials, or refuses silently while there are others."""
        if self.kind == "memory":
            return False
        said = obstores.said_by(error)
        wordless = not said.code and said.status == _BAD_REQUEST  # a reply to HEAD
        if said.code in _CREDENTIALS or said.status == _UNAUTHENTICATED or wordless:
            return True
        return said.status == _FORBIDDEN and self._seen() != self._environment

    def _able(self, operation: str, key: str, *, large: bool) -> Any:
        if not obstores.begin() and self.kind != "memory":  # which needs no threads
            raise BackendError(
                f"cannot {operation} {self.describe(key)}: obstore had been used before this process was "
                "forked, which its threads do not survive; start processes with 'spawn' or 'forkserver'",
                **self._about(operation, key),
            )
        if self._owner != os.getpid():
            # Several threads may make them, and the last ones stay.
            self._store, self._large_store = blocking(self._make_stores)
            self._owner = os.getpid()
        return self._large_store if large else self._store

    def _make_stores(self) -> tuple[Any, Any]:
        """Return the store of this process, and that for large values.

        The read time-out of obstore is also for sending a value.
        """
        if self.kind == "memory":
            return (_memory(base_of(self.url)),) * 2
        self._environment = self._seen()
        options, provider = self._settings()
        endpoint = self._endpoint or str(options.get("endpoint", "")) or os.environ.get("AWS_ENDPOINT", "")
        plain = {"allow_http": True} if endpoint.startswith("http:") else {}
        more: Any = {"credential_provider": provider} if provider is not None else {}

        def make(read_timeout: float) -> Any:
            client = {
                "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, read_timeout)),
                # Until the reply begins or goes on; the whole may take as long as it takes.
                "read_timeout": timedelta(seconds=read_timeout),
                "timeout": _NO_TIMEOUT,
            }
            return from_url(
                self.url,
                config=cast("Any", options),
                client_options=cast("Any", {**client, **plain, **self.client_options}),
                retry_config={"max_retries": 0},
                **more,
            )

        return make(self.retry.idle()), make(self.retry.idle(UPLOAD_IDLE_SECONDS))

    def _settings(self) -> tuple[dict[str, Any], Any]:
        """Return options and provider of credentials; for S3 with what boto3 would take from elsewhere."""
        given = {name: value for name, value in self.options.items() if value is not None}
        if self.kind != "s3":
            return given, self._provider
        names = option_names(self.options)
        known = _OF_CREDENTIALS & names or self._provider is not None
        known = known or os.environ.get("AWS_SKIP_SIGNATURE", "").lower() == "true"
        found = read_settings(credentials=not known)
        options = {name: value for name, value in found.options.items() if name not in names}
        return {**options, **given}, _by_boto() if found.by_boto else self._provider

    def _seen(self) -> dict[str, str]:
        """Return what the environment and the files of AWS say now."""
        seen = {name: value for name, value in os.environ.items() if name.startswith(_OF_CLOUDS)}
        try:
            seen.update(read_settings(credentials=True).options if self.kind == "s3" else {})
        except answer(*FOREIGN):
            pass  # the next request raises what is wrong
        return seen

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


def _by_boto() -> Any:
    """Return what gives obstore the credentials that boto3 finds."""
    from botocore.exceptions import BotoCoreError

    from perkey.stores.objects.boto_client import credentials_of_profile, provider_of

    try:
        return provider_of(credentials_of_profile())
    except BotoCoreError as error:
        raise UnauthenticatedError(f"no usable AWS credentials were found: {error}") from error


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
    if said.unsigned and any(place in said.message for place in obstores.METADATA_SERVICES):
        return (
            "no credentials were found in the options, in the environment or at the metadata service of this "
            f"machine; public data can be read with options={{'skip_signature': True}}: {said.message}"
        )
    return f"{said.code}: {said.message}" if said.code else said.message


_memories: weakref.WeakValueDictionary[str, MemoryStore] = weakref.WeakValueDictionary()
_naming = ProcessLock()


def _memory(name: str) -> MemoryStore:
    """Return the memory of a name, the same for all as long as anybody has it."""
    with _naming:
        return _memories.setdefault(name, MemoryStore())
