"""Pickles as data: what a pickle would build, without building it.

The opcodes are read by the standard library's `pickletools`, and carried out on plain lists and tuples.
Classes and functions stay names; a call of one stays a `Made` with its arguments. Nothing is imported, called
or hashed. So a hostile pickle has no effect, and an object whose class is not installed is shown with its
parts. Only arrays, dates and a few other values of known classes become real values, by code of this module
that checks each argument.
"""

from __future__ import annotations

import datetime as dt
import decimal
import pickletools
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from typing import Any, Final

import lz4.frame

MOST_BYTES: Final = 32 << 20
"""Of a pickle without its compression; more is not looked at."""
_MOST_STEPS: Final = 400_000
_DEEPEST: Final = 60
_LZ4: Final = b'\x04"M\x18'
_ZLIB: Final = b"\x78"
_UNITS: Final = frozenset((b"Y", b"M", b"W", b"D", b"h", b"m", b"s", b"ms", b"us", b"ns"))
_DTYPE: Final = re.compile("(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16)|[mM]8|[SU][0-9]{1,6})")
_ARRAYS: Final = ("numpy.core.", "numpy._core.")


class UnreadableError(ValueError):
    """It is not a pickle that can be read as data; the message gives the reason."""


class Pairs(list[tuple[Any, Any]]):
    """A dictionary whose keys were not hashed."""


@dataclass(eq=False)
class Made:
    """A value of a class, or the result of a function, that a pickle names.

    Attributes:
        name: The name of the class or function, with its module.
        args: What it would be called with.
        state: What the object would have.
        items: What would be put into it.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names."""

    name: str


class _Mark:
    pass


def read(raw: bytes) -> Any:
    """Return what a pickle consists of, compressed as perkey and joblib compress it or not.

    Raises:
        UnreadableError: It is something else, or too large.
    """
    data = _plain_bytes(raw)
    try:
        return _Machine().run(data)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"the bytes are not a pickle: {error}") from error


def _plain_bytes(raw: bytes) -> bytes:
    try:
        if raw.startswith(_LZ4):
            tool = lz4.frame.LZ4FrameDecompressor()
            data = bytes(tool.decompress(raw, max_length=MOST_BYTES + 1))
        elif raw.startswith(_ZLIB):
            data = zlib.decompressobj().decompress(raw, MOST_BYTES + 1)
        else:
            data = raw
    except (RuntimeError, zlib.error, MemoryError) as error:
        raise UnreadableError(f"the compression is damaged: {error}") from error
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"it has more than {MOST_BYTES >> 20} MiB without its compression")
    return data


# --- The machine --------------------------------------------------------------------------------------------

_VALUES: Final = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_FRESH: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": Pairs,
    "EMPTY_SET": lambda: Made("set"),
    "MARK": _Mark,
    "NEXT_BUFFER": lambda: Made("buffer outside of the pickle"),
}


