"""The contract of dictionaries: in full over a folder and memory, a smoke of it over all others."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.dicts import (
    PICKLED,
    PLAIN,
    TEXTS,
    AddOnlySmoke,
    DictContract,
    DictSmoke,
    EmptyDictContract,
    PolicyContract,
    WriteOnceContract,
)
from contracts.dicts.write_once import FirstWriteClauses

from perkey import (
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    OverlappingMultiDict,
    PersiDict,
    WriteOnceDict,
)
from perkey.stores import DirectoryStore, MemoryStore
from perkey.testing import FaultyStore

# --- In full ----------------------------------------------------------------------------------------


class TestFileDirDict(DictContract, PolicyContract):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return FileDirDict(self.tmp_path / "place", **params)


@pytest.mark.slow
class TestFileDirDictOnTheDisk(TestFileDirDict):
    """Usual runs have their folders in memory, those of the slow tests have them on the disk."""


class InMemory:
    """What is in memory has one handle, and pickling it copies it."""

    handles_share_the_place = False

    def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
        return d


class TestLocalDict(InMemory, DictContract, PolicyContract):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict("json", **params)


class TestWriteOnceDict(WriteOnceContract):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return WriteOnceDict(FileDirDict(self.tmp_path / "place", durability="none", **params))


class TestEmptyDict(EmptyDictContract):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return EmptyDict(**params)


# --- A smoke ----------------------------------------------------------------------------------------


class Smoke(DictSmoke):
    """Over a folder unless `make_dict` says otherwise."""

    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        settings = {"durability": "none", **self.settings, **params}
        return FileDirDict(self.tmp_path / "place", **settings)


class TestFileDirDictOfPicklesWithoutDigests(Smoke):
    settings = {"digest_len": 0}  # noqa: RUF012


class TestFileDirDictOfJson(Smoke):
    values = PLAIN
    settings = {"file_type": "json"}  # noqa: RUF012


class TestFileDirDictOfJsonWithoutDigests(Smoke):
    values = PLAIN
    settings = {"file_type": "json", "digest_len": 0}  # noqa: RUF012


class TestFileDirDictOfTexts(Smoke):
    values = TEXTS
    settings = {"file_type": "txt"}  # noqa: RUF012


class TestFileDirDictOfTextsWithoutDigests(Smoke):
    values = TEXTS
    settings = {"file_type": "md", "digest_len": 0}  # noqa: RUF012


class TestLocalDictOfPickles(InMemory, Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict(digest_len=0, **params)


class TestLocalDictOfTexts(InMemory, Smoke):
    values = TEXTS

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict("txt", **params)


class TestPersiDictOverAStore(Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return PersiDict(FaultyStore(DirectoryStore(self.tmp_path / "place", durability="none")), **params)


class TestCachedDictWithACacheForEachHandle(Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return CachedDict(super().make_dict(**params), LocalDict())


class TestCachedDictWithASharedCache(Smoke):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        main = FileDirDict[Any](self.tmp_path / "place", "json", durability="none", **params)
        return CachedDict(main, FileDirDict(self.tmp_path / "cache", durability="none"))


class TestPartOfAFileDirDict(Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return super().make_dict(**params).get_subdict(("part", "of"))


class TestPartOfALocalDict(InMemory, Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        whole = LocalDict[Any](**params)
        whole["beside"] = self.values(1)
        whole["part", "of"] = self.values(2)
        return whole.get_subdict("part").get_subdict("of")


class TestPartOfACachedDict(Smoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        cached = CachedDict(super().make_dict(**params), FileDirDict(self.tmp_path / "c", durability="none"))
        return cached.get_subdict("part")


class Overlapping(Smoke):
    """One of several dictionaries in the same place, under the same keys."""

    file_type = "pkl"

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        shared = {"base_dir": self.tmp_path / "place", "durability": "none"}
        each: dict[str, Any] = {"pkl": {}, "json": {}, "txt": {}, self.file_type: params}
        together = OverlappingMultiDict(FileDirDict, shared, **each)
        mine: PersiDict[Any] = together[self.file_type]
        return mine


class TestPicklesOfAnOverlappingMultiDict(Overlapping):
    values = PICKLED


class TestJsonOfAnOverlappingMultiDict(Overlapping):
    file_type, values = "json", PLAIN


class TestTextsOfAnOverlappingMultiDict(Overlapping):
    file_type, values = "txt", TEXTS


class TestWriteOnceDictOfTextsInMemory(InMemory, AddOnlySmoke, FirstWriteClauses):
    values = TEXTS

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return WriteOnceDict(LocalDict("txt", **params), p_consistency_checks=0)


class TestPartOfAWriteOnceDict(AddOnlySmoke, FirstWriteClauses):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        whole = WriteOnceDict(FileDirDict(self.tmp_path / "place", "json", durability="none", **params))
        return whole.get_subdict("part")


class TestEmptyDictOfTexts(EmptyDictContract):
    values = TEXTS

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return EmptyDict("txt", **params)


class TestPartOfAnEmptyDict(EmptyDictContract):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return EmptyDict("json", **params).get_subdict("part")


def test_an_unpickled_local_dict_is_an_independent_copy() -> None:
    """The clause that the contract leaves to the dictionary: where handles do not share."""
    import pickle

    d = LocalDict[int]()
    d["a"] = 1
    twin = pickle.loads(pickle.dumps(d))
    twin["b"] = 2
    d["c"] = 3
    assert (dict(d), dict(twin)) == ({("a",): 1, ("c",): 3}, {("a",): 1, ("b",): 2})
    assert isinstance(d.store, MemoryStore)


def test_a_suite_needs_a_dictionary_to_test() -> None:
    with pytest.raises(NotImplementedError):
        DictContract().make_dict()
