"""Filters as they are typed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey.query import parse_filter


@pytest.mark.parametrize(
    ("words", "filter"),
    [
        ([], None),
        (None, None),
        (["a"], {"a": {"$exists": True}}),
        (["a", "42"], {"a": 42}),
        (["a", "-1.5e3"], {"a": -1500.0}),
        (["a", "text"], {"a": "text"}),
        (["a", ""], {"a": ""}),
        (["a", "true", "b", "false", "c", "null"], {"a": True, "b": False, "c": None}),
        (["a", "True"], {"a": "True"}),
        (["a", "[1, 2]", "b", '{"$lt": 3}'], {"a": [1, 2], "b": {"$lt": 3}}),
        (["a", "[1,"], {"a": "[1,"}),
        (["a", "1_000"], {"a": 1000}),
        (["a", "1_0.5", "b", "1__0"], {"a": 10.5, "b": "1__0"}),
        (["a", "+1", "b", ".5", "c", "1.", "d", "-.5e1"], {"a": 1, "b": 0.5, "c": 1.0, "d": -5.0}),
        (["a", "inf", "b", "-Infinity"], {"a": float("inf"), "b": float("-inf")}),
        (["a", "1", "a", "2"], {"$and": [{"a": 1}, {"a": 2}]}),
        (["", "1"], {"": 1}),
        (["a.$lt", "3"], {"a.$lt": 3}),
        (["a", "/x[12]/"], {"a": {"$regex": "x[12]"}}),
        (["a", "/"], {"a": "/"}),
        (["a", '"x"'], {"a": '"x"'}),
        (["doc.a", "1", "b"], {"doc.a": 1, "b": {"$exists": True}}),
        (['{"a": 1}'], {"a": 1}),
        (['{"a":', '{"$gt": 1}}'], {"a": {"$gt": 1}}),
    ],
)
def test_words_become_a_filter(words: Any, filter: Any) -> None:
    assert parse_filter(words) == filter


@given(
    st.one_of(st.integers(), st.floats(), st.from_regex(r"[-+]?[0-9_.]+(e[0-9]+)?", fullmatch=True)).map(str)
)
def test_numbers_are_read_as_python_reads_them(word: str) -> None:
    read = []
    for kind in (int, float):
        with suppress(ValueError):
            read.append(kind(word))
    expected = read[0] if read else word
    found = (parse_filter(["a", word]) or {})["a"]
    assert type(found) is type(expected)
    assert found == expected or (found != found and expected != expected)  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("words", [["a.$gt", "x"], ["a.$lte", "1,5"], ['{"$or": [{"a": {"$lt": "1"}}]}']])
def test_order_and_text_warn(words: list[str]) -> None:
    with pytest.warns(UserWarning, match="text"):
        parse_filter(words)


def test_what_begins_like_json_must_be_json() -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        parse_filter(['{"a": '])