class _Machine:
    """Carries out opcodes on plain data."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        arg: Any
        for number, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if number > _MOST_STEPS:
                raise UnreadableError(f"it has more than {_MOST_STEPS:,} steps")
            name = opcode.name
            if name in _VALUES:
                self._stack.append(arg)
            elif name in _FRESH:
                self._stack.append(_FRESH[name]())
            elif name in {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}:
                self._memo[len(self._memo) if arg is None else arg] = self._stack[-1]
            elif name in {"GET", "BINGET", "LONG_BINGET"}:
                self._stack.append(self._memo[arg])
            elif name == "STOP":
                return self._stack.pop()
            elif name not in {"PROTO", "FRAME", "READONLY_BUFFER"}:
                self._step(name, arg)
        raise UnreadableError("it has no end")

    def _step(self, name: str, arg: Any) -> None:
        if name.startswith("TUPLE") and name != "TUPLE":
            self._stack.append(tuple(self._taken(int(name[5:]))))
        elif name in {"GLOBAL", "INST"}:
            named = ".".join(str(arg).split(" ", 1))
            self._stack.append(Name(named) if name == "GLOBAL" else Made(named, tuple(self._marked())))
        elif name.startswith("EXT"):
            self._stack.append(Name(f"extension {arg}"))
        else:
            getattr(self, f"_do_{name.lower()}")(arg)

    def _taken(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise UnreadableError("it takes more values than it has")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _marked(self) -> list[Any]:
        """Take the values above the last mark, and the mark."""
        at = len(self._stack) - 1
        while not isinstance(self._stack[at], _Mark):
            at -= 1
            if at < 0:
                raise UnreadableError("a mark is missing")
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def _do_pop(self, _: Any) -> None:
        self._stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._marked()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._marked())

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def _do_dict(self, _: Any) -> None:
        self._stack.append(Pairs(_paired(self._marked())))

    def _do_frozenset(self, _: Any) -> None:
        self._stack.append(Made("frozenset", items=self._marked()))

    def _do_append(self, _: Any) -> None:
        self._put(self._taken(1))

    def _do_appends(self, _: Any) -> None:
        self._put(self._marked())

    def _do_additems(self, _: Any) -> None:
        self._put(self._marked())

    def _do_setitem(self, _: Any) -> None:
        self._put(_paired(self._taken(2)))

    def _do_setitems(self, _: Any) -> None:
        self._put(_paired(self._marked()))

    def _put(self, items: list[Any]) -> None:
        target = self._stack[-1]
        place = target.items if isinstance(target, Made) else target
        if not isinstance(place, list):
            raise UnreadableError("it puts items into a value without items")
        place.extend(items)

    def _do_stack_global(self, _: Any) -> None:
        module, name = self._taken(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadableError("a name is not text")
        self._stack.append(Name(f"{module}.{name}"))

    def _do_reduce(self, _: Any) -> None:
        self._make(*self._taken(2))

    def _do_newobj(self, _: Any) -> None:
        self._make(*self._taken(2))

    def _do_newobj_ex(self, _: Any) -> None:
        called, args, named = self._taken(3)
        self._make(called, (*args, *named))

    def _do_obj(self, _: Any) -> None:
        called, *args = self._marked()
        self._make(called, tuple(args))

    def _make(self, called: Any, args: Any) -> None:
        name = called.name if isinstance(called, Name | Made) else type(called).__name__
        self._stack.append(Made(name, args if isinstance(args, tuple) else (args,)))

    def _do_build(self, _: Any) -> None:
        (state,) = self._taken(1)
        target = self._stack[-1]
        if not isinstance(target, Made):
            raise UnreadableError("it gives a state to a value without one")
        target.state = state

    def _do_persid(self, arg: Any) -> None:
        self._stack.append(Made("persistent id", (arg,)))

    def _do_binpersid(self, _: Any) -> None:
        self._stack.append(Made("persistent id", tuple(self._taken(1))))


def _paired(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


# --- Known values -------------------------------------------------------------------------------------------


def simplified(value: Any) -> Any:
    """Return a value in which arrays and dates are real, and dictionaries whose keys are text, too."""
    return _Simplifier().of(value, 0)


class _Simplifier:
    """Each part is looked at once: parts may be shared, or contain themselves."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}

    def of(self, value: Any, depth: int) -> Any:
        if not isinstance(value, list | tuple | Made):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = value  # for one that contains itself
            if depth < _DEEPEST:
                self._done[id(value)] = self._new(value, depth + 1)
        return self._done[id(value)]

    def _new(self, value: Any, depth: int) -> Any:
        if isinstance(value, Made):
            value.args = tuple(self.of(each, depth) for each in value.args)
            value.state = self.of(value.state, depth)
            value.items = [self.of(each, depth) for each in value.items]
            return _known(value)
        if isinstance(value, Pairs):
            pairs = [(self.of(key, depth), self.of(each, depth)) for key, each in value]
            return dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else Pairs(pairs)
        parts = [self.of(each, depth) for each in value]
        return parts if isinstance(value, list) else tuple(parts)


def _known(made: Made) -> Any:
    """Return the value that a call of a known function returns; the call itself if it is not of its kind."""
    try:
        if made.name.startswith(_ARRAYS):
            return _array(made)
        return _SIMPLE[made.name](made)
    except Exception:  # noqa: BLE001 - arguments of any kind; it is shown as it is
        return made


def _checked(made: Made, function: Callable[..., Any], *kinds: type | tuple[type, ...]) -> Any:
    if made.state is not None or made.items or len(made.args) > len(kinds):
        return made
    if not all(isinstance(arg, kind) for arg, kind in zip(made.args, kinds, strict=False)):
        return made
    return function(*made.args)


_TIME: Final = (bytes, int)
_SIMPLE: Final[dict[str, Callable[[Made], Any]]] = {
    "datetime.datetime": lambda made: _checked(made, dt.datetime, _TIME, dt.tzinfo),
    "datetime.date": lambda made: _checked(made, dt.date, _TIME, int, int),
    "datetime.time": lambda made: _checked(made, dt.time, _TIME, dt.tzinfo),
    "datetime.timedelta": lambda made: _checked(made, dt.timedelta, int, int, int),
    "datetime.timezone": lambda made: _checked(made, dt.timezone, dt.timedelta, str),
    "decimal.Decimal": lambda made: _checked(made, decimal.Decimal, str),
    "builtins.complex": lambda made: _checked(made, complex, float, float),
    "builtins.range": lambda made: _checked(made, range, int, int, int),
    "builtins.bytearray": lambda made: _checked(made, bytearray, bytes),
    "__builtin__.bytes": lambda made: _checked(made, bytes),
    "_codecs.encode": lambda made: _checked(made, _latin1, str, str),
    "collections.OrderedDict": lambda made: made if made.args or made.state else _dict_of(made),
}


