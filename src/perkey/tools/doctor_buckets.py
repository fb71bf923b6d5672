"""What perkey promises for a bucket of an S3 service."""

from __future__ import annotations

from typing import Any

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import BackendError
from perkey.expectations import ConditionKind, Verb
from perkey.mapping import PersiDict
from perkey.stores.objects import NoSuchBucket, ObjectStore, again
from perkey.stores.objects.boto import FOREIGN, BotoEngine
from perkey.tools.diagnosis import Diagnosis

_PATIENCE = {"retry_for": 10.0, "timeout": 60.0}


def dictionary_in(address: str, endpoint_url: str | None) -> PersiDict[Any]:
    """Return a dictionary of JSON values below an address ``s3://bucket/prefix``."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    return BasicS3Dict(bucket, None, prefix, "json", endpoint_url=endpoint_url, **_PATIENCE)  # type: ignore[arg-type]


def examine_bucket(address: str, endpoint_url: str | None = None) -> Diagnosis:
    """Return what perkey promises for a bucket; as `perkey.tools.doctor.examine`.

    Cost: about 12 requests. Probe objects are written below the prefix and removed.
    """
    store = dictionary_in(address, endpoint_url).store
    assert isinstance(store, ObjectStore)  # noqa: S101 - for the type checker
    engine = store.engine
    assert isinstance(engine, BotoEngine)  # noqa: S101 - for the type checker
    exists = _exists(engine, store.root_prefix)
    result = Diagnosis(address)
    result.facts = {
        "kind": "bucket",
        "exists": exists,
        "endpoint": engine.endpoint,
        "region": engine.client.meta.region_name,
        "versioning": _versioning(engine) if exists else None,
        "unfinished_uploads": _uploads(engine, store.root_prefix) if exists else None,
    }
    result.promise("atomic replacement", True, "an object is replaced as a whole")
    for name, verb, kind in _CONDITIONS:
        result.promise(
            name, *(_supports(store, verb, kind) if exists else (None, "the bucket does not exist"))
        )
    result.promise("durability", True, "the service answers when it has stored the object")
    if not exists:
        result.advice.append("make the bucket, or let the first write make it, and examine it again")
    if any(promise.holds is False for promise in result.promises):
        result.advice.append("use a service that supports If-Match and If-None-Match, such as AWS S3")
    if result.facts["unfinished_uploads"]:
        result.advice.append("abort unfinished uploads of killed processes with S3Dict.sweep()")
    return result


_CONDITIONS: tuple[tuple[str, Verb, ConditionKind], ...] = (
    ("conditions on versions", "write", "version"),
    ("insert if absent", "write", "absent"),
    ("conditional removal", "remove", "version"),
)


def _exists(engine: BotoEngine, prefix: str) -> bool:
    try:
        again(lambda: next(iter(engine.list(prefix)), None), NoSuchBucket, retry=engine.retry)
    except NoSuchBucket:
        return False
    return True


def _supports(store: ObjectStore, verb: Verb, kind: ConditionKind) -> tuple[bool | None, str]:
    try:
        supported = store.supports(verb, kind)
    except BackendError as error:
        return None, f"it cannot be asked: {' '.join(str(error).split())}"
    header = "If-None-Match" if kind == "absent" else "If-Match"
    request = "PUT" if verb == "write" else "DELETE"
    if supported:
        return True, f"a {request} whose {header} does not hold was refused"
    return False, f"the endpoint ignores {header} of {request}, so perkey refuses the condition"


def _versioning(engine: BotoEngine) -> str:
    try:
        found = engine.client.get_bucket_versioning(Bucket=engine.bucket)
    except FOREIGN as error:
        return f"cannot be asked ({type(error).__name__})"
    return str(found.get("Status", "off")).lower()


def _uploads(engine: BotoEngine, prefix: str) -> int | None:
    try:
        return again(lambda: sum(1 for _ in engine.uploads(prefix)), retry=engine.retry)
    except BackendError:
        return None
