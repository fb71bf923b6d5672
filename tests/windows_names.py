"""Takes away what only POSIX systems have, and imports perkey anew; run as a program."""

import importlib
import os
import pkgutil
import re
import sys
import types

import perkey

MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
"""Modules of the standard library that Windows has not."""

NAMES = re.findall(
    r"\w+",
    """
    O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_EVTONLY O_FSYNC O_LARGEFILE O_NDELAY O_NOATIME
    O_NOCTTY O_NOFOLLOW O_NOFOLLOW_ANY O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE WNOHANG SCHED_OTHER
    RTLD_NOW chown chroot copy_file_range ctermid eventfd fchdir fchmod fchown fdatasync fork forkpty
    fpathconf fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp
    getpriority getrandom getsid getuid getxattr initgroups killpg lchown listxattr lockf major makedev
    memfd_create minor mkfifo mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate
    posix_spawn pread preadv pwrite pwritev readv register_at_fork removexattr sched_getaffinity
    sched_yield sendfile setegid seteuid setgid setgroups setns setpgid setpriority setsid setuid
    setxattr splice statvfs sync sysconf tcgetpgrp uname unshare wait wait3 wait4 waitid writev
    """,
)
"""Names that `os` has on Linux or macOS, and not on Windows."""


def modules() -> list[str]:
    """Import each module of perkey, and return their names."""
    walked = (found.name for found in pkgutil.walk_packages(perkey.__path__, "perkey."))
    names = ["perkey", *(name for name in walked if not name.endswith("__main__"))]
    for name in names:
        importlib.import_module(name)
    return names


def become_windows() -> None:
    """Take away modules and names, for what is imported from now on."""
    for name in NAMES:
        if hasattr(os, name):
            delattr(os, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment] # so that importing it fails
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")
    sys.platform = "win32"


def main() -> None:
    """Import perkey as Windows would, and use what works there."""
    names = modules()  # with all of the standard library and other packages that it needs, as they are here
    for name in names:
        sys.modules.pop(name, None)
    become_windows()
    fresh = importlib.import_module("perkey")
    assert fresh is not perkey
    print(len(modules()) == len(names))
    for build in (fresh.LocalDict, fresh.EmptyDict):
        d = build()
        d["a", "b"] = [1]
        d.transform_item("c", transformer=lambda _: 2)
    print(sorted(fresh.LocalDict().items()))


if __name__ == "__main__":
    main()
