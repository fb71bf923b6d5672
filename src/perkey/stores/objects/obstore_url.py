"""Any object service that obstore knows, by its address: the engine, and the store over it.

A service is asked which conditions it supports, as on S3. obstore has no request for the removal of a
certain version, so such removals are refused.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from perkey.answers import answer
from perkey.arguments import check_flag, check_kind
from perkey.content import STREAM_ABOVE, Content
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.expectations import ANY, ConditionKind, Expectation, Verb, Version
from perkey.files import ProcessLock
from perkey.naming import Name
from perkey.parallel import map_unordered
from perkey.retrying import UPLOAD_IDLE_SECONDS, Retry
from perkey.stores.base import Stat, Store
from perkey.stores.objects.engine import (
    Body,
    Engine,
    Head,
    NoSuchBucket,
    NoSuchObject,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    Unsupported,
    Upload,
    again,
    bucket_advice,
    size_of,
)

try:
    from obstore.exceptions import (
        AlreadyExistsError,
        NotSupportedError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import MemoryStore, from_url
except ImportError as error:
    raise MissingExtraError("ObjectStoreDict", "obstore", "obstore") from error

from perkey.stores.objects.addresses import (
    base_of,
    check_bucket,
    endpoint_in,
    harmless,
    harmless_to_clients,
    kind_of,
    option_names,
)
from perkey.stores.objects.aws_settings import read_settings
from perkey.stores.objects.responses import (
    DIALECTS,
    FOREIGN,
    METADATA_SERVICES,
    REFUSED_BY_PROXY,
    Listing,
    Rejected,
    Response,
    begin,
    get_object,
    head_object,
    parse_error,
    put_object,
    request,
)
from perkey.stores.objects.signed import send
from perkey.stores.objects.store import ObjectStore
from perkey.waiting import blocking

T = TypeVar("T")

_WORKERS: Final = 16
_CONNECT_SECONDS: Final = 10.0
_NO_CONSTRAINT: Final = frozenset(("", "us-east-1", "aws-global"))  # us-east-1 must not be named
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
_ENDPOINTS_AROUND: Final = {
    "s3": ("AWS_ENDPOINT",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
}
"""Variables of the environment that obstore takes the address of a service from."""
_DENIED: Final = frozenset((401, 403))
_NOT_FOUND: Final = 404
_FAILED_PRECONDITION: Final = 412
_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_LATER: Final = frozenset((409, 429, 503))


def _endpoint_around(kind: str) -> str:
    """Return the endpoint that the environment names, or ""."""
    return next(filter(None, map(os.environ.get, _ENDPOINTS_AROUND[kind])), "")


class UrlEngine(Engine):
    """An address through obstore; the arguments are those of `ObstoreStore`."""

    is_asynchronous = True
    _advice = ""

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
            raise ValueError("a folder is not an object service: use DirectoryStore")
        self._dialect = DIALECTS[self.kind]
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
        """Return whether obstore can express a condition: of writes all, of removals none."""
        del kind
        return verb == "write"

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        about: dict[str, Any] = {"key": key, "unless": unless, "limit": limit, "dialect": self._dialect}
        return self._do("read", key, partial(get_object, **about))

    def head(self, key: str) -> Head:
        return self._do("stat", key, partial(head_object, key=key, dialect=self._dialect))

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        size = size_of(body)
        # Obstore has no conditional uploads in parts: these are read into memory and go up at once.
        large = size > self.multipart_above if parts is None else parts
        about: dict[str, Any] = {
            "key": key,
            "body": body,
            "expect": expect,
            "write_id": write_id,
            "parts": large and expect is ANY and self._dialect.has_parts,
            "dialect": self._dialect,
        }
        return self._do("write", key, partial(put_object, **about), large=size > STREAM_ABOVE)

    def delete(self, key: str, *, version: Version | None = None) -> None:
        if version is not None:
            failure = BackendError(
                f"cannot remove a certain version of {self.describe(key)}: obstore has no such request",
                **self._about("remove", key),
            )
            raise Unsupported(failure)
        self._do("remove", key, lambda store: request(store, "delete", key))

    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        try:
            self._do("remove", "", lambda store: request(store, "delete", keys))
        except (BackendError, Signal):
            # The error is about one object only; each of them may be deleted or not.
            told = map_unordered(self._delete_again, keys, workers=_WORKERS, discard=_forget)
            return {key: error for key, error in told if isinstance(error, Exception)}
        return {}

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        listing = Listing(prefix, start_after, self._dialect)
        return listing.objects(partial(self._do, "list", prefix))

    def list_folders(self, prefix: str) -> Iterator[str]:
        found = self._do("list", prefix, lambda store: request(store, "list_with_delimiter", prefix or None))
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
            f"{self.describe()}: the bucket or container does not exist; make it first",
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
        response = parse_error(error)
        wordless = not response.code and response.status == _BAD_REQUEST  # a reply to HEAD
        if response.code in _CREDENTIALS or response.status == _UNAUTHENTICATED or wordless:
            return True
        return response.status == _FORBIDDEN and self._seen() != self._environment

    def _able(self, operation: str, key: str, *, large: bool) -> Any:
        if not begin() and self.kind != "memory":  # which needs no threads
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
        endpoint = self._endpoint or str(options.get("endpoint", "")) or _endpoint_around(self.kind)
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
        """Return the present settings in the environment and the files of AWS."""
        seen = {name: value for name, value in os.environ.items() if name.startswith(_OF_CLOUDS)}
        try:
            seen.update(read_settings(credentials=True).options if self.kind == "s3" else {})
        except answer(*FOREIGN):
            pass  # the next request raises what is wrong
        return seen

    # --- Errors -------------------------------------------------------------------------------------

    def _translate(self, error: Exception, operation: str, key: str) -> Exception:
        """Return the signal or error that a foreign exception means; no other place knows these."""
        response = parse_error(error)
        failure = BackendError(
            f"cannot {operation} {self.describe(key)}: {_words(response)}", **self._about(operation, key)
        )
        signal = _signal(error, response)
        if signal is not None:
            return signal(failure)
        if _is_refusal(error, response):
            return AccessDeniedError(
                f"cannot {operation} {self.describe(key)}: access denied, or no valid credentials "
                f"({_words(response)}){self._advice}",
                **self._about(operation, key),
            )
        if response.status in _LATER or response.trouble == "Connect":
            return TryAgain(failure)
        lost = response.trouble and response.trouble != REFUSED_BY_PROXY
        return Unclear(failure) if response.status >= _ERROR or lost else failure

    def _about(self, operation: str, key: str) -> dict[str, Any]:
        return {"backend": self.kind, "operation": operation, "key": key or None}


class S3UrlEngine(UrlEngine):
    """One bucket of S3 through obstore alone: the engine of `S3Dict(engine="obstore")` without boto3.

    It takes the settings that `aws_settings` reads. obstore signs the addresses of those requests that it
    has no verb for. Three things need boto3, and an error names the extra: a client or session, the ARN of
    an access point, and the list of unfinished uploads. Old versions of probe objects stay in a bucket that
    keeps versions.

    Args:
        bucket: The bucket's name.
        region: as for `BotoEngine`.
        endpoint_url: as for `BotoEngine`.
        client: None; a client is boto3's.
        session: None; a session is boto3's.
        unsigned: as for `BotoEngine`.
        requester_pays: as for `BotoEngine`.
        retry: as for `BotoEngine`.

    Raises:
        MissingExtraError: An argument needs boto3.
        TypeError: An argument is of the wrong kind.
        ValueError: A name or an address is not valid, or has a password in it.
    """

    def __init__(
        self,
        bucket: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        session: Any = None,
        unsigned: bool = False,
        requester_pays: bool = False,
        retry: Retry = Engine.retry,
    ) -> None:
        check_bucket(bucket)
        needing = {"client": client is not None, "session": session is not None}
        for name, is_needed in {**needing, "the ARN of an access point": ":" in bucket}.items():
            if is_needed:
                raise MissingExtraError(f"{name}, with engine='obstore',", "aws", "boto3")
        if region is not None:
            check_kind("region", region, str, "a str or None")
        self.bucket = bucket
        self.region = region
        self.endpoint_url = endpoint_url
        self.unsigned = check_flag("unsigned", unsigned)
        self.requester_pays = check_flag("requester_pays", requester_pays)
        options = {
            "region": region,
            "endpoint": endpoint_url,
            "skip_signature": self.unsigned or None,
            "request_payer": self.requester_pays or None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        super().__init__(f"s3://{bucket}", options=given, retry=retry)
        self._advice = bucket_advice(bucket)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("bucket", "region", "endpoint_url", "unsigned", "requester_pays", "retry")
        return {name: getattr(self, name) for name in kept}

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return whether a condition can be sent: those of removals only with a signature."""
        del kind
        return verb == "write" or not self.unsigned

    def delete(self, key: str, *, version: Version | None = None) -> None:
        if version is None or self.unsigned:
            super().delete(key, version=version)
        else:
            # Without quotes: Ceph compares the header literally, all others take both.
            self._send("remove", key, method="DELETE", headers={"If-Match": version})

    def create_bucket(self) -> None:
        region = self.region or str(read_settings(credentials=False).options.get("region", ""))
        place = f"<LocationConstraint>{region}</LocationConstraint>" if region not in _NO_CONSTRAINT else ""
        body = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode() if place else None
        headers = {"Content-Type": "application/xml"} if body else {}
        try:
            self._do("create the bucket for", "", partial(self._make_bucket, headers=headers, body=body))
        except (BackendError, Signal):
            # If several processes make it at once, some servers report only that it exists, not who owns it.
            with contextlib.suppress(BackendError, Signal):
                self._send("stat", "", method="HEAD")
                return
            raise

    def _make_bucket(self, store: Any, *, headers: dict[str, str], body: bytes | None) -> None:
        try:
            send(store, method="PUT", key="", seconds=self.retry.idle(), headers=headers, body=body)
        except Rejected as error:
            if error.response.code != "BucketAlreadyOwnedByYou":
                raise

    def _send(self, operation: str, key: str, **request: Any) -> None:
        self._do(operation, key, partial(send, key=key, seconds=self.retry.idle(), **request))

    def uploads(self, prefix: str) -> Iterator[Upload]:
        del prefix
        raise MissingExtraError("the list of unfinished uploads", "aws", "boto3")


