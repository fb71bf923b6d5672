"""Keys of calls: the arguments, as the signature sees them, become one part of a key.

JSON-like arguments are keyed by `perkey.key_of`, which is the same on every machine and in every version.
Arrays, numbers of numpy and bytes are keyed by their content. Other arguments are hashed as joblib does, also
instances of subclasses of the JSON-like types. Such a hash depends on the versions of joblib and Python,
which are part of the key. The object of a method, the arguments of a `functools.partial` and a callable
object count as arguments.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from perkey.answers import answer
from perkey.handles import NeverSame
from perkey.keys import key_of, small_key_of

_ATOMS: Final = frozenset((bool, int, float, str, type(None)))
_CONTAINERS: Final = frozenset((list, tuple, dict))
_UNORDERED: Final = (set, frozenset, dict)
_DEEPEST: Final = 20
_PIECE: Final = 1 << 24
"""So many bytes of an array that is not contiguous are copied at a time to be digested."""
_BOUND_PARTIAL: Final = "partial()"
_BOUND_SELF: Final = "self()"
"""What a callable is bound to has names that no parameter has."""


class ArgumentKeys:
    """Makes a part of a key of the arguments of a function.

    Args:
        function: The function.
        ignore: Names of parameters that do not matter.

    Raises:
        ValueError: The function has no such parameter, or has no signature.
    """

    def __init__(self, function: Callable[..., Any], ignore: Iterable[str]) -> None:
        try:
            signature = inspect.signature(function)
        except answer(ValueError, TypeError) as error:
            raise ValueError(
                f"{function!r} has no signature; pass key= to make the keys of its calls"
            ) from error
        # A decorator may take other arguments than what it wraps.
        is_wrapper = isinstance(function, FunctionType) and hasattr(function, "__wrapped__")
        own = inspect.signature(function, follow_wrapped=False) if is_wrapper else None
        self._binding = _Binding(signature, own)
        self._bound = _bound_to(function)
        self._ignored = frozenset(ignore)
        self._keywords = self._binding.keywords
        parameters = signature.parameters
        unknown = sorted(self._ignored - set(parameters))
        if unknown and self._keywords is None:
            raise ValueError(
                f"ignore names {unknown}, but {getattr(function, '__qualname__', repr(function))} has the "
                f"parameters {list(parameters)}"
            )

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Return the part of a key; raises TypeError if the arguments do not fit, or have no key."""
        arguments = self._binding.of(args, kwargs)
        if self._ignored:
            arguments = self._without_ignored(arguments)
        if self._bound:
            arguments = {**arguments, **self._bound}
        part = small_key_of(arguments)
        if part is not None:
            return part
        if not _is_json_like(arguments):
            return _mixed(arguments)
        try:
            return key_of(arguments)[0]
        except answer(TypeError, ValueError):
            return _mixed(arguments)

    def _without_ignored(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in arguments.items() if name not in self._ignored}
        if self._keywords in kept:
            more = kept[self._keywords]
            kept[self._keywords] = {name: value for name, value in more.items() if name not in self._ignored}
        return kept


