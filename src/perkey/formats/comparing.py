"""Differences between two values, as lines that a person can read.

Two comparisons share one walk. `differences` is what users mean by equal: an object may itself report that it
equals another. `losses` is for a value and its copy that travelled through a format: it believes no
``__eq__``, and notices a lost attribute, sign, flag or byte order.

The walk keeps its own stack, so depth is not limited; and it looks at each pair of objects once, so cycles
end it and shared parts do not multiply it.
"""

from __future__ import annotations

import copyreg
import math
import pickle
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from numbers import Number
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

from perkey.errors import counted

_MOST_LINES = 20
_MOST_CHARS = 120

_WHOLE = (str, bytes, bytearray, range)  # sequences that are compared as one
_ATOMS = frozenset((str, int, bool, bytes, type(None)))  # equal values of one such type are the same
_NUMBERS = frozenset((float, complex))
_PROTOCOL: Final = 4  # 5 would show arrays as buffers, 3 leaves out the fold of a datetime

_ABSENT: Final = object()

Path: TypeAlias = "tuple[Path, str, Any] | None"
"""Where in a value: the path above, how the last step is written, and its name; rendered only for a line."""


class _Pair(NamedTuple):
    """Two parts that are still to be compared."""

    path: Path
    old: Any
    new: Any


_Steps: TypeAlias = Iterator[str | _Pair]


def differences(old: Any, new: Any) -> list[str]:
    """Return the differences between two values, one a line and 20 at most; empty if they are equal.

    Containers are compared item by item, sets and keys of mappings as well: an item that has no equal by
    hash is paired with one that does not differ. NaN equals NaN; arrays and frames are equal if their type,
    shape and all elements are; other objects of one class are compared by their attributes, or by what
    they would be pickled as, if their own ``__eq__`` does not make them equal.

    Cost: objects in sets, or as keys, without ``__eq__`` are pickled to find their partners.

    >>> differences({"a": [1, 2]}, {"a": [1, 3], "b": 0})
    ["['a'][1]: 2 -> 3", "['b']: only in the new value: 0"]
    """
    return _first_lines(Comparison(), old, new)


def losses(value: Any, copy: Any) -> list[str]:
    """Return what a copy of a value has lost or changed, one a line and 20 at most; empty if nothing.

    Types, the parts that would be pickled, bits of arrays with their types and byte order, labels, types
    and attributes of frames, the order of keys, and which mutable objects occur more than once: all must
    be the same. NaN equals NaN.

    Two changes are not counted, because JSON's form of arrays and frames cannot avoid them: an array of no
    dimensions that comes back with one, and columns or labels of text that come back as objects. A
    `RangeIndex` may come back as an index of the same numbers, which pandas holds for equivalent, too.

    >>> losses([1.0, (2, 3)], [1.0, [2, 3]])
    ['[1]: tuple (2, 3) -> list [2, 3]']
    """
    return _first_lines(_Exact(), value, copy)


def _first_lines(comparison: Comparison, old: Any, new: Any) -> list[str]:
    found = list(islice(comparison.lines(None, old, new), _MOST_LINES + 1))
    return [*found[:_MOST_LINES], "..."] if len(found) > _MOST_LINES else found


