"""Whatever somebody plants in a dictionary's folder, nothing outside of it is touched, and nobody waits."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perkey import ANY_ETAG, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, FileDirDict
from perkey.naming import naming


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


VERBS: dict[str, Callable[[FileDirDict[Any], Any], object]] = {
    "get": lambda d, key: d[key],
    "get or": lambda d, key: d.get(key, 0),
    "set": lambda d, key: d.__setitem__(key, 1),
    "delete": lambda d, key: d.__delitem__(key),
    "in": lambda d, key: key in d,
    "in keys": lambda d, key: key in d.keys(),  # noqa: SIM118 - the view is meant
    "setdefault": lambda d, key: d.setdefault(key, 1),
    "pop": lambda d, key: d.pop(key, None),
    "discard": lambda d, key: d.discard(key),
    "etag": lambda d, key: d.etag(key),
    "timestamp": lambda d, key: d.timestamp(key),
    "get_with_etag": lambda d, key: d.get_with_etag(key),
    "update": lambda d, key: d.update([(key, 1)]),
    "transform_item": lambda d, key: d.transform_item(key, transformer=lambda _: 1),
    "set_item_if": lambda d, key: d.set_item_if(
        key, value=1, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "setdefault_if": lambda d, key: d.setdefault_if(
        key, default_value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "discard_if": lambda d, key: d.discard_if(key, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE),
}


def planted_link(d: FileDirDict[Any], outside: Path, key: Any) -> Path:
    """Put a link to the value "x" outside where the value of a key would be."""
    link = Path(d.base_dir, *naming(8, "pkl").name_of(key))
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / naming(8, "pkl").name_of("x")[0])
    return link


class TestNoWayOut:
    """Whatever somebody plants in the folder, nothing outside of it is read, written or listed."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        FileDirDict[str](folder)["x"] = "secret"
        return folder

    @pytest.fixture
    def d(self, tmp_path: Path) -> FileDirDict[Any]:
        return FileDirDict(tmp_path / "base")

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("depth", [1, 2])
    def test_a_link_in_place_of_a_folder_is_refused(
        self, d: FileDirDict[Any], outside: Path, verb: str, depth: int
    ) -> None:
        folder = Path(d.base_dir, *naming(8, "pkl").prefix_of(["a"] * depth))
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(outside)
        before = files_below(outside)
        with pytest.raises(OSError, match=f"symbolic link.*{folder.name}"):
            VERBS[verb](d, (*["a"] * depth, "x"))
        assert files_below(outside) == before

    def test_a_link_in_place_of_a_subdict_is_refused(self, d: FileDirDict[Any], outside: Path) -> None:
        Path(d.base_dir, *naming(8, "pkl").prefix_of("a")).symlink_to(outside)
        inner = d.get_subdict("a")
        uses: list[Callable[[], object]] = [
            lambda: list(inner), lambda: len(inner), inner.clear, inner.copy, inner.subdicts,
            inner.newest_keys, inner.random_key, inner.popitem, inner.get_subdict("b").copy,
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(OSError, match="symbolic link"):
                use()
        assert files_below(outside)

    def test_a_link_in_place_of_a_folder_is_not_listed(self, d: FileDirDict[Any], outside: Path) -> None:
        Path(d.base_dir, *naming(8, "pkl").prefix_of("a")).symlink_to(outside)
        d["own"] = 1
        assert (list(d), len(d), list(d.subdicts())) == ([("own",)], 1, [])
        d.clear()
        assert files_below(outside)

    @pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in {"set", "update"}])
    @pytest.mark.parametrize("key", ["a", ("deep", "a")])
    def test_a_link_in_place_of_a_value_is_refused(
        self, d: FileDirDict[Any], outside: Path, verb: str, key: Any
    ) -> None:
        link = planted_link(d, outside, key)
        with pytest.raises(OSError, match=f"symbolic link.*{link.name}"):
            VERBS[verb](d, key)
        assert FileDirDict(outside) == {"x": "secret"}
        assert files_below(link.parent) == {link.name}
        assert (list(d), len(d)) == ([], 0)

    @pytest.mark.parametrize("verb", ["set", "update"])
    @pytest.mark.parametrize("key", ["a", ("deep", "a")])
    def test_an_assigned_value_takes_the_place_of_a_link(
        self, d: FileDirDict[Any], outside: Path, verb: str, key: Any
    ) -> None:
        """Renaming replaces the link itself; nobody looks where it leads."""
        link = planted_link(d, outside, key)
        VERBS[verb](d, key)
        assert FileDirDict(outside) == {"x": "secret"}
        assert not link.is_symlink()
        assert d[key] == 1

    @pytest.mark.parametrize("name", ["a b", "é", "@", "a\nb", "..."])
    def test_folders_of_strangers_are_no_subdicts(self, d: FileDirDict[Any], name: str) -> None:
        Path(d.base_dir, name).mkdir()
        Path(d.base_dir, name, "x.pkl").touch()
        d["sub", "a"] = 1
        assert [list(sub) for sub in d.subdicts().values()] == [[("a",)]]
        assert (list(d), len(d)) == ([("sub", "a")], 1)

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("plant", ["fifo", "folder", "socket"])
    def test_what_is_no_file_blocks_nobody(
        self, d: FileDirDict[Any], monkeypatch: pytest.MonkeyPatch, verb: str, plant: str
    ) -> None:
        """It is not an item; an insertion, which could neither succeed nor find a value, says so."""
        monkeypatch.chdir(d.base_dir)
        name = naming(8, "pkl").name_of("a")[0]
        plants: dict[str, Callable[[str], None]] = {
            "fifo": os.mkfifo,
            "folder": os.mkdir,
            "socket": plant_socket,
        }
        plants[plant](name)
        try:
            result = VERBS[verb](d, "a")
        except KeyError:
            assert verb in {"get", "delete", "etag", "timestamp"}
        except OSError as error:
            named = f"{error.filename} {error.filename2}"
            assert (name in named, os.listdir(".")) == (True, [name])
        else:
            assert result in (None, False, 0) or verb in {"get_with_etag", "discard_if"} or d["a"] == 1

    def test_the_base_folder_itself_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        d = FileDirDict[int](tmp_path / "link")
        d["a"] = 1
        d["b", "c"] = 2
        del d["a"]
        assert d.get_subdict("b") == {"c": 2}
        assert FileDirDict(tmp_path / "real") == {("b", "c"): 2}

    def test_names_that_no_key_has_are_refused_by_the_store_as_well(self, d: FileDirDict[Any]) -> None:
        for name in [("..", "x"), ("a", "..", "x"), ("/etc", "x"), ("",), ("a\0",), (".",), ()]:
            for act in (d.store.stat, d.store.read, d.store.remove, lambda n: d.store.write(n, b"")):
                with pytest.raises(ValueError, match="not the name"):
                    act(name)


def plant_socket(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
