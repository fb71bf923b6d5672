"""Two users share a folder: each can do what the folder's rights allow, and no more."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strangers import HERE, NOBODY, as_user, needs_root, tree

from perkey import FileDirDict
from perkey.dataspace import init_project
from perkey.dataspace.errors import ConfigError
from perkey.files import folder as folders
from perkey.files.folder import lock

pytestmark = [needs_root, pytest.mark.timeout(120)]

FIRST, SECOND, THIRD = 12_001, 12_002, NOBODY
GROUP = 12_100


@pytest.fixture(params=["folder locks", "lock file"])
def locking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with locks on folders, and as on a file system that has them for files only."""

    def only_files(fd: int) -> bool:
        return not stat.S_ISDIR(os.fstat(fd).st_mode) and lock(fd)

    if request.param == "lock file":
        monkeypatch.setattr(folders, "lock", only_files)
    return str(request.param)


def filled(here: str) -> None:
    d = FileDirDict[Any](here)
    d["a"] = 1
    d["x", "y"] = 1


def read(here: str) -> dict[Any, Any]:
    return FileDirDict[Any](here).copy()


def increment(key: Any, times: int = 1) -> Callable[[str], Any]:
    def act(here: str) -> None:
        d = FileDirDict[int](here, durability="none")
        for _ in range(times):
            d.transform_item(key, transformer=lambda v: v + 1)

    return act


