"""Sockets, FIFOs and folders in the place of items and documents: nothing blocks, and nothing is lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from perkey.expectations import ABSENT
from perkey.stores import DirectoryStore
from perkey.synced import JSONDict, JSONList


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


STRANGE: Final[dict[str, Callable[[Path], object]]] = {
    "socket": make_socket,
    "FIFO": os.mkfifo,
    "folder": os.mkdir,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", [("a.pkl",), ("x", "a.pkl")])
def test_what_is_no_file_is_absent(tmp_path: Path, kind: str, name: tuple[str, ...]) -> None:
    store = DirectoryStore(tmp_path)
    store.write((*name[:-1], "other.pkl"), b"")
    STRANGE[kind](tmp_path.joinpath(*name))
    for read in (store.read, store.content, store.stat, store.remove):
        with pytest.raises(KeyError):
            read(name)
    assert not store.exists(name)
    assert list(store.scan()) == [(*name[:-1], "other.pkl")]
    with pytest.raises(FileExistsError):
        store.write(name, b"new", expect=ABSENT)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("collection", [JSONDict, JSONList])
def test_a_document_in_such_a_place_is_refused(
    tmp_path: Path, kind: str, collection: type[JSONDict | JSONList]
) -> None:
    path = tmp_path / "data.json"
    STRANGE[kind](path)
    document = collection(path)
    with pytest.raises(OSError, match=r"data\.json"):
        document()
    with pytest.raises(OSError, match=r"data\.json"):
        document.clear()
    assert not path.is_file()
