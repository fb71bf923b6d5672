"""Each dictionary beside a plain dict, through all that can be done to it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from contracts.dicts.suite import PLAIN, TEXTS, assert_agrees
from dict_machines import STEADY, ChangingMachine, KeepingMachine
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from perkey import (
    CachedDict,
    FileDirDict,
    LocalDict,
    OverlappingMultiDict,
    PersiDict,
    WriteOnceDict,
)


def in_folder(folder: str, **params: Any) -> FileDirDict[Any]:
    return FileDirDict(os.path.join(folder, "place"), durability="none", **params)


class Pickles(ChangingMachine):
    def make_dict(self, folder: str) -> PersiDict[Any]:
        return in_folder(folder)


class Jsons(ChangingMachine):
    values = PLAIN

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return in_folder(folder, file_type="json", digest_len=0)


class Texts(ChangingMachine):
    values = TEXTS

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return in_folder(folder, file_type="txt", digest_len=3)


class Local(ChangingMachine):
    shares = False

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return LocalDict()


class Cached(ChangingMachine):
    def make_dict(self, folder: str) -> PersiDict[Any]:
        return CachedDict(in_folder(folder), LocalDict())

    @rule()
    def lose_the_cache(self) -> None:
        assert isinstance(self.d, CachedDict)
        self.d.get_params()["cache_dict"].clear()


class Part(ChangingMachine):
    def make_dict(self, folder: str) -> PersiDict[Any]:
        self.whole = in_folder(folder)
        self.whole["beside"] = self.values(1)
        return self.whole.get_subdict(("some", "part"))

    def teardown(self) -> None:
        assert_agrees(
            self.whole,
            {("beside",): self.values(1), **{("some", "part", *key): v for key, v in self.plain.items()}},
        )
        super().teardown()


class Overlapping(ChangingMachine):
    """The siblings of other types hold the same keys, and stay as they are."""

    def make_dict(self, folder: str) -> PersiDict[Any]:
        place = {"base_dir": os.path.join(folder, "place"), "durability": "none"}
        self.all = OverlappingMultiDict(FileDirDict, place, pkl={}, json={}, txt={})
        for key in (("a",), ("p", "a"), ("p", "q", "a")):
            self.all.json[key] = PLAIN(1)
            self.all.txt[key] = TEXTS(1)
        return self.all.pkl

    def teardown(self) -> None:
        keys = [("a",), ("p", "a"), ("p", "q", "a")]
        assert_agrees(self.all.json, {key: PLAIN(1) for key in keys})
        assert_agrees(self.all.txt, {key: TEXTS(1) for key in keys})
        super().teardown()


class Immutable(KeepingMachine):
    def make_dict(self, folder: str) -> PersiDict[Any]:
        return in_folder(folder, immutable_items=True)


class CachedImmutable(KeepingMachine):
    values = PLAIN

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return CachedDict(in_folder(folder, file_type="json", immutable_items=True), LocalDict())


class WriteOnce(KeepingMachine):
    ignores = True

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return WriteOnceDict(in_folder(folder))


class WriteOnceLocal(KeepingMachine):
    ignores = True
    shares = False

    def make_dict(self, folder: str) -> PersiDict[Any]:
        return WriteOnceDict(LocalDict())


def case(machine: type[RuleBasedStateMachine]) -> Any:
    """Return the machine as a test of bounded length."""
    test = machine.TestCase
    test.settings = STEADY
    return test


TestPickles = case(Pickles)
TestJsons = case(Jsons)
TestTexts = case(Texts)
TestLocal = case(Local)
TestCached = case(Cached)
TestPart = case(Part)
TestOverlapping = case(Overlapping)
TestImmutable = case(Immutable)
TestCachedImmutable = case(CachedImmutable)
TestWriteOnce = case(WriteOnce)
TestWriteOnceLocal = case(WriteOnceLocal)


class ForgetsOneInLen(LocalDict[Any]):
    def __len__(self) -> int:
        return max(0, super().__len__() - 1)


class OverwritesDefaults(LocalDict[Any]):
    def setdefault(self, key: Any, default: Any = None) -> Any:
        self[key] = default
        return default


class ClearsTheWhole(LocalDict[Any]):
    """Its parts clear what is beside them, too."""

    def get_subdict(self, prefix_key: Any = ()) -> Any:
        part = super().get_subdict(prefix_key)
        part.clear = self.clear  # type: ignore[method-assign]
        return part


class IgnoresEtags(LocalDict[Any]):
    def set_item_if(self, key: Any, *, value: Any, **how: Any) -> Any:
        found = super().set_item_if(key, value=value, **how)
        self[key] = value
        return found


@pytest.mark.parametrize("wrong", [ForgetsOneInLen, OverwritesDefaults, ClearsTheWhole, IgnoresEtags])
def test_a_wrong_dictionary_is_found_out(wrong: type[PersiDict[Any]]) -> None:
    class Wrong(ChangingMachine):
        shares = False

        def make_dict(self, folder: str) -> PersiDict[Any]:
            return wrong()  # type: ignore[call-arg]

    unshrunk = settings(STEADY, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Wrong, settings=unshrunk)
