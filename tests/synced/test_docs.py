"""The page about synced documents tells the truth."""

import re
from pathlib import Path

import perkey.synced

PAGE = Path(__file__).parents[2] / "docs" / "synced.md"


def test_the_page_names_every_class() -> None:
    page = PAGE.read_text()
    generic = re.compile(
        r"(Memory)?Buffered\w|.*Collection$|Wrong|JSONFile|PersiItem|SyncedItem|pair|Detached"
    )
    for name in perkey.synced.__all__:
        assert f"`{name}" in page or generic.match(name), name