class _Binding:
    """Finds what each parameter of a function gets in a call, as `inspect.Signature.bind`, but in less time.

    Args:
        signature: The signature.
        other: Another signature, for calls that do not fit the first one; or None.

    Attributes:
        keywords: The name of the parameter for all other keywords, or None.
    """

    def __init__(self, signature: inspect.Signature, other: inspect.Signature | None) -> None:
        self._signature = signature
        self._other = None if other is None else _Binding(other, None)
        kinds = {each.kind: name for name, each in signature.parameters.items()}
        self._rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        self.keywords = kinds.get(inspect.Parameter.VAR_KEYWORD)
        self._positions: dict[str, int] = {}
        self._by_name: set[str] = set()
        self._defaults: dict[str, Any] = {}
        for name, each in signature.parameters.items():
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
                self._positions[name] = len(self._positions)
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
                self._by_name.add(name)
            if each.default is not each.empty:
                self._defaults[name] = each.default
        if self._rest is not None:
            self._defaults[self._rest] = ()

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the argument of each parameter; raises TypeError if the arguments do not fit."""
        found = self._of(args, kwargs)
        if found is None and self._other is not None:
            return self._other.of(args, kwargs)
        if found is None:
            bound = self._signature.bind(*args, **kwargs)  # which raises the reason
            bound.apply_defaults()
            return bound.arguments
        return found

    def _of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        found = {**self._defaults, **dict(zip(self._positions, args, strict=False))}
        if len(args) > len(self._positions):
            if self._rest is None:
                return None
            found[self._rest] = args[len(self._positions) :]
        more = {}
        for name, value in kwargs.items():
            if name not in self._by_name:
                more[name] = value
            elif self._positions.get(name, len(args)) < len(args):
                return None  # it is given twice
            else:
                found[name] = value
        if self.keywords is not None:
            found[self.keywords] = more
        is_complete = len(found) == len(self._signature.parameters)
        return found if is_complete and (self.keywords is not None or not more) else None


def _bound_to(function: Any) -> dict[str, Any]:
    """Return what a callable is bound to, under names that no parameter has."""
    if isinstance(function, partial):
        return {_BOUND_PARTIAL: [list(function.args), function.keywords, _bound_to(function.func)]}
    if isinstance(function, MethodType):
        # The class of a class method is in the name.
        return {} if isinstance(function.__self__, type) else {_BOUND_SELF: function.__self__}
    is_plain = isinstance(function, (FunctionType, BuiltinFunctionType, type)) or hasattr(
        function, "__qualname__"
    )
    return {} if is_plain else {_BOUND_SELF: function}


def _is_json_like(value: Any) -> bool:
    """Return whether a value and its parts are of the JSON-like types themselves; cycles are not."""
    return all(
        type(each) in _ATOMS or (type(each) in _CONTAINERS and not again) or _is_plain(each)
        for each, again in _walk(value)
    )


def _is_plain(value: Any) -> bool:
    """Return whether a value counts as the number or text that it equals: of enums, of numpy."""
    if type(value) in _ATOMS:
        return True
    return isinstance(value, (int, float, str)) and (
        isinstance(value, Enum) or type(value).__module__ == "numpy"
    )


def _mixed(arguments: Mapping[str, Any]) -> str:
    """Return the part for arguments that are not all JSON-like."""
    # A list, so that it is unlike the mapping that stands for JSON-like arguments alone.
    descriptions = {name: _Description(name) for name in arguments}
    described = [
        {
            name: descriptions[name].of(value, _DEEPEST if _refers_to_itself(value) else 0)
            for name, value in arguments.items()
        }
    ]
    digest = key_of(described)[0]
    is_hashed = any(each.is_hashed for each in descriptions.values())
    return f"{digest}~{_versions()}" if is_hashed else digest


class _Description:
    """Describes an argument as JSON; what is in many places is described once.

    Args:
        name: The name of the argument.

    Attributes:
        is_hashed: Whether there is a hash that depends on versions.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_hashed = False
        # The parts of an argument stay alive, so that no other one has their address.
        self._known: dict[tuple[int, int], list[Any]] = {}

    def of(self, value: Any, depth: int) -> Any:
        """Return what identifies the argument, or a part of it that lies so deep.

        That is a JSON-like atom itself; the kind and content of anything else, as a list.
        """
        if _is_plain(value):
            return value
        at = id(value), depth
        if at not in self._known:
            self._known[at] = self._content(value, depth)
        return self._known[at]

    def _content(self, value: Any, depth: int) -> list[Any]:
        content = _content_of(value)
        if content is not None:
            return content
        if depth < _DEEPEST:
            if type(value) in (list, tuple):
                return ["list", *(self.of(each, depth + 1) for each in value)]
            if type(value) is dict and all(isinstance(key, str) for key in value):
                return ["dict", {key: self.of(each, depth + 1) for key, each in value.items()}]
        self.is_hashed = True
        return ["hash", _hash_of(self._name, value)]


def _content_of(value: Any) -> list[Any] | None:
    """Return what identifies an array, a number of numpy, or bytes; None for anything else."""
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", _sha256([value])]
    numpy = sys.modules.get("numpy")
    if numpy is None or (type(value) is not numpy.ndarray and not isinstance(value, numpy.generic)):
        return None
    array = numpy.asarray(value)
    if array.dtype.hasobject or array.dtype.names is not None:
        return None
    return ["array", array.dtype.newbyteorder("<").str, list(array.shape), _sha256(_pieces_of(array))]


