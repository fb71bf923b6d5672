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
    ("files/folder.py", "os.replace"): "the way of folders on local file systems",
    ("files/folder.py", "os.link"): "the same",
    ("files/folder.py", "os.fsync"): "the one place that syncs",
    ("files/folder.py", "fcntl.fcntl"): "the sync of macOS",
    ("files/folder.py", "fcntl.flock"): "the locks of local file systems",
    ("files/locks.py", "fcntl.flock"): "the same, within an interrupted write",
    ("files/shared.py", "os.rename"): "the way of shared folders; renaming a name to itself refreshes it",
    ("files/shared.py", "os.replace"): "the way of shared folders",
    ("files/shared.py", "os.link"): "the way of shared folders",
    ("files/shared.py", "fcntl.flock"): "makes SMB clients close files",
    ("files/sharing.py", "fcntl.fcntl"): "the locks of shared file systems",
    ("files/sharing.py", "fcntl.flock"): "the same on macOS",
    ("stores/folder/tmpfile.py", "os.link"): "files without names, on local file systems only",
    ("stores/folder/moving.py", "os.link"): "to and from quarantine; a lost reply leaves both names",
    ("stores/folder/moving.py", "os.rename"): "the same, on local file systems without links",
    ("dataspace/exchange/export.py", "os.replace"): "what users may give as copytree; it is not called",
    ("dataspace/exchange/export.py", "os.rename"): "the same",
    ("dataspace/exchange/export.py", "shutil.move"): "the same",
    ("dataspace/exchange/importing.py", "shutil.move"): "from folders of the user, of any kind",
    ("dataspace/exchange/importing.py", "os.replace"): "what users may give as copytree; it is not called",
    ("dataspace/exchange/views.py", "os.replace"): "links of a view, which can be made again",
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
        ("stores/folder/batches.py", "syncfs"),
        ("files/syscalls.py", "renameat2"),
        ("files/shared.py", "statx"),
    }
