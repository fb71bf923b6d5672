"""Each function for looking after dictionaries, over each kind of place and each wrapper.

A place either removes on the condition of a version, or says that it cannot; and a handle that only reads, or
whose items stay, refuses what it must. The table says which.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from s3 import azurite
from s3.conftest import _guard, bucket, ministack
from s3.places import ENGINES, Place, shared_session

import perkey
from perkey import (
    BasicS3Dict,
    CachedDict,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    ObjectStoreDict,
    OverlappingMultiDict,
    PersiDict,
    ReadOnlyError,
    UnsupportedConditionError,
    WriteOnceDict,
)
from perkey.naming import naming

__all__ = ["_guard", "bucket", "ministack"]

VALUES: Final[dict[Any, Any]] = {
    ("run1", "loss"): {"loss": 0.5, "at": {"step": 1}},
    ("run2", "loss"): {"loss": 0.25},
    "total": [1, 2],
}
BY_KEY: Final = {key if isinstance(key, tuple) else (key,): value for key, value in VALUES.items()}


class At(NamedTuple):
    """A handle to be tried.

    Attributes:
        d: The handle.
        owner: One that may write, in the same place.
        refusal: What removing raises; None if it is done.
    """

    d: PersiDict[Any]
    owner: PersiDict[Any]
    refusal: type[Exception] | None = None

    def removing(self, *also: type[Exception]) -> AbstractContextManager[object]:
        """Return a block in which an item is to be removed, which raises what the place refuses it with."""
        expected = (*also, *([self.refusal] if self.refusal else []))
        return pytest.raises(expected) if expected else nullcontext()


def _folder(path: Path, **params: Any) -> FileDirDict[Any]:
    return FileDirDict[Any](path, "json", durability="none", **params)


def _of(d: PersiDict[Any]) -> At:
    return At(d, d)


def _in_bucket(engine: Any) -> Callable[[pytest.FixtureRequest, Path], At]:
    def make(request: pytest.FixtureRequest, _: Path) -> At:
        endpoint = request.getfixturevalue("ministack").endpoint
        return _of(Place(endpoint, request.getfixturevalue("bucket"), engine).open(file_type="json"))

    return make


def _in_cached_bucket(request: pytest.FixtureRequest, path: Path) -> At:
    endpoint = request.getfixturevalue("ministack").endpoint
    place = Place(endpoint, request.getfixturevalue("bucket"))
    return At(place.open_cached(path / "cache", file_type="json"), place.open(file_type="json"))


def _in_azure(request: pytest.FixtureRequest, _: Path) -> At:
    request.getfixturevalue("monkeypatch").setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
    url = f"az://{azurite.new_container()}/{secrets.token_hex(4)}"
    d = ObjectStoreDict[Any](url, "json", digest_len=8, options=azurite.options())
    return At(d, d, UnsupportedConditionError)


def _in_obstore(_: pytest.FixtureRequest, __: Path) -> At:
    d = ObjectStoreDict[Any](f"memory://{secrets.token_hex(4)}", "json", digest_len=8)
    return At(d, d, UnsupportedConditionError)


def _read_only(_: pytest.FixtureRequest, path: Path) -> At:
    d = _folder(path)
    return At(d.read_only(), d, ReadOnlyError)


def _immutable(_: pytest.FixtureRequest, path: Path) -> At:
    return At(_folder(path, immutable_items=True), _folder(path), MutationPolicyError)


def _write_once(_: pytest.FixtureRequest, path: Path) -> At:
    return At(WriteOnceDict[Any](_folder(path, immutable_items=True)), _folder(path), MutationPolicyError)


def _cached(_: pytest.FixtureRequest, path: Path) -> At:
    return At(CachedDict[Any](_folder(path), LocalDict()), _folder(path))


def _cached_read_only(_: pytest.FixtureRequest, path: Path) -> At:
    d = _folder(path)
    return At(CachedDict[Any](d, LocalDict()).read_only(), d, ReadOnlyError)


def _overlapping(_: pytest.FixtureRequest, path: Path) -> At:
    both = OverlappingMultiDict(FileDirDict, {"base_dir": path, "durability": "none"}, json={}, txt={})
    both.txt["total"] = "of another dictionary"
    return _of(both.json)


PLACES: Final[dict[str, Callable[[pytest.FixtureRequest, Path], At]]] = {
    "folder": lambda _, path: _of(_folder(path)),
    "part of a folder": lambda _, path: _of(_folder(path).get_subdict("part")),
    "memory": lambda _, __: _of(LocalDict[Any]("json")),
    "memory by its address": lambda _, __: _of(
        perkey.open(f"memory://{secrets.token_hex(4)}/below", file_type="json")
    ),
    **{f"S3 by {engine}": _in_bucket(engine) for engine in ENGINES},
    "S3 with a cache": _in_cached_bucket,
    **({"Azure": _in_azure} if azurite.ENDPOINT else {}),
    "obstore": _in_obstore,
    "read-only": _read_only,
    "immutable": _immutable,
    "WriteOnceDict": _write_once,
    "CachedDict": _cached,
    "CachedDict, read-only": _cached_read_only,
    "OverlappingMultiDict": _overlapping,
}


@pytest.fixture(params=PLACES)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> At:
    """Three items, in each place."""
    made = PLACES[request.param](request, tmp_path / "place")
    made.owner.update(VALUES)
    return made


def _usage(at: At, _: Path) -> None:
    found = perkey.usage(at.d)
    assert (found.items, found.by_prefix["run1",].items) == (3, 1)
    assert found.bytes == sum(at.d.size(key) for key in VALUES)


def _find(at: At, _: Path) -> None:
    assert dict(perkey.find(at.d, {"loss": {"$lt": 0.4}})) == {("run2", "loss"): {"loss": 0.25}}
    assert dict(at.d.find({"loss": {"$lt": 0.4}})) == {("run2", "loss"): {"loss": 0.25}}


def _to_dataframe(at: At, _: Path) -> None:
    frame = perkey.to_dataframe(at.d)
    assert (len(frame), frame.loc["run1/loss", "at.step"]) == (3, 1)


def _watch(at: At, _: Path) -> None:
    token = perkey.watch(at.d).token
    at.owner["new"] = 1
    del at.owner["total"]
    seen = {(change.key, change.kind) for change in perkey.watch(at.d, since=token, timeout=0)}
    assert seen == {(("new",), "written"), (("total",), "deleted")}


def _prune(at: At, _: Path) -> None:
    assert perkey.prune(at.d, max_items=1, dry_run=True).removed == 2
    with at.removing():
        assert perkey.prune(at.d, max_items=1).removed == 2
    assert len(at.owner) == (3 if at.refusal else 1)
    if at.refusal is UnsupportedConditionError:
        assert perkey.prune(at.d, max_items=1, unconditional=True).removed == 2


def _verify(at: At, _: Path) -> None:
    assert perkey.verify(at.d).items == 3
    assert perkey.verify(at.d).ok
    assert perkey.verify(at.d, decode=True).ok
    at.owner.store.write(naming(at.owner.digest_len, "json").name_of("total"), b"{")
    assert perkey.verify(at.d).counts == {"damaged": 1}
    with at.removing():
        assert perkey.verify(at.d, "quarantine").quarantine
        assert "total" not in at.owner
        assert perkey.verify(at.d).ok
    if not at.refusal:
        assert perkey.unquarantine(at.d).restored == [("total",)]
        assert perkey.verify(at.d).counts == {"damaged": 1}


def _unquarantine(at: At, _: Path) -> None:
    if at.refusal is ReadOnlyError:
        with pytest.raises(ReadOnlyError):
            perkey.unquarantine(at.d)
    else:
        assert perkey.unquarantine(at.d).restored == []


def _copy(at: At, path: Path) -> None:
    away = _folder(path / "away")
    report = perkey.copy(at.d, away)
    assert (report.copied, dict(away)) == (3, BY_KEY)
    away["new"] = 1
    options = {"checksum": True}
    if at.refusal is ReadOnlyError:
        with pytest.raises(ReadOnlyError):
            perkey.copy(away, at.d, **options)  # type: ignore[arg-type]
        return
    report = perkey.copy(away, at.d, **options)  # type: ignore[arg-type]
    assert (report.copied, report.skipped, at.owner["new"]) == (1, 3, 1)
    away["total"] = "other"
    report = perkey.copy(away, at.d, **options)  # type: ignore[arg-type]
    stays = at.refusal is MutationPolicyError
    assert (report.copied, report.conflicts) == ((0, 1) if stays else (1, 0))
    assert at.owner["total"] == ([1, 2] if stays else "other")


def _sync(at: At, path: Path) -> None:
    away = _folder(path / "away")
    assert perkey.sync(at.d, away, delete=True).copied == 3
    del away["total"]
    with at.removing():
        assert perkey.sync(away, at.d, delete=True, checksum=True).deleted == 1
    assert ("total" in at.owner) == bool(at.refusal)
    if at.refusal is UnsupportedConditionError:
        assert perkey.sync(away, at.d, delete=True, checksum=True, unconditional=True).deleted == 1


def _convert(at: At, path: Path) -> None:
    to_pickles = FileDirDict[Any](path / "pickles", "pkl", durability="none")
    assert perkey.convert(at.d, to_pickles).copied == 3
    assert dict(to_pickles) == BY_KEY
    assert perkey.convert(at.d, file_type="txt", dry_run=True, on_error="collect").copied <= 3
    with at.removing():
        report = perkey.convert(at.d, file_type="pkl")
        assert (report.copied, report.deleted, perkey.usage(at.d).items) == (3, 3, 0)
    assert perkey.usage(at.owner).items == (3 if at.refusal else 0)
    if at.refusal is not ReadOnlyError:
        assert perkey.convert({"more": 1}, at.d).copied == 1


def _open(at: At, _: Path) -> None:
    """The path or address of a handle opens the same items; that of memory works by its name only."""
    place, params = _address(at.owner)
    if place is None:
        return
    types = {name[-1].rpartition(".")[2] for name in at.owner.store.scan()}
    found = perkey.open(place, "r", **params, **({} if len(types) == 1 else {"file_type": "json"}))
    assert dict(found) == BY_KEY
    assert (found.file_type, found.digest_len) == ("json", at.owner.digest_len)
    with pytest.raises(ReadOnlyError):
        found["total"] = 0


def _address(d: PersiDict[Any]) -> tuple[str | None, dict[str, Any]]:
    """Return what `perkey.open` takes for a place, and the parameters that tests need."""
    place = d.store.describe().rstrip("/")
    if isinstance(d, BasicS3Dict):
        endpoint = d.store.engine.endpoint  # type: ignore[attr-defined] # of an ObjectStore
        return place, {"endpoint_url": endpoint, "region": "us-east-1", "session": shared_session()}
    if isinstance(d, ObjectStoreDict):
        return (place, {"options": azurite.options()}) if place.startswith("az:") else (None, {})
    return (place if d.store.path_of() else None), {}


def _claims(at: At, _: Path) -> None:
    with perkey.claim(at.owner, "total", lease=60) as mine:
        assert mine
        assert [claim.key for claim in perkey.claims(at.d)] == [("total",)]
        if at.refusal is ReadOnlyError:
            with pytest.raises(ReadOnlyError):
                perkey.break_claim(at.d, "total")
        else:
            assert perkey.break_claim(at.d, "total")


FUNCTIONS: Final[dict[str, Callable[[At, Path], None]]] = {
    "open": _open,
    "usage": _usage,
    "find": _find,
    "to_dataframe": _to_dataframe,
    "watch": _watch,
    "prune": _prune,
    "verify": _verify,
    "unquarantine": _unquarantine,
    "copy": _copy,
    "sync": _sync,
    "convert": _convert,
    "claims": _claims,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_works_in_every_place_or_says_that_it_does_not(name: str, at: At, tmp_path: Path) -> None:
    FUNCTIONS[name](at, tmp_path)


def test_every_function_of_the_tools_is_tried() -> None:
    of_tools = {
        name
        for name in perkey.__all__
        if getattr(getattr(perkey, name), "__module__", "").startswith("perkey.tools.")
    }
    tried_elsewhere = {"break_claim", "claim", "compute_once", "memoize", "run_all"}  # in tests/tools/once
    assert of_tools - tried_elsewhere <= set(FUNCTIONS)
