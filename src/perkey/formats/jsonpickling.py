"""A jsonpickle pickler that fails where jsonpickle would lose a part of a value."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

from jsonpickle import handlers
from jsonpickle.pickler import Pickler
from jsonpickle.tags import RESERVED
from jsonpickle.util import is_picklable

from perkey.errors import UnstorableValueError


class StrictPickler(Pickler):  # type: ignore[misc] # jsonpickle is untyped for mypy
    """jsonpickle drops what it cannot express, with a warning or without; a store must not lose it."""

    def _pickle_warning(self, obj: Any) -> NoReturn:
        raise UnstorableValueError(f"jsonpickle cannot express a {type(obj).__name__}")

    def _flatten_obj_instance(self, obj: Any) -> Any:
        # Of an open file or a generator jsonpickle would write the class alone.
        if handlers.get(type(obj)) is None and not isinstance(obj, ModuleType):
            try:
                obj.__reduce_ex__(2)
            except TypeError as error:
                raise UnstorableValueError(
                    f"jsonpickle cannot express a {type(obj).__name__}: {error}"
                ) from error
        return super()._flatten_obj_instance(obj)

    def _flatten_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_key_value_pair(k, v, data)

    def _flatten_string_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_string_key_value_pair(k, v, data)

    def _flatten_non_string_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_non_string_key_value_pair(k, v, data)


def _check_pair(key: Any, value: Any) -> None:
    """Refuse an item or attribute that jsonpickle would leave out."""
    if key in RESERVED:
        raise UnstorableValueError(f"the key {key!r} has a meaning of its own in jsonpickle's form")
    if not is_picklable(key, value):
        raise UnstorableValueError(f"jsonpickle cannot express a {type(value).__name__} under {key!r}")
