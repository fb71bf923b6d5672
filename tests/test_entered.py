"""How many modules a reader opens to follow an operation."""

from __future__ import annotations

from benchmarks.entered import MOST, entered, operations


def test_each_operation_enters_few_modules() -> None:
    found = {}
    with operations() as named:
        assert set(named) == set(MOST)
        for name, act in named.items():
            for _ in range(2):  # what is imported late is imported now
                act()
            found[name] = min((list(entered(act).files) for _ in range(5)), key=len)
    assert {name: files for name, files in found.items() if len(files) > MOST[name]} == {}


def test_what_a_call_enters_is_counted() -> None:
    with operations() as named:
        named["d[k]"]()
        seen = entered(named["d[k]"])
    assert "PersiDict.__getitem__" in seen.files["mapping/persi_dict.py"]
    assert seen.calls >= len(seen.files)
