"""The HDF5 files of one folder, by their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from perkey.dataspace.h5.store import H5Store, held
from perkey.files import replace_path, temporary_name
from perkey.synced import InvalidKeyError, KeyTypeError

_NOT_IN_NAMES: Final = {".", "/", "\0", os.sep}


class H5StoreManager(MutableMapping[str, H5Store]):
    """A mapping from names to the HDF5 files of a folder; a file is made when something is written to it.

    Names that are identifiers are attributes, too. Assigning a mapping to a name replaces the whole file.

    Args:
        prefix: The folder, which need not exist.
        prepare: Makes the folder when a file is assigned, or raises; by default folders are made.
    """

    cls: Final = H5Store
    """What the values are."""

    suffix: Final = ".h5"
    """What the names of the files end with."""

    __slots__ = ("_known", "_prefix", "_prepare")

    _prepare: Callable[[], object]

    def __init__(
        self, prefix: str | os.PathLike[str], *, prepare: Callable[[], object] | None = None
    ) -> None:
        object.__setattr__(self, "_prefix", os.path.abspath(prefix))
        object.__setattr__(self, "_prepare", prepare or partial(os.makedirs, self._prefix, exist_ok=True))
        object.__setattr__(self, "_known", {})

    @property
    def prefix(self) -> str:
        """The path of the folder."""
        return str(self._prefix)

    def _path(self, name: str) -> str:
        if not isinstance(name, str):
            raise KeyTypeError(f"the name of a store must be a str, not a {type(name).__name__}")
        if not name or any(sign in name for sign in _NOT_IN_NAMES):
            raise InvalidKeyError(
                f"{name!r} cannot be the name of a store: no dots or slashes, and not empty"
            )
        return os.path.join(self.prefix, name) + self.suffix

    def __getitem__(self, name: str) -> H5Store:
        """Return a store, whether there is such a file or not, and the same one each time.

        Raises:
            KeyTypeError, InvalidKeyError: The name is not text, is empty, or has dots or slashes.
        """
        path = self._path(name)
        store: H5Store = self._known.setdefault(name, H5Store(path))
        return store

    def __setitem__(self, name: str, values: Mapping[str, Any]) -> None:
        """Make a file of a mapping, in place of any that there is; it appears as a whole.

        Raises:
            UnstorableValueError: HDF5 has no form for a value; nothing was changed.
        """
        path = self._path(name)
        self._prepare()
        draft = os.path.join(os.path.dirname(path), temporary_name())
        try:
            with H5Store(draft) as store, held(values):
                store.update(values)
            self[name].close()
            replace_path(draft, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft)
            raise

    def __delitem__(self, name: str) -> None:
        """Delete a file; raises KeyError."""
        if name not in self:
            raise KeyError(name)
        self[name].close()
        os.unlink(self._path(name))

    def __contains__(self, name: object) -> bool:
        try:
            return os.path.isfile(self._path(name))  # type: ignore[arg-type]
        except (KeyTypeError, InvalidKeyError):
            return False

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the files that there are now."""
        with suppress(FileNotFoundError):
            names = (
                name.removesuffix(self.suffix) for name in os.listdir(self.prefix) if self._is_ours(name)
            )
            return iter(sorted(names))
        return iter(())

    def _is_ours(self, name: str) -> bool:
        return name.endswith(self.suffix) and name.removesuffix(self.suffix) in self

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getattr__(self, name: str) -> H5Store:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, values: Mapping[str, Any]) -> None:
        """Make a file of a mapping; raises AttributeError for the names of methods, which need brackets."""
        if name.startswith("_") or hasattr(type(self), name):
            raise AttributeError(f"{name!r} cannot be set; write stores[{name!r}] for a store of that name")
        self[name] = values

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same folder."""
        return isinstance(other, H5StoreManager) and self.prefix == other.prefix

    def __hash__(self) -> int:
        return hash(self.prefix)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self.prefix!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.prefix, self._prepare)


def _reopen(cls: type[H5StoreManager], prefix: str, prepare: Callable[[], object]) -> H5StoreManager:
    return cls(prefix, prepare=prepare)
