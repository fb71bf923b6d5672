"""The boto3 engine: one S3 bucket through the AWS client library."""

from __future__ import annotations

import contextlib
import email.utils
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from perkey.answers import answer, interruption
from perkey.arguments import check_flag, wrong_kind
from perkey.content import Content
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.expectations import ABSENT, Expectation, Version
from perkey.files import ProcessLock
from perkey.retrying import Retry
from perkey.stores.objects.addresses import check_bucket, check_endpoint
from perkey.stores.objects.boto_client import (
    REGION_HEADER,
    has_old_credentials,
    is_unsigned,
    look_up_again,
    mend,
    new_client,
    sends_unsigned,
)
from perkey.stores.objects.engine import (
    COPY_BYTES,
    WRITE_ID,
    Body,
    Engine,
    Head,
    IncompleteReply,
    Marked,
    NoSuchBucket,
    NoSuchObject,
    NoSuchUpload,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    Unsupported,
    Upload,
    again,
    bucket_advice,
    content_type,
    size_of,
    spooled,
    version_of,
)
from perkey.waiting import blocking

try:
    import botocore.exceptions as foreign
except ImportError as error:
    raise MissingExtraError("S3", "aws", "boto3") from error

T = TypeVar("T")

_making = ProcessLock()

_MOST_PARTS: Final = 10_000

FOREIGN: Final = (foreign.BotoCoreError, foreign.ClientError, IncompleteReply)
"""What boto3 raises, and what reading its replies does."""

_OF_LISTINGS: Final = frozenset(("Contents", "IsTruncated", "KeyCount", "MaxKeys", "Name"))
"""A listing has at least one of these. A page of HTML does not have any, and boto3 reads it."""

_NEVER_SENT = (foreign.EndpointConnectionError, foreign.ConnectTimeoutError)
_UNREACHED: Final = (
    "; check the network, and for a service other than AWS pass endpoint_url= or set AWS_ENDPOINT_URL"
)
_LOST = (
    foreign.ReadTimeoutError,
    foreign.ConnectionClosedError,
    foreign.ResponseStreamingError,
    foreign.IncompleteReadError,
    foreign.HTTPClientError,
)
_NO_CREDENTIALS = (
    foreign.NoCredentialsError,
    foreign.PartialCredentialsError,
    foreign.CredentialRetrievalError,
    foreign.TokenRetrievalError,
    foreign.ProfileNotFound,
    foreign.SSOError,
    foreign.UnknownCredentialError,
    foreign.InfiniteLoopConfigError,
    foreign.RefreshWithMFAUnsupportedError,
    foreign.UnauthorizedSSOTokenError,
)
NOT_MODIFIED = 304
_BAD_REQUEST = 400
_UNAUTHENTICATED = 401
_FORBIDDEN = 403
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_READS = ("read", "stat")

