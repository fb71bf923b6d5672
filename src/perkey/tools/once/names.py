"""Which function keeps its results under which name: two functions under one name read each other's results.

A function that is defined again, by a notebook's cell or by `importlib.reload`, is the same function. Two
functions are known by their modules and names, by the values that they close over, or because an
unchanged file defines one name twice.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType, NoneType
from typing import Any, Final, Self

from perkey.answers import answer
from perkey.errors import SharedNameWarning
from perkey.keys import SafeStrTuple
from perkey.mapping import PersiDict
from perkey.tools.once.places import spot_of

_MANY: Final = 4096
_ATOMS: Final = (bool, int, float, complex, str, bytes, NoneType)

_taken: Final[dict[object, _Origin]] = {}
"""Where and name to the function that took the name last."""


def take(d: PersiDict[Any], prefix: SafeStrTuple, function: Callable[..., Any]) -> None:
    """Take a name for the results of a function; warn if another function has it."""
    if len(_taken) >= _MANY:
        _taken.clear()  # a program that makes dictionaries without end does not keep all of them here
    place = spot_of(d, prefix).identity
    new = _Origin.of(function)
    earlier = _taken.get(place)
    _taken[place] = new
    if earlier is not None and new.is_other_than(earlier):
        warnings.warn(
            f"{earlier} and {new} keep their results under one name, {'/'.join(prefix)!r} in "
            f"{d.store.describe()}, and read the results of each other; pass another name= to memoize",
            SharedNameWarning,
            stacklevel=3,  # where the function is decorated
        )


@dataclass(frozen=True)
class _Origin:
    """Where a function comes from.

    Attributes:
        module: Its module.
        name: Its qualified name.
        code: Its code, if it is a function of Python.
        closed_over: What identifies the values that it closes over.
        version: What changes if the file of the code is edited; None without such a file.
    """

    module: str
    name: str
    code: CodeType | None
    closed_over: tuple[object, ...]
    version: tuple[int, int] | None

    @classmethod
    def of(cls, function: Any) -> Self:
        while isinstance(function, (partial, MethodType)):
            # The keys contain the values that it is bound to.
            function = function.func if isinstance(function, partial) else function.__func__
        plain = function if hasattr(function, "__qualname__") else type(function)
        code = function.__code__ if isinstance(function, FunctionType) else None
        closed_over = tuple(map(_content_of, function.__closure__ or ())) if code is not None else ()
        version = None if code is None else _version_of(code.co_filename)
        return cls(str(plain.__module__), plain.__qualname__, code, closed_over, version)

    def is_other_than(self, other: _Origin) -> bool:
        """Return whether this is certainly another function, and not the same one defined again."""
        new, earlier = self.code, other.code
        in_one_file = new is not None and earlier is not None and new.co_filename == earlier.co_filename
        if in_one_file and new == earlier and self.name == other.name:
            # The module may differ: a file may be run as the main module, and be imported, too.
            return self.closed_over != other.closed_over
        if (self.module, self.name) != (other.module, other.name):
            return True
        return in_one_file and self.path_is_of_one_text and self.version == other.version

    @property
    def path_is_of_one_text(self) -> bool:
        """Return whether the path names one text, unlike ``<stdin>``; each cell of a notebook has its own."""
        path = "" if self.code is None else self.code.co_filename
        return not path.startswith("<") or path.startswith("<ipython-input")

    def __str__(self) -> str:
        where = "" if self.code is None else f" ({self.code.co_filename}:{self.code.co_firstlineno})"
        return f"{self.module}.{self.name}{where}"


def _content_of(cell: Any) -> object:
    try:
        value = cell.cell_contents
    except ValueError:  # it is assigned later
        return None
    if isinstance(value, _ATOMS):
        return type(value).__name__, repr(value)
    if isinstance(value, (FunctionType, type)):
        return value.__module__, value.__qualname__
    return type(value).__qualname__


def _version_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except answer(OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size
