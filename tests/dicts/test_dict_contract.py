"""The contract of dictionaries, over every dictionary."""

from __future__ import annotations

from typing import Any

import pytest

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
from perkey.testing import DictContract, EmptyDictContract, FaultyStore, PolicyContract, WriteOnceContract
from perkey.testing.dicts import PICKLED, PLAIN, TEXTS


class Everything(DictContract, PolicyContract):
    """Both contracts, over folders unless `make_dict` says otherwise."""

    empty_places_take_long = True
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        settings = {"durability": "none", **self.settings, **params}
        return FileDirDict(self.tmp_path / "place", **settings)


class TestFileDirDictOfPickles(Everything):
    empty_places_take_long = False
    values = PICKLED
    settings = {"durability": "sync"}  # noqa: RUF012


class TestFileDirDictOfPicklesWithoutDigests(Everything):
    values = PICKLED
    settings = {"digest_len": 0}  # noqa: RUF012


class TestFileDirDictOfJson(Everything):
    values = PLAIN
    settings = {"file_type": "json"}  # noqa: RUF012


class TestFileDirDictOfJsonWithoutDigests(Everything):
    values = PLAIN
    settings = {"file_type": "json", "digest_len": 0}  # noqa: RUF012


class TestFileDirDictOfTexts(Everything):
    values = TEXTS
    settings = {"file_type": "txt"}  # noqa: RUF012


class TestFileDirDictOfTextsWithoutDigests(Everything):
    values = TEXTS
    settings = {"file_type": "md", "digest_len": 0}  # noqa: RUF012


class InMemory(Everything):
    """What is in memory has one handle, and pickling it copies it."""

    handles_share_the_place = False

    def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
        return d


class TestLocalDict(InMemory):
    empty_places_take_long = False

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict(**params)


class TestLocalDictOfJson(InMemory):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict("json", digest_len=0, **params)


class TestLocalDictOfTexts(InMemory):
    values = TEXTS

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return LocalDict("txt", **params)


class TestPersiDictOverAStore(Everything):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return PersiDict(FaultyStore(DirectoryStore(self.tmp_path / "place", durability="none")), **params)


class TestCachedDictWithACacheForEachHandle(Everything):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return CachedDict(super().make_dict(**params), LocalDict())


class TestCachedDictWithASharedCache(Everything):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        main = FileDirDict[Any](self.tmp_path / "place", "json", durability="none", **params)
        return CachedDict(main, FileDirDict(self.tmp_path / "cache", durability="none"))


class TestPartOfAFileDirDict(Everything):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return super().make_dict(**params).get_subdict(("part", "of"))


class TestPartOfALocalDict(InMemory):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        whole = LocalDict[Any](**params)
        whole["beside"] = self.values(1)
        whole["part", "of"] = self.values(2)
        return whole.get_subdict("part").get_subdict("of")


class TestPartOfACachedDict(Everything):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        cached = CachedDict(super().make_dict(**params), FileDirDict(self.tmp_path / "c", durability="none"))
        return cached.get_subdict("part")


class Overlapping(Everything):
    """One of several dictionaries in the same place, under the same keys."""

    file_type = "pkl"

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        shared = {"base_dir": self.tmp_path / "place", "durability": "none"}
        each: dict[str, Any] = {"pkl": {}, "json": {}, "txt": {}, self.file_type: params}
        together = OverlappingMultiDict(FileDirDict, shared, **each)
        mine: PersiDict[Any] = together[self.file_type]
        return mine


class TestPicklesOfAnOverlappingMultiDict(Overlapping):
    empty_places_take_long = False
    values = PICKLED


class TestJsonOfAnOverlappingMultiDict(Overlapping):
    file_type, values = "json", PLAIN


class TestTextsOfAnOverlappingMultiDict(Overlapping):
    file_type, values = "txt", TEXTS


class TestWriteOnceDict(WriteOnceContract):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return WriteOnceDict(FileDirDict(self.tmp_path / "place", durability="none", **params))


class TestWriteOnceDictOfTextsInMemory(WriteOnceContract):
    values = TEXTS
    handles_share_the_place = False

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return WriteOnceDict(LocalDict("txt", **params), p_consistency_checks=0)

    def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
        return d


class TestPartOfAWriteOnceDict(WriteOnceContract):
    values = PLAIN

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        whole = WriteOnceDict(FileDirDict(self.tmp_path / "place", "json", durability="none", **params))
        return whole.get_subdict("part")


class TestEmptyDict(EmptyDictContract):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return EmptyDict(**params)


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
