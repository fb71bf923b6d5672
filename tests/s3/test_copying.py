"""Copies to, from and between buckets: by digest, and with one listing of the destination."""

from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict, PersiDict, sync
from perkey.dicts.s3 import BasicS3Dict
from perkey.tools.copying import copy
from s3.places import ENGINES, EngineName, Place
from s3.proxy import Proxy
from s3.servers import Server

COUNT = 40
engines = pytest.mark.parametrize("engine", ENGINES)


def values() -> dict[str, Any]:
    return {f"k{number}": {"n": number} for number in range(COUNT)}


@engines
def test_between_a_folder_and_a_bucket(
    engine: EngineName, bucket: str, ministack: Server, tmp_path: Path
) -> None:
    place = Place(ministack.endpoint, bucket, engine)
    src = FileDirDict[Any](tmp_path / "src", "json", durability="none")
    src.update(values())
    there: BasicS3Dict[Any] = place.open(root_prefix="there", file_type="json", digest_len=8)
    other: BasicS3Dict[Any] = place.open(root_prefix="other", file_type="json")
    back = FileDirDict[Any](tmp_path / "back", "json", durability="none")
    chain: list[tuple[PersiDict[Any], PersiDict[Any]]] = [(src, there), (there, other), (other, back)]
    for first, second in chain:
        assert copy(first, second).copied == COUNT
        assert copy(first, second).skipped == COUNT
        assert dict(first) == dict(second)
    src["k1"], src["more"] = {"n": 9}, 5
    for first, second in chain:
        assert (copy(first, second).copied, dict(first)) == (2, dict(second))
    del src["k2"]
    for first, second in chain:
        assert sync(first, second, delete=True).deleted == 1
    assert dict(back) == dict(src)


def test_requests_of_a_second_copy_are_one_listing(bucket: str, proxy: Proxy, tmp_path: Path) -> None:
    src = FileDirDict[Any](tmp_path / "src", "json", durability="none")
    src.update(values())
    dst: BasicS3Dict[Any] = Place(proxy.endpoint, bucket, "boto3").open(file_type="json")
    for _ in range(2):  # the second one asks the endpoint whether it supports conditions on versions
        copy(src, dst)
    proxy.requests.clear()
    assert copy(src, dst, workers=4).skipped == COUNT
    assert proxy.counts == {"list": 2}  # whether there is anything, and what