_TRY_AGAIN: Final = frozenset(
    ("SlowDown", "ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "503", "429", "409")
)  # fmt: skip
# Ceph's code, with 500, for writers that lost a race without being compared (ECANCELED); others receive 412.
_LOST_RACE: Final = "UnknownError"
_UNCLEAR: Final = frozenset(("InternalError", "RequestTimeout", "500", "502", "504"))
_NO_OBJECT: Final = frozenset(("NoSuchKey", "NoSuchVersion", "404", "NotFound"))
_CREDENTIALS: Final = frozenset(
    ("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
     "TokenRefreshRequired")
)  # fmt: skip
_WRONG_TIME: Final = "RequestTimeTooSkewed"
_DENIED: Final = frozenset(("AccessDenied", "403", "Forbidden"))
_NOT_A_MATTER_OF_RIGHTS: Final = frozenset(("InvalidObjectState",))  # it is in an archive
_REDIRECTIONS: Final = frozenset((301, 302, 303, 307, 308))
_WRONG_REGION: Final = frozenset(
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")
)


class BotoEngine(Engine):
    """One bucket through boto3.

    A client is made on first use, in each process anew, and shared by its threads. Pickling keeps names,
    never clients, sessions or credentials: the other process finds its own through boto3's chain, for the
    same region and endpoint.

    Args:
        bucket: The bucket's name, or the ARN of an access point.
        region: Its region; None leaves it to boto3's configuration.
        endpoint_url: Address of a service other than AWS.
        client: A client of your own, used as it is.
        session: A session of your own, to make the client of.
        unsigned: Whether requests are sent without a signature, and so without credentials: for public data.
        requester_pays: Whether the caller's account pays for the requests, as some buckets demand.
        retry: For how long failed requests are tried again.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A name or an address is not valid, an endpoint has a password in it, or a client is for
            another region or endpoint than given here, signs its requests although `unsigned` is true, or
            comes with a session.
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
        unsigned = check_flag("unsigned", unsigned)
        requester_pays = check_flag("requester_pays", requester_pays)
        if region is not None and not isinstance(region, str):
            raise wrong_kind("region", "a str or None", region)
        if endpoint_url is not None:
            check_endpoint(endpoint_url)
        if client is not None:
            region, endpoint_url = _place_of(client, region, endpoint_url, session)
            if unsigned and not is_unsigned(client):
                raise ValueError("unsigned is True, but the client signs its requests; leave one of them out")
            unsigned = is_unsigned(client)
        elif session is not None:
            region = region or session.region_name
            unsigned = unsigned or sends_unsigned(session)
        self.bucket = bucket
        self.region = region
        self.endpoint_url = endpoint_url
        self.unsigned = unsigned
        self.requester_pays = requester_pays
        self._about = {"RequestPayer": "requester"} if requester_pays else {}
        self.retry = retry
        self._session = session
        self._client: Any = client
        self._is_users = client is not None
        if self._is_users:
            self.connections = min(self.connections, client.meta.config.max_pool_connections)
        self._owner = os.getpid() if client is not None else 0
        if self._is_users:
            mend(client)

    def __getstate__(self) -> dict[str, Any]:
        endpoint_url = self.endpoint_url
        if endpoint_url is None and self._session is not None:
            # A session may know a service of one's own, which is seen only by its client.
            there = self.client.meta.endpoint_url
            endpoint_url = None if _is_of_aws(there) else there
        return {
            "bucket": self.bucket,
            "region": self.region,
            "endpoint_url": endpoint_url,
            "unsigned": self.unsigned,
            "requester_pays": self.requester_pays,
            "retry": self.retry,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same as making it anew

    @property
    def endpoint(self) -> str:
        """Where the requests of this process go; the environment or a profile may have named it."""
        try:
            return self.endpoint_url or str(self.client.meta.endpoint_url)
        except FOREIGN:
            return "aws"  # the first request raises a better error

    @property
    def client(self) -> Any:
        """The client of this process.

        Unless it or its session is yours, its replies to get, head and put of an object have only what the
        engine reads.
        """
        if self._owner != os.getpid():
            blocking(self._make_client)
        return self._client

    def _make_client(self) -> None:
        with _making:
            if self._owner == os.getpid():
                return  # another thread was faster
            if self._is_users:
                self._client.close()  # connections are the parent's; it opens new ones
            else:
                self._client = self._new_client()
            self._owner = os.getpid()

    def _new_client(self) -> Any:
        return new_client(
            self._session,
            region=self.region,
            endpoint_url=self.endpoint_url,
            idle=self.retry.idle(),
            unsigned=self.unsigned,
        )

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        condition = {} if unless is None else {"IfNoneMatch": f'"{unless}"'}
        try:
            reply = self._ask("get_object", Key=key, **condition)
            content = _download(reply["Body"], reply.get("ContentLength"), limit)
            version = version_of(reply.get("ETag"))  # now that the connection can be used again
        except FOREIGN as error:
            if status_of(error) == NOT_MODIFIED:
                return None
            raise self._translate(error, "read", key) from error
        return content, Marked(version, reply.get("Metadata", {}).get(WRITE_ID))

    def head(self, key: str) -> Head:
        reply = self._call("stat", key, "head_object", Key=key)
        try:
            return Head(
                version_of(reply.get("ETag")),
                reply["LastModified"].timestamp(),
                reply["ContentLength"],
                reply.get("Metadata", {}).get(WRITE_ID),
            )
        except answer(IncompleteReply, KeyError) as error:
            raise self._incomplete("stat", key, error) from None

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        about = {"Metadata": {WRITE_ID: write_id}, "ContentType": content_type(key)}
        size = size_of(body)
        if parts or (parts is None and size > self.multipart_above):
            reply = self._put_parts(key, body, size, _condition(expect), about)
        else:
            reply = self._call("write", key, "put_object", Key=key, Body=body, **_condition(expect), **about)
        try:
            return version_of(reply.get("ETag"))
        except answer(IncompleteReply) as error:
            raise self._incomplete("write", key, error) from None

    def delete(self, key: str, *, version: Version | None = None) -> None:
        condition = {} if version is None else {"IfMatch": version}
        self._call("remove", key, "delete_object", Key=key, **condition)

    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        reply = self._call("remove", "", "delete_objects", Delete=objects)
        return {
            failed["Key"]: self._translate(error_of(failed, "DeleteObjects"), "remove", failed["Key"])
            for failed in reply.get("Errors", [])
        }

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        for page in self._pages(prefix, start_after=start_after):
            for found in page.get("Contents", []):
                yield found["Key"], self._listed(prefix, found)

    def _listed(self, prefix: str, found: dict[str, Any]) -> Head:
        try:
            version = version_of(found.get("ETag"), listed=True)
            return Head(version, found["LastModified"].timestamp(), found["Size"])
        except answer(KeyError) as error:
            raise self._incomplete("list", prefix, error) from None

    def list_folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", []):
                yield found["Prefix"][len(prefix) : -1]

    def erase(self, key: str) -> None:
        """Delete an object; where the bucket keeps versions, with the versions and markers of its name."""
        reply = self._call("remove", key, "delete_object", Key=key)
        if not (reply.get("DeleteMarker") or reply.get("VersionId")):
            return
        found = self._call("list", key, "list_object_versions", Prefix=key)
        versions = [
            {"Key": key, "VersionId": it["VersionId"]}
            for it in (*found.get("Versions", []), *found.get("DeleteMarkers", []))
            if it["Key"] == key
        ]
        if versions:
            self._call("remove", key, "delete_objects", Delete={"Objects": versions, "Quiet": True})

    def uploads(self, prefix: str) -> Iterator[Upload]:
        more: dict[str, Any] = {}
        while True:
            page = self._call("list", prefix, "list_multipart_uploads", Prefix=prefix, **more)
            for found in page.get("Uploads", []):
                yield Upload(found["Key"], found["UploadId"], found["Initiated"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort(self, upload: Upload) -> None:
        with contextlib.suppress(NoSuchUpload):  # it has ended meanwhile
            self._call("remove", upload.key, "abort_multipart_upload", Key=upload.key, UploadId=upload.id)

    def create_bucket(self) -> None:
        region = self.client.meta.region_name
        # us-east-1 is the one region that must not be named.
        place = {} if region in {None, "us-east-1", "aws-global"} else {"LocationConstraint": region}
        about = {"CreateBucketConfiguration": place} if place else {}
        try:
            self._renewing(lambda client: client.create_bucket(Bucket=self.bucket, ACL="private", **about))
        except FOREIGN as error:
            # If several processes make it at once, some servers report only that it exists, not who owns it.
            exists = code_of(error) == "BucketAlreadyExists" and self._has_bucket()
            if not exists and code_of(error) != "BucketAlreadyOwnedByYou":
                raise self._translate(error, "create the bucket for", "") from error

    def _has_bucket(self) -> bool:
        try:
            self._renewing(lambda client: client.head_bucket(Bucket=self.bucket))
        except FOREIGN:
            return False
        return True

    def describe(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    # --- Requests -----------------------------------------------------------------------------------

    def _call(self, operation: str, key: str, verb: str, **arguments: Any) -> Any:
        try:
            return self._ask(verb, **arguments)
        except FOREIGN as error:
            raise self._translate(error, operation, key) from error

    def _ask(self, verb: str, **arguments: Any) -> Any:
        """Send a request about objects, and return the reply; raises what boto3 does."""

        def send(client: Any) -> Any:
            body = arguments.get("Body", b"")
            if not isinstance(body, bytes):
                body.seek(0)
            return getattr(client, verb)(Bucket=self.bucket, **self._about, **arguments)

        return self._renewing(send)

    def _renewing(self, send: Callable[[Any], T]) -> T:
        """Send a request; once more by a new client if the service rejects the credentials of the old one.

        Credentials may be rotated, in the environment or in a file, while a program runs. A request that is
        rejected has no effect, so it can be repeated.
        """
        return blocking(partial(self._sent, send))

    def _sent(self, send: Callable[[Any], T]) -> T:
        client = self.client
        try:
            return send(client)
        except FOREIGN as error:
            if not self._renew(client, error):
                raise
        return send(self.client)

    def _renew(self, used: Any, error: Exception) -> bool:
        """Return whether there is a new client, after an error that a client got."""
        if self._is_users or self.unsigned or not self._is_outdated(used, error):
            return False
        with _making:
            if self._client is used:  # no other thread was faster
                try:
                    if self._session is not None:
                        look_up_again(self._session)
                    self._client = self._new_client()
                except FOREIGN:
                    return False  # the service's own words are the ones to raise
        return True

    def _is_outdated(self, used: Any, error: Exception) -> bool:
        if rejects_credentials(error):
            return True
        return denies_without_a_word(error) and has_old_credentials(used, self._session)

    def _translate(self, error: Exception, operation: str, key: str) -> Exception:
        client = self._client  # not the property: making one may need credentials that are missing
        region = self.region if client is None else client.meta.region_name
        place = self.describe(key)
        return translate(
            error,
            operation,
            key,
            place=place,
            region=region,
            unsigned=self.unsigned,
            advice=bucket_advice(self.bucket),
        )

    def _incomplete(self, operation: str, key: str, error: Exception) -> Exception:
        """Return the error about a reply that lacks something; a KeyError names it."""
        found = error if isinstance(error, IncompleteReply) else IncompleteReply(*error.args)
        return self._translate(found, operation, key)

    def _pages(self, prefix: str, *, start_after: str = "", **about: Any) -> Iterator[Any]:
        more = {"StartAfter": start_after} if start_after else {}
        while True:
            page = self._call("list", prefix, "list_objects_v2", Prefix=prefix, **about, **more)
            if not page.keys() & _OF_LISTINGS:
                raise self._incomplete("list", prefix, IncompleteReply("listing"))
            yield page
            if not page.get("IsTruncated"):
                return
            after = page.get("NextContinuationToken")
            if after in {None, more.get("ContinuationToken")}:
                raise self._incomplete("list", prefix, IncompleteReply("new NextContinuationToken"))
            more = {"ContinuationToken": after}

    def _put_parts(
        self, key: str, body: Body, size: int, condition: dict[str, str], about: dict[str, Any]
    ) -> dict[str, Any]:
        """Upload in parts; nothing shows before the last request, and nothing stays if one fails."""
        begun = self._call("write", key, "create_multipart_upload", Key=key, **about)
        if "UploadId" not in begun:
            raise self._incomplete("write", key, IncompleteReply("UploadId"))
        whose = {"Key": key, "UploadId": begun["UploadId"]}
        is_sent = False
        try:
            parts = [
                {"PartNumber": number, "ETag": self._put_part(key, number, part, whose)}
                for number, part in enumerate(_parts(body, size, self.part_size), 1)
            ]
            is_sent = True
            completed: dict[str, Any] = self._call(
                "write",
                key,
                "complete_multipart_upload",
                MultipartUpload={"Parts": parts},
                **whose,
                **condition,
            )
        except NoSuchUpload as signal:
            # Aborted, by `sweep` or by a rule of the bucket; or completed by a request that was repeated.
            raise (Unclear if is_sent else TryAgain)(signal.cause) from signal.__cause__
        except BaseException:
            with contextlib.suppress(BackendError, Signal):  # the first error is the one to know
                self._call("write", key, "abort_multipart_upload", **whose)
            raise
        return completed

    def _put_part(self, key: str, number: int, part: bytes, whose: dict[str, Any]) -> str:
        # A part can be sent again without harm.
        reply = again(
            lambda: self._call("write", key, "upload_part", PartNumber=number, Body=part, **whose),
            Signal,
            retry=self.retry,
        )
        if "ETag" not in reply:
            raise self._incomplete("write", key, IncompleteReply("ETag"))
        etag: str = reply["ETag"]
        return etag


def _place_of(
    client: Any, region: str | None, endpoint_url: str | None, session: Any
) -> tuple[str | None, str | None]:
    """Return region and endpoint of a user's client, which must not be contradicted."""
    if not hasattr(client, "get_object"):
        raise TypeError(f"client must be one of boto3 for S3, not {type(client).__name__}")
    if session is not None:
        raise ValueError("pass a client or a session, not both")
    here = (client.meta.region_name, client.meta.endpoint_url)
    check_endpoint(here[1])
    for what, given, found in zip(("region", "endpoint_url"), (region, endpoint_url), here, strict=True):
        if given is not None and given.rstrip("/") != (found or "").rstrip("/"):
            raise ValueError(
                f"{what} is {given!r}, but that of the client is {found!r}; leave one of them out"
            )
    return here


def _is_of_aws(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _condition(expect: Expectation) -> dict[str, str]:
    if expect is ABSENT:
        return {"IfNoneMatch": "*"}
    # Without quotes: Ceph compares the header literally, all others take both.
    return {"IfMatch": expect} if isinstance(expect, str) else {}


def _parts(body: Body, size: int, least: int) -> Iterator[bytes]:
    length = max(least, -(-size // _MOST_PARTS))
    if isinstance(body, bytes):
        yield from (body[start : start + length] for start in range(0, size, length))
    else:
        body.seek(0)
        while part := body.read(length):
            yield part


def _download(body: Any, length: int | None, limit: int | None) -> Content:
    """Return the content of a reply, as a temporary file if it is larger than `limit` bytes.

    A reply in chunks has no length. It is taken for large.
    """
    if limit is None or (length is not None and length <= limit):
        content: bytes = body.read()
        return content
    return spooled(body.iter_chunks(COPY_BYTES))


# --- Errors: the one place where boto3's become signals, or errors of this project ---------------------


def translate(
    error: Exception,
    operation: str,
    key: str,
    *,
    place: str,
    region: str | None,
    unsigned: bool = False,
    advice: str = "",
) -> Exception:
    """Return the signal or error that a foreign exception means.

    Args:
        error: One of `FOREIGN`.
        operation: What was to be done, as a verb.
        key: The object, or "".
        place: Its address.
        region: Where the client looks for it.
        unsigned: Whether the request had no signature.
        advice: The end of the message if this caller may not use the bucket.
    """
    stopped = interruption(error)
    if isinstance(stopped, Exception):
        return stopped  # botocore took the exception of a signal handler for a failure of the connection
    code, status = code_of(error), status_of(error)
    about: dict[str, Any] = {"backend": "s3", "operation": operation, "key": key or None}
    why_elsewhere = _misplacement(error, code, status, region)
    is_of_another = why_elsewhere or code == "BucketAlreadyExists"
    remedy = _UNREACHED if isinstance(error, _NEVER_SENT) else advice if is_of_another else ""
    failure = BackendError(
        f"cannot {operation} {place}: {why_elsewhere or _sentence(error)}{remedy}", **about
    )
    signal = _signal(code, status)
    if signal is not None:
        return signal(failure, repeated=_retries(error) > 0)
    why_denied = _denial(error, code, status, reading=operation in _READS)
    if why_denied and unsigned:
        why_denied += "; the request was sent without a signature (unsigned=True)"
    if why_denied and not why_elsewhere:
        of_bucket = "" if isinstance(error, _NO_CREDENTIALS) or rejects_credentials(error) else advice
        return AccessDeniedError(f"cannot {operation} {place}: {why_denied}{of_bucket}", **about)
    if why_elsewhere:
        return failure
    if code in _TRY_AGAIN or isinstance(error, _NEVER_SENT):
        return TryAgain(failure, retry_after=_retry_after(error))
    if code in _UNCLEAR or status >= _SERVER_ERROR or isinstance(error, _LOST):
        return Unclear(failure, lost_race=code == _LOST_RACE, retry_after=_retry_after(error))
    return failure


def _signal(code: str, status: int) -> type[Signal] | None:
    """Return the kind of signal for an answer about the object, None for other answers."""
    if code == "NoSuchBucket":
        return NoSuchBucket
    if code == "NoSuchUpload":
        return NoSuchUpload
    if code in _NO_OBJECT:
        return NoSuchObject
    if code in {"PreconditionFailed", "412"}:
        return PreconditionFailed
    if code == "NotImplemented" or status == _NOT_IMPLEMENTED:
        return Unsupported
    return None


def _denial(error: Exception, code: str, status: int, *, reading: bool) -> str:
    """Return why this caller may not do it; "" if that is not the reason."""
    if isinstance(error, _NO_CREDENTIALS):
        return _lack(error)
    if rejects_credentials(error):
        return (
            f"the credentials are expired or not valid ({code}); renew them, or check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
        )
    if code == _WRONG_TIME:
        return f"the clocks of this machine and of the service differ too much ({code})"
    if code in _DENIED:
        of_absent = " (without the right s3:ListBucket, S3 also answers this for absent objects)"
        return f"access denied{of_absent if reading else ''}"
    if status in {_UNAUTHENTICATED, _FORBIDDEN} and code not in _NOT_A_MATTER_OF_RIGHTS:
        return f"access denied: {_sentence(error)}"
    return ""


def rejects_credentials(error: Exception) -> bool:
    """Return whether the service rejects the credentials as expired or not valid.

    A reply to HEAD has no words, and so only its status.
    """
    code = code_of(error)
    return code in _CREDENTIALS or (status_of(error) == _BAD_REQUEST and code == "400")


def denies_without_a_word(error: Exception) -> bool:
    """Return whether a reply is a refusal without a reason: one to HEAD, which has no body."""
    return code_of(error) == "403"


def _lack(error: Exception) -> str:
    """Return why no credentials are available."""
    if isinstance(error, foreign.NoCredentialsError):
        return (
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "public data can be read with unsigned=True"
        )
    if isinstance(error, foreign.ProfileNotFound):
        return (
            f"{error}: it is named by AWS_PROFILE, AWS_DEFAULT_PROFILE or the session, and looked for in the "
            "files of AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE (~/.aws/config and ~/.aws/credentials)"
        )
    return f"no usable AWS credentials were found: {error}"


def _misplacement(error: Exception, code: str, status: int, here: str | None) -> str:
    """Return where the bucket is, if it is not where the client looks for it."""
    moved = _new_address(error, status)
    if moved:
        return f"the service has moved to {moved!r}; pass that as endpoint_url, or set AWS_ENDPOINT_URL"
    there = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(REGION_HEADER)
    if code not in _WRONG_REGION and (status != _BAD_REQUEST or there in {None, here}):
        return ""
    hint = f", {there!r}" if there else ""
    return f"the bucket is in another region than {here!r}; pass its region{hint} ({code})"


def _new_address(error: Exception, status: int) -> str:
    """Return where a redirection leads, as an endpoint; "" for other replies and for those about a region.

    AWS redirects to a region.
    """
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    to = urlsplit(headers.get("location", ""))
    at_aws = REGION_HEADER in headers or _is_of_aws(to.geturl())
    if status not in _REDIRECTIONS or at_aws or not to.netloc:
        return ""
    return f"{to.scheme}://{to.netloc}"


def _response(error: Exception) -> dict[str, Any]:
    # Errors of the connection have the attribute, too, and it is None.
    return getattr(error, "response", None) or {}


def error_of(told: dict[str, Any], operation: str) -> Exception:
    """Return the error that boto3 would have raised for the failure of one of many objects."""
    return foreign.ClientError({"Error": told}, operation)  # type: ignore[typeddict-item]


def code_of(error: Exception) -> str:
    """Return the service's word for an error, or ""."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the status of HTTP, or 0 where no reply came."""
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retries(error: Exception) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _retry_after(error: Exception) -> float | None:
    """Return how many seconds the service asks to wait, by its own clock if it names a moment."""
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    said = str(headers.get("retry-after", "")).strip()
    if said.isdecimal():
        return float(said)
    try:
        until, now = (email.utils.parsedate_to_datetime(at) for at in (said, headers["date"]))
        return max(0.0, (until - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def _sentence(error: Exception) -> str:
    about = _response(error).get("Error", {})
    if about:
        return f"{about.get('Code')}: {about.get('Message')}"
    is_ours = type(error).__module__.startswith("perkey.")
    return str(error) if is_ours else f"{type(error).__name__}: {error}"
