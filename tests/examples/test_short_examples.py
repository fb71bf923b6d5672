"""Each short example runs, says what it should, and leaves nothing behind."""

from pathlib import Path

import pytest
from example_programs import FOLDER, run_example

EXPECTED = {
    "quickstart": ["Current theme is: dark\nNumber of settings: 4\nTrue\n"],
    "file_dir_dict": [
        "config_ejcqemtf.json",
        "models: ['forest', 'svm']",
        "svm: {'v1/digits': 0.98, 'v2/digits': 0.99}",
        "refused: values must be of float, not str",
        "refused: key part 'https://example.org/?q=größe'",
        "which means:  https://example.org/?q=größe",
        "oldest: second newest: first",
        "before third: True",
    ],
    "sqlite_store": [
        "items: {('model', 'v1'): {'score': 0.97, 'checked': True}}\nchanged: True\nfiles: ['items.db']",
    ],
    "write_once": [
        "checks passed: 1",
        "not reproducible: ('run-1',)",
        "['folds'][2]: 0.99 -> 0.96",
        "the first one stays: {'accuracy': 0.98, 'folds': [0.97, 0.98, 0.99]}",
        "refused: ",
        "still: {'accuracy': 0.98",
    ],
    "overlapping_multi_dict": [
        "files: ['v1.json', 'v1.log', 'v1.pkl']",
        "weights: (0.25, 0.75)",
        "left: {'pkl': 1, 'json': 1, 'log': 0}",
    ],
    "cached_dict": [
        "read 100 times, 10000000 numbers; the value travelled 1 time(s)",
        "after a change elsewhere: [1, 2, 3]",
        "pi: 3.14159 - transfers: 0",
    ],
    "conditional": [
        "Ada has the seat\nGrace is too late, it is taken by Ada",
        "Alan instead of Ada: False, it is Grace",
        "given up: True - still there: False",
        "has 1F changed? no",
        "has 1F changed? yes, it is Grace's",
        "delivered: 10\nsold one: 9",
        "given up: ('apples',): 3 attempts, each overtaken by another writer",
    ],
    "jokers": [
        "read 999.0, latest: 21.5\nread  22.0, latest: 22.0\nread  -1.0, latest: None",
        "after the update: {'attic': 30.0}",
        "after the transformation, is there an attic? False",
    ],
    "local_and_empty": [
        "with a LocalDict:\n  computing the square of 7\n49 49",
        "with an EmptyDict:\n  computing the square of 7\n  computing the square of 7\n49 49",
        "kept: [1, 2]",
        "refused: key part 'not a safe key!'",
    ],
    "shared_by_processes": [
        "4 processes counted 164 of 164 words",
        "same as in memory: True",
    ],
    "custom_format": [
        """'"exotic", rare', '9.00'""",
        "cannot be stored: the cells of a table must be strings",
        "{'to': 'alex', 'amount': 100}",
        "is damaged: its signature is missing or wrong",
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_prints_what_it_promises_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    printed = run_example(name, cwd=tmp_path)
    position = 0
    for expected in EXPECTED[name]:
        assert expected in printed[position:], printed
        position = printed.index(expected, position) + len(expected)
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*EXPECTED, "parameter_sweep", "study", "web_cache"}
