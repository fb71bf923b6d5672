"""Paths into nested values."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import perkey
from perkey.query import MISSING, joined, leaves, nested, split, value_at
from perkey.query.paths import holds_at

SOURCE = Path(perkey.__file__).parent

KEYS = st.sampled_from(["", "a", "b", "c"])
LEAVES: st.SearchStrategy[Any] = st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({})
TREES = st.dictionaries(KEYS, st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, min_size=1)))
PATHS = st.lists(KEYS, max_size=4).map(tuple)


@given(TREES)
def test_leaves_make_the_same_tree(tree: dict[str, Any]) -> None:
    found = leaves(tree)
    assert nested(found) == tree
    assert all(value_at(tree, path) is value for path, value in found)
    assert [list(nested(found))] == [list(tree)]


@given(TREES, PATHS)
def test_a_value_is_found_by_its_keys(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    expected: Any = tree
    for key in path:
        expected = expected[key] if isinstance(expected, dict) and key in expected else MISSING
    for document in (tree, MappingProxyType(tree)):
        found = value_at(document, path)
        assert found is expected or found == expected
        assert holds_at(path, lambda value: value is MISSING)(document) == (expected is MISSING)
    assert value_at(tree, path, 5) == (5 if expected is MISSING else expected)


@given(st.lists(KEYS, min_size=1).map(tuple))
def test_a_path_has_one_text(path: tuple[str, ...]) -> None:
    assert split(joined(path)) == path


def test_what_is_missing_equals_nothing() -> None:
    assert MISSING != MISSING  # noqa: PLR0124 - not even itself
    assert repr(MISSING) == "MISSING"


# --- One module ------------------------------------------------------------------------------------------


def dotted(path: Path) -> Iterator[str]:
    """Yield each place of a module where text is split or joined at dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        operand = node.func.value if node.func.attr == "join" else node.args[0] if node.args else None
        if node.func.attr in {"join", "split"} and isinstance(operand, ast.Constant) and operand.value == ".":
            yield f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_no_other_module_splits_or_joins_paths() -> None:
    folders = ("query", "synced", "dataspace", "cli", "mapping", "dicts")
    found = [
        place
        for folder in folders
        for path in SOURCE.joinpath(folder).rglob("*.py")
        if path.relative_to(SOURCE).as_posix() != "query/paths.py"
        for place in dotted(path)
    ]
    assert found == []


def test_no_other_module_of_data_spaces_has_a_sentinel_for_what_is_missing() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for folder in ("query", "dataspace", "cli")
        for path in SOURCE.joinpath(folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node) == "object()"
    ]
    assert found == []


def test_leaves_of_mappings_of_all_kinds() -> None:
    inner: Mapping[str, Any] = MappingProxyType({"c": 1})
    assert leaves({"a": inner, "b": MappingProxyType({})}, ("z",)) == [
        (("z", "a", "c"), 1),
        (("z", "b"), MappingProxyType({})),
    ]


@pytest.mark.parametrize("value", [None, 5, "text", ["a"], {"b"}])
def test_what_is_not_a_mapping_has_no_keys(value: Any) -> None:
    assert value_at(value, ("a",)) is MISSING
    assert value_at(value, ()) is value
