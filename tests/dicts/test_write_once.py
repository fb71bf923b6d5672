"""The first value of a key stays; later ones are ignored, or compared, and a difference is told."""

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perkey import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ConsistencyCheckError,
    CorruptValueError,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    WriteOnceDict,
)


def counts(d: WriteOnceDict[Any]) -> tuple[int, int, int]:
    return d.consistency_checks_attempted, d.consistency_checks_passed, d.consistency_checks_failed


class TestWriting:
    @pytest.mark.parametrize("p", [None, 0])
    def test_later_values_are_ignored_without_a_check(self, p: float | None) -> None:
        d = WriteOnceDict[int](LocalDict(), p)
        for value in (1, 2, 1, 3):
            d["k"] = value
        assert (d["k"], counts(d), d.p_consistency_checks) == (1, (0, 0, 0), 0.0)

    def test_with_certainty_each_later_value_is_checked(self) -> None:
        d = WriteOnceDict[Any](LocalDict(), 1)
        d["k"] = {"a": [1, 2]}
        for _ in range(3):
            d["k"] = {"a": [1, 2]}
        with pytest.raises(ConsistencyCheckError):
            d["k"] = {"a": [1, 3]}
        assert (d["k"], counts(d)) == ({"a": [1, 2]}, (4, 3, 1))

    def test_with_a_probability_that_share_is_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        numbers = iter([0.1, 0.29999, 0.3, 0.9, 0.0, 0.5])
        monkeypatch.setattr(random, "random", lambda: next(numbers))
        d = WriteOnceDict[int](LocalDict(), 0.3)
        for _ in range(7):
            d["k"] = 1
        assert counts(d) == (3, 3, 0)

    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
    def test_a_probability_is_one(self, p: float) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            WriteOnceDict(LocalDict(), p)
        d = WriteOnceDict[int](LocalDict(), 0.5)
        with pytest.raises(ValueError, match="between 0 and 1"):
            d.p_consistency_checks = p
        assert d.p_consistency_checks == 0.5

    def test_the_probability_can_be_changed(self) -> None:
        d = WriteOnceDict[int](LocalDict(), 0)
        d["k"] = 1
        d["k"] = 2
        d.p_consistency_checks = 1
        with pytest.raises(ConsistencyCheckError):
            d["k"] = 2

    def test_a_value_that_cannot_be_stored_is_refused_also_for_an_existing_key(self) -> None:
        d = WriteOnceDict[Any](LocalDict(), 0)
        d["k"] = 1
        with pytest.raises(TypeError):
            d["k"] = lambda: None