class ObstoreStore(ObjectStore):
    """Items as objects below an address: ``gs://``, ``az://``, ``s3://`` or ``memory://``.

    Costs are those of `ObjectStore`, but that many items are removed one by one, except on S3 and Azure.
    Buckets are not made. A pickle has the address and those options that are known to be harmless; what is
    not, credentials among it, stays behind, and the other process takes it from its environment, as obstore
    does.

    What is in ``memory://NAME`` is shared by the handles of a process, and gone with the last of them.

    Args:
        url: The address, of a bucket or of a prefix in one, without secrets.
        options: The service's options, as obstore's, such as ``region`` or ``account_name``.
        client_options: Options of the HTTP client, as obstore's.
        credential_provider: What returns credentials, as obstore's.
        trust_service: Whether to rely on conditions without a test of the service.
        retry: For how long failed requests are tried again.

    Raises:
        ValueError: The address is not one of these, or has a password or a query in it.
    """

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        credential_provider: Any = None,
        trust_service: bool = False,
        retry: Retry = Engine.retry,
    ) -> None:
        engine = UrlEngine(
            url,
            options=options,
            client_options=client_options,
            credential_provider=credential_provider,
            retry=retry,
        )
        prefix = urlsplit(url).path.strip("/") if engine.kind == "memory" else ""
        super().__init__(engine, prefix, trust_service=trust_service)
        self._kind = engine.kind
        if self._kind == "memory":
            self.workers = 1  # memory needs no waiting

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        if self._kind == "gs":
            return ((name, Stat("", float(int(head.mtime)), head.size)) for name, head in self._list(prefix))
        return self.scan_stats(prefix)

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        """Yield name and `Stat` of each item below `prefix`; on Google one request more for each."""
        if self._kind == "gs":
            return Store.scan_stats(self, prefix)  # a listing is without the generations that are compared
        if self._kind == "memory":
            return ((name, Stat(head.version, head.mtime, head.size)) for name, head in self._list(prefix))
        return super().scan_stats(prefix)


