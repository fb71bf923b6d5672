"""Which file system a folder is on, what is decided from that, and what the decision costs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import system_calls

from perkey import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, FileDirDict, UnknownFileSystemWarning
from perkey.errors import UnsupportedConditionError
from perkey.files import file_systems, sharing
from perkey.files import folder as folders
from perkey.files.file_systems import FileSystem, Locking, classify, file_system_of, parse_mount
from perkey.files.folder import LOCK_FILE, ways
from perkey.stores import DirectoryStore

NFS = "rw,vers=3,rsize=1048576,hard,proto=tcp,local_lock=none,addr=10.0.1.1"
SMB = "rw,vers=3.1.1,cache=none,nolease"
LINES: dict[str, tuple[str, str, str]] = {
    # a line of /proc/self/mountinfo; kind; a word of the reason why there are no locks
    "nfs3": (f"41 29 0:37 / /mnt rw,relatime shared:2 - nfs server:/e {NFS}", "shared", ""),
    "nfs3 nolock": (f"41 29 0:37 / /mnt rw - nfs server:/e {NFS},nolock", "shared", "nolock"),
    "nfs3 local": (
        f"41 29 0:37 / /mnt rw - nfs server:/e {NFS.replace('lock=none', 'lock=all')}",
        "shared",
        "local_lock=all",
    ),
    "nfs3 posix": (
        f"41 29 0:37 / /mnt rw - nfs server:/e {NFS.replace('lock=none', 'lock=posix')}",
        "shared",
        "local_lock=posix",
    ),
    # flock(2) stays on the client then; perkey uses record locks.
    "nfs3 flock": (
        f"41 29 0:37 / /mnt rw - nfs server:/e {NFS.replace('lock=none', 'lock=flock')}",
        "shared",
        "",
    ),
    "nfs4": ("41 29 0:37 / /mnt rw - nfs4 server:/ rw,vers=4.2,local_lock=none", "shared", ""),
    "nfs4 nocto": ("41 29 0:37 / /mnt rw - nfs4 server:/ rw,vers=4.2,nocto", "shared", "nocto"),
    "space in the path": (r"41 29 0:37 / /my\040mnt rw - nfs4 server:/ rw,vers=4.2", "shared", ""),
    # Its client keeps files open after programs have closed them, and answers from them.
    "cifs": ("52 29 0:49 / /mnt rw - cifs //server/e rw,vers=3.1.1,cache=strict", "shared", "nolease"),
    "cifs none": ("52 29 0:49 / /mnt rw - cifs //server/e rw,vers=3.1.1,cache=none", "shared", "nolease"),
    "cifs strict": ("52 29 0:49 / /mnt rw - cifs //server/e rw,nolease,cache=strict", "shared", "cache=none"),
    "smb3": ("52 29 0:49 / /mnt rw - smb3 //server/e rw,vers=3.1.1", "shared", "nolease"),
    "cifs exact": (f"52 29 0:49 / /mnt rw - cifs //server/e {SMB},serverino", "shared", ""),
    "smb3 exact": (f"52 29 0:49 / /mnt rw - smb3 //server/e {SMB}", "shared", ""),
    "cifs nobrl": (f"52 29 0:49 / /mnt rw - cifs //server/e {SMB},nobrl", "shared", "nobrl"),
    "cifs noserverino": (
        f"52 29 0:49 / /mnt rw - cifs //server/e {SMB},noserverino",
        "shared",
        "noserverino",
    ),
    "cifs loose": ("52 29 0:49 / /mnt rw - cifs //server/e rw,cache=loose", "shared", "cache=loose"),
    "lustre": ("60 29 0:50 / /mnt rw - lustre 10.0.0.1@tcp:/scratch rw,flock,lazystatfs", "shared", ""),
    "lustre localflock": ("60 29 0:50 / /mnt rw - lustre mgs:/scratch rw,localflock", "shared", "flock"),
    "lustre noflock": ("60 29 0:50 / /mnt rw - lustre mgs:/scratch rw,lazystatfs", "shared", "flock"),
    "ceph": ("61 29 0:50 / /mnt rw - ceph mon:6789:/ rw,acl", "shared", ""),
    "ceph-fuse": ("61 29 0:50 / /mnt rw - fuse.ceph-fuse ceph-fuse rw,user_id=0", "shared", ""),
    "glusterfs": ("61 29 0:50 / /mnt rw - fuse.glusterfs srv:/v rw,allow_other", "shared", ""),
    "sshfs": ("70 29 0:55 / /mnt rw - fuse.sshfs me@host: rw,user_id=1000", "other", "fuse.sshfs"),
    "bindfs": ("70 29 0:55 / /mnt rw - fuse.bindfs /data rw,user_id=0", "other", "fuse.bindfs"),
    "s3fs": ("70 29 0:55 / /mnt rw - fuse.s3fs s3fs rw", "other", "fuse.s3fs"),
    "plain fuse": ("70 29 0:55 / /mnt rw - fuse thing rw", "other", "fuse"),
    "ntfs-3g": ("71 29 8:17 / /mnt rw - fuseblk /dev/sdb1 rw,user_id=0", "local", ""),
    "fuse-overlayfs": ("71 29 0:60 / /mnt rw - fuse.fuse-overlayfs fuse-overlayfs rw", "local", ""),
    "overlay": ("80 29 0:61 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c", "local", ""),
    "ext4": ("29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard", "local", ""),
    "9p": ("90 29 0:70 / /mnt rw - 9p share rw,trans=virtio", "other", ""),
}
MAGICS: dict[str, tuple[int, str, str]] = {
    "ext4": (0xEF53, "ext4", "local"),
    "xfs": (0x58465342, "xfs", "local"),
    "btrfs": (0x9123683E, "btrfs", "local"),
    "zfs": (0x2FC12FC1, "zfs", "local"),
    "tmpfs": (0x01021994, "tmpfs", "local"),
    "overlay": (0x794C7630, "overlay", "local"),
    "exfat": (0x2011BAB0, "exfat", "local"),
    "ceph": (0x00C36400, "ceph", "shared"),
    "gpfs": (0x47504653, "gpfs", "shared"),
    "beegfs": (0x19830326, "beegfs", "shared"),
    "9p": (0x01021997, "9p", "other"),
    "unknown": (0xDEADBEEF, "0xdeadbeef", "other"),
}
VALUES: tuple[Locking, ...] = ("auto", "local", "shared", "none")


@pytest.fixture(autouse=True)
def _decide_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ways.clear()
    monkeypatch.setattr(sharing, "SETTLING_SECONDS", 0.0)
    monkeypatch.delenv(sharing.VARIABLE, raising=False)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry for each statfs."""
    seen: list[int] = []
    magic_of = file_systems._magic_of

    def count(fd: int) -> int | None:
        seen.append(fd)
        return magic_of(fd)

    monkeypatch.setattr(file_systems, "_magic_of", count)
    return seen