def _pieces_of(array: Any) -> Iterator[Any]:
    """Yield the content of an array in the order of its indices, little-endian, without a copy of it all."""
    import numpy as np

    dtype = array.dtype.newbyteorder("<")
    if not array.nbytes:
        return
    if array.flags.c_contiguous and array.dtype == dtype:
        yield array.reshape(-1).view(np.uint8)
        return
    rows = np.atleast_1d(array)
    step = max(1, _PIECE * len(rows) // array.nbytes)
    for first in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[first : first + step], dtype=dtype)
        yield piece.reshape(-1).view(np.uint8)


def _sha256(pieces: Iterable[Any]) -> str:
    from hashlib import sha256

    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _hash_of(name: str, value: Any) -> str:
    """Return joblib's hash of an argument; raises TypeError if the hash would not identify it."""
    is_bound = name in (_BOUND_PARTIAL, _BOUND_SELF)
    advice = "pass key= to make the key yourself"
    if not is_bound:
        advice = f"leave it out with ignore=[{name!r}], or {advice}"
    handle = _handle_in(value)
    if handle is not None:
        raise TypeError(
            f"argument {name} is or contains a {type(handle).__name__}, a handle whose items change while it "
            f"stays the same; {advice}"
        )
    if isinstance(value, (FunctionType, MethodType, BuiltinFunctionType, type)) and not _has_own_name(value):
        raise TypeError(
            f"argument {name} is {value!r}, which has no name of its own that other programs know; {advice}"
        )
    try:
        return str(_hasher().hash(value))
    except answer(Exception) as error:
        raise TypeError(
            f"argument {name} of type {type(value).__name__} cannot be hashed "
            f"({error.args[0] if error.args else error!r}); {advice}"
        ) from error


def _hasher() -> Any:
    """Return joblib's hasher for one value, which sees contents only."""
    return _hasher_class("numpy" in sys.modules)(hash_name="sha256")


@lru_cache(2)
def _hasher_class(knows_arrays: bool) -> Any:
    from collections import OrderedDict
    from datetime import datetime, time

    from joblib import hashing

    base = hashing.NumpyHasher if knows_arrays else hashing.Hasher
    leaves = _leaves(knows_arrays)

    class ContentHasher(base):  # type: ignore[misc, valid-type] # joblib has no types
        """joblib's own sees how arrays and frames lie in memory, and in which order a set is iterated.

        It does not see the order of an OrderedDict, nor the fold of a time.
        """

        def save(self, obj: Any) -> None:
            if isinstance(obj, OrderedDict):
                super().save(list(obj))
            elif isinstance(obj, (datetime, time)):
                super().save(obj.fold)
            super().save(_in_order(obj) if isinstance(obj, _UNORDERED) else _without_layout(obj))

        def memoize(self, obj: Any) -> None:
            # A pickle refers to an object that it has had before. Two equal leaves are like one leaf twice.
            if not isinstance(obj, leaves):
                super().memoize(obj)

    return ContentHasher


def _leaves(knows_numbers: bool) -> tuple[type, ...]:
    """Return types whose objects contain no others that matter."""
    from datetime import date, time, timedelta, tzinfo
    from decimal import Decimal
    from fractions import Fraction
    from pathlib import PurePath
    from uuid import UUID

    plain = (PurePath, Decimal, Fraction, UUID, date, time, timedelta, tzinfo)
    return (*plain, sys.modules["numpy"].generic) if knows_numbers else plain


def _in_order(value: Any) -> Any:
    """Return the content of a set or dict in an order that is the same in each process; subclasses as is."""
    if type(value) in (set, frozenset):
        return type(value), sorted(_hasher().hash(each) for each in value)
    if type(value) is dict and not all(type(key) is str for key in value):
        digests = [_hasher().hash(key) for key in value]  # keys of one content may differ: NaN
        order = sorted(range(len(digests)), key=digests.__getitem__)
        values = list(value.values())
        return dict, sorted(digests), [values[number] for number in order]
    return value


