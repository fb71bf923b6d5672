"""The boto3 engine: one S3 bucket through the AWS client library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from perkey.content import Content
from perkey.errors import BackendError, MissingExtraError
from perkey.stores.addresses import check_bucket, check_endpoint
from perkey.stores.base import ABSENT, Expectation, Version
from perkey.stores.boto_client import mend, new_client
from perkey.stores.boto_errors import FOREIGN, NOT_MODIFIED, code_of, status_of, translate
from perkey.stores.objects import (
    COPY_BYTES,
    WRITE_ID,
    Body,
    Engine,
    Head,
    Signal,
    again,
    content_type,
    size_of,
    spooled,
)
from perkey.stores.process_lock import ProcessLock

try:
    from botocore.exceptions import ClientError
except ImportError as error:
    raise MissingExtraError("S3", "aws", "boto3") from error

_making = ProcessLock()

_LEAST_PART: Final = 16 << 20
_MOST_PARTS: Final = 10_000


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

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A name or an address is none, an endpoint has a password in it, or a client is for
            another region or endpoint than is said here, or comes with a session.
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
        check_bucket(bucket)
        if region is not None and not isinstance(region, str):
            raise TypeError(f"region must be a str or None, not {type(region).__name__}")
        if endpoint_url is not None:
            check_endpoint(endpoint_url)
        if client is not None:
            region, endpoint_url = _place_of(client, region, endpoint_url, session)
        elif session is not None:
            region = region or session.region_name
        self.bucket = bucket
        self.region = region
        self.endpoint_url = endpoint_url
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
        return {"bucket": self.bucket, "region": self.region, "endpoint_url": endpoint_url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same as making it anew

    @property
    def endpoint(self) -> str:
        """Where the requests of this process go; the environment or a profile may have named it."""
        try:
            return self.endpoint_url or str(self.client.meta.endpoint_url)
        except FOREIGN:
            return "aws"  # what is wrong, the first request tells better

    @property
    def client(self) -> Any:
        """The client of this process.

        Unless it or its session is yours, its replies to get, head and put of an object have only what the
        engine reads.
        """
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
            self._client = new_client(self._session, region=self.region, endpoint_url=self.endpoint_url)
        self._owner = os.getpid()

    # --- Verbs --------------------------------------------------------------------------------------

    def get(self, key: str, *, unless: Version | None, limit: int | None) -> tuple[Content, Version] | None:
        condition = {} if unless is None else {"IfNoneMatch": f'"{unless}"'}
        try:
            reply = self.client.get_object(Bucket=self.bucket, Key=key, **condition)
            content = _download(reply["Body"], reply["ContentLength"], limit)
        except FOREIGN as error:
            if status_of(error) == NOT_MODIFIED:
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
            failed["Key"]: self._translate(
                ClientError({"Error": failed}, "DeleteObjects"), "remove", failed["Key"]
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
        except FOREIGN as error:
            # Of several that make it at once, some servers tell all but one that it exists, not whose it is.
            exists = code_of(error) == "BucketAlreadyExists" and self._has_bucket()
            if not exists and code_of(error) != "BucketAlreadyOwnedByYou":
                raise self._translate(error, "create the bucket for", "") from error

    def _has_bucket(self) -> bool:
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except FOREIGN:
            return False
        return True

    def describe(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    # --- Requests -----------------------------------------------------------------------------------

    def _call(self, operation: str, key: str, verb: str, **arguments: Any) -> Any:
        try:
            return getattr(self.client, verb)(Bucket=self.bucket, **arguments)
        except FOREIGN as error:
            raise self._translate(error, operation, key) from error

    def _translate(self, error: Exception, operation: str, key: str) -> Exception:
        client = self._client  # not the property: there may be no credentials to make one
        region = self.region if client is None else client.meta.region_name
        return translate(error, operation, key, place=self.describe(key), region=region)

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
        reply = again(
            lambda: self._call("write", key, "upload_part", PartNumber=number, Body=part, **whose), Signal
        )
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
    for what, said, found in zip(("region", "endpoint_url"), (region, endpoint_url), here, strict=True):
        if said is not None and said.rstrip("/") != (found or "").rstrip("/"):
            raise ValueError(
                f"{what} is {said!r}, but that of the client is {found!r}; leave one of them out"
            )
    return here


def _is_of_aws(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


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
    return spooled(body.iter_chunks(COPY_BYTES))
