"""Copying, checking, pruning and the other functions over Azurite, which refuses conditional removals."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

import perkey
from perkey import FileDirDict, ObjectStoreDict, UnsupportedConditionError
from s3 import azurite

VALUES = {f"k{number}": {"n": number} for number in range(20)}


@pytest.fixture
def d(monkeypatch: pytest.MonkeyPatch) -> ObjectStoreDict[Any]:
    """A dictionary of JSON values in a container of its own."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
    url = f"az://{azurite.new_container()}/{secrets.token_hex(4)}"
    return ObjectStoreDict[Any](url, file_type="json", digest_len=8, options=azurite.options())


def test_a_folder_is_copied_there_and_back(d: ObjectStoreDict[Any], tmp_path: Path) -> None:
    src = FileDirDict[Any](tmp_path / "src", "json", durability="none")
    src.update(VALUES)
    assert perkey.copy(src, d).copied == len(VALUES)
    assert perkey.copy(src, d, checksum=True).skipped == len(VALUES)
    back = FileDirDict[Any](tmp_path / "back", "json", durability="none")
    assert perkey.copy(d, back).copied == len(VALUES)
    assert dict(back) == dict(src)


def test_usage_verify_convert_and_find(d: ObjectStoreDict[Any], tmp_path: Path) -> None:
    d.update(VALUES)
    assert perkey.usage(d).items == len(VALUES)
    report = perkey.verify(d)
    assert report.ok
    assert len(list(d.find({"n": {"$lt": 5}}))) == 5
    target = FileDirDict[Any](tmp_path, "pkl", durability="none")
    assert perkey.convert(d, target).copied == len(VALUES)
    assert len(perkey.to_dataframe(d)) == len(VALUES)


def test_conditional_removals_are_refused(d: ObjectStoreDict[Any], tmp_path: Path) -> None:
    d.update(VALUES)
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        perkey.prune(d, max_items=5)
    assert len(d) == len(VALUES)
    assert perkey.prune(d, max_items=15, unconditional=True).removed == 5
    src = FileDirDict[Any](tmp_path, "json", durability="none")
    src.update({key: d[key] for key in list(d)[:10]})
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        perkey.sync(src, d, delete=True, checksum=True)
    report = perkey.sync(src, d, delete=True, checksum=True, unconditional=True)
    assert (report.deleted, len(d)) == (5, 10)