def _without_layout(value: Any) -> Any:
    """Return the content of arrays and of what pandas has; other values as they are."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        return _content_of_frame(value)
    if type(value) is numpy.ndarray:
        content = _content_of(value)
        return numpy.asarray(value, order="C") if content is None else (type(value), content)
    if isinstance(value, numpy.memmap):
        return value
    # joblib's own leaves out what a subclass of an array has besides: a unit, a mask.
    return type(value), value.view(numpy.ndarray), getattr(value, "__dict__", None)


def _content_of_frame(value: Any) -> Any:
    """Return the content of a data frame, or of a part of one, without what pandas caches; else the value."""
    pd = sys.modules.get("pandas")
    if pd is None:
        return value
    if type(value) is pd.DataFrame:
        columns = [value.iloc[:, number].array for number in range(value.shape[1])]
        return pd.DataFrame, value.columns, value.index, columns, value.attrs
    if type(value) is pd.Series:
        return pd.Series, value.name, value.index, value.array, value.attrs
    if isinstance(value, pd.Index) and isinstance(value.dtype, pd.StringDtype):
        return type(value), value.name, value.array
    if isinstance(getattr(value, "dtype", None), pd.StringDtype):
        return type(value), str(value.dtype), value.to_numpy(object)
    if type(value) in (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray):
        plain = value.dtype.numpy_dtype
        return type(value), str(plain), value.isna(), value.to_numpy(plain, na_value=plain.type(0))
    return value


def _handle_in(value: Any) -> Any:
    """Return a value that is a handle, or a handle in its containers; otherwise None."""
    return next((each for each, _ in _walk(value) if isinstance(each, NeverSame)), None)


def _refers_to_itself(value: Any) -> bool:
    """Return whether a container is a part of its own parts, so that it has no description."""
    return any(again for _, again in _walk(value))


def _walk(value: Any) -> Iterator[tuple[Any, bool]]:
    """Iterate over a value and its parts, and whether each contains itself; a container is opened once."""
    around: set[int] = set()
    opened: dict[int, Any] = {}  # The containers stay alive, so that no other object has their id.
    to_do = [(value, False)]
    while to_do:
        each, is_left = to_do.pop()
        if is_left:
            around.discard(id(each))
            continue
        yield each, id(each) in around
        if isinstance(each, (list, tuple, dict)) and id(each) not in opened:
            opened[id(each)] = each
            around.add(id(each))
            to_do.append((each, True))
            to_do.extend((part, False) for part in (each.values() if isinstance(each, dict) else each))


@lru_cache(1)
def _versions() -> str:
    import joblib

    return f"joblib-{joblib.__version__}-py{sys.version_info.major}.{sys.version_info.minor}"


def _has_own_name(thing: Any) -> bool:
    """Return whether a function or class is found by its module and name, in every program alike."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    return module != "__main__" and not any(mark in name for mark in ("<locals>", "<lambda>"))


def name_of(function: Callable[..., Any]) -> str:
    """Return the name under which the results of a function are kept.

    Raises:
        ValueError: Functions of other programs may have the same name.
    """
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise ValueError(f"{function!r} has no name; pass name= for its results")
    if not _has_own_name(function):
        kind = "a lambda" if "<lambda>" in name else f"{name} of a local scope or of a program's main module"
        raise ValueError(
            f"{kind} has no name of its own: another program's function could have the same, and read its "
            "results; pass name='some.name', or key= to make the keys"
        )
    return f"{function.__module__}.{name}"


def source_of(function: Callable[..., Any]) -> str:
    """Return a digest of the code of a function, without its decorators.

    Raises:
        ValueError: The source cannot be found, or the function is a lambda.
    """
    import ast
    import textwrap

    inner = inspect.unwrap(function)
    try:
        source = textwrap.dedent(inspect.getsource(inner))
        node = ast.parse(source).body[0]
    except answer(OSError, TypeError, SyntaxError, IndexError) as error:
        raise ValueError(
            f"version='source' needs the source of {function!r}, which cannot be found; pass a version"
        ) from error
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        raise ValueError(  # noqa: TRY004 - it is a function, but not one with a source of its own
            f"version='source' works for functions made by def, not for {function!r}"
        )
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    return _sha256(["\n".join(line.rstrip() for line in lines).encode("utf-8", "surrogatepass")])[:32]