def _latin1(text: str, _: str) -> bytes:
    """Return the bytes that protocols before 3 write as text."""
    return text.encode("latin-1")


def _dict_of(made: Made) -> Any:
    pairs = Pairs(made.items)
    return dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else pairs


def _array(made: Made) -> Any:
    """Return the array, or the number, that a pickle of numpy's describes."""
    import numpy as np  # noqa: PLC0415 - only for a pickle with arrays

    function = made.name.rpartition(".")[2]
    if function == "_frombuffer":
        buffer, kind, shape, order = made.args
        return filled(buffer, _dtype(np, kind), shape, order)
    if function == "_reconstruct":
        _, shape, kind, is_fortran, data = made.state
        if isinstance(data, list):
            return data if len(shape) == 1 else made
        return filled(data, _dtype(np, kind), shape, "F" if is_fortran else "C")
    if function == "scalar":
        kind, data = made.args
        return filled(data, _dtype(np, kind), (), "C")[()]
    return made


def _dtype(np: Any, made: Made) -> Any:
    text = made.args[0]
    if made.name != "numpy.dtype" or not _DTYPE.fullmatch(text):
        raise UnreadableError(f"an array of the kind {text!r}")
    unit = ""
    if text[0] in "mM":
        name, number, *_ = made.state[8][1]
        if name not in _UNITS or not isinstance(number, int) or not 0 < number < 1 << 31:
            raise UnreadableError("a date of an unknown unit")
        unit = f"[{number}{name.decode()}]"
    order = made.state[1] if made.state and made.state[1] in {"<", ">"} else ""
    return np.dtype(f"{order}{text}{unit}")


def filled(data: Any, kind: Any, shape: Any, order: Any) -> Any:
    """Return the array of some bytes; raises UnreadableError if their length is not that of the array."""
    import numpy as np  # noqa: PLC0415 - it is loaded

    if not isinstance(data, bytes | bytearray) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise UnreadableError("an array without bytes")
    if prod(shape) * kind.itemsize != len(data) or order not in {"C", "F"}:
        raise UnreadableError("an array of another length")
    if not kind.itemsize or not data:
        return np.zeros(shape, kind)
    return np.frombuffer(bytes(data), kind).reshape(tuple(shape), order=order)


# --- Frames of pandas ---------------------------------------------------------------------------------------


def frame(value: Any) -> tuple[list[Any], dict[Any, list[Any]]] | None:
    """Return the labels of the rows and the columns of a frame of pandas 2.1 or later that was read as data.

    None if it is something else, or has columns of a kind that is not known here.
    """
    if not isinstance(value, Made) or not re.fullmatch(r"pandas\.(core\.frame\.)?DataFrame", value.name):
        return None
    try:
        blocks, (names, labels) = value.state["_mgr"].args[:2]
        columns = _sequence(names)
        found: dict[Any, list[Any]] = {}
        for block in blocks:
            values, place, _ = block.args
            rows = values if getattr(values, "ndim", 1) == 2 else [values]  # noqa: PLR2004 - rows of columns
            found.update(zip(range(*place.args), map(_sequence, rows), strict=True))
        return _sequence(labels), {columns[number]: found[number] for number in range(len(columns))}
    except Exception:  # noqa: BLE001 - another version, or hostile bytes; it is shown as it is
        return None


def _sequence(value: Any) -> list[Any]:
    """Return the values of an array, or of an index."""
    if isinstance(value, list):
        return value
    if not isinstance(value, Made):
        return list(value.reshape(-1).tolist())
    if value.name.endswith("._new_Index"):
        about = value.args[1]
        if "data" in about:
            return _sequence(about["data"])
        return list(islice(range(about["start"], about["stop"], about["step"]), _MOST_STEPS))
    if value.name.endswith(".__pyx_unpickle_NDArrayBacked"):
        if value.args[0].name.rpartition(".")[2] not in {"StringArray", "DatetimeArray", "TimedeltaArray"}:
            raise UnreadableError(f"values of the kind {value.args[0].name}")
        (data,) = (each for each in value.state if isinstance(each, list) or hasattr(each, "reshape"))
        return _sequence(data)
    raise UnreadableError(f"values of the kind {value.name}")
