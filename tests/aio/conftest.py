"""Dictionaries of every kind, and the servers that the tests of S3 use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3.conftest import _guard, bucket, ministack, moto_server, proxy, quick_pauses
from s3.places import Place, know_server
from s3.servers import Server

from perkey import BasicS3Dict, FileDirDict, LocalDict, ObjectStoreDict, PersiDict, S3Dict

__all__ = ["_guard", "bucket", "ministack", "moto_server", "proxy", "quick_pauses"]

NATIVE = ["s3_obstore", "s3_obstore_cached", "object_store_url"]
IN_THREADS = ["folder", "memory", "s3_boto3"]


def make_dict(kind: str, server: Server, bucket: str, folder: Path, **params: Any) -> PersiDict[Any]:
    """Return an empty dictionary of a kind."""
    by_obstore = Place(server.endpoint, bucket, "obstore")
    made: dict[str, Callable[[], PersiDict[Any]]] = {
        "folder": lambda: FileDirDict(folder / "items", durability="none", **params),
        "memory": lambda: LocalDict(**params),
        "s3_boto3": lambda: Place(server.endpoint, bucket, "boto3").open(**params),
        "s3_obstore": lambda: by_obstore.open(**params),
        "s3_obstore_cached": lambda: by_obstore.open_cached(folder / "cache", **params),
        "object_store_url": lambda: ObjectStoreDict(f"memory://{bucket}", **params),
    }
    d = made[kind]()
    if isinstance(d, (BasicS3Dict, S3Dict)):
        know_server(d)
    return d


@pytest.fixture(params=[*NATIVE, *IN_THREADS])
def any_dict(
    request: pytest.FixtureRequest, ministack: Server, bucket: str, tmp_path: Path
) -> PersiDict[Any]:
    """An empty dictionary of each kind."""
    return make_dict(request.param, ministack, bucket, tmp_path)


@pytest.fixture
def s3_dict(ministack: Server, bucket: str, tmp_path: Path) -> PersiDict[Any]:
    """An empty dictionary on S3 through obstore."""
    return make_dict("s3_obstore", ministack, bucket, tmp_path)
