"""Synced dicts, and their form whose items are attributes, too."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, ClassVar, Final, Self

from perkey.synced.collection import SyncedCollection
from perkey.synced.plain import copy_of
from perkey.synced.validators import Validator, json_attr_dict_validator

_REQUIRED: Final = object()
_OWN: Final = frozenset(("_handle", "_path"))


class SyncedDict(SyncedCollection, MutableMapping[str, Any]):
    """A dict that is stored somewhere; see `SyncedCollection` for its promises.

    >>> from perkey.stores import MemoryStore
    >>> from perkey.synced import StoreItem, SyncedDict
    >>> d = SyncedDict(StoreItem(MemoryStore(), ("data.json",)))
    >>> d["a"] = {"b": [1, 2]}
    >>> d["a"]["b"].append(3)
    >>> d
    {'a': {'b': [1, 2, 3]}}

    ``d["n"] += 1`` is a read and a write, as for any dict, and another's edit between the two is lost. As
    one atomic step it is ``d.transform(lambda data: {**data, "n": data["n"] + 1})``, or, where one would
    rather repeat it oneself after a conflict, ``with d.editing(): d["n"] += 1``.
    """

    _base: ClassVar[type] = dict

    @classmethod
    def is_base_type(cls, data: Any) -> bool:
        """Tell whether `data` is a mapping."""
        return isinstance(data, Mapping)

    def __getitem__(self, key: str) -> Any:
        key = self._key(key)
        return self._wrap(key, self._peek()[key])

    def __setitem__(self, key: str, value: Any) -> None:
        if self._is_at(value, self._key(key)):
            return  # `d[key] += [1]` has changed it in place, and must not write what it read
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        key = self._key(key)

        def change(target: dict[str, Any]) -> None:
            del target[key]

        self._edit(change)

    def __contains__(self, key: object) -> bool:
        return self._key(key) in self._peek()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of this moment; edits meanwhile do no harm."""
        return iter(self._snapshot())

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or `default` if there is none."""
        key = self._key(key)
        data = self._peek()
        try:
            value = data[key]
        except KeyError:
            return default
        return self._wrap(key, value)

    def items(self) -> ItemsView[str, Any]:
        """Return a view of keys and values; iterating reads the document once."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """Return a view of the values; iterating reads the document once."""
        return _Values(self)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Put in the items of a mapping, or pairs, and those given by name, as one edit.

        Raises:
            KeyTypeError, InvalidKeyError, TypeError, ValueError: It is not allowed; nothing was stored.
        """
        new = self._admit({**dict(other), **more})
        if new:
            self._edit(lambda target: target.update(new))

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value, after putting in `default` if there was none; of several who do, one wins."""
        key = self._key(key)
        if key not in self._peek():
            new = self._admit({key: default})
            self._edit(lambda target: target.setdefault(key, new[key]))
        return self[key]

    def pop(self, key: str, default: Any = _REQUIRED) -> Any:
        """Remove an item and return its value as plain data; of several who pop the same, one gets it.

        Args:
            key: The key.
            default: What to return if there is no item.

        Raises:
            KeyError: There is no item, and no default.
        """
        key = self._key(key)
        try:
            return copy_of(self._edit(lambda target: target.pop(key)))
        except KeyError:
            if default is _REQUIRED:
                raise
            return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the last item and return its key, and its value as plain data; KeyError if there is none."""
        key, value = self._edit(lambda target: target.popitem())
        return key, copy_of(value)

    def _key(self, key: Any) -> Any:
        """Return the stored key that a key means."""
        return key


class _Items(ItemsView[str, Any]):
    """The items of one moment for each iteration, instead of one read an item."""

    _mapping: SyncedDict

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        wrap = self._mapping._wrap
        return ((key, wrap(key, value)) for key, value in self._mapping._snapshot().items())


class _Values(ValuesView[Any]):
    """The values of one moment for each iteration."""

    _mapping: SyncedDict

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in _Items(self._mapping))


class AttrDict(SyncedDict):
    """A synced dict whose items are attributes, too: ``d.foo`` is ``d["foo"]``.

    Real attributes (methods, properties) come first when reading; by item all keys can be reached. Keys
    that are an int, a bool or None mean the strings that ``str()`` makes of them; dots are not allowed.
    """

    _validators: ClassVar[tuple[Validator, ...]] = (json_attr_dict_validator,)

    def __getattr__(self, name: str) -> Any:
        if not _is_item(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute or key {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if not _is_item(name) or isinstance(getattr(type(self), name, None), property):
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        if not _is_item(name):
            super().__delattr__(name)
            return
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no key {name!r}") from None

    def _key(self, key: Any) -> Any:
        return str(key) if key is None or isinstance(key, int) else key


def _is_item(name: str) -> bool:
    return name not in _OWN and not (name.startswith("__") and name.endswith("__"))
