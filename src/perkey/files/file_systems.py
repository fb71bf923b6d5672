"""Which file system a folder is on, and which promises hold there.

One system call on one machine proves nothing about another machine: an NFS client grants a lock on a folder
without asking the server. So the decision rests on the type of the file system and the options of
its mount, which Linux reports in statfs(2) and in /proc/self/mountinfo, and never on a call that happens to
succeed. The lists below record for each type whether this was tested with perkey or is expected from the
documentation of the file system.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from perkey.answers import system_answer
from perkey.files.syscalls import libc_function

Locking: TypeAlias = Literal["auto", "local", "shared", "none"]
"""How writers of a folder exclude each other: as its file system needs it, as on a local file system, by a
lock file that the server of the file system arbitrates, or not at all."""

Kind: TypeAlias = Literal["local", "shared", "other"]
"""Used by one kernel only; used by several machines, with a lock that works; not known to perkey."""

Evidence: TypeAlias = Literal["tested", "expected", "unknown"]

_FUSE: Final = 0x65735546
_NEEDS_MOUNT: Final = frozenset((_FUSE, 0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x0BD00BD0))
"""The types for which the mount's options or FUSE's subtype decide."""

_LOCAL: Final = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0xCA451A4E: "bcachefs",
    0x7366746E: "ntfs3",
    0x5346544E: "ntfs",
    0x2011BAB0: "exfat",
    0x4D44: "vfat",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0x794C7630: "overlay",
    0x61756673: "aufs",
    0x3153464A: "jfs",
    0x52654973: "reiserfs",
    0x3434: "nilfs2",
    0x24051905: "ubifs",
    0x72B6: "jffs2",
    0x482B: "hfsplus",
    0x4244: "hfs",
    0x15013346: "udf",
    0x9660: "iso9660",
    0x73717368: "squashfs",
    0xE0F5E1E2: "erofs",
    0xF15F: "ecryptfs",
}
_SHARED: Final = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb3",
    0x00C36400: "ceph",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x01161970: "gfs2",
    0x7461636F: "ocfs2",
}
_OTHER: Final = {
    0x01021997: "9p",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
    0x5346414F: "afs",
    0x6B414653: "afs",
    0x73757245: "coda",
    0x20030528: "orangefs",
    0xAAD7AAEA: "panfs",
}
_FUSE_LOCAL: Final = frozenset(("fuseblk", "fuse.fuse-overlayfs"))
_FUSE_SHARED: Final = frozenset(
    (
        "fuse.ceph-fuse",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.moosefs",
        "fuse.mfs",
        "fuse.quobyte",
    )
)
_TESTED: Final = frozenset(("ext4", "xfs", "btrfs", "tmpfs", "overlay", "nfs", "nfs4", "cifs", "smb3"))
_SMB: Final = frozenset(("cifs", "smb3", "smb", "smbfs"))
REPLACED: Final = frozenset((errno.ESTALE, errno.EBUSY))
"""The errors that mean that a file was replaced while it was used."""
UNCACHED_SMB: Final = frozenset(("cache=none", "nolease"))
"""The options by which Linux's SMB client keeps no files open. It shows them in /proc/self/mountinfo."""
_COUNTS_FOLDERS: Final = frozenset(("ext4", "xfs", "tmpfs", "f2fs", "zfs", "jfs", "reiserfs", "nilfs2"))
"""Where a folder with two links has no folder in it: each folder below is one more link."""
_KEEPS_PLACES: Final = frozenset(("ext4", "xfs"))
"""Where a file that replaces another one gets its place in listings; measured."""
_SYNCS_WHOLE: Final = frozenset(("ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "bcachefs", "overlay"))
"""Where syncfs(2) brings all data to the disk."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system of a folder, and what perkey may rely on there.

    Args:
        type: Its type as /proc/mounts reports it: ``"ext4"``, ``"nfs4"``, ``"fuse.sshfs"``; or the number
            that statfs(2) returns if perkey does not know it.
        kind: Whether other machines may use it, too.
        evidence: Whether perkey's tests ran on it, its documentation promises enough, or neither.
        options: The options of the mount, as far as they were needed.
        no_locks: Why locks there do not exclude other machines; empty if they do.
    """

    type: str
    kind: Kind
    evidence: Evidence
    options: frozenset[str] = field(default=frozenset())
    no_locks: str = ""

    @property
    def is_smb(self) -> bool:
        """Whether the server is an SMB server: clients keep files open after a program has closed them."""
        return self.type in _SMB

    @property
    def locks_anyway(self) -> bool:
        """Whether writers lock the folder although their own conditions are refused, for those of others."""
        return self.is_smb and "nobrl" not in self.options

    @property
    def counts_folders(self) -> bool:
        """Whether a folder with two links has no folder in it."""
        return self.type in _COUNTS_FOLDERS

    @property
    def keeps_places(self) -> bool:
        """Whether a listing that takes several calls misses nothing that is replaced meanwhile."""
        return self.type in _KEEPS_PLACES

    @property
    def syncs_whole(self) -> bool:
        """Whether syncfs(2) brings all data to the disk."""
        return self.type in _SYNCS_WHOLE


class SharedLock(Protocol):
    """A lock of a folder that excludes writers on other machines."""

    def take(self, hold: Any, /) -> bool:
        """Lock, waiting for the holder; note the descriptor in the `Hold` before."""

    def release(self, fd: int, /) -> None:
        """Release the lock on a descriptor."""


def _no_lock(folder: Any) -> SharedLock:
    raise NotImplementedError(f"{folder.path} is used by this machine only")


@dataclass(slots=True)
class Way:
    """How the folders below a base folder are used.

    Args:
        base: The base folder.
        shared: Whether by the path for several machines.
        file_system: What the base folder is on; None where the caller has chosen that it does not matter.
        no_locks: Why no locks exclude other writers; empty if locks do.
        look: Looks whether other machines have begun to use the folder; None if that does not matter.
        lock_of: Makes the lock of a `Folder` that excludes other machines.

    Attributes:
        looked: When `look` was called last, by the monotonic clock.
        settled: Whether other machines know that this process uses the folder.
    """

    base: str
    shared: bool
    file_system: FileSystem | None
    no_locks: str = ""
    look: Callable[[Way], None] | None = None
    lock_of: Callable[[Any], SharedLock] = _no_lock
    looked: float = 0.0
    settled: bool = False

    @property
    def is_smb(self) -> bool:
        """Whether the folders are used by way of an SMB client."""
        return self.file_system is not None and self.file_system.is_smb


def stale_errors(file_system: FileSystem | None) -> frozenset[int]:
    """Return the numbers of errors that mean that a file was replaced while it was used."""
    return REPLACED | {errno.EINVAL} if file_system is not None and file_system.is_smb else REPLACED


LOCAL: Final = FileSystem("local", "local", "expected")
"""What is assumed where the system does not report types: Windows."""


def file_system_of(fd: int) -> FileSystem:
    """Return the file system of an open file or folder; one system call if it is a local one.

    Args:
        fd: Its descriptor.
    """
    if sys.platform == "darwin":  # pragma: not on Linux
        return _of_darwin(fd)
    magic = _magic_of(fd)
    if magic is None:
        return LOCAL
    if magic not in _NEEDS_MOUNT:
        name = _LOCAL.get(magic) or _SHARED.get(magic) or _OTHER.get(magic) or hex(magic)
        return classify(name, "")
    name, options = mount_of(fd)
    return classify(name or _SHARED.get(magic, "fuse"), options)


def classify(name: str, options: str) -> FileSystem:
    """Return what holds on a file system.

    Args:
        name: Its type as /proc/mounts reports it.
        options: The options of the mount, separated by commas.
    """
    given = frozenset(options.split(",")) if options else frozenset[str]()
    if name in _LOCAL.values() or name in _FUSE_LOCAL:
        return FileSystem(name, "local", "tested" if name in _TESTED else "expected", given)
    if name in _SHARED.values() or name == "nfs4" or name in _FUSE_SHARED:
        evidence: Evidence = "tested" if name in _TESTED else "expected"
        return FileSystem(name, "shared", evidence, given, _why_no_locks(name, given))
    if name.startswith("fuse"):
        reason = f"locks on {name} exclude only the processes of one mount"
        return FileSystem(name, "other", "unknown", given, reason)
    return FileSystem(name, "other", "unknown", given)


def _why_no_locks(name: str, options: frozenset[str]) -> str:
    """Return why a mount's options make locks useless between machines; empty if they do not."""
    if name in {"nfs", "nfs4"}:
        for option in ("nolock", "local_lock=all", "local_lock=posix", "nocto"):
            if option in options:
                return f"it is mounted with {option}"
    if name in _SMB:
        for option in ("nobrl", "noserverino", "cache=loose"):
            if option in options:
                return f"it is mounted with {option}"
        if not options >= UNCACHED_SMB:
            return (
                "an SMB client keeps files open after they were closed, and answers from them; "
                f"mount it with the options {','.join(sorted(UNCACHED_SMB))}"
            )
    if name == "lustre" and "flock" not in options:
        return "it is mounted without the option flock"
    return ""


def _magic_of(fd: int) -> int | None:
    """Return the number of the file system's type, or None if the system does not report it."""
    function = libc_function("fstatfs", ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    if function is None:
        return None
    # The type is the first field of struct statfs, a long; the rest is not looked at.
    buffer = (ctypes.c_long * 32)()
    if function(fd, buffer) != 0:
        return None
    return buffer[0] & 0xFFFFFFFF


def mount_of(fd: int) -> tuple[str, str]:
    """Return type and options of the mount that a descriptor is on; empty if /proc is not there."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
            mount = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            return next((parse_mount(line) for line in lines if line.split(" ", 1)[0] == mount), ("", ""))
    except system_answer(OSError):
        return "", ""


def parse_mount(line: str) -> tuple[str, str]:
    """Return type and options of a line of /proc/self/mountinfo."""
    before, _, after = line.partition(" - ")
    name, _, options = after.split()[:3]
    return name, f"{before.split()[5]},{options}"


def _of_darwin(fd: int) -> FileSystem:  # pragma: not on Linux
    """Return the file system on macOS, by the name in its struct statfs."""
    function = ctypes.CDLL(None).fstatfs
    buffer = ctypes.create_string_buffer(4096)
    if function(fd, buffer) != 0:
        return LOCAL
    name = buffer.raw[72:88].split(b"\0", 1)[0].decode("ascii", "replace")
    if name in {"apfs", "hfs", "exfat", "msdos", "tmpfs"}:
        return FileSystem(name, "local", "expected")
    if name == "nfs":
        return FileSystem(name, "shared", "expected")
    if name == "smbfs":
        return FileSystem(name, "shared", "unknown", frozenset(), "it was never tested on macOS")
    return FileSystem(name, "other", "unknown", frozenset(), "" if "fuse" not in name else f"it is {name}")
