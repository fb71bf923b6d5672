"""The version of a file: when it was written, its size, its inode, and when its inode last changed.

- The writer sets the time, because the kernel's own clock stands still for milliseconds: to the clock of
  the moment, in steps of 100 ns (NTFS and SMB keep no finer ones), later than any that its process has given,
  and under a condition later than the predecessor's.
- Inode numbers are used again at once, and any program may set an old time. No program can set the
  change time, which distinguishes such files.
- A file whose time has no digits below the microsecond was stored by a coarse file system, or its time
  was set by another program. Its version includes a digest of the content. The rule looks at the
  file alone and not at the file system, so all readers and writers agree.
"""

from __future__ import annotations

import os
import time
from typing import Final

from perkey.expectations import Version

STEP: Final = 100
COARSE: Final = 1000
_CHUNK: Final = 1 << 20
_MILLISECOND: Final = 1_000_000
_SETTLED: Final = 2_000_000_000
_MOST_DIGESTS: Final = 4096

_digests: dict[tuple[int, ...], str] = {}


def needs_digest(found: os.stat_result) -> bool:
    """Return whether the version of a file includes a digest of its content."""
    return found.st_mtime_ns % COARSE == 0


def was_set(found: os.stat_result) -> bool:
    """Return whether perkey set the time; one in a hundred of the kernel's own times looks so, too."""
    return found.st_mtime_ns % STEP == 0 and not needs_digest(found)


def version_of(found: os.stat_result, fd: int) -> Version:
    """Return the version of the open file `fd`, whose status is `found`.

    Reads the file only if its time is coarse; leaves the position at the start then. The digest is
    remembered where the status proves that the content is the same.
    """
    times = plain_version_of(found)
    return f"{times}-{_known_digest(found, fd)}" if needs_digest(found) else times


def version_of_content(found: os.stat_result, content: bytes) -> Version:
    """Return the version of a file whose status is `found`, and whose whole content was just read."""
    times = plain_version_of(found)
    if not needs_digest(found):
        return times
    import hashlib

    return f"{times}-{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def plain_version_of(found: os.stat_result) -> Version:
    """Return the version of a file that needs no digest."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}-{found.st_ctime_ns:x}"


def _known_digest(found: os.stat_result, fd: int) -> str:
    state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    digest = _digests.get(state)
    if digest is None:
        digest = _digest(fd)
        if _is_settled(found):
            if len(_digests) >= _MOST_DIGESTS:
                _digests.clear()
            _digests[state] = digest
    return digest


def _is_settled(found: os.stat_result) -> bool:
    """Return whether a later change of the content would certainly show in the file's change time.

    That is a fine one, and its tick is over; two seconds allow for the clock of another host.
    """
    is_fine = found.st_ctime_ns % _MILLISECOND != 0
    return is_fine and time.time_ns() - found.st_ctime_ns > _SETTLED


def _digest(fd: int) -> str:
    import hashlib

    content = hashlib.blake2b(digest_size=16)
    os.lseek(fd, 0, os.SEEK_SET)
    while piece := os.read(fd, _CHUNK):
        content.update(piece)
    os.lseek(fd, 0, os.SEEK_SET)
    return content.hexdigest()
