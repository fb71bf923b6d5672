"""What perkey promises for a bucket of S3, or of another object service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from perkey.errors import BackendError
from perkey.expectations import ConditionKind, Verb
from perkey.mapping import PersiDict
from perkey.stores.objects import Engine, NoSuchBucket, ObjectStore, again
from perkey.tools.diagnosis import Diagnosis
from perkey.tools.locating import bare_store

_S3: Final = "s3://"
_PATIENCE: Final[dict[str, Any]] = {"retry_for": 10.0, "timeout": 60.0}


def dictionary_in(address: str, endpoint_url: str | None, below: str = "") -> PersiDict[Any]:
    """Return a dictionary of JSON values in a bucket; nothing is asked.

    Args:
        address: As for `perkey.open`.
        endpoint_url: As for `S3Dict`.
        below: A further part of the prefix.
    """
    from perkey.tools.places import open as open_place

    place, mark, query = address.partition("?")
    place = f"{place.rstrip('/')}/{below}" if below else place
    more: dict[str, Any] = {} if endpoint_url is None else {"endpoint_url": endpoint_url}
    return open_place(place + mark + query, file_type="json", digest_len=0, **_PATIENCE, **more)


def examine_bucket(address: str, endpoint_url: str | None = None) -> Diagnosis:
    """Return what perkey promises for a bucket; as `perkey.tools.doctor.examine`.

    Cost: about 12 requests. Probe objects are written below the prefix and removed.
    """
    store = bare_store(dictionary_in(address, endpoint_url).store)
    assert isinstance(store, ObjectStore)  # noqa: S101 - for the type checker
    engine = store.engine
    exists = _exists(engine, store.root_prefix)
    result = Diagnosis(address)
    result.facts = {
        "kind": "bucket",
        "exists": exists,
        "endpoint": engine.endpoint,
        "region": None,
        "versioning": None,
        "unfinished_uploads": _uploads(engine, store.root_prefix) if exists else None,
    }
    if address.startswith(_S3):
        _add_facts_of_s3(result.facts, engine)
    result.promise("atomic replacement", True, "an object is replaced as a whole")
    for name, verb, kind in _CONDITIONS:
        result.promise(
            name, *(_supports(store, verb, kind) if exists else (None, "the bucket does not exist"))
        )
    result.promise("durability", True, "the service answers when it has stored the object")
    result.advice += _advice(result, address)
    return result


def _add_facts_of_s3(facts: dict[str, Any], engine: Engine) -> None:
    """Add what boto3 can ask; it need not be installed if the address names another engine."""
    client = getattr(engine, "client", None)
    if client is not None:
        facts["region"] = client.meta.region_name
        facts["versioning"] = _versioning(client, engine.describe()) if facts["exists"] else None


def _advice(result: Diagnosis, address: str) -> Iterator[str]:
    of_s3 = address.startswith(_S3)
    if not result.facts["exists"]:
        made = "make the bucket, or let the first write make it," if of_s3 else "make the bucket or container"
        yield f"{made} and examine it again"
    if any(promise.holds is False for promise in result.promises):
        yield (
            "use a service that supports If-Match and If-None-Match, such as AWS S3"
            if of_s3
            else "prune and sync --delete need --unconditional here: what is written meanwhile may be lost"
        )
    if result.facts["unfinished_uploads"]:
        yield "abort unfinished uploads of killed processes with S3Dict.sweep()"


_CONDITIONS: tuple[tuple[str, Verb, ConditionKind], ...] = (
    ("conditions on versions", "write", "version"),
    ("insert if absent", "write", "absent"),
    ("conditional removal", "remove", "version"),
)


def _exists(engine: Engine, prefix: str) -> bool:
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
    if not store.engine.supports(verb, kind):
        return False, "the client library cannot send it, so perkey refuses the condition"
    header = "If-None-Match" if kind == "absent" else "If-Match"
    request = "PUT" if verb == "write" else "DELETE"
    if supported:
        return True, f"a {request} whose {header} does not hold was refused"
    return False, f"the endpoint ignores {header} of {request}, so perkey refuses the condition"


def _versioning(client: Any, address: str) -> str:
    from perkey.stores.objects.boto import FOREIGN

    try:
        found = client.get_bucket_versioning(Bucket=address.removeprefix(_S3).partition("/")[0])
    except FOREIGN as error:
        return f"cannot be asked ({type(error).__name__})"
    return str(found.get("Status", "off")).lower()


def _uploads(engine: Engine, prefix: str) -> int | None:
    try:
        return again(lambda: sum(1 for _ in engine.uploads(prefix)), retry=engine.retry)
    except BackendError:
        return None