def _by_boto() -> Any:
    """Return what gives obstore the credentials that boto3 finds."""
    from botocore.exceptions import BotoCoreError

    from perkey.stores.objects.boto_client import credentials_of_profile, provider_of

    try:
        return provider_of(credentials_of_profile())
    except BotoCoreError as error:
        raise UnauthenticatedError(f"no usable AWS credentials were found: {error}") from error


def _signal(error: Exception, response: Response) -> type[Signal] | None:
    if response.code in _NO_CONTAINER:
        return NoSuchBucket
    if response.status == _NOT_FOUND or isinstance(error, FileNotFoundError):
        return NoSuchObject
    compared = isinstance(error, (AlreadyExistsError, PreconditionError)) and not response.status
    if compared or response.code in _EXISTS or response.status == _FAILED_PRECONDITION:
        return PreconditionFailed
    if response.status == _NOT_IMPLEMENTED or isinstance(error, (NotImplementedError, NotSupportedError)):
        return Unsupported
    return None


def _is_refusal(error: Exception, response: Response) -> bool:
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
    return denied or response.unsigned or response.status in _DENIED or response.code in _CREDENTIALS


def _forget(result: None) -> None:
    del result


def _words(response: Response) -> str:
    if response.unsigned and any(place in response.message for place in METADATA_SERVICES):
        return (
            "no credentials were found in the options, in the environment or at the metadata service of this "
            f"machine; public data can be read with options={{'skip_signature': True}}: {response.message}"
        )
    return f"{response.code}: {response.message}" if response.code else response.message


_memories: weakref.WeakValueDictionary[str, MemoryStore] = weakref.WeakValueDictionary()
_naming = ProcessLock()


def _memory(name: str) -> MemoryStore:
    """Return the memory of a name, the same for all handles as long as one of them is alive."""
    with _naming:
        return _memories.setdefault(name, MemoryStore())
