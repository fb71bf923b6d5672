"""jsonpickle, but failing where it would lose a part of a value, and keeping the order of mixed keys.

jsonpickle writes and reads the keys that are strings first, because its references are numbered in that
order. So the numbering stays as it is, and only the places in the text and in the dict are put right: other
readers of the text see the same value, with the strings first.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final, NoReturn

from jsonpickle import handlers
from jsonpickle.errors import ClassNotFoundError
from jsonpickle.pickler import Pickler
from jsonpickle.tags import JSON_KEY, RESERVED
from jsonpickle.unpickler import Unpickler
from jsonpickle.util import is_picklable

FAILURES: Final[tuple[type[BaseException], ...]] = (Exception, ClassNotFoundError)
"""What `restore` raises; the second is a BaseException only."""


class RefusedError(Exception):
    """jsonpickle would lose a part of the value."""


class StrictPickler(Pickler):  # type: ignore[misc] # jsonpickle is untyped for mypy
    """jsonpickle drops what it cannot express, with a warning or without; a store must not lose it."""

    def _pickle_warning(self, obj: Any) -> NoReturn:
        raise RefusedError(f"jsonpickle cannot express a {type(obj).__name__}")

    def _flatten_obj_instance(self, obj: Any) -> Any:
        # Of an open file or a generator jsonpickle would write the class alone.
        if handlers.get(type(obj)) is None and not isinstance(obj, ModuleType):
            try:
                obj.__reduce_ex__(2)
            except TypeError as error:
                raise RefusedError(f"jsonpickle cannot express a {type(obj).__name__}: {error}") from error
        return super()._flatten_obj_instance(obj)

    def _flatten_dict_obj(self, obj: Any, data: Any = None, exclude: Any = ()) -> Any:
        start = 0 if data is None else len(data)
        data = super()._flatten_dict_obj(obj, data, exclude)
        if type(data) is dict and not exclude:
            _in_order(data, [isinstance(key, str) for key in obj], start)
        return data

    def _flatten_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_key_value_pair(k, v, data)

    def _flatten_string_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_string_key_value_pair(k, v, data)

    def _flatten_non_string_key_value_pair(self, k: Any, v: Any, data: Any) -> Any:
        _check_pair(k, v)
        return super()._flatten_non_string_key_value_pair(k, v, data)


class OrderedUnpickler(Unpickler):  # type: ignore[misc] # as above
    """Restores a dict in the order of the text."""

    def _restore_dict(self, obj: Any) -> Any:
        data = super()._restore_dict(obj)
        if len(data) == len(obj):
            _in_order(data, [not key.startswith(JSON_KEY) for key in obj])
        return data


def _in_order(data: dict[Any, Any], texts: list[bool], start: int = 0) -> None:
    """Put the entries of a dict from place `start` on, strings first, into their original order.

    Args:
        data: The dict, changed in place.
        texts: Of each entry in its original order, whether it is one of the strings.
        start: How many other entries come first.
    """
    if texts == sorted(texts, reverse=True):
        return
    keys = list(data)[start:]
    strings, others = iter(keys[: sum(texts)]), iter(keys[sum(texts) :])
    ordered = [next(strings if text else others) for text in texts]
    for key in [*ordered, *keys[len(ordered) :]]:
        data[key] = data.pop(key)


def _check_pair(key: Any, value: Any) -> None:
    """Refuse an item or attribute that jsonpickle would leave out."""
    if key in RESERVED:
        raise RefusedError(f"the key {key!r} has a meaning of its own in jsonpickle's form")
    if not is_picklable(key, value):
        raise RefusedError(f"jsonpickle cannot express a {type(value).__name__} under {key!r}")


def flatten(value: Any) -> Any:
    """Return jsonpickle's JSON form of `value`."""
    _register_handlers(name for name in ("numpy", "pandas") if name in sys.modules)
    return StrictPickler(keys=True, warn=True).flatten(value)


def restore(form: Any, text: str) -> Any:
    """Return the value of a form that `flatten` returned.

    Args:
        form: The form.
        text: Its JSON.
    """
    _register_handlers(name for name in ("numpy", "pandas") if f'"{name}.' in text)
    return OrderedUnpickler(keys=True, on_missing="error").restore(form)


def _register_handlers(names: Iterable[str]) -> None:
    """Teach jsonpickle the arrays of numpy and the frames of pandas, unless it knows them.

    jsonpickle has one registry for the whole process, and other libraries change it, too: persidict registers
    handlers when it is imported. So perkey looks each time.
    """
    for name in names:
        if name == "pandas":
            frames = importlib.import_module("perkey.formats.json_frames")
            if not frames.are_registered():
                frames.register_handlers()
        else:
            arrays = importlib.import_module("jsonpickle.ext.numpy")
            if handlers.get(arrays.np.ndarray) is None:
                arrays.register_handlers()
