"""Dictionaries of tests: which class, through which engine, where; for workers too, so it imports little."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import boto3

from perkey.dicts.s3 import BasicS3Dict, S3Dict
from perkey.expectations import ConditionKind, Verb
from perkey.mapping.persi_dict import PersiDict
from perkey.stores import CachedStore
from perkey.stores.objects import probes
from perkey.stores.objects.store import ObjectStore

EngineName: TypeAlias = Literal["boto3", "obstore"]

ENGINES: Final[tuple[EngineName, ...]] = ("boto3", "obstore")


@dataclass(frozen=True)
class Place:
    """A bucket behind an endpoint, as an engine sees it; it can be sent to other processes.

    Attributes:
        endpoint: The server, or None for moto in this process.
        bucket: The bucket; it need not exist.
        engine: Which client library.
        prefix: The beginning of the objects' names.
    """

    endpoint: str | None
    bucket: str
    engine: EngineName = "boto3"
    prefix: str = "root/prefix"

    def open(self, **params: Any) -> BasicS3Dict[Any]:
        """Return a dictionary without a cache."""
        return BasicS3Dict(**self._params(params))

    def open_cached(self, base_dir: Path | str, **params: Any) -> S3Dict[Any]:
        """Return a dictionary with a cache."""
        return S3Dict(**self._params({"base_dir": base_dir, **params}))

    def _params(self, more: dict[str, Any]) -> dict[str, Any]:
        service = {"region": "us-east-1", "endpoint_url": self.endpoint, "session": shared_session()}
        return {
            "bucket_name": self.bucket,
            "root_prefix": self.prefix,
            "engine": self.engine,
            **({} if "client" in more else service),  # a client says by itself where it is
            **more,
        }


def know_server(d: PersiDict[Any]) -> None:
    """Let a dictionary know that its server supports conditions, as if it had been asked: by ten requests."""
    objects = d.store.main if isinstance(d.store, CachedStore) else d.store
    assert isinstance(objects, ObjectStore)
    questions: list[tuple[Verb, ConditionKind]] = [
        ("write", "absent"),
        ("write", "version"),
        ("remove", "version"),
    ]
    for verb, kind in questions:
        probes._answers[objects.engine.endpoint, objects.engine.describe(), verb, kind, False] = True


@cache
def shared_session() -> Any:
    """Return one session for all, because making a client of a new one takes a tenth of a second."""
    return boto3.session.Session()
