"""How a dictionary is shown: as the call that makes it without default values, and as a table of keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from perkey.mapping.items import Items
from perkey.showing import ROWS, Markup, count_text, key_text, moment_text, page, shown, size_text, table


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


def dictionary_html(name: str, items: Items[Any], text: Callable[[], str]) -> str:
    """Return the first keys of a dictionary as a table for a notebook; no value is read.

    Args:
        name: The name of its class.
        items: The items.
        text: Returns the text of the dictionary, which is shown if the place cannot be listed.

    Cost: `Store.glimpse`.
    """
    return shown(lambda: page(name, items.store.describe(), _notes(items), [_keys(items)]), text)


def place_html(name: str, items: Items[Any], text: Callable[[], str]) -> str:
    """Return where a dictionary is, for a notebook; its place is not asked."""
    return shown(lambda: page(name, items.store.describe(), _notes(items)), text)


def _notes(items: Items[Any]) -> list[str]:
    notes = [f"file type {items.naming.file_type}"]
    notes += ["immutable items"] * items.policy.immutable
    notes += ["read-only"] * items.store.read_only
    return [", ".join(notes)]


def _keys(items: Items[Any]) -> Markup:
    names = items.naming
    found = items.store.glimpse(names.shape, ROWS)
    rows = sorted(
        (key_text(key), size_text(stat.size), moment_text(stat.mtime))
        for name, stat in found.items
        if (key := names.key_of(name)) is not None
    )
    found_text = count_text("item", len(rows), found.found, complete=found.complete)
    keys = table(("key", "size", "written"), rows, right=[1]) if rows else ""
    return Markup(f"<p>{found_text}</p>{keys}")
