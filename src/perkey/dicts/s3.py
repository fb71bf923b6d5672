"""Dictionaries in an S3 bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import NoneType
from typing import Any

from perkey.arguments import Duration, check_flag, check_kind, seconds_of
from perkey.keys import text_of
from perkey.mapping import PersiDict, V
from perkey.naming import Name
from perkey.retrying import RETRY_FOR, Retry
from perkey.stores import CachedStore, PrefixStore
from perkey.stores.folder.cache import CacheFolder
from perkey.stores.objects import DEFAULT_BUCKET, EngineName, ObjectStore, is_mocked, make_engine


class BasicS3Dict(PersiDict[V]):
    """A persistent dictionary in an S3 bucket, without a local cache: each value is an object.

    Safe for any number of threads, processes and machines, as far as the service supports conditions; where
    it does not, conditional operations raise `UnsupportedConditionError` and plain ones work. The page `s3`
    of the documentation has the rights that are needed, the costs, and which services support what. Objects
    are named and encoded as by persidict, so that both can share a bucket.

    Requests: get 1, set 1, `in` 1, del 2, setdefault 1 or 2, a conditional write 1, transform_item 2,
    len and keys 1 for 1,000 items, clear a listing and 1 for 1,000 items. Making a dictionary or a subdict
    sends nothing; the bucket is made, private, by the first write that finds it missing.

    Args:
        bucket_name: The bucket. The default is for tests with a service of your own: at AWS, a bucket of that
            name belongs to some other account.
        region: Its region; None leaves it to the environment and the AWS configuration files.
        root_prefix: The beginning of all object names, ending in a slash (added if missing).
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other ending for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key; 0, as in persidict, because the
            names of objects are case-sensitive.
        base_class_for_values: A class that all values must be of.
        endpoint_url: Address of an S3 service other than AWS.
        client: A boto3 client of your own. It is not pickled with the dictionary.
        session: A boto3 session of your own. It is not pickled with the dictionary.
        engine: ``"boto3"``, or ``"obstore"``, which is several times faster and works without boto3, too.
        unsigned: Whether requests are sent without a signature, and so without credentials: for public data.
            It is True, too, if the client or the session sends unsigned requests.
        requester_pays: Whether your account pays for the requests, as some buckets demand.
        trust_service: Whether to rely on conditions without a test of the endpoint. Set it to True only
            for a service that is known to compare, such as AWS S3; no probe objects are written then.
        retry_for: For how many seconds an operation repeats a request after throttling, an error of the
            service or a lost connection. Each retry is logged. 0 means one attempt only.
        timeout: Seconds that one operation may take, all attempts included; then it raises
            `OperationTimeoutError`, at the latest when the request under way ends. None means no limit: a
            request ends when no byte comes for 20 s, so that large uploads may take as long as they need.

    Raises:
        MissingExtraError: The client library is not installed; the message names the extra.
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.
    """

    _always_shown = frozenset(("bucket_name",))

    def __init__(
        self,
        bucket_name: str = DEFAULT_BUCKET,
        region: str | None = None,
        root_prefix: str = "",
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = 0,
        base_class_for_values: type | None = None,
        *,
        endpoint_url: str | None = None,
        client: Any = None,
        session: Any = None,
        engine: EngineName = "boto3",
        unsigned: bool = False,
        requester_pays: bool = False,
        trust_service: bool = False,
        retry_for: float = RETRY_FOR,
        timeout: float | None = None,
    ) -> None:
        check_kind("bucket_name", bucket_name, str, "a string")
        check_kind("region", region, (str, NoneType), "a string or None")
        check_kind("root_prefix", root_prefix, str, "a string")
        check_kind("endpoint_url", endpoint_url, (str, NoneType), "a string or None")
        check_kind("engine", engine, str, "'boto3' or 'obstore'")
        trust_service = check_flag("trust_service", trust_service)
        bucket = make_engine(
            engine,
            text_of(bucket_name),
            region=region,
            endpoint_url=endpoint_url,
            client=client,
            session=session,
            unsigned=unsigned,
            requester_pays=requester_pays,
            retry=Retry(retry_for, timeout),
        )
        objects = ObjectStore(bucket, text_of(root_prefix), trust_service=trust_service)
        super().__init__(
            objects,
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )
        # Those of the engine: a client of the user's own brings its own.
        self._place = {
            "bucket_name": bucket_name,
            "region": bucket.region,
            "root_prefix": objects.root_prefix,
        }
        self._objects = objects
        self._bucket = bucket
        self._engine_name = engine

    @property
    def bucket_name(self) -> str:
        """The bucket."""
        return str(self._place["bucket_name"])

    @property
    def region(self) -> str | None:
        """The region that was given; None if it is left to boto3's configuration."""
        return self._place["region"]

    @property
    def root_prefix(self) -> str:
        """The beginning of the names of all objects of this dictionary, or part of one."""
        return str(self.get_params()["root_prefix"])

    def sweep(self, *, min_age: float = 86_400.0) -> int:
        """Abort the uploads of large values that killed processes left, and return how many were aborted.

        Only uploads that began at least `min_age` seconds ago are aborted, and only those of names below this
        dictionary's prefix that its items could have. A living writer whose upload is aborted gets an error.

        Needs the rights s3:ListBucketMultipartUploads and s3:AbortMultipartUpload.

        Cost: 1 request for 1,000 uploads, and 1 for each that is aborted.
        """
        self._items.check_writable()
        return self._objects.sweep(self._below(), min_age=min_age, shape=self._items.naming.shape)

    def _below(self) -> Name:
        """Return the part of the objects' names that is due to `get_subdict`."""
        return self.store.prefix if isinstance(self.store, PrefixStore) else ()

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters; a client or session of your own is not among them."""
        below = "".join(f"{part}/" for part in self._below())
        place = {**self._place, "root_prefix": (self._place["root_prefix"] or "") + below}
        retry = self._bucket.retry
        service = {
            "endpoint_url": self._bucket.endpoint_url,
            "engine": self._engine_name,
            "unsigned": self._bucket.unsigned,
            "requester_pays": self._bucket.requester_pays,
            "trust_service": self._objects.trust_service,
            "retry_for": retry.retry_for,
            "timeout": retry.timeout,
        }
        return {**place, **self._items.params(), **service}


class S3Dict(BasicS3Dict[V]):
    """A `BasicS3Dict` with a cache in a local folder, which several processes may share.

    A cached value is used only while the bucket still has it at the same version: one request without a body.
    Immutable items are trusted, and cost no request once cached. The cache takes at most `max_bytes`, the
    least recently used values go first, and it may be deleted at any time.

    Args:
        bucket_name: The bucket. The default is for tests with a service of your own: at AWS, a bucket of that
            name belongs to some other account.
        region: Its region; None leaves it to boto3's configuration.
        root_prefix: The beginning of all object names, ending in a slash (added if missing).
        base_dir: The folder in which the cache makes its own, ``.@perkey-cache``; other files there are
            left alone. Made if it does not exist; None for no cache.
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other ending for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key; 0, as in persidict, because the
            names of objects are case-sensitive.
        base_class_for_values: A class that all values must be of.
        max_bytes: The most that the cache may take, in bytes; 1 GiB by default.
        max_age: For how many seconds a cached value is used, a number or a `timedelta`; then it is read anew.
            None means that cached values do not expire.
        endpoint_url: Address of an S3 service other than AWS.
        client: A boto3 client of your own. It is not pickled with the dictionary.
        session: A boto3 session of your own. It is not pickled with the dictionary.
        engine: ``"boto3"``, or ``"obstore"``, which is several times faster.
        unsigned: Whether requests are sent without a signature, and so without credentials: for public data.
            It is True, too, if the client or the session sends unsigned requests.
        requester_pays: Whether your account pays for the requests, as some buckets demand.
        trust_service: Whether to rely on conditions without a test of the endpoint. Set it to True only
            for a service that is known to compare, such as AWS S3; no probe objects are written then.
        retry_for: For how many seconds an operation repeats a request after throttling, an error of the
            service or a lost connection. Each retry is logged. 0 means one attempt only.
        timeout: Seconds that one operation may take, all attempts included; then it raises
            `OperationTimeoutError`, at the latest when the request under way ends. None means no limit: a
            request ends when no byte comes for 20 s, so that large uploads may take as long as they need.
    """

    def __init__(
        self,
        bucket_name: str = DEFAULT_BUCKET,
        region: str | None = None,
        root_prefix: str = "",
        base_dir: str | os.PathLike[str] | None = "__s3_dict__",
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = 0,
        base_class_for_values: type | None = None,
        *,
        max_bytes: int = 1 << 30,
        max_age: Duration | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        session: Any = None,
        engine: EngineName = "boto3",
        unsigned: bool = False,
        requester_pays: bool = False,
        trust_service: bool = False,
        retry_for: float = RETRY_FOR,
        timeout: float | None = None,
    ) -> None:
        super().__init__(
            bucket_name,
            region,
            root_prefix,
            file_type,
            immutable_items,
            digest_len,
            base_class_for_values,
            endpoint_url=endpoint_url,
            client=client,
            session=session,
            engine=engine,
            unsigned=unsigned,
            requester_pays=requester_pays,
            trust_service=trust_service,
            retry_for=retry_for,
            timeout=timeout,
        )
        self._cache_params: dict[str, Any] = {
            "base_dir": base_dir,
            "max_bytes": max_bytes,
            "max_age": max_age,
        }
        seconds_of("max_age", max_age)
        if base_dir is not None:
            # The answers of a mocked service are gone with it.
            trusting = self.immutable_items and not is_mocked()
            cache = CacheFolder(base_dir, max_bytes=max_bytes, owner=_Owner(self._objects, trusting))
            self._cache_params["base_dir"] = cache.describe()
            store = CachedStore(self._objects, cache, trusting=trusting, max_age=max_age)
            self._items = self._items.over(store)

    @property
    def base_dir(self) -> str | None:
        """The absolute path of the folder that the cache is in; None without a cache."""
        base_dir: str | None = self._cache_params["base_dir"]
        return base_dir

    def get_params(self) -> dict[str, Any]:
        return {**super().get_params(), **self._cache_params}


@dataclass(frozen=True)
class _Owner:
    """Whose entries they are, as text.

    Trusted entries are not validated, so all that names the bucket is in it, as it is when it is asked; and
    what a dictionary of mutable items once cached is not to be trusted.
    """

    objects: ObjectStore
    trusting: bool

    def __str__(self) -> str:
        return f"{self.objects.engine.endpoint} {self.objects.describe()}{' immutable' * self.trusting}"
