"""Items in folders are counted by the kernel's records, and one by one where these do not tell enough."""

import os
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict
from perkey.files import syscalls
from perkey.files.file_systems import FileSystem
from perkey.files.folder import Folder
from perkey.naming import naming
from perkey.stores.folder import counting as dirents

NESTED = [
    "a",
    "b",
    "with_under_scores",
    ("x", "a"),
    ("x", "y", "a"),
    ("x_", "_", "~"),
    "__",
    ".hidden",
    "c.pkl",
]
SHAPE = naming(8, "pkl").shape


@pytest.fixture(autouse=True)
def _read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be as on ext4, wherever the folders of the tests are."""
    monkeypatch.setattr(FileSystem, "keeps_places", True)


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[int]:
    d: FileDirDict[int] = FileDirDict(tmp_path / "d")
    for key in NESTED:
        d[key] = 1
    return d


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed one by one."""
    found: list[str] = []
    stock = Folder.scan

    def scan(folder: Folder) -> Any:
        found.append(folder.path)
        return stock(folder)

    monkeypatch.setattr(Folder, "scan", scan)
    return found


def test_items_in_nested_folders_are_counted_without_looking_at_each(
    d: FileDirDict[int], scans: list[str]
) -> None:
    assert len(d) == len(NESTED)
    assert len(d.get_subdict("x")) == 2
    assert len(d.get_subdict("absent")) == 0
    assert scans == []
    assert len(list(iter(d))) == len(NESTED)


def test_what_an_earlier_folder_left_in_the_buffer_is_not_counted(tmp_path: Path, scans: list[str]) -> None:
    """Records are padded, and in the padding is what was there before: the end of a longer name, say."""
    for length in range(1, 40):
        for folder, key in (("longer", "a" * (length + 6)), ("shorter", "b" * length)):
            d = FileDirDict[int](tmp_path / f"{folder}-{length}")
            d[key] = 1
            assert len(d) == 1
    assert scans == []


def test_a_folder_of_many_pieces_is_counted_to_its_end(tmp_path: Path, scans: list[str]) -> None:
    count = 7_000  # more than fit into one piece
    for number in range(count):
        name = naming(8, "pkl").name_of(f"key{number}")[0]
        os.close(os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY))
    assert len(FileDirDict(tmp_path)) == count
    assert scans == []


def plant_strangers(base: Path) -> None:
    (base / "my notes.pkl").touch()
    (base / naming(8, "pkl").name_of("folder")[0]).mkdir()
    (base / naming(8, "pkl").name_of("link")[0]).symlink_to(base / "my notes.pkl")
    (base / "_aaaaaaaa.pkl").touch()


def test_names_that_only_look_like_items_are_not_counted(
    d: FileDirDict[int], scans: list[str], tmp_path: Path
) -> None:
    plant_strangers(tmp_path / "d")
    assert len(d) == len(NESTED)
    assert not scans


def test_where_some_types_may_not_be_told_such_names_are_looked_at_one_by_one(
    d: FileDirDict[int], scans: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS tells the types of some entries of a folder, and of others not."""
    monkeypatch.setattr(dirents, "_tells_all_or_none", lambda _: False)
    assert len(d) == len(NESTED)
    assert not scans
    plant_strangers(tmp_path / "d")
    assert len(d) == len(NESTED)
    assert scans


def test_long_names_of_links_and_folders_are_not_taken_for_those_of_files(
    tmp_path: Path, scans: list[str]
) -> None:
    """Of 237 characters and more, the length of a record has no zero byte, and a lower one like a type."""
    d = FileDirDict[int](tmp_path)
    d["a"] = 1
    for length in range(200, 242):
        leaf = naming(8, "pkl").name_of("a" * length)[0]
        (tmp_path / leaf).symlink_to("nowhere")
        (tmp_path / naming(8, "pkl").name_of("b" * length)[0]).mkdir()
        d["c" * length] = 1
    assert len(d) == 1 + 42
    assert not scans
    assert len(list(iter(d))) == 1 + 42


@pytest.mark.parametrize("digest_len", [0, 1, 5, 26])
@pytest.mark.parametrize("file_type", ["pkl", "longfiletype12"])
def test_every_form_of_name_is_counted(tmp_path: Path, digest_len: int, file_type: str) -> None:
    d = FileDirDict[str](tmp_path, file_type, digest_len=digest_len)
    for key in NESTED:
        d[key] = "text"
    (tmp_path / f"..{file_type}").touch()
    (tmp_path / f"...{file_type}").touch()
    assert len(d) == len(NESTED) == len(list(iter(d)))


def test_a_link_to_a_folder_is_not_followed(d: FileDirDict[int], tmp_path: Path) -> None:
    (tmp_path / "d" / naming(8, "pkl").prefix_of("link")[0]).symlink_to(tmp_path / "d")
    assert len(d) == len(NESTED)


@pytest.mark.parametrize("tells_all", [True, False])
@pytest.mark.parametrize("but", [(), (b".", b"..")], ids=["none", "but of the folder itself, as old XFS"])
def test_a_file_system_that_tells_no_types_is_listed_one_by_one(
    d: FileDirDict[int],
    scans: list[str],
    tells_all: bool,
    but: tuple[bytes, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock = syscalls.getdents()
    assert stock is not None

    def without_types(fd: int, buffer: Any, size: int) -> int:
        filled = stock(fd, buffer, size)
        start = 0
        while start < filled:
            if bytes(buffer[start + 19 : start + 22]).split(b"\0")[0] not in but:
                buffer[start + 18] = b"\0"
            start += int.from_bytes(buffer[start + 16 : start + 18], "little")
        return filled

    monkeypatch.setattr(dirents, "getdents", lambda: without_types)
    monkeypatch.setattr(dirents, "_tells_all_or_none", lambda _: tells_all)
    assert len(d) == len(NESTED)
    assert len(d.get_subdict("x")) == 2
    assert scans


def test_where_there_is_no_such_call_items_are_listed(
    d: FileDirDict[int], scans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dirents, "getdents", lambda: None)
    assert len(d) == len(NESTED)
    assert scans


def test_short_names_could_be_found_by_chance_and_are_listed(tmp_path: Path, scans: list[str]) -> None:
    d = FileDirDict[int](tmp_path, digest_len=0)
    d["a"] = 1
    assert len(d) == 1
    assert scans


def test_a_failing_call_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "file", "w+b") as file, pytest.raises(NotADirectoryError):
        list(dirents.count(file.fileno(), SHAPE))


def test_a_folder_that_is_removed_meanwhile_is_empty(
    d: FileDirDict[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = syscalls.getdents()
    assert stock is not None

    def too_late(fd: int, buffer: Any, size: int) -> int:
        d.clear()
        for folder, _, _ in os.walk(d.store.describe(), topdown=False):
            os.rmdir(folder)
        return stock(fd, buffer, size)

    monkeypatch.setattr(dirents, "getdents", lambda: too_late)
    assert len(d) == 0
