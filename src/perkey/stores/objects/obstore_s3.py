"""The obstore engine: the Rust client on the data path, boto3 for what it lacks.

Obstore gets, puts, lists and deletes. Through boto3 go conditional deletions, uploads in parts, whatever does
not come as bytes in memory, deletions of many (obstore reports the first error only), folders and the bucket
itself; and anything else that obstore cannot do, so that both engines can do the same.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

from perkey.answers import answer
from perkey.content import STREAM_ABOVE, Content
from perkey.errors import MissingExtraError
from perkey.expectations import Expectation, Version
from perkey.retrying import UPLOAD_IDLE_SECONDS
from perkey.stores.objects.engine import (
    Body,
    Head,
    TryAgain,
    Unclear,
    is_mocked,
)

try:
    from obstore.exceptions import InvalidPathError
    from obstore.store import S3Store
except ImportError as error:
    raise MissingExtraError("engine='obstore'", "obstore", "obstore") from error

try:
    import botocore.exceptions as boto_says
except ImportError as error:
    raise MissingExtraError("engine='obstore'", "aws", "boto3") from error

from perkey.stores.objects.boto import FOREIGN as FOREIGN_TO_BOTO
from perkey.stores.objects.boto import BotoEngine
from perkey.stores.objects.boto_client import provider_of
from perkey.stores.objects.responses import (
    FOREIGN,
    REFUSED_BY_PROXY,
    Listing,
    Response,
    begin,
    get_object,
    head_object,
    nameable,
    parse_error,
    put_object,
    request,
)
from perkey.waiting import blocking

T = TypeVar("T")

_AT_ONCE: Final = 16 << 20
_NO_TIMEOUT: Final = timedelta(days=1)
_NO_REGION: Final = frozenset((None, "aws-global"))
_ELSEWHERE: Final = frozenset(
    (
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    )
)
_REDIRECTS: Final = frozenset((301, 302, 307, 308))
_BAD_REQUEST: Final = 400


class _Made(NamedTuple):
    """The stores that were made after a client of boto3.

    Attributes:
        client: The client.
        store: None if obstore cannot be used.
        large_store: That for large values: the time-out of obstore is for sending a value and the reply.
    """

    client: Any
    store: S3Store | None
    large_store: S3Store | None


_NOTHING: Final = _Made(None, None, None)


class ObstoreEngine(BotoEngine):
    """One bucket through obstore, several times faster than boto3 alone.

    Credentials, region, endpoint and time-outs are those of the boto3 client, which finds them in boto3's
    way; its event handlers, proxies and certificates are not obstore's. Inside `mock_aws`, which replaces
    boto3 only, everything goes through boto3.

    So it does in a process that was forked after obstore had been used, here or by other parts of the
    program, because the threads of obstore do not survive that; not in one that was spawned or forked before.

    Args:
        bucket: as for `BotoEngine`.
        **service: as for `BotoEngine`.
    """

    is_asynchronous = True

    def __init__(self, bucket: str, **service: Any) -> None:
        super().__init__(bucket, **service)
        self._made = _NOTHING
        self._thread = threading.local()

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        about: dict[str, Any] = {"key": key, "unless": unless, "limit": limit}
        return self._do(partial(get_object, **about), partial(super().get, **about), "read", key)

    def head(self, key: str) -> Head:
        return self._do(partial(head_object, key=key), partial(super().head, key), "stat", key)

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        about: dict[str, Any] = {"key": key, "body": body, "expect": expect, "write_id": write_id}
        by_boto = partial(super().put, parts=parts, **about)
        # A file would be read into memory first.
        if parts or not isinstance(body, bytes) or len(body) > min(_AT_ONCE, self.multipart_above):
            return by_boto()
        return self._do(partial(put_object, **about), by_boto, "write", key, large=len(body) > STREAM_ABOVE)

    def delete(self, key: str, *, version: Version | None = None) -> None:
        def by_boto() -> None:
            super(ObstoreEngine, self).delete(key, version=version)

        if version is not None:
            by_boto()
        else:
            self._do(lambda store: request(store, "delete", key), by_boto, "remove", key)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        listing = Listing(prefix, start_after)
        is_unable = False

        def give_up() -> None:
            nonlocal is_unable
            is_unable = True

        def ask(page: Callable[[S3Store], Any]) -> Any:
            return self._do(page, give_up, "list", prefix, named=whole)

        def rest() -> Iterator[tuple[str, Head]]:
            if is_unable:
                yield from super(ObstoreEngine, self).list(prefix, start_after=listing.last)

        # The name shows whether obstore can list there.
        whole = prefix.removesuffix("/") if prefix else "all"
        return chain(listing.objects(ask), rest())

    # --- Requests -----------------------------------------------------------------------------------

    def _do(
        self,
        by_obstore: Callable[[S3Store], T],
        by_boto: Callable[[], T],
        operation: str,
        key: str,
        *,
        named: str | None = None,
        large: bool = False,
    ) -> T:
        """Do something by obstore if it can, else by boto3.

        After a failure of the service the next request is boto3's, because obstore does not pass on how long
        the service asks to wait (Retry-After).
        """
        put_off, self._thread.put_off = getattr(self._thread, "put_off", False), False
        for attempt in range(2):
            client, store = self._able(key if named is None else named, large=large)
            if store is None or put_off:
                break
            try:
                return by_obstore(store)
            except answer(*FOREIGN) as error:
                response = parse_error(error)
                if isinstance(error, InvalidPathError) or _is_elsewhere(response):
                    # Nothing was done; boto3 lists what obstore has no name for, and sees which region the
                    # bucket is in.
                    break
                told = self._retold(response, operation)
                if attempt or not blocking(partial(self._renew, client, told)):
                    with self._noted():
                        raise self._translate(told, operation, key) from error
        with self._noted():
            return blocking(by_boto)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Remember for the next request of this thread that the service failed in the last one."""
        try:
            yield
        except (TryAgain, Unclear):
            self._thread.put_off = True
            raise

    def _able(self, key: str, *, large: bool = False) -> tuple[Any, S3Store | None]:
        """Return the client and the store of this process.

        The store is None if obstore cannot be used, here or for such a key.
        """
        if not nameable(key) or is_mocked() or not begin():
            return _NOT_ABLE
        try:
            client = self.client
        except FOREIGN_TO_BOTO:
            return _NOT_ABLE  # boto3 reports what is wrong with the settings
        made = self._made
        if made.client is not client:
            # Several threads may make them, and the last ones stay.
            made = self._made = blocking(partial(self._make_stores, client))
        return client, made.large_store if large else made.store

    def _make_stores(self, client: Any) -> _Made:
        idle: float = client.meta.config.read_timeout
        upload = idle if self._is_users else max(idle, self.retry.idle(UPLOAD_IDLE_SECONDS))
        return _Made(client, self._make_store(client, idle), self._make_store(client, upload))

    def _make_store(self, client: Any, read_timeout: float) -> S3Store | None:
        config, endpoint = client.meta.config, client.meta.endpoint_url
        credentials = client._request_signer._credentials
        if ":" in self.bucket or not (credentials or self.unsigned):
            return None  # boto3 handles ARNs, and reports missing credentials
        region = client.meta.region_name
        virtual = (config.s3 or {}).get("addressing_style") == "virtual"
        about: Any = {
            "endpoint": _with_bucket(endpoint, self.bucket) if virtual else endpoint,
            "virtual_hosted_style_request": virtual,
            "region": "us-east-1" if region in _NO_REGION else region,
            "skip_signature": self.unsigned,
            "request_payer": self.requester_pays,
            # So that one deletion is the same request as by boto3.
            "disable_bulk_delete": True,
        }
        if config.request_checksum_calculation != "when_required":
            # The one algorithm that obstore knows; buckets with Object Lock refuse writes without any.
            about["checksum_algorithm"] = "sha256"
        return S3Store(
            self.bucket,
            config=about,
            client_options={
                "allow_http": endpoint.startswith("http:"),
                "connect_timeout": timedelta(seconds=config.connect_timeout),
                "read_timeout": timedelta(seconds=read_timeout),
                "timeout": _NO_TIMEOUT,
            },
            retry_config={"max_retries": 0},
            credential_provider=None if self.unsigned else provider_of(credentials),
        )

    def _retold(self, response: Response, operation: str) -> Exception:
        """Return what boto3 would have raised, so that there is one table of what means what."""
        where = self.client.meta.endpoint_url
        if response.status:
            told = {"Code": response.code or str(response.status), "Message": response.message}
            about = {"HTTPStatusCode": response.status}
            return boto_says.ClientError({"Error": told, "ResponseMetadata": about}, operation)  # type: ignore[typeddict-item]
        if response.unsigned:
            return boto_says.CredentialRetrievalError(provider="boto3", error_msg=response.message)
        if response.trouble == "Connect":
            return boto_says.EndpointConnectionError(endpoint_url=where, error=response.message)
        if response.trouble == "Timeout":
            return boto_says.ReadTimeoutError(endpoint_url=where)
        if response.trouble and response.trouble != REFUSED_BY_PROXY:
            return boto_says.HTTPClientError(error=response.message)
        return _Unknown(message=response.message)


class _Unknown(boto_says.BotoCoreError):
    """Something that boto3 has no word for."""

    fmt = "{message}"


_NOT_ABLE: Final = (None, None)


def _is_elsewhere(response: Response) -> bool:
    """Return whether the bucket may be in another region; the answer to a HEAD has no word of it."""
    wordless = response.status == _BAD_REQUEST and not response.code
    return response.redirected or response.code in _ELSEWHERE or response.status in _REDIRECTS or wordless


def _with_bucket(endpoint: str, bucket: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))
