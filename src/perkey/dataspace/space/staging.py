"""Folders that are not jobs: those that are filled before they become one, and those that were one.

They lie in one folder, in which nobody looks for jobs. Processes that die leave theirs; these are swept when
nothing was changed in them for long enough.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from contextlib import suppress
from functools import partial
from typing import Final

from perkey.dataspace.errors import located
from perkey.files import OURS, STALE_SECONDS, make_base, make_own, persist, temporary_name

TAKEN: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST))
"""The errors for a folder that is to be replaced or deleted, and has something in it."""

_ATTEMPTS: Final = 16
_COPY: Final = "copy-"
_COPY_STALE_SECONDS: Final = 7 * 24 * 3600.0


class Staging:
    """The place for what is not a job yet, or not any more.

    Args:
        home: Its folder, absolute, which need not exist yet.
        durable: Whether changes are on disk when they return.
    """

    def __init__(self, home: str, *, durable: bool) -> None:
        self.home = home
        self.durable = durable

    def make_home(self) -> None:
        """Make the folder for what is not a job; raises WorkspaceError if that fails."""
        try:
            persist(partial(make_base, self.home, durable=self.durable))
        except OSError as error:
            raise located(error, self.home) from error

    def stage(self, *, copy: bool = False) -> str:
        """Make a new folder that is no job yet, and return its path.

        Args:
            copy: Whether filling it may take long, so that it must not be swept soon.
        """
        prefix = _COPY if copy else ""
        staging = os.path.join(self.home, prefix + temporary_name())
        try:
            make_own(staging)
        except FileNotFoundError:
            self.make_home()
            make_own(staging)
        return staging

    def sweep(self, *, min_age: float = STALE_SECONDS) -> int:
        """Delete what dead processes left in the workspace, and return how much that was.

        Args:
            min_age: Seconds for which a folder must not have been changed; copies get a week.
        """
        swept = 0
        try:
            entries = persist(lambda: list(os.scandir(self.home)))
        except FileNotFoundError:
            return 0
        for entry in entries:
            if not entry.name.removeprefix(_COPY).startswith(OURS):
                continue
            age = max(min_age, _COPY_STALE_SECONDS) if entry.name.startswith(_COPY) else min_age
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime >= age:
                    if entry.is_dir(follow_symlinks=False):
                        delete_tree(entry.path)
                    else:
                        os.unlink(entry.path)
                    swept += 1
        return swept


def delete_tree(path: str) -> None:
    """Delete a folder, in which others may still be writing."""
    for _ in range(_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not os.path.lexists(path):
                return
        except OSError as error:
            if error.errno not in {*TAKEN, errno.ESTALE}:
                raise
        else:
            return
    shutil.rmtree(path)
