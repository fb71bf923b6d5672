"""Filters as they are typed."""

from __future__ import annotations

from typing import Any

import pytest

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
        (["a", "1_000"], {"a": "1_000"}),
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


def test_what_begins_like_json_must_be_json() -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        parse_filter(['{"a": '])
