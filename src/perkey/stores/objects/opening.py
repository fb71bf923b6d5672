"""The engines and stores for object services, made by name; the client libraries are loaded when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from perkey.errors import MissingExtraError
from perkey.stores.objects.store import ObjectStore

if TYPE_CHECKING:
    from perkey.stores.objects.boto import BotoEngine
    from perkey.stores.objects.obstore_url import S3UrlEngine

EngineName: TypeAlias = Literal["boto3", "obstore"]
"""The client library on the data path."""


def make_engine(engine: EngineName, bucket_name: str, **service: Any) -> BotoEngine | S3UrlEngine:
    """Return the engine for a bucket; making it sends nothing.

    Without boto3 installed, `"obstore"` returns an engine that does without, `S3UrlEngine`.

    Args:
        engine: The client library.
        bucket_name: The bucket.
        **service: The other arguments of `BotoEngine`.

    Raises:
        MissingExtraError: The client library is not installed, or a setting needs boto3.
        TypeError, ValueError: An argument is of the wrong kind, or the engine is not known.
    """
    if engine == "boto3":
        from perkey.stores.objects.boto import BotoEngine

        return BotoEngine(bucket_name, **service)
    if engine == "obstore":
        try:
            from perkey.stores.objects.obstore_s3 import ObstoreEngine
        except MissingExtraError as missing:
            if missing.package != "boto3":
                raise
            from perkey.stores.objects.obstore_url import S3UrlEngine

            return S3UrlEngine(bucket_name, **service)
        return ObstoreEngine(bucket_name, **service)
    raise ValueError(f"engine must be 'boto3' or 'obstore', not {engine!r}")


def store_at(url: str, **service: Any) -> ObjectStore:
    """Return the store at an address of an object service.

    Args:
        url: The address.
        **service: The other arguments of `ObstoreStore`.

    Raises:
        MissingExtraError: obstore is not installed.
        ValueError: The address is not valid.
    """
    from perkey.stores.objects.obstore_url import ObstoreStore

    return ObstoreStore(url, **service)