WAYS: dict[str, Callable[[WriteOnceDict[Any], Any], object]] = {
    "assignment": lambda d, v: d.__setitem__("k", v),
    "update": lambda d, v: d.update({("k",): v}),
    "set_item_if any": lambda d, v: d.set_item_if(
        "k", value=v, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "set_item_if same": lambda d, v: d.set_item_if(
        "k", value=v, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("k")
    ),
    "set_item_if changed": lambda d, v: d.set_item_if(
        "k", value=v, condition=ETAG_HAS_CHANGED, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "transform_item": lambda d, v: d.transform_item("k", transformer=lambda _: v),
}


@pytest.mark.parametrize("way", WAYS)
class TestEveryWayOfWriting:
    def test_keeps_the_first_value(self, way: str) -> None:
        d = WriteOnceDict[Any](LocalDict(), 0)
        d["k"] = 1
        etag = d.etag("k")
        WAYS[way](d, 2)
        assert (d["k"], d.etag("k"), counts(d)) == (1, etag, (0, 0, 0))

    def test_checks_the_later_value(self, way: str) -> None:
        d = WriteOnceDict[Any](LocalDict(), 1)
        d["k"] = 1
        WAYS[way](d, 1)
        assert counts(d) == (1, 1, 0)
        with pytest.raises(ConsistencyCheckError, match="value: 1 -> 2"):
            WAYS[way](d, 2)
        assert (d["k"], counts(d)) == (1, (2, 1, 1))


def test_nothing_is_checked_where_a_condition_fails_or_absence_was_asked_for() -> None:
    d = WriteOnceDict[Any](LocalDict(), 1)
    d["k"] = 1
    d.set_item_if("k", value=2, condition=ETAG_IS_THE_SAME, expected_etag="another")
    d.setdefault_if("k", default_value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE)
    assert (d.setdefault("k", 2), counts(d)) == (1, (0, 0, 0))


def test_nothing_is_deleted() -> None:
    d = WriteOnceDict[int](LocalDict(), 1)
    d["k"] = 1
    acts: list[Callable[[], object]] = [
        lambda: d.__delitem__("k"), lambda: d.pop("k"), d.popitem, d.clear, lambda: d.discard("k"),
        lambda: d.__setitem__("k", DELETE_CURRENT),
        lambda: d.transform_item("k", transformer=lambda _: DELETE_CURRENT),
        lambda: d.discard_if("k", condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(MutationPolicyError):
            act()
    d["k"] = KEEP_CURRENT
    assert d == {"k": 1}


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        (np.arange(5), np.arange(5), np.arange(5) + 1),
        ({"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, 2.0])}),
        (float("nan"), float("nan"), 0.0),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
        (np.zeros(300_000), np.zeros(300_000), np.ones(300_000)),
    ],
    ids=["array", "array with NaN", "NaN", "frame", "large array"],
)
def test_arrays_and_frames_are_compared_as_wholes(first: Any, same: Any, other: Any) -> None:
    d = WriteOnceDict[Any](LocalDict(), 1)
    d["k"] = first
    d["k"] = same
    with pytest.raises(ConsistencyCheckError):
        d["k"] = other
    assert counts(d) == (2, 1, 1)


def test_a_difference_is_told_with_key_and_path() -> None:
    d = WriteOnceDict[Any](LocalDict(), 1)
    d["results", "run"] = {"scores": [0.5, 0.75], "name": "x"}
    with pytest.raises(ConsistencyCheckError) as caught:
        d["results", "run"] = {"scores": [0.5, 0.7], "name": "x", "extra": None}
    assert caught.value.key == ("results", "run")
    assert str(caught.value).splitlines() == [
        "('results', 'run'): the new value differs from the one written first:",
        "  ['scores'][1]: 0.75 -> 0.7",
        "  ['extra']: only in the new value: None",
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_encoding_changes_is_no_difference() -> None:
    """A subclass of str stored as text comes back as str: what would be stored is compared."""
    d = WriteOnceDict[Any](LocalDict("txt"), 1)
    d["k"] = type("Name", (str,), {})("a")
    d["k"] = type("Name", (str,), {})("a")
    assert counts(d) == (1, 1, 0)


def test_a_damaged_first_value_fails_the_check(tmp_path: Path) -> None:
    d = WriteOnceDict[int](FileDirDict(tmp_path), 1)
    d["k"] = 1
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"")
    with pytest.raises(CorruptValueError):
        d["k"] = 1
    assert counts(d) == (1, 0, 1)


class TestWrapping:
    def test_the_wrapped_dictionary_and_its_settings_are_used(self, tmp_path: Path) -> None:
        inner = FileDirDict[str](tmp_path, "txt", digest_len=3, base_class_for_values=str)
        d = WriteOnceDict(inner)
        assert (d.file_type, d.digest_len, d.base_class_for_values) == ("txt", 3, str)
        assert d.immutable_items
        d["k"] = "x"
        assert inner == {"k": "x"}
        inner["k"] = "changed by others"
        assert d["k"] == "changed by others"

    def test_by_default_it_is_a_folder_of_immutable_items(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        WriteOnceDict[int]()["k"] = 1
        assert FileDirDict[int]() == {"k": 1}
        wrapped = WriteOnceDict[int]().get_params()["wrapped_dict"]
        assert (type(wrapped), wrapped.immutable_items) == (FileDirDict, True)

    @pytest.mark.parametrize("thing", [{}, FileDirDict, "folder", 5])
    def test_only_persistent_dictionaries_are_wrapped(self, thing: Any) -> None:
        with pytest.raises(TypeError, match="must be a PersiDict"):
            WriteOnceDict(thing)

    def test_parameters_make_an_equal_handle(self, tmp_path: Path) -> None:
        d = WriteOnceDict[int](FileDirDict(tmp_path), 0.25)
        d["k"] = 1
        twin = type(d)(**d.get_params())
        assert (twin["k"], twin.p_consistency_checks) == (1, 0.25)

    def test_a_pickled_handle_keeps_its_probability_and_place(self, tmp_path: Path) -> None:
        d = WriteOnceDict[int](FileDirDict(tmp_path), 1)
        d["k"] = 1
        twin: WriteOnceDict[int] = pickle.loads(pickle.dumps(d))
        with pytest.raises(ConsistencyCheckError):
            twin["k"] = 2
        assert counts(d) == (0, 0, 0)

    def test_parts_are_write_once_too_and_count_for_themselves(self) -> None:
        d = WriteOnceDict[int](LocalDict(), 1)
        d["s", "k"] = 1
        d["s", "k"] = 1
        part = d.get_subdict("s")
        part["k"] = 1
        with pytest.raises(ConsistencyCheckError, match=r"\('k',\)"):
            part["k"] = 2
        assert (counts(d), counts(part)) == ((1, 1, 0), (2, 1, 1))
        assert part.get_params()["wrapped_dict"] == {"k": 1}
