"""Whose fault an exception is: the memory's, the place's, or the value's.

Libraries between a format and its bytes wrap and replace exceptions, so the class of an exception shows
little. What is certain is recorded where it happens: a file that is watched knows whether it failed itself.
"""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

# How libraries report a failed allocation by other classes than MemoryError: lz4, zlib, pandas, the loader
# of shared objects.
_SAYS_SO = re.compile(
    r"Failed to resize buffer|ERROR_allocation_failed|Error -4 while|C error: out of memory"
    r"|Cannot allocate memory|failed to map segment from shared object|cannot create shared object",
    re.IGNORECASE,
)


def raise_if_out_of_memory(error: BaseException, outer: BaseException | None) -> None:
    """Raise MemoryError if `error` comes from a failed allocation, by whatever classes it is reported.

    Args:
        error: The exception that arrived.
        outer: The exception that was being handled before, from `sys.exception()`; it and what is behind
            it have nothing to do with `error`.
    """
    for link in _chain(error, outer):
        if isinstance(link, MemoryError):
            raise link
        if (isinstance(link, OSError) and link.errno == errno.ENOMEM) or _SAYS_SO.search(str(link)):
            raise MemoryError(str(link)) from error


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from, or raised while they were handled."""
    seen: set[int] = set()
    links = [error]
    while links:
        link = links.pop()
        if link is not outer and id(link) not in seen:
            seen.add(id(link))
            yield link
            links += [behind for behind in (link.__context__, link.__cause__) if behind is not None]


class WatchedReader(io.RawIOBase):
    """A file for `io.BufferedReader` that reads another and remembers the exception if that fails."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._into = getattr(file, "readinto", None)
        self.failure: Exception | None = None

    def check(self) -> None:
        """Raise the exception that reading the file raised, if it did."""
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        try:
            if self._into is not None:
                size: int = self._into(target)
                return size
            with memoryview(target) as view:
                data = self._file.read(len(view))
                view[: len(data)] = data
                return len(data)
        except Exception as error:
            self.failure = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class WatchedWriter:
    """A file for a pickler that writes another and remembers the exception if that fails."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: Exception | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except Exception as error:
            self.failure = error
            raise