def expect_refusal(here: str) -> None:
    """Run every kind of write; each must fail for want of rights."""
    d = FileDirDict[Any](here)
    acts: list[Callable[[], object]] = [
        lambda: d.__setitem__("a", 5), lambda: d.__setitem__("new", 5), lambda: d.__delitem__("a"),
        lambda: d.__setitem__(("x", "y"), 5), lambda: d.setdefault("new", 5),
        lambda: d.transform_item("a", transformer=lambda v: v + 1),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(PermissionError):
            act()


ALL: dict[Any, int] = {("a",): 1, ("x", "y"): 1}


@pytest.mark.usefixtures("locking")
class TestAFolderForAll:
    @pytest.mark.parametrize("umask", [0o000, 0o022])
    def test_is_written_to_by_each(self, tmp_path: Path, umask: int) -> None:
        tmp_path.chmod(0o777)
        as_user(FIRST, tmp_path, filled, umask=umask)
        assert as_user(SECOND, tmp_path, read) == ALL
        as_user(SECOND, tmp_path, increment("a"), umask=umask)
        as_user(FIRST, tmp_path, increment("a"), umask=umask)
        assert as_user(FIRST, tmp_path, read) == {**ALL, ("a",): 3}
        as_user(FIRST, tmp_path, lambda here: FileDirDict(here).pop("a"))
        assert as_user(SECOND, tmp_path, read) == {("x", "y"): 1}

    def test_has_folders_for_all_inside_if_the_umask_says_so(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        as_user(FIRST, tmp_path, filled, umask=0o000)
        as_user(SECOND, tmp_path, increment(("x", "y")), umask=0o000)
        as_user(FIRST, tmp_path, increment(("x", "y")), umask=0o000)
        assert as_user(THIRD, tmp_path, read) == {("a",): 1, ("x", "y"): 3}

    def test_has_folders_inside_that_only_their_maker_writes_to_if_the_umask_says_so(
        self, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o777)
        as_user(FIRST, tmp_path, filled, umask=0o022)

        def write_inside(here: str) -> None:
            with pytest.raises(PermissionError, match=r"x_"):
                increment(("x", "y"))(here)
            increment("a")(here)

        as_user(SECOND, tmp_path, write_inside)
        assert as_user(SECOND, tmp_path, read) == {("a",): 2, ("x", "y"): 1}

    def test_loses_no_update_of_any_user(self, tmp_path: Path) -> None:
        """Their locks exclude each other, also through a lock file that one of them owns."""
        tmp_path.chmod(0o777)
        as_user(FIRST, tmp_path, filled, umask=0o077)
        (path,) = tmp_path.glob("a_*.pkl")
        path.chmod(0o644)
        users = [FIRST, SECOND, THIRD]
        children = []
        for user in users:
            child = os.fork()
            if not child:
                try:
                    as_user(user, tmp_path, increment("a", 40))
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert FileDirDict(tmp_path)["a"] == 1 + 40 * len(users)

    def test_with_the_sticky_bit_lets_each_replace_only_its_own(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o1777)
        as_user(FIRST, tmp_path, lambda here: FileDirDict(here).__setitem__("first", 1))

        def use(here: str) -> None:
            d = FileDirDict[int](here)
            d["second"] = 2
            before = sorted(os.listdir(here))
            acts: list[Callable[[], object]] = [lambda: d.update(first=5), lambda: d.pop("first")]
            for act in acts:
                with pytest.raises(PermissionError, match=r"first_"):
                    act()
            assert sorted(os.listdir(here)) == before

        os.chown(tmp_path, FIRST, FIRST)
        as_user(SECOND, tmp_path, use)
        assert as_user(SECOND, tmp_path, read) == {("first",): 1, ("second",): 2}


@pytest.mark.usefixtures("locking")
class TestAFolderForAGroup:
    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        folder = tmp_path / "shared"
        folder.mkdir()
        os.chown(folder, FIRST, GROUP)
        folder.chmod(0o2775)
        tmp_path.chmod(0o755)
        as_user(FIRST, folder, filled, groups=[GROUP], umask=0o002)
        return folder

    def test_is_written_to_by_its_members_at_any_depth(self, shared: Path) -> None:
        for key in ("a", ("x", "y")):
            as_user(SECOND, shared, increment(key), groups=[GROUP], umask=0o002)
            as_user(FIRST, shared, increment(key), groups=[GROUP], umask=0o002)
        assert as_user(FIRST, shared, read) == {("a",): 3, ("x", "y"): 3}

    def test_is_read_by_others_who_leave_nothing_behind(self, shared: Path) -> None:
        before = tree(shared)
        assert as_user(THIRD, shared, read) == ALL
        as_user(THIRD, shared, expect_refusal)
        assert tree(shared) == before


@pytest.mark.usefixtures("locking")
def test_a_private_folder_is_nobody_elses(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    as_user(FIRST, tmp_path, lambda here: filled(f"{here}/private"), umask=0o077)

    def look(here: str) -> None:
        d = FileDirDict[Any](f"{here}/private")
        uses: list[Callable[[], object]] = [
            lambda: d["a"], lambda: d.get("a"), lambda: len(d), lambda: list(d), d.copy,
            lambda: d.discard("a"),
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(PermissionError, match="private"):
                use()

    as_user(SECOND, tmp_path, look)
    assert as_user(FIRST, tmp_path, lambda here: read(f"{here}/private")) == ALL


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o666, 0o777)]
)
def test_files_and_folders_have_the_rights_that_the_umask_leaves(
    tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    tmp_path.chmod(0o777)
    as_user(FIRST, tmp_path, lambda here: filled(f"{here}/d"), umask=umask)
    modes = {p.is_dir(): stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "d").rglob("*")}
    assert modes == {False: file, True: folder}
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == folder


def test_a_lock_file_can_be_locked_by_whoever_may_write_whatever_the_umask_of_its_maker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "lock", lambda fd: not stat.S_ISDIR(os.fstat(fd).st_mode) and lock(fd))
    tmp_path.chmod(0o777)
    as_user(FIRST, tmp_path, filled, umask=0o077)
    assert stat.S_IMODE((tmp_path / folders.LOCK_FILE).stat().st_mode) == 0o666
    as_user(SECOND, tmp_path, lambda _: FileDirDict[int](HERE).__setitem__("b", 2))
    assert sorted(FileDirDict(tmp_path)) == [("a",), ("b",), ("x", "y")]


class TestAHomeOfAnotherUser:
    """HOME is inherited by services that run as another user."""

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        home = tmp_path / "home"
        home.mkdir()
        (home / ".signacrc").write_text("a = 1\n")
        monkeypatch.setenv("HOME", str(home))
        init_project(path=tmp_path / "first")  # another user may not be able to read what this loads
        monkeypatch.setenv("HOME", f"{HERE}/home")
        tmp_path.chmod(0o755)
        (tmp_path / "study").mkdir()
        (tmp_path / "study").chmod(0o777)
        return home

    @staticmethod
    def config(here: str) -> Any:
        return init_project(path=f"{here}/study").config.get("a")

    def test_has_no_configuration_if_it_cannot_be_entered(self, tmp_path: Path, home: Path) -> None:
        assert as_user(SECOND, tmp_path, self.config) == "1"
        home.chmod(0o700)
        assert as_user(SECOND, tmp_path, self.config) is None

    def test_has_a_configuration_that_may_not_be_read(self, tmp_path: Path, home: Path) -> None:
        (home / ".signacrc").chmod(0o600)
        with pytest.raises(ConfigError, match="Permission denied"):
            as_user(SECOND, tmp_path, self.config)
