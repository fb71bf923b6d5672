"""System calls of Linux that Python's os has not. Loaded when first needed, because ctypes is heavy."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from itertools import repeat, takewhile
from operator import eq
from typing import Any, Final

from perkey.answers import answer

_NO_REPLACE: Final = 1
_UNKNOWN: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


@cache
def libc_function(name: str, result: Any, *arguments: Any) -> Callable[..., int] | None:
    """Return a function of the C library, or None if the library lacks it.

    Args:
        name: Its name.
        result: The ctypes type of what it returns; -1 for an error, which `error_of` returns.
        *arguments: The ctypes types of its arguments.
    """
    if sys.platform != "linux":  # pragma: not on Linux
        return None
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except answer(OSError):  # a static interpreter
        return None
    if function is not None:
        function.argtypes = arguments
        function.restype = result
    return function


def error_of(path: str | None = None) -> OSError:
    """Return the error of the last call of such a function in this thread."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def getdents() -> Callable[..., int] | None:
    """Return the function that reads the records of a folder's entries; None if the library lacks it."""
    return libc_function("getdents64", ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


@cache
def _renameat2() -> Callable[..., int] | None:
    """Return the function of that name, found once: finding it takes as long as calling it."""
    of_path = (ctypes.c_int, ctypes.c_char_p)
    return libc_function("renameat2", ctypes.c_int, *of_path, *of_path, ctypes.c_uint)


def rename_new(folder: int, old: str, new: str, path: str) -> bool:
    """Rename a file unless the new name is taken (renameat2 with RENAME_NOREPLACE).

    Args:
        folder: A descriptor of the folder that both names are in.
        old: Its name.
        new: The name that it gets.
        path: The path of `new`, for an error.

    Returns:
        Whether it was done; False where system or file system do not know this, as NFS.

    Raises:
        FileExistsError, OSError: The name is taken, or it failed for another reason.
    """
    function = _renameat2()
    if function is None:
        return False
    if function(folder, os.fsencode(old), folder, os.fsencode(new), _NO_REPLACE) == 0:
        return True
    error = error_of(path)
    if error.errno in _UNKNOWN:
        return False
    raise error


def rename_first_new(folder: int, old: Iterable[str], new: Iterable[str]) -> int:
    """Rename the first files as `rename_new`; return the number of those before the first refusal."""
    function = _renameat2()
    if function is None:
        return 0
    here = repeat(folder)
    coding = repeat(sys.getfilesystemencoding()), repeat(sys.getfilesystemencodeerrors())
    of_old, of_new = map(str.encode, old, *coding), map(str.encode, new, *coding)  # as os.fsencode
    results = map(function, here, of_old, here, of_new, repeat(_NO_REPLACE))
    return len([*takewhile(partial(eq, 0), results)])
