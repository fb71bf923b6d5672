"""Synced dicts, and their form whose items are attributes, too."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, ClassVar, Final, Self

from perkey.answers import answer
from perkey.arguments import MISSING
from perkey.synced.collection import SyncedCollection, admit, edit, is_at, peek, snapshot, wrap
from perkey.synced.plain import Validator, copy_of, json_attr_dict_validator


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

    __perkey_base__: ClassVar[type] = dict

    @classmethod
    def is_base_type(cls, data: Any) -> bool:
        """Return whether `data` is a mapping."""
        return isinstance(data, Mapping)

    def __getitem__(self, key: str) -> Any:
        key = self.__perkey_key__(key)
        return wrap(self, key, peek(self)[key])

    def __setitem__(self, key: str, value: Any) -> None:
        if is_at(self, value, self.__perkey_key__(key)):
            return  # `d[key] += [1]` has changed it in place, and must not write what it read
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        key = self.__perkey_key__(key)

        def change(target: dict[str, Any]) -> None:
            del target[key]

        edit(self, change)

    def __contains__(self, key: object) -> bool:
        return self.__perkey_key__(key) in peek(self)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of this moment; edits meanwhile do no harm."""
        return iter(snapshot(self))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or `default` if the key does not exist."""
        key = self.__perkey_key__(key)
        data = peek(self)
        try:
            value = data[key]
        except KeyError:
            return default
        return wrap(self, key, value)

    def items(self) -> ItemsView[str, Any]:
        """Return a view of keys and values; iterating reads the document once."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """Return a view of the values; iterating reads the document once."""
        return _Values(self)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Put in the items of a mapping or of pairs, and the keyword arguments, as one edit.

        Raises:
            KeyTypeError, InvalidKeyError, TypeError, ValueError: A key or value is not allowed; nothing
                was stored.
        """
        new = admit(self, {**dict(other), **more})
        if new:
            edit(self, lambda target: target.update(new))

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value. If the key does not exist, insert `default` first.

        If several writers insert a default, exactly one of them succeeds, and all return its value.
        """
        key = self.__perkey_key__(key)
        if key not in peek(self):
            new = admit(self, {key: default})
            edit(self, lambda target: target.setdefault(key, new[key]))
        return self[key]

    def pop(self, key: str, default: Any = MISSING) -> Any:
        """Remove an item and return its value as plain data. Of several callers, exactly one gets it.

        Args:
            key: The key.
            default: The value to return if the key does not exist.

        Raises:
            KeyError: The key does not exist, and no default is given.
        """
        key = self.__perkey_key__(key)
        try:
            return copy_of(edit(self, lambda target: target.pop(key)))
        except KeyError:
            if default is MISSING:
                raise
            return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the last item; return its key, and its value as plain data. Raises KeyError if empty."""
        key, value = edit(self, lambda target: target.popitem())
        return key, copy_of(value)

    def __perkey_key__(self, key: Any) -> Any:
        """Return the stored key that a key means."""
        return key


class _Items(ItemsView[str, Any]):
    """The items of one moment for each iteration, instead of one read an item."""

    _mapping: SyncedDict

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        mapping = self._mapping
        return ((key, wrap(mapping, key, value)) for key, value in snapshot(mapping).items())


class _Values(ValuesView[Any]):
    """The values of one moment for each iteration."""

    _mapping: SyncedDict

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in _Items(self._mapping))


class KeyFirst:
    """An attribute of a class whose items are attributes: an item of its name comes first.

    These are names of perkey that the same class of signac does not have, so its programs may choose them
    for keys.

    Args:
        name: The name of the attribute.
        behind: The class in which the attribute is looked up without an item; None is nowhere.
    """

    def __init__(self, name: str, behind: type[SyncedCollection] | None) -> None:
        self._name = name
        self._attribute = None if behind is None else inspect.getattr_static(behind, name)

    def __get__(self, instance: AttrDict | None, owner: type) -> Any:
        if self._attribute is None:  # the item, if there is one, is found by `__getattr__`
            raise AttributeError(f"{owner.__name__!r} has no attribute {self._name!r}")
        if instance is not None:
            found = instance.get(self._name, MISSING)
            if found is not MISSING:
                return found
        return self._attribute.__get__(instance, owner)


class _ShownUnlessKey(KeyFirst):
    """The same for a method that shows a document, which is also shown if the document cannot be read."""

    def __get__(self, instance: AttrDict | None, owner: type) -> Any:
        try:
            return super().__get__(instance, owner)
        except answer(Exception):
            return super().__get__(None, owner).__get__(instance, owner)


def free_names(cls: type[AttrDict], names: Iterable[str], behind: type[SyncedCollection] | None) -> None:
    """Let keys come before attributes of these names in a class; see `KeyFirst`."""
    for name in names:
        setattr(cls, name, KeyFirst(name, behind))


class AttrDict(SyncedDict):
    """A synced dict whose items are attributes, too: ``d.foo`` is ``d["foo"]``.

    Methods that the classes of signac and synced_collections have, too, come before items when reading; by
    item all keys can be reached. Each other name reads the item, if there is one: so for a document with
    the key ``transform`` use the functions `perkey.synced.transform`, `editing` and `resource_of`. Names that
    begin with two underscores are not items. Keys that are an int, a bool or None mean the strings that
    ``str()`` makes of them; dots are not allowed.
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
        if not _is_item(name) or getattr(getattr(type(self), name, None), "fset", None) is not None:
            super().__setattr__(name, value)  # a property of a subclass that can be set
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

    def __dir__(self) -> list[str]:
        """Return the names of attributes without those that are free for keys."""
        found = object.__dir__(self)
        return [name for name in found if not isinstance(inspect.getattr_static(self, name, None), KeyFirst)]

    def __perkey_key__(self, key: Any) -> Any:
        return str(key) if key is None or isinstance(key, int) else key


def _is_item(name: str) -> bool:
    return not name.startswith("__")


BUFFERING_NAMES: Final = (
    "backend_is_buffered",
    "buffer_backend",
    "buffered",
    "get_buffer_capacity",
    "get_current_buffer_size",
    "set_buffer_capacity",
)
"""The attributes that of signac's classes only those with a buffer have."""

AttrDict._repr_html_ = _ShownUnlessKey("_repr_html_", SyncedDict)  # type: ignore[assignment] # a descriptor
free_names(AttrDict, ("editing", "resource", "transform", *BUFFERING_NAMES), SyncedDict)
