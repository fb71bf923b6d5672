"""The boto3 engine: one S3 bucket through the AWS client library.

Retries are ours, not botocore's: after a lost reply it would repeat a conditional write and take its own
first success for a conflict. `_translate` is the one place where foreign errors become ours.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from perkey.content import Content
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.stores.base import ABSENT, Expectation, Version
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
    import boto3
    import botocore.exceptions as foreign
    from botocore.config import Config
except ImportError as error:
    raise MissingExtraError("S3", "aws", "boto3") from error

_making = ProcessLock()

_COPY_BYTES: Final = 1 << 20
_LEAST_PART: Final = 16 << 20
_MOST_PARTS: Final = 10_000

_TRY_AGAIN: Final = frozenset(
    ("SlowDown", "ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "503", "429", "409")
)  # fmt: skip
# Ceph says so, with 500, to those that lost a race without being compared (ECANCELED); the others get 412.
_LOST_RACE: Final = "UnknownError"
_UNCLEAR: Final = frozenset(("InternalError", "RequestTimeout", "500", "502", "504"))
_NO_OBJECT: Final = frozenset(("NoSuchKey", "NoSuchVersion", "404", "NotFound", "NoSuchUpload"))
_CREDENTIALS: Final = frozenset(
    ("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
     "TokenRefreshRequired", "RequestTimeTooSkewed")
)  # fmt: skip
_WRONG_REGION: Final = frozenset(
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")
)


class BotoEngine(Engine):
    """One bucket through boto3.

    A client is made on first use, in each process anew, and shared by its threads. Pickling keeps names,
    never clients, sessions or credentials: the other process finds its own through boto3's chain.

    Args:
        bucket: The bucket's name.
        region: Its region; None leaves it to boto3's configuration.
        endpoint_url: Address of a service other than AWS.
        client: A client of your own, used as it is.
        session: A session of your own, to make the client of.
    """

    def __init__(
        self,
        bucket: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        session: Any = None,
    ) -> None:
        self.bucket = bucket
        self.region = region or (client.meta.region_name if client is not None else None)
        self.endpoint_url = endpoint_url or (client.meta.endpoint_url if client is not None else None)
        self._session = session
        self._client: Any = client
        self._is_users = client is not None
        self._owner = os.getpid() if client is not None else 0
        if self._is_users:
            _mend(client)

    def __getstate__(self) -> dict[str, Any]:
        return {"bucket": self.bucket, "region": self.region, "endpoint_url": self.endpoint_url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same as making it anew

    @property
    def endpoint(self) -> str:
        return self.endpoint_url or "aws"

    @property
    def client(self) -> Any:
        """The client of this process."""
        if self._owner != os.getpid():
            with _making:
                self._make_client()
        return self._client

    def _make_client(self) -> None:
        if self._owner == os.getpid():
            return  # another thread was faster
        if self._is_users:
            self._client.close()  # connections are the parent's; it opens new ones
        else:
            config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=64)
            session = self._session or boto3.session.Session()
            self._client = session.client(
                "s3", region_name=self.region, endpoint_url=self.endpoint_url, config=config
            )
            _mend(self._client)
        self._owner = os.getpid()

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        condition = {} if unless is None else {"IfNoneMatch": f'"{unless}"'}
        try:
            reply = self.client.get_object(Bucket=self.bucket, Key=key, **condition)
            content = _download(reply["Body"], reply["ContentLength"], limit)
        except _FOREIGN as error:
            if _status(error) == _NOT_MODIFIED:
                return None
            raise self._translate(error, "read", key) from error
        return content, _version(reply)

    def head(self, key: str) -> Head:
        reply = self._call("stat", key, "head_object", Key=key)
        return Head(
            _version(reply),
            reply["LastModified"].timestamp(),
            reply["ContentLength"],
            reply.get("Metadata", {}).get(WRITE_ID),
        )

    def put(
        self, key: str, body: Body, *, expect: Expectation, write_id: str, parts: bool | None = None
    ) -> Version:
        about = {"Metadata": {WRITE_ID: write_id}, "ContentType": content_type(key)}
        size = size_of(body)
        if parts or (parts is None and size > self.multipart_above):
            return self._put_parts(key, body, size, _condition(expect), about)
        if not isinstance(body, bytes):
            body.seek(0)
        reply = self._call("write", key, "put_object", Key=key, Body=body, **_condition(expect), **about)
        return _version(reply)

    def delete(self, key: str, *, version: Version | None = None) -> None:
        condition = {} if version is None else {"IfMatch": version}
        self._call("remove", key, "delete_object", Key=key, **condition)

    def delete_many(self, keys: list[str]) -> dict[str, Exception]:
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        reply = self._call("remove", "", "delete_objects", Delete=objects)
        return {
            failed["Key"]: BackendError(
                f"{self.describe(failed['Key'])}: {failed.get('Code')}: {failed.get('Message', '')}",
                backend="s3",
                operation="remove",
                key=failed["Key"],
            )
            for failed in reply.get("Errors", [])
        }

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[tuple[str, Head]]:
        for page in self._pages(prefix, start_after=start_after):
            for found in page.get("Contents", []):
                yield found["Key"], Head(_version(found), found["LastModified"].timestamp(), found["Size"])

    def list_folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", []):
                yield found["Prefix"][len(prefix) : -1]

    def create_bucket(self) -> None:
        region = self.client.meta.region_name
        # us-east-1 is the one region that must not be named.
        place = {} if region in {None, "us-east-1", "aws-global"} else {"LocationConstraint": region}
        about = {"CreateBucketConfiguration": place} if place else {}
        try:
            self.client.create_bucket(Bucket=self.bucket, ACL="private", **about)
        except _FOREIGN as error:
            # Of several that make it at once, some servers tell all but one that it exists, not whose it is.
            exists = _code(error) == "BucketAlreadyExists" and self._has_bucket()
            if not exists and _code(error) != "BucketAlreadyOwnedByYou":
                raise self._translate(error, "create the bucket for", "") from error

    def _has_bucket(self) -> bool:
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except _FOREIGN:
            return False
        return True

    def describe(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    # --- Requests -----------------------------------------------------------------------------------

    def _call(self, operation: str, key: str, verb: str, **arguments: Any) -> Any:
        try:
            return getattr(self.client, verb)(Bucket=self.bucket, **arguments)
        except _FOREIGN as error:
            raise self._translate(error, operation, key) from error

    def _pages(self, prefix: str, *, start_after: str = "", **about: Any) -> Iterator[Any]:
        more = {"StartAfter": start_after} if start_after else {}
        while True:
            page = self._call("list", prefix, "list_objects_v2", Prefix=prefix, **about, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _put_parts(
        self, key: str, body: Body, size: int, condition: dict[str, str], about: dict[str, Any]
    ) -> Version:
        """Upload in parts; nothing shows before the last request, and nothing stays if one fails."""
        upload = self._call("write", key, "create_multipart_upload", Key=key, **about)["UploadId"]
        whose = {"Key": key, "UploadId": upload}
        try:
            parts = [
                {"PartNumber": number, "ETag": self._put_part(key, number, part, whose)}
                for number, part in enumerate(_parts(body, size), 1)
            ]
            reply = self._call(
                "write",
                key,
                "complete_multipart_upload",
                MultipartUpload={"Parts": parts},
                **whose,
                **condition,
            )
        except BaseException:
            with contextlib.suppress(BackendError, Signal):  # the first error is the one to know
                self._call("write", key, "abort_multipart_upload", **whose)
            raise
        return _version(reply)

    def _put_part(self, key: str, number: int, part: bytes, whose: dict[str, Any]) -> str:
        # A part can be sent again without harm.
        reply = again(lambda: self._call("write", key, "upload_part", PartNumber=number, Body=part, **whose))
        etag: str = reply["ETag"]
        return etag

    # --- Errors -------------------------------------------------------------------------------------

    def _translate(self, error: Exception, operation: str, key: str) -> Exception:
        """Return the signal or error that a foreign exception means; the only place that knows them."""
        code, status, repeated = _code(error), _status(error), _retries(error) > 0
        if code == "NoSuchBucket":
            return NoSuchBucket(repeated=repeated)
        if code in _NO_OBJECT:
            return NoSuchObject(repeated=repeated)
        if code in {"PreconditionFailed", "412"}:
            return PreconditionFailed(repeated=repeated)
        if code == "NotImplemented" or status == _NOT_IMPLEMENTED:
            return NotHonoured()
        refused = self._refusal(error, operation, key, code, status)
        if refused is not None:
            return refused
        failure = self._failure(operation, key, _sentence(error))
        if code in _TRY_AGAIN or isinstance(error, _NEVER_SENT):
            return TryAgain(failure)
        if code in _UNCLEAR or status >= _SERVER_ERROR or isinstance(error, _LOST):
            return Unclear(failure, lost_race=code == _LOST_RACE)
        return failure

    def _refusal(
        self, error: Exception, operation: str, key: str, code: str, status: int
    ) -> AccessDeniedError | BackendError | None:
        """Return the error for a refusal by who asks, or where; None if it is not one."""
        if isinstance(error, _NO_CREDENTIALS):
            return AccessDeniedError(
                f"cannot {operation} {self.describe(key)}: no usable AWS credentials were found; set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                **_about(operation, key),
            )
        elsewhere = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(_REGION_HEADER)
        here = self.client.meta.region_name
        if code in _WRONG_REGION or (status == _BAD_REQUEST and elsewhere not in {None, here}):
            return BackendError(
                f"cannot {operation} {self.describe(key)}: the bucket is in another region than {here!r}; "
                f"pass its region{f', {elsewhere!r}' if elsewhere else ''} ({code})",
                **_about(operation, key),
            )
        if code in _CREDENTIALS or (status == _BAD_REQUEST and code == "400"):
            return AccessDeniedError(
                f"cannot {operation} {self.describe(key)}: the credentials are expired or not valid ({code})",
                **_about(operation, key),
            )
        if status == _FORBIDDEN:
            of_absent = " (without the right s3:ListBucket, S3 also says this of absent objects)"
            hint = of_absent if operation in _READS else ""
            return AccessDeniedError(
                f"cannot {operation} {self.describe(key)}: access denied{hint}",
                **_about(operation, key),
            )
        return None

    def _failure(self, operation: str, key: str, reason: str) -> BackendError:
        return BackendError(f"cannot {operation} {self.describe(key)}: {reason}", **_about(operation, key))


_FOREIGN = (foreign.BotoCoreError, foreign.ClientError)
_NEVER_SENT = (foreign.EndpointConnectionError, foreign.ConnectTimeoutError)
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
)
_NOT_MODIFIED = 304
_BAD_REQUEST = 400
_REGION_HEADER = "x-amz-bucket-region"
_FORBIDDEN = 403
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_READS = ("read", "stat")


def _mend(client: Any) -> None:
    """Let a client understand 304 from services that send a checksum with it (rclone): it has no body."""
    client.meta.events.register("before-parse.s3.GetObject", _drop_body, unique_id="perkey-304")


def _drop_body(response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == _NOT_MODIFIED:
        response_dict["body"] = b""


def _about(operation: str, key: str) -> dict[str, Any]:
    return {"backend": "s3", "operation": operation, "key": key or None}


def _response(error: Exception) -> dict[str, Any]:
    # Errors of the connection have the attribute, too, and it is None.
    return getattr(error, "response", None) or {}


def _code(error: Exception) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retries(error: Exception) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _sentence(error: Exception) -> str:
    said = _response(error).get("Error", {})
    return f"{said.get('Code')}: {said.get('Message')}" if said else f"{type(error).__name__}: {error}"


def _version(reply: Any) -> Version:
    version: str = reply["ETag"].strip('"')
    return version


def _condition(expect: Expectation) -> dict[str, str]:
    if expect is ABSENT:
        return {"IfNoneMatch": "*"}
    # Without quotes: Ceph compares the header literally, all others take both.
    return {"IfMatch": expect} if isinstance(expect, str) else {}


def _parts(body: Body, size: int) -> Iterator[bytes]:
    length = max(_LEAST_PART, -(-size // _MOST_PARTS))
    if isinstance(body, bytes):
        yield from (body[start : start + length] for start in range(0, size, length))
    else:
        body.seek(0)
        while part := body.read(length):
            yield part


def _download(body: Any, length: int, limit: int | None) -> Content:
    """Return the content of a reply, as a temporary file if it is larger than `limit` bytes."""
    if limit is None or length <= limit:
        content: bytes = body.read()
        return content
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the taker closes it
    try:
        for piece in body.iter_chunks(_COPY_BYTES):
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file
