"""A dictionary in a folder."""

from __future__ import annotations

import os
from typing import Any

from perkey.files import Locking, folder_path
from perkey.mapping import PersiDict, V
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.stores.folder import DirectoryStore, Durability


class FileDirDict(PersiDict[V]):
    """A persistent dictionary in a folder: each value is a file, each but the last part of a key a folder.

    Safe for any number of threads and processes, also on several machines if their shared file system keeps
    locks. The page `concurrency` of the documentation lists these file systems. A process that dies at any
    moment leaves the old or the new value. Files written by persidict are read, and persidict reads those
    written here.

    Args:
        base_dir: The folder, made if it does not exist. A leading ``~`` is the user's own folder.
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other ending for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key, 0 to 26.
        base_class_for_values: A class that all values must be of.
        durability: ``"sync"``: a value is on disk when the assignment returns. ``"none"``: the
            system decides when; writes are still atomic, but a power failure may lose the last ones.
        create: Whether the folder is made if it does not exist. Only a call of the constructor makes it. An
            unpickled handle whose folder does not exist raises FileNotFoundError at its first operation.
        locking: How writers exclude each other. ``"auto"``: as the file system needs it, see
            the page `concurrency`. ``"local"``: only this machine uses the folder. ``"shared"``: several
            machines use it; its server arbitrates the lock. ``"none"``: conditions on versions are refused.

    Raises:
        FileNotFoundError: `base_dir` does not exist, and `create` is False.
        UnsupportedPlatformError: The system is Windows.
        NotADirectoryError: `base_dir` is a file.
        PermissionError: The folder does not exist and cannot be made. (A read-only folder can be opened
            and read; nothing is created in it.)
        TypeError, ValueError: An argument is of the wrong kind or out of bounds; `base_dir` is empty or an
            address such as ``s3://bucket``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = FileDirDict(base_dir=folder, file_type="json")
    ...     settings["theme"] = "dark"
    ...     FileDirDict(folder, "json")["theme"]
    'dark'
    """

    def __init__(
        self,
        base_dir: str | os.PathLike[str] = "__file_dir_dict__",
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
        *,
        durability: Durability = "sync",
        create: bool = True,
        locking: Locking = "auto",
    ) -> None:
        store = DirectoryStore(folder_path(base_dir), durability=durability, create=create, locking=locking)
        super().__init__(
            store,
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )
        self._durability = durability
        self._create = create
        self._locking = locking

    @property
    def base_dir(self) -> str:
        """The absolute path of the folder."""
        return self.store.describe()

    def get_params(self) -> dict[str, Any]:
        own = {"durability": self._durability, "create": self._create, "locking": self._locking}
        return {"base_dir": self.base_dir, **self._items.params(), **own}
