"""Data frames of values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from perkey import FileDirDict, LocalDict, MissingExtraError, PersiDict, to_dataframe

VALUES: dict[tuple[str, ...], Any] = {
    ("a", "x"): {"n": 1, "more": {"x": 0.5, "deep": {"y": [1]}}},
    ("a", "y"): {"n": 2, "text": "t"},
    ("b", "z"): "not a mapping",
}


@pytest.fixture(params=["folder", "memory", "part"])
def d(request: pytest.FixtureRequest, tmp_path: Path) -> PersiDict[Any]:
    if request.param == "memory":
        made: PersiDict[Any] = LocalDict[Any]("pkl")
    else:
        folder = FileDirDict[Any](tmp_path, "json")
        made = folder.get_subdict("below") if request.param == "part" else folder
    made.update(VALUES)
    return made


def test_nested_values_are_columns_with_dots_and_keys_the_index(d: PersiDict[Any]) -> None:
    frame = to_dataframe(d)
    assert set(frame.columns) == {"n", "more.x", "more.deep.y", "text", "value"}
    assert frame.index.names == ["key_0", "key_1"]
    assert set(frame.index) == set(VALUES)
    assert frame.loc["a", "x"]["more.deep.y"] == [1]
    assert frame.loc["b", "z"]["value"] == "not a mapping"
    assert frame["n"].sum() == 3
    assert frame["n"].isna().sum() == 1


def test_chosen_columns_filters_and_bounds(d: PersiDict[Any]) -> None:
    frame = to_dataframe(d, columns=["more.x", "n", "absent"], filter={"n": {"$gte": 1}})
    assert list(frame.columns) == ["more.x", "n", "absent"]
    assert len(frame) == 2
    assert frame["absent"].isna().all()
    assert len(to_dataframe(d, max_items=2)) == 2
    assert to_dataframe(d, max_items=0).empty
    assert list(to_dataframe(d, columns=["value"]).columns) == ["value"]


def test_keys_of_one_part_and_of_several_lengths() -> None:
    d = LocalDict[Any]("json")
    d.update({"a": {"n": 1}, "b": {"n": 2}})
    assert to_dataframe(d).loc["a", "n"] == 1
    d["a", "b"] = {"n": 3}
    frame = to_dataframe(d)
    assert frame.index.name == "key"
    assert frame.loc["a/b", "n"] == 3


def test_polars(d: PersiDict[Any]) -> None:
    frame = to_dataframe(d, engine="polars")
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns[:2] == ["key_0", "key_1"]
    assert frame["n"].sum() == 3
    assert len(frame) == 3
    d["c", "c"] = {"n": "text", "key_0": 5}
    mixed = to_dataframe(d, engine="polars")
    assert set(mixed["n"].to_list()) == {1, 2, "text", None}
    assert mixed["key_0_"].drop_nulls().to_list() == [5]


def test_an_empty_dictionary_is_an_empty_frame() -> None:
    assert isinstance(to_dataframe(LocalDict()), pd.DataFrame)
    assert to_dataframe(LocalDict()).empty
    assert to_dataframe(LocalDict(), engine="polars").is_empty()


def test_wrong_arguments_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="engine"):
        to_dataframe(LocalDict(), engine="dask")  # type: ignore[arg-type] # that is the test
    with pytest.raises(ValueError, match="max_items"):
        to_dataframe(LocalDict(), max_items=-1)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"perkey\[polars\]"):
        to_dataframe(LocalDict(), engine="polars")