def on(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Let each folder be on a file system whose mount looks like this."""
    monkeypatch.setattr(sharing, "file_system_of", lambda _: classify(*parse_mount(line)))


class TestLists:
    @pytest.mark.parametrize("case", LINES)
    def test_a_mount_is_classified(self, case: str) -> None:
        line, kind, reason = LINES[case]
        found = classify(*parse_mount(line + "\n"))
        assert (found.type, found.kind) == (line.split(" - ")[1].split()[0], kind)
        assert reason in found.no_locks if reason else found.no_locks == ""

    @pytest.mark.parametrize("case", MAGICS)
    def test_a_number_is_classified(self, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
        magic, name, kind = MAGICS[case]
        monkeypatch.setattr(file_systems, "_magic_of", lambda _: magic)
        found = file_system_of(0)
        assert (found.type, found.kind) == (name, kind)
        assert (found.evidence == "unknown") == (kind == "other")

    @pytest.mark.parametrize("magic", [0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x0BD00BD0, 0x65735546])
    def test_without_proc_a_network_file_system_is_not_taken_for_a_local_one(
        self, magic: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_systems, "_magic_of", lambda _: magic)
        monkeypatch.setattr(file_systems, "mount_of", lambda _: ("", ""))
        assert file_system_of(0).kind != "local"

    def test_what_is_known_of_this_folder_is_what_the_system_reports(self, tmp_path: Path) -> None:
        with open(tmp_path / "f", "w") as file:
            found = file_system_of(file.fileno())
            name, _ = file_systems.mount_of(file.fileno())
        assert found.type == name or found.type == hex(file_systems._magic_of(0) or 0) or name == "ext3"

    def test_shortcuts_are_taken_only_where_they_are_known_to_hold(self) -> None:
        for line, kind, _ in LINES.values():
            found = classify(*parse_mount(line))
            if kind != "local":
                assert not found.syncs_whole
                assert not found.counts_folders
        btrfs = classify("btrfs", "")
        assert (btrfs.syncs_whole, btrfs.counts_folders) == (True, False)


class TestDecisions:
    @pytest.mark.parametrize("case", [case for case in LINES if LINES[case][1] != "local"])
    def test_a_mount_decides_whether_conditions_are_honoured(
        self, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line, kind, reason = LINES[case]
        on(monkeypatch, line)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownFileSystemWarning)
            d = FileDirDict[int](tmp_path, durability="none")
            d["a"] = 1
            etag = d.etag("a")

            def swap() -> object:
                return d.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=etag)

            if reason:
                with pytest.raises(UnsupportedConditionError, match=reason):
                    swap()
            else:
                swap()
                assert d["a"] == 2
            assert d.setdefault_if("b", default_value=3).condition_was_satisfied
            assert not d.setdefault_if("b", default_value=4).condition_was_satisfied
            assert (d["b"], len(d), sorted(d)) == (3, 2, [("a",), ("b",)])
            del d["a"]
        assert kind != "local"

    @pytest.mark.parametrize("case", [case for case in LINES if LINES[case][1] == "local"])
    def test_local_file_systems_leave_no_lock_file(
        self, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on(monkeypatch, LINES[case][0])
        d = FileDirDict[int](tmp_path)
        d.transform_item("a", transformer=lambda n: 1 if n is ITEM_NOT_AVAILABLE else n + 1)
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_an_unknown_file_system_is_warned_of_once_for_each_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_systems, "_magic_of", lambda _: 0xDEADBEEF)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for place in (tmp_path / "one", tmp_path / "two"):
                for _ in range(3):
                    d = FileDirDict[int](place)
                    d["a"] = 1
                    assert d["a"] == 1
                    assert list(d) == [("a",)]
        texts = [str(each.message) for each in caught if each.category is UnknownFileSystemWarning]
        assert len(texts) == 2
        for text, name in zip(texts, ("one", "two"), strict=True):
            assert "0xdeadbeef" in text
            assert f"perkey doctor {tmp_path / name}" in text

    def test_a_chosen_locking_warns_of_no_file_system(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[int]
    ) -> None:
        for locking in ("local", "shared", "none"):
            FileDirDict[int](tmp_path / locking, locking=locking)["a"] = 1
        assert len(looks) == 1  # "shared" is carried out as an SMB client needs it, if it is one
        assert not (tmp_path / "local" / LOCK_FILE).exists()
        assert (tmp_path / "shared" / LOCK_FILE).exists()
        assert not (tmp_path / "none" / LOCK_FILE).exists()


class TestChoosing:
    @pytest.mark.parametrize("cls", [FileDirDict, DirectoryStore])
    def test_wrong_values_name_the_argument(self, cls: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"locking must be one of 'auto', .*, not 'flock'"):
            cls(tmp_path, locking="flock")
        wrong: Any
        for wrong in (None, 1, ["shared"], {}):
            with pytest.raises(TypeError, match="locking must be one of"):
                cls(tmp_path, locking=wrong)

    def test_the_variable_replaces_auto_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for value in VALUES:
            monkeypatch.setenv(sharing.VARIABLE, value)
            for locking in VALUES:
                ways.clear()
                way = sharing.way_of(str(tmp_path), locking)
                chosen = value if locking == "auto" else locking
                assert way.shared == (chosen in {"shared", "none"})
                assert bool(way.no_locks) == (chosen == "none")

    def test_a_wrong_variable_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(sharing.VARIABLE, "nfs")
        with pytest.raises(ValueError, match=r"PERKEY_LOCKING must be one of .*, not 'nfs'"):
            FileDirDict[int](tmp_path)["a"] = 1
        monkeypatch.setenv(sharing.VARIABLE, "")  # set, and empty: as if it were not set
        FileDirDict[int](tmp_path)["a"] = 1

    def test_the_refusal_says_who_chose_so(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path, locking="none")
        d["a"] = 1
        with pytest.raises(UnsupportedConditionError, match='locking="none" was chosen'):
            d.transform_item("a", transformer=lambda n: n)


class TestPickledHandles:
    @pytest.mark.parametrize("locking", VALUES)
    def test_keep_the_choice(self, locking: Any, tmp_path: Path) -> None:
        d = pickle.loads(pickle.dumps(FileDirDict[int](tmp_path, locking=locking)))
        assert d.get_params()["locking"] == locking
        assert d.store.locking == locking
        assert d.get_subdict("x").get_params()["locking"] == locking
        assert FileDirDict[int](**d.get_params()).get_params()["locking"] == locking

    def test_decide_anew_where_they_arrive(self, tmp_path: Path) -> None:
        """The other process has other mounts; here, another variable."""
        handle = pickle.dumps(FileDirDict[int](tmp_path))
        FileDirDict[int](tmp_path)["here"] = 1
        assert not (tmp_path / LOCK_FILE).exists()
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())['there'] = 2"
        environment = {**os.environ, sharing.VARIABLE: "shared"}
        subprocess.run([sys.executable, "-c", code], input=handle, env=environment, check=True)
        assert (tmp_path / LOCK_FILE).exists()
        assert FileDirDict[int](tmp_path)["there"] == 2


class TestCost:
    def test_one_statfs_for_a_base_folder_and_none_for_an_operation(
        self, tmp_path: Path, looks: list[int]
    ) -> None:
        for place in ("one", "two"):
            for number in range(3):
                d = FileDirDict[int](tmp_path / place)
                d["a"] = number
                d["x", "y"] = number
                d.transform_item("a", transformer=lambda n: n + 1)
                assert (d["a"], d["x", "y"], "b" in d) == (number + 1, number, False)
                assert pickle.loads(pickle.dumps(d))["a"] == number + 1
                assert d.get_subdict("x")["y"] == number
                assert d.pop("a") == number + 1
        assert len(looks) == 2

    def test_auto_makes_the_calls_of_local(self, tmp_path: Path) -> None:
        """Once it was decided. The look for the lock file is due again after a second."""
        acts: dict[str, Callable[[FileDirDict[int]], object]] = {
            "get": lambda d: d["a"],
            "missing": lambda d: d.get("none"),
            "in": lambda d: "a" in d,
            "set": lambda d: d.__setitem__("a", 2),
            "set nested": lambda d: d.__setitem__(("x", "y"), 2),
            "new": lambda d: d.__setitem__("b", 2),
            "transform": lambda d: d.transform_item("a", transformer=lambda n: n),
            "delete": lambda d: d.__delitem__("b"),
            "list": list,
        }
        calls: list[dict[str, list[str]]] = []
        for locking in ("auto", "local"):
            d = FileDirDict[int](tmp_path / locking, locking=locking, digest_len=8)
            d["a"], d["x", "y"] = 1, 1
            assert len(list(d)) == 2  # what is imported late is imported now
            for way in ways.values():
                way.looked = float("inf")
            calls.append({name: system_calls(lambda act=act, d=d: act(d)) for name, act in acts.items()})  # type: ignore[misc]
        assert calls[0] == calls[1]

    def test_where_the_lock_file_is_looked_for_once_in_a_second(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path)
        d["a"] = 1
        way = sharing.way_of(d.base_dir)
        looked = way.looked
        d["a"] = 2
        assert way.looked == looked
        way.looked = looked - folders.LOOK_AGAIN_SECONDS - 0.1
        before = system_calls(lambda: d["a"])
        assert "access" not in before  # readers need no lock, and do not look for one
        assert way.looked < looked
        d["a"] = 3
        assert way.looked >= looked

    def test_ways_do_not_gather_without_bound(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sharing, "_MOST_WAYS", 3)
        for number in range(10):
            FileDirDict[int](tmp_path / str(number))["a"] = number
        assert len(ways) <= 3


def test_a_folder_that_does_not_exist_yet_is_decided_on_when_it_does(tmp_path: Path) -> None:
    assert sharing.way_of(str(tmp_path / "none")) is sharing._MISSING
    (tmp_path / "none").mkdir()
    assert isinstance(sharing.way_of(str(tmp_path / "none")).file_system, FileSystem)
