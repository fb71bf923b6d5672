"""Whatever fits into an HDF5 file comes back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perkey.dataspace import H5Group, H5Store

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0./"), min_size=1, max_size=6)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.binary(max_size=10),
    TEXT,
)
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


def plain(value: Any) -> Any:
    return {key: plain(inner) for key, inner in value.items()} if isinstance(value, H5Group) else value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.dictionaries(KEYS, VALUES, max_size=4), changes=st.dictionaries(KEYS, VALUES, max_size=3))
def test_nested_values_come_back_as_they_were(
    tmp_path: Path, contents: dict[str, Any], changes: dict[str, Any]
) -> None:
    expected = {**contents, **changes}
    with H5Store(tmp_path / "file.h5").open("w") as store:
        store.update(contents)
        store.update(changes)
        assert store == expected
        found = plain(store)
    assert found == expected
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in expected.items()
    }


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64 - 1])
def test_large_numbers_are_kept_or_refused_but_never_changed(tmp_path: Path, number: int) -> None:
    store = H5Store(tmp_path / "file.h5")
    try:
        store["key"] = number
    except TypeError:
        assert "key" not in store
    else:
        assert int(store["key"]) == number
