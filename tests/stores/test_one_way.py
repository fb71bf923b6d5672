"""Locks, renamings, links and syncs are made in few places, which know file systems of several machines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import perkey

SOURCE = Path(perkey.__file__).parent
CALLS = {
    *("os.replace", "os.rename", "os.renames", "os.link", "os.fsync", "os.fdatasync", "os.sync", "os.lockf"),
    *("fcntl.flock", "fcntl.lockf", "fcntl.fcntl", "shutil.move"),
}
# Module and call, with the reason why it may be there.
ALLOWED = {
    ("stores/folders.py", "os.replace"): "the way of folders on local file systems",
    ("stores/folders.py", "os.link"): "the same",
    ("stores/folders.py", "os.fsync"): "the one place that syncs",
    ("stores/folders.py", "fcntl.fcntl"): "the sync of macOS",
    ("stores/locks.py", "fcntl.flock"): "the locks of local file systems",
    ("stores/shared.py", "os.rename"): "the way of shared folders; renaming a name to itself refreshes it",
    ("stores/shared.py", "os.replace"): "the way of shared folders",
    ("stores/shared.py", "os.link"): "the way of shared folders",
    ("stores/shared.py", "fcntl.flock"): "makes SMB clients close files",
    ("stores/shared.py", "fcntl.fcntl"): "the locks of shared file systems",
    ("stores/unnamed.py", "os.link"): "files without names, on local file systems only",
    ("dataspace/exchange_export.py", "os.replace"): "what users may give as copytree; it is not called",
    ("dataspace/exchange_export.py", "os.rename"): "the same",
    ("dataspace/exchange_export.py", "shutil.move"): "the same",
    ("dataspace/exchange_import.py", "shutil.move"): "from folders of the user, of any kind",
    ("dataspace/exchange_import.py", "os.replace"): "what users may give as copytree; it is not called",
    ("dataspace/views.py", "os.replace"): "links of a view, which can be made again",
    ("cli/space/export.py", "shutil.move"): "given as copytree; it is not called",
    ("cli/space/importing.py", "shutil.move"): "the same",
}


def uses() -> Iterator[tuple[str, str]]:
    """Yield each module, by its path, with each such call that its source names, called or not."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if name in CALLS:
                yield path.relative_to(SOURCE).as_posix(), name
            if isinstance(node, ast.ImportFrom) and node.module in {"os", "fcntl", "shutil"}:
                for alias in node.names:
                    if f"{node.module}.{alias.name}" in CALLS:
                        yield path.relative_to(SOURCE).as_posix(), f"{node.module}.{alias.name}"


def test_no_other_code_locks_renames_links_or_syncs_by_itself() -> None:
    found = set(uses())
    assert found - set(ALLOWED) == set()
    assert set(ALLOWED) - found == set()  # a reason whose call is gone


def test_libraries_of_c_are_called_in_few_places() -> None:
    """syncfs, renameat2 and statx: see which file systems they are right on before another place has them."""
    names = ("syncfs", "renameat2", "statx")
    found = {
        (path.relative_to(SOURCE).as_posix(), name)
        for path in SOURCE.rglob("*.py")
        for name in names
        if f'"{name}"' in path.read_text()
    }
    assert found == {
        ("stores/batches.py", "syncfs"),
        ("stores/libc.py", "renameat2"),
        ("stores/shared.py", "statx"),
    }
