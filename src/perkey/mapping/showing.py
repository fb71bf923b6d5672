"""How a dictionary is shown: as the call that makes it, without default values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(64)
def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Return the default values of a constructor's parameters, also of those it passes to a base class."""
    from inspect import signature  # noqa: PLC0415 - heavy, and a program may never show a dictionary

    found: dict[str, Any] = {}
    for each in cls.__mro__:
        if "__init__" in vars(each):
            for name, parameter in signature(vars(each)["__init__"]).parameters.items():
                if parameter.default is not parameter.empty:
                    found.setdefault(name, parameter.default)
    return found


def is_default(value: object, default: object) -> bool:
    """Return whether a value is a default, without comparing dictionaries with anything."""
    return value is default or (type(value) is type(default) and value == default)


def shown_parameter(value: object) -> str:
    """Return the text of a parameter as it is written in a program."""
    return value.__qualname__ if isinstance(value, type) else repr(value)
