"""Groups of an HDF5 file as nested mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from perkey.dataspace.errors import H5StoreClosedError
from perkey.synced import InvalidKeyError, KeyTypeError

if TYPE_CHECKING:
    import h5py

    from perkey.dataspace.h5.store import H5Store

_BEING_WRITTEN: Final = "_perkey_being_written"


class H5Group(MutableMapping[str, Any]):
    """A group of an HDF5 file as a nested mapping; it stays valid when the file is closed and opened again.

    Values are numbers, text, bytes, None, mappings, arrays and lists that NumPy makes arrays of, and data
    frames of pandas; arrays are handed out as `h5py.Dataset`. Keys that are identifiers are attributes, too.

    Args:
        store: The store it belongs to.
        path: Where in the file it is.
    """

    __slots__ = ("_path", "_store")

    _store: H5Store
    _path: str

    def __init__(self, store: H5Store, path: str) -> None:
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_path", path)

    def __getitem__(self, key: str) -> Any:
        """Return a value; raises KeyError, and H5StoreClosedError for an array of a closed store."""
        if not isinstance(key, str):
            raise KeyError(key)
        with self._store._reading() as file:
            group = _group(file, self._path)
            if group is None or not key or key not in group:
                raise KeyError(key)
            return self._value(group[key])

    def _value(self, found: Any) -> Any:
        from perkey.dataspace.h5 import frames, values  # noqa: PLC0415 - h5py is an extra

        if not hasattr(found, "shape"):
            return frames.read(found) if frames.holds_frame(found) else H5Group(self._store, found.name)
        value = values.read(found)
        if value is found and not self._store.is_open:
            raise H5StoreClosedError(self._store.filename)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Store a value; one that cannot be stored leaves the old one.

        Raises:
            KeyTypeError, InvalidKeyError: The key is no text, is empty or has dots.
            UnstorableValueError: HDF5 has no form for the value.
            io.UnsupportedOperation: The file is open for reading only.
        """
        *above, last = _checked(key).strip("/").split("/")
        with self._store._writing() as file:
            group = file.require_group("/".join([self._path, *above]))
            try:
                _write(group, _BEING_WRITTEN, value)
            except BaseException:
                _discard(group, _BEING_WRITTEN)
                raise
            _discard(group, last)
            group.move(_BEING_WRITTEN, last)

    def __delitem__(self, key: str) -> None:
        """Delete a value; raises KeyError."""
        with self._store._writing() as file:
            group = _group(file, self._path)
            if group is None or key not in self:
                raise KeyError(key)
            del group[key]

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str) or not key:
            return False
        with self._store._reading() as file:
            group = _group(file, self._path)
            return group is not None and key in group

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys there are now, in alphabetical order."""
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        with self._store._reading() as file:
            group = _group(file, self._path)
            return [] if group is None else sorted(set(group) - {_BEING_WRITTEN})

    def clear(self) -> None:
        """Delete all values. The file does not become smaller; HDF5 uses the space again while it is open."""
        with self._store._writing():
            for key in self:
                del self[key]

    def setdefault(self, key: str, value: Any = None, *, default: Any = None) -> Any:
        """Return the value of a key, after storing a value if there was none.

        Args:
            key: The key.
            value: What to store.
            default: The same as `value`, as dicts call it.
        """
        with self._store._writing():
            if key not in self:
                self[key] = default if value is None else value
        return self[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copy and pickle look for; such keys need brackets
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self!r} has no attribute or key {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Store a value; raises AttributeError for the names of methods, which need brackets."""
        if name in dir(type(self)):
            raise AttributeError(f"{name!r} is a name of {type(self).__name__}: write store[{name!r}]")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __eq__(self, other: object) -> bool:
        """Compare with any mapping, arrays by their elements."""
        if not isinstance(other, Mapping):
            return NotImplemented
        with held(self), held(other):
            return _equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r}, {self._path!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store, self._path)


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise KeyTypeError(f"keys of an H5Store are text, not {type(key).__name__}")
    if not key.strip("/") or "." in key or "\0" in key or _BEING_WRITTEN in key:
        raise InvalidKeyError(f"{key!r} cannot be a key of an H5Store: no dots, and not empty")
    return key


def _group(file: h5py.File | None, path: str) -> h5py.Group | None:
    return None if file is None else file.get(path)


def _discard(group: h5py.Group, name: str) -> None:
    if name in group:
        del group[name]


def _write(group: h5py.Group, name: str, value: Any) -> None:
    from perkey.dataspace.h5 import frames, values  # noqa: PLC0415 - h5py is an extra

    if frames.is_frame(value):
        frames.write(group, name, value)
    elif isinstance(value, Mapping):
        inner = group.create_group(name)
        with held(value):
            for key in list(value):
                _write(inner, _checked(key), value[key])
    else:
        values.write(group, name, value)


def held(values: Mapping[Any, Any]) -> AbstractContextManager[Any]:
    """Keep the file of a group open while its values are copied."""
    return values._store if isinstance(values, H5Group) else nullcontext()


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if hasattr(one, "equals"):  # a frame
        return bool(one.equals(other))
    import numpy as np  # noqa: PLC0415 - heavy, and an extra

    return bool(np.array_equal(_plain(one), _plain(other)))


def _plain(value: Any) -> Any:
    """Return the elements of a dataset, with text as text."""
    if hasattr(value, "asstr"):
        return value.asstr()[()] if value.dtype.kind == "O" else value[()]
    return value
