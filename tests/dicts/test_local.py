"""Dictionaries that outlive nothing: in the memory of a process, and nowhere."""

import copy
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from perkey import (
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    EmptyDict,
    LocalDict,
    PersiDict,
    UnstorableValueError,
)

CLASSES: list[Callable[..., PersiDict[Any]]] = [LocalDict, EmptyDict]


@contextmanager
def untraced() -> Iterator[None]:
    """Switch off the measuring of coverage: its own lock may be held by another thread during a fork."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)


class TestLocalDict:
    def test_holds_what_was_stored_whatever_becomes_of_the_object(self) -> None:
        value = {"a": [1]}
        d = LocalDict[Any]()
        d["k"] = value
        value["a"].append(2)
        d["k"]["a"].append(3)
        assert d["k"] == {"a": [1]}

    def test_encodes_like_its_persistent_siblings(self) -> None:
        with pytest.raises(UnstorableValueError, match=r"'k'.*memory:"):
            LocalDict[Any]()["k"] = lambda: None
        d = LocalDict[Any]("json")
        d["k"] = {1: "a", "t": (1, 2)}
        assert d["k"] == {1: "a", "t": (1, 2)}

    def test_is_of_its_own_each_time(self) -> None:
        one, other = LocalDict[int](), LocalDict[int]()
        one["k"] = 1
        assert other == {}
        assert type(one)(**one.get_params()) == {}

    @pytest.mark.parametrize(
        "clone", [lambda d: pickle.loads(pickle.dumps(d)), copy.deepcopy], ids=["pickle", "copy"]
    )
    def test_pickling_and_copying_give_an_independent_copy_of_the_content(
        self, clone: Callable[[LocalDict[int]], LocalDict[int]]
    ) -> None:
        d = LocalDict[int]()
        d["k"] = 1
        twin = clone(d)
        twin["k"] = 2
        d["new"] = 3
        assert (d.copy(), twin.copy()) == ({("k",): 1, ("new",): 3}, {("k",): 2})

    def test_a_fork_goes_on_with_a_copy(self) -> None:
        d = LocalDict[int]()
        d["k"] = 1
        child = os.fork()
        if not child:
            d["k"] += 1
            os._exit(d["k"])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        assert d["k"] == 1

    def test_a_fork_while_threads_write_can_write(self) -> None:
        """Its lock may have been held by a thread that does not exist in the child."""
        d = LocalDict[int]()
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                d["busy"] = 1

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                with untraced():
                    child = os.fork()
                    if not child:
                        d["k"] = 1
                        os._exit(d["k"])
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def test_parts_share_its_memory(self) -> None:
        d = LocalDict[int]()
        part = d.get_subdict("s")
        part["k"] = 1
        d["s", "k"] += 1
        assert (part["k"], list(d.subdicts())) == (2, ["s"])


class TestEmptyDict:
    def test_stays_empty_whatever_is_written(self) -> None:
        d = EmptyDict[Any]()
        d["k"] = 1
        d.update({("a", "b"): 2})
        assert d.setdefault("k", 5) == 5
        assert d.transform_item("k", transformer=lambda _: 1).new_value is ITEM_NOT_AVAILABLE
        assert (len(d), list(d), bool(d), d.get("k"), d == {}, d.copy()) == (0, [], False, None, True, {})
        assert (d.random_key(), d.subdicts(), d.newest_keys(), d.oldest_values()) == (None, {}, [], [])

    def test_misses_every_key(self) -> None:
        d = EmptyDict[Any]()
        acts: list[Callable[[], object]] = [
            lambda: d["k"], lambda: d.pop("k"), lambda: d.__delitem__("k"), d.popitem,
            lambda: d.etag("k"), lambda: d.timestamp("k"),
        ]  # fmt: skip
        for act in acts:
            with pytest.raises(KeyError):
                act()
        assert (d.pop("k", None), d.discard("k"), d.get_with_etag("k").new_value) == (
            None,
            False,
            ITEM_NOT_AVAILABLE,
        )

    def test_lets_everybody_insert(self) -> None:
        d = EmptyDict[int]()
        for _ in range(2):
            result = d.setdefault_if(
                "k", default_value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
            )
            assert (result.condition_was_satisfied, result.actual_etag) == (True, ITEM_NOT_AVAILABLE)

    def test_finds_no_version_at_the_expected_one(self) -> None:
        d = EmptyDict[int]()
        result = d.set_item_if("k", value=1, condition=ETAG_IS_THE_SAME, expected_etag="v1")
        assert (result.condition_was_satisfied, result.actual_etag) == (False, ITEM_NOT_AVAILABLE)
        assert not d.discard_if("k", condition=ETAG_IS_THE_SAME, expected_etag="v1").condition_was_satisfied

    def test_checks_values_as_its_siblings_do(self) -> None:
        acts: list[Callable[[], object]] = [
            lambda: EmptyDict[Any]().__setitem__("k", lambda: None),
            lambda: EmptyDict[Any]("txt").__setitem__("k", 5),
            lambda: EmptyDict[Any]("json").__setitem__("k", lambda: None),
            lambda: EmptyDict[Any](base_class_for_values=int).__setitem__("k", "x"),
        ]
        for act in acts:
            with pytest.raises(TypeError):
                act()


@pytest.mark.parametrize("build", CLASSES)
class TestBoth:
    def test_parameters_make_a_like_one(self, build: Callable[..., PersiDict[Any]]) -> None:
        params = {"file_type": "txt", "immutable_items": True, "digest_len": 3, "base_class_for_values": str}
        d = build(**params)
        assert d.get_params() == params
        assert type(d)(**d.get_params()).get_params() == params

    def test_they_say_where_they_are_and_what(self, build: Callable[..., PersiDict[Any]]) -> None:
        d = build("json")
        assert "json" in repr(d)
        assert eval(repr(d), {"LocalDict": LocalDict, "EmptyDict": EmptyDict}).get_params() == d.get_params()

    def test_handles_travel(self, build: Callable[..., PersiDict[Any]]) -> None:
        d = build()
        assert pickle.loads(pickle.dumps(d)) == d == {}