class Comparison:
    """One walk through two values."""

    _minds_order = False  # of the keys of a mapping

    def __init__(self) -> None:
        # The pairs met so far. To meet one again is a cycle or a shared part, no new difference. The objects
        # are kept, because ids of objects that are gone are used again.
        self._met: dict[tuple[int, int], tuple[Any, Any]] = {}

    def lines(self, path: Path, old: Any, new: Any) -> Iterator[str]:
        """Yield the differences, depth first."""
        stack = [self._compare(path, old, new)]
        while stack:
            for found in stack[-1]:
                if isinstance(found, str):
                    yield found
                else:
                    stack.append(self._compare(*found))
                    break
            else:
                stack.pop()

    def same(self, old: Any, new: Any) -> bool:
        """Return whether two parts are equal; a difference leaves no trace in the state of the walk."""
        before = len(self._met)
        if next(self.lines(None, old, new), None) is None:
            return True
        while len(self._met) > before:
            self._forget(*self._met.popitem()[0])
        return False

    def _forget(self, old_id: int, new_id: int) -> None:
        """Undo what else was noted of a pair."""

    def _compare(self, path: Path, old: Any, new: Any) -> _Steps:
        kind = type(old)
        if old is new:
            return
        if kind is not type(new):
            yield from self._other_types(path, old, new)
        elif kind in _ATOMS:
            if old != new:
                yield _changed(path, old, new)
        elif (id(old), id(new)) not in self._met:
            self._met[id(old), id(new)] = (old, new)
            yield from self._parts(path, old, new)

    def _other_types(self, path: Path, old: Any, new: Any) -> _Steps:
        yield (f"{_shown(path)}: {type(old).__name__} {_short(old)} -> {type(new).__name__} {_short(new)}")

    def _parts(self, path: Path, old: Any, new: Any) -> _Steps:
        """Compare two objects of one type that were not compared yet."""
        if isinstance(old, Mapping):
            if isinstance(old, dict) or not _equal(old, new):
                yield from self._mappings(path, old, new)
        elif isinstance(old, Sequence) and not isinstance(old, _WHOLE):
            yield from self._sequences(path, old, new)
        elif isinstance(old, AbstractSet):
            yield from self._sets(path, old, new)
        elif hasattr(old, "__array__") and not hasattr(old, "equals"):
            yield from self._arrays(path, old, new)
        elif not (_is_nan(old) and _is_nan(new)) and not _equal(old, new):
            yield from self._objects(path, old, new)

    # --- Containers ---------------------------------------------------------------------------------

    def _sequences(self, path: Path, old: Iterable[Any], new: Iterable[Any]) -> _Steps:
        before, after = list(old), list(new)
        for index, (left, right) in enumerate(zip(before, after, strict=False)):
            if not _same_atom(left, right):
                yield _Pair((path, "[]", index), left, right)
        if len(before) != len(after):
            yield f"{_shown(path)}: {counted(len(before), 'item')} -> {counted(len(after), 'item')}"

    def _mappings(self, path: Path, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> _Steps:
        before, after = list(old.items()), list(new.items())
        partners = self._partners(before, after)
        for index, (key, value) in enumerate(before):
            here: Path = (path, "[]", key)
            if (partner := partners.get(index)) is None:
                yield f"{_shown(here)}: only in the old value: {_short(value)}"
            else:
                for left, right in zip((key, value), after[partner], strict=True):
                    if not _same_atom(left, right):
                        yield _Pair(here, left, right)
        paired = set(partners.values())
        for index, (key, value) in enumerate(after):
            if index not in paired:
                yield f"{_shown((path, '[]', key))}: only in the new value: {_short(value)}"
        if self._minds_order and list(partners.values()) != sorted(paired):
            yield f"{_shown(path)}: the order of its keys changed"

    def _sets(self, path: Path, old: Iterable[Any], new: Iterable[Any]) -> _Steps:
        before, after = [(item, None) for item in old], [(item, None) for item in new]
        partners = self._partners(before, after)
        for index, partner in partners.items():
            item = before[index][0]
            yield _Pair((path, "{}", item), item, after[partner][0])
        paired = set(partners.values())
        yield from _only(
            path, "old", (item for index, (item, _) in enumerate(before) if index not in partners)
        )
        yield from _only(path, "new", (item for index, (item, _) in enumerate(after) if index not in paired))

    def _partners(self, old: list[tuple[Any, Any]], new: list[tuple[Any, Any]]) -> dict[int, int]:
        """Return which of `new` belongs to which of `old`, by place; both are keys with values."""
        places = {key: place for place, (key, _) in enumerate(new)}
        found = {place: places[key] for place, (key, _) in enumerate(old) if key in places}
        if len(found) == len(old) == len(new):
            return found
        taken = set(found.values())
        left = [place for place in range(len(old)) if place not in found]
        rest = _Candidates({place: new[place] for place in range(len(new)) if place not in taken})
        # Of keys that do not differ, those with the same value belong together.
        for whole in (True, False):
            for place in left:
                if place not in found:
                    partner = rest.take(old[place], self.same, whole=whole)
                    if partner is not None:
                        found[place] = partner
        return dict(sorted(found.items()))

    # --- Arrays and frames --------------------------------------------------------------------------

    def _arrays(self, path: Path, old: Any, new: Any) -> _Steps:
        import numpy as np  # noqa: PLC0415 - an array is there, so numpy is

        left, right = np.asarray(old), np.asarray(new)
        if (left.dtype, left.shape) != (right.dtype, right.shape):
            yield _changed(path, old, new)
        elif left.dtype.names:
            for field in left.dtype.names:
                yield from self._arrays((path, "[]", field), left[field], right[field])
        elif left.dtype.kind == "O":
            yield from self._sequences(path, left.ravel().tolist(), right.ravel().tolist())
        elif not (
            np.array_equal(left, right, equal_nan=left.dtype.kind in "fcmM")
            and np.array_equal(np.ma.getmaskarray(old), np.ma.getmaskarray(new))
        ):
            yield _changed(path, old, new)

    # --- Objects ------------------------------------------------------------------------------------

    def _objects(self, path: Path, old: Any, new: Any) -> _Steps:
        """Compare the parts of two objects that do not compare as equal."""
        pandas = _pandas_parts(old), _pandas_parts(new)
        if pandas[0] is not None and pandas[1] is not None:
            # Cells that are objects without __eq__ make a frame unequal to its copy.
            if not self.same(*pandas):
                yield _changed(path, old, new)
            return
        before = after = None
        if not hasattr(old, "equals") and (_compares_by_identity(type(old)) or hasattr(old, "__dict__")):
            before, after = _attributes(old), _attributes(new)
        if before is None or after is None:
            yield _changed(path, old, new)
        else:
            yield from _named(path, before, after)


class _Candidates:
    """Objects among which partners are sought; of large sets those first whose pickles are the same."""

    def __init__(self, entries: dict[int, tuple[Any, Any]]) -> None:
        self._entries = entries
        self._by_pickle: dict[bytes | None, list[int]] = defaultdict(list)
        for place, (key, _) in entries.items():
            self._by_pickle[_pickled(key)].append(place)

    def take(self, wanted: tuple[Any, Any], same: Any, *, whole: bool) -> int | None:
        """Return the place of an entry that is the same, or whose key is, and take it out."""
        if not self._entries:
            return None
        alike = self._by_pickle.get(_pickled(wanted[0]), [])
        for place in [*alike, *(self._entries.keys() - set(alike))]:
            entry = self._entries.get(place)
            if entry is not None and type(entry[0]) is type(wanted[0]):
                pair = (wanted, entry) if whole else (wanted[0], entry[0])
                if same(*pair):
                    del self._entries[place]
                    return place
        return None


class _Exact(Comparison):
    """A walk through a value and its copy that believes no ``__eq__``."""

    _minds_order = True

    def __init__(self) -> None:
        super().__init__()
        self._copies: dict[int, int] = {}
        self._originals: dict[int, int] = {}

    def _forget(self, old_id: int, new_id: int) -> None:
        if self._copies.get(old_id) == new_id:
            del self._copies[old_id]
        if self._originals.get(new_id) == old_id:
            del self._originals[new_id]

    def _other_types(self, path: Path, old: Any, new: Any) -> _Steps:
        pandas = _pandas()
        if pandas and isinstance(old, pandas.Index) and isinstance(new, pandas.Index):
            yield from self._indexes(path, old, new)
        else:
            yield from super()._other_types(path, old, new)

    def _parts(self, path: Path, old: Any, new: Any) -> _Steps:
        kind = type(old)
        if kind in _NUMBERS:
            if not _same_number(old, new):
                yield _changed(path, old, new)
            return
        if not self._is_alone(old, new):
            yield f"{_shown(path)}: {_short(old)} occurs more than once, and is no longer one object"
        elif kind is dict:
            yield from self._mappings(path, old, new)
        elif kind is list or kind is tuple:
            yield from self._sequences(path, old, new)
        elif isinstance(old, (set, frozenset)):
            yield from self._sets(path, old, new)
            yield from _named(path, _state(old), _state(new))
        elif _is_array(old):
            yield from self._arrays(path, old, new)
        elif (parts := _pandas_parts(old)) is not None:
            yield from self._frames(path, parts, _pandas_parts(new) or {})
        else:
            yield from self._objects(path, old, new)

    def _is_alone(self, old: Any, new: Any) -> bool:
        """Note that `new` is the copy of `old`; False if another object is, or it is another one's copy.

        Only of objects that can be distinguished: those that are mutable, or equal by identity alone.
        """
        by_value: Any = type(old).__hash__
        if by_value is not None and by_value is not object.__hash__:
            return True
        known = self._copies.setdefault(id(old), id(new))
        return known == id(new) and self._originals.setdefault(id(new), id(old)) == id(old)

    def _arrays(self, path: Path, old: Any, new: Any) -> _Steps:
        import numpy as np  # noqa: PLC0415 - as above

        left, right = np.asarray(old), np.asarray(new)
        if left.dtype != right.dtype or left.shape not in (right.shape, ()) or left.size != right.size:
            yield f"{_shown(path)}: {left.dtype} {left.shape} -> {right.dtype} {right.shape}"
        elif left.dtype.hasobject or left.dtype.kind == "T":
            yield from self._sequences(path, left.ravel().tolist(), right.ravel().tolist())
        elif not _same_bits(left.reshape(right.shape), right):
            yield _changed(path, old, new)

    def _frames(self, path: Path, old: dict[str, Any], new: dict[str, Any]) -> _Steps:
        for name, part in old.items():
            here: Path = (path, ".", name)
            other = new.get(name, _ABSENT)
            if _pandas_parts(part) is not None and _pandas_parts(other) is not None:
                yield from self._indexes(here, part, other)
            elif hasattr(part, "dtype") and hasattr(other, "dtype"):
                yield from self._columns(here, part, other)
            else:
                yield _Pair(here, part, other)
        if old.keys() != new.keys():
            yield f"{_shown(path)}: {list(old)} -> {list(new)}"

    def _indexes(self, path: Path, old: Any, new: Any) -> _Steps:
        """Compare two indexes; one of a range may be one of the same numbers."""
        kinds = {type(old).__name__, type(new).__name__}
        if type(old) is not type(new) and not (kinds == {"RangeIndex", "Index"} or _is_text(old)):
            yield from super()._other_types(path, old, new)
        else:
            yield from self._frames(path, _pandas_parts(old) or {}, _pandas_parts(new) or {})

    def _columns(self, path: Path, old: Any, new: Any) -> _Steps:
        """Compare two arrays of pandas, or of numpy."""
        if _is_text(old) and new.dtype == object:
            missing = old.isna() if hasattr(old, "isna") else [False] * len(old)
            yield from self._sequences(
                path,
                [None if gone else item for gone, item in zip(missing, old, strict=True)],
                [None if item is None or _is_nan(item) else item for item in new],
            )
        elif old.dtype != new.dtype or type(old) is not type(new):
            yield f"{_shown(path)}: {old.dtype} -> {new.dtype}"
        elif _is_array(old):
            yield from self._arrays(path, old, new)
        elif not old.equals(new):
            yield _changed(path, old, new)

    def _objects(self, path: Path, old: Any, new: Any) -> _Steps:
        before, after = _attributes(old), _attributes(new)
        if before is None or after is None:
            if not _equal(old, new):
                yield _changed(path, old, new)
        else:
            made, remade = before.pop("__reduce__", None), after.pop("__reduce__", None)
            yield from _named(path, before, after)
            line = next(self.lines((path, ".", "__reduce__"), made, remade), None)
            if line is not None:
                yield line if _short(old) == _short(new) else _changed(path, old, new)


# --- Parts of objects -----------------------------------------------------------------------------------


def _compares_by_identity(cls: type) -> bool:
    return not any("__eq__" in vars(base) for base in cls.__mro__[:-1])


def _reduced(value: Any) -> Any:
    """Return what an object would be pickled as; None if it refuses, or is pickled by its name."""
    reducer = copyreg.dispatch_table.get(type(value))
    try:
        reduced = value.__reduce_ex__(_PROTOCOL) if reducer is None else reducer(value)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - its reasons do not matter
        return None
    return reduced if isinstance(reduced, tuple) else ()


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, slots included, as it would be pickled."""
    reduced = _reduced(value)
    if reduced is None:
        return dict(getattr(value, "__dict__", None) or {})
    state = reduced[2] if len(reduced) > 2 else None  # noqa: PLR2004 - constructor, arguments, state
    if isinstance(state, tuple) and all(part is None or isinstance(part, dict) for part in state):
        state = {name: part for parts in state if parts for name, part in parts.items()}  # of slots
    if isinstance(state, dict):
        return {str(name): part for name, part in state.items()}
    return {} if state is None else {"state": state}


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object and what makes it anew; None if it has no such method."""
    reduced = _reduced(value)
    if not reduced:
        return _state(value) or None
    items: list[Any] = [list(reduced[3])] if len(reduced) > 3 and reduced[3] is not None else []  # noqa: PLR2004
    if len(reduced) > 4 and reduced[4] is not None:  # noqa: PLR2004 - items of a mapping
        pairs = list(reduced[4])
        items.append(pairs if isinstance(value, OrderedDict) else dict(pairs))
    return {**_state(value), "__reduce__": (*reduced[:2], items)}


def _named(path: Path, before: dict[str, Any], after: dict[str, Any]) -> _Steps:
    """Compare attributes; those of one object alone are differences."""
    for name in before | after:
        here: Path = (path, ".", name)
        if name not in after:
            yield f"{_shown(here)}: only in the old value: {_short(before[name])}"
        elif name not in before:
            yield f"{_shown(here)}: only in the new value: {_short(after[name])}"
        else:
            yield _Pair(here, before[name], after[name])


def _equal(old: Any, new: Any) -> bool:
    """Return whether two objects compare as equal."""
    try:
        # Of pandas: labels, types and values, NaN at the same places.
        return bool(old.equals(new)) if hasattr(old, "equals") else bool(old == new)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - an array within, for one, does not compare as a whole
        return False


def _pickled(value: Any) -> bytes | None:
    """Return a pickle of an object: objects with the same pickle are most probably the same."""
    try:
        return pickle.dumps(value)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - it came from another format
        return None


def _same_atom(left: Any, right: Any) -> bool:
    """Return True at once for most equal parts; False decides nothing."""
    return left is right or (type(left) in _ATOMS and type(left) is type(right) and bool(left == right))


def _is_nan(value: Any) -> bool:
    return isinstance(value, Number) and bool(value != value)  # noqa: PLR0124 - NaN's mark


def _same_number(old: complex, new: complex) -> bool:
    """Return whether two numbers are the same to the sign of a zero; NaN is."""
    return all(
        (left == right and math.copysign(1, left) == math.copysign(1, right))
        or (math.isnan(left) and math.isnan(right))
        for left, right in ((old.real, new.real), (old.imag, new.imag))
    )


# --- Parts of numpy and pandas --------------------------------------------------------------------------


def _is_array(value: Any) -> bool:
    """Return whether a value is an array of numpy's own class, or a scalar of numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (type(value) is numpy.ndarray or isinstance(value, numpy.generic))


def _same_bits(left: Any, right: Any) -> bool:
    """Return whether two arrays of one type and shape have the same elements to the bit; NaN is NaN."""
    import numpy as np  # noqa: PLC0415 - as above

    if left.tobytes() == right.tobytes():
        return True
    if left.dtype.names:  # bytes between the fields do not count
        return all(_same_bits(left[name], right[name]) for name in left.dtype.names)
    if left.dtype.kind == "c":
        return _same_bits(left.real, right.real) and _same_bits(left.imag, right.imag)
    if left.dtype.kind != "f":
        return False
    nan = np.isnan(left) & np.isnan(right)
    return bool(np.all(nan | ((left == right) & (np.signbit(left) == np.signbit(right)))))


def _pandas() -> ModuleType | None:
    return sys.modules.get("pandas")


def _is_text(value: Any) -> bool:
    """Return whether an index or a column of pandas is of its type for text."""
    pandas = _pandas()
    return pandas is not None and isinstance(value.dtype, pandas.StringDtype)


def _pandas_parts(value: Any) -> dict[str, Any] | None:
    """Return what a frame, series or index of pandas consists of; None of anything else."""
    pandas = _pandas()
    if pandas is None:
        return None
    if isinstance(value, pandas.DataFrame):
        columns = {f"column {place}": _plain(value.iloc[:, place]) for place in range(value.shape[1])}
        return {"index": value.index, "columns": value.columns, **columns, **_pandas_extras(value)}
    if isinstance(value, pandas.Series):
        return {"index": value.index, "values": _plain(value), **_pandas_extras(value)}
    if isinstance(value, pandas.MultiIndex):
        levels = {f"level {place}": value.get_level_values(place) for place in range(value.nlevels)}
        return {"names": list(value.names), **levels}
    if isinstance(value, pandas.Index):
        return {"values": _plain(value), "name": value.name, "freq": getattr(value, "freq", None)}
    return None


def _plain(values: Any) -> Any:
    """Return the array of numpy, or else of pandas, that a series or an index holds."""
    return values.to_numpy() if type(values.dtype).__module__.startswith("numpy") else values.array


def _pandas_extras(value: Any) -> dict[str, Any]:
    """Return what a frame or series carries besides data and labels."""
    metadata = {name: getattr(value, name, None) for name in value._metadata}  # noqa: SLF001 - a documented name of pandas
    return {"attrs": dict(value.attrs), "flags": value.flags.allows_duplicate_labels, **metadata}


# --- Lines ----------------------------------------------------------------------------------------------


def _only(path: Path, which: str, items: Iterable[Any]) -> Iterator[str]:
    return (f"{_shown(path)}: only in the {which} value: {_short(item)}" for item in items)


def _changed(path: Path, old: Any, new: Any) -> str:
    return f"{_shown(path)}: {_short(old)} -> {_short(new)}"


def _shown(path: Path) -> str:
    """Return a path as it would be written in Python, as far as there is a way to write it."""
    steps = []
    while path is not None:
        path, kind, name = path
        steps.append(f".{name}" if kind == "." else f"{kind[0]}{_short(name)}{kind[1]}")
    return "".join(reversed(steps)) or "value"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - of a class of the user, or nested too deeply
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 3]}..."
