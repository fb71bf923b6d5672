"""What each of many writers does; it imports little, because each process imports it."""

from contextlib import suppress
from typing import Any

from s3.credentials import ACCESS_KEY, REGION, SECRET_KEY

from perkey import ConcurrencyConflictError, FileDirDict
from perkey.dicts.s3 import BasicS3Dict
from perkey.synced import JSONDict, RedisDict, SyncedDict, synced


def open_place(place: tuple[str, ...]) -> SyncedDict:
    """Open a document in a worker."""
    kind, *where = place
    if kind == "file":
        return JSONDict(where[0])
    if kind == "redis":
        import redis

        return RedisDict(redis.Redis(unix_socket_path=where[0]), where[1])
    found: SyncedDict = synced(s3_dict(*where) if kind == "s3" else FileDirDict(where[0]), "document")
    return found


def set_keys(worker: int, place: tuple[str, ...], count: int) -> None:
    d = open_place(place)
    for n in range(count):
        d[f"{worker}-{n}"] = n


def count_up(worker: int, place: tuple[str, ...], count: int) -> None:
    d = open_place(place)
    for _ in range(count):
        d.transform(lambda data: {**data, "n": data.get("n", 0) + 1})


def count_up_in_blocks(worker: int, place: tuple[str, ...], count: int) -> None:
    """The same with blocks, each of which is repeated by hand until nobody comes between."""
    d = open_place(place)
    done = 0
    while done < count:
        with suppress(ConcurrencyConflictError):
            with d.editing():
                d["n"] = d.get("n", 0) + 1
            done += 1


def append(worker: int, place: tuple[str, ...], count: int) -> None:
    d = open_place(place)
    for n in range(count):
        d.setdefault("items", [])
        d["items"] += [[worker, n]]


def s3_dict(endpoint: str, bucket: str) -> BasicS3Dict[Any]:
    """Return a dictionary of JSON objects behind an endpoint; no configuration of the machine is used."""
    import boto3

    session = boto3.session.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION
    )
    return BasicS3Dict(
        bucket_name=bucket, region=REGION, file_type="json", endpoint_url=endpoint, session=session
    )
