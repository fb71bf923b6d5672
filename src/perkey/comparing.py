"""Differences between two values, as lines that a person can read."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from numbers import Number
from typing import Any, TypeAlias

_MOST_LINES = 20
_MOST_CHARS = 120
_MOST_DEPTH = 50

_Pairs: TypeAlias = frozenset[tuple[int, int]]
"""The pairs of objects that are being compared further up; to meet one again is a circle, no difference."""

_WHOLE = (str, bytes, bytearray, range)  # sequences that are compared as one


def differences(old: Any, new: Any) -> list[str]:
    """Return the differences between two values, one a line and 20 at most; empty if they are equal.

    Containers are compared item by item; NaN equals NaN; arrays and frames are equal if their type, shape
    and all elements are; other objects of one class are compared by their attributes, or by what they would
    be pickled as, if they do not say themselves that they are equal.

    >>> differences({"a": [1, 2]}, {"a": [1, 3], "b": 0})
    ["['a'][1]: 2 -> 3", "['b']: only in the new value: 0"]
    """
    found = list(islice(_differ("", old, new, frozenset()), _MOST_LINES + 1))
    return [*found[:_MOST_LINES], "..."] if len(found) > _MOST_LINES else found


def _differ(path: str, old: Any, new: Any, above: _Pairs) -> Iterator[str]:
    pair = id(old), id(new)
    if old is new or pair in above or (_is_nan(old) and _is_nan(new)):
        return
    above |= {pair}
    if type(old) is not type(new):
        yield f"{path or 'value'}: {type(old).__name__} {_short(old)} -> {type(new).__name__} {_short(new)}"
    elif len(above) > _MOST_DEPTH:
        if not _same_when_pickled(old, new):
            yield _changed(path, old, new)
    elif isinstance(old, Mapping):
        yield from _mappings(path, old, new, above)
    elif isinstance(old, Sequence) and not isinstance(old, _WHOLE):
        yield from _sequences(path, old, new, above)
    elif isinstance(old, AbstractSet):
        yield from (f"{path or 'value'}: only in the old value: {_short(item)}" for item in old - new)
        yield from (f"{path or 'value'}: only in the new value: {_short(item)}" for item in new - old)
    elif hasattr(old, "__array__") and not hasattr(old, "equals"):
        yield from _arrays(path, old, new, above)
    elif not _equal(old, new):
        yield from _objects(path, old, new, above)


def _mappings(path: str, old: Mapping[Any, Any], new: Mapping[Any, Any], above: _Pairs) -> Iterator[str]:
    for key in old:
        if key in new:
            yield from _differ(f"{path}[{key!r}]", old[key], new[key], above)
        else:
            yield f"{path}[{key!r}]: only in the old value: {_short(old[key])}"
    for key in new:
        if key not in old:
            yield f"{path}[{key!r}]: only in the new value: {_short(new[key])}"


def _sequences(path: str, old: Sequence[Any], new: Sequence[Any], above: _Pairs) -> Iterator[str]:
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        yield from _differ(f"{path}[{index}]", before, after, above)
    if len(old) != len(new):
        yield f"{path or 'value'}: {len(old)} items -> {len(new)} items"


def _arrays(path: str, old: Any, new: Any, above: _Pairs) -> Iterator[str]:
    import numpy as np  # noqa: PLC0415 - whoever has an array has numpy

    left, right = np.asarray(old), np.asarray(new)
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        yield _changed(path, old, new)
    elif left.dtype.names:
        for field in left.dtype.names:
            yield from _arrays(f"{path}[{field!r}]", left[field], right[field], above)
    elif left.dtype.kind == "O":
        yield from _sequences(path, left.ravel().tolist(), right.ravel().tolist(), above)
    elif not (
        np.array_equal(left, right, equal_nan=left.dtype.kind in "fcmM")
        and np.array_equal(np.ma.getmaskarray(old), np.ma.getmaskarray(new))
    ):
        yield _changed(path, old, new)


def _objects(path: str, old: Any, new: Any, above: _Pairs) -> Iterator[str]:
    """Compare the parts of two objects that do not say that they are equal."""
    before = after = None
    if not hasattr(old, "equals") and (_compares_by_identity(type(old)) or hasattr(old, "__dict__")):
        before, after = _parts(old), _parts(new)
    if before is None or after is None:
        yield _changed(path, old, new)
    else:
        for name in before | after:
            yield from _differ(f"{path}.{name}", before.get(name), after.get(name), above)


def _compares_by_identity(cls: type) -> bool:
    return not any("__eq__" in vars(base) for base in cls.__mro__[:-1])


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object, or what else it would be pickled as; None if it does not tell."""
    try:
        reduced = value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever its reasons are not to be pickled
        return getattr(value, "__dict__", None) or None
    if isinstance(reduced, str):
        return None
    state = reduced[2] if len(reduced) > 2 else None  # noqa: PLR2004 - constructor, arguments, state
    if isinstance(state, tuple) and all(part is None or isinstance(part, dict) for part in state):
        state = {name: part for parts in state if parts for name, part in parts.items()}  # of slots
    attributes = state if isinstance(state, dict) else {"state": state}
    others = [list(items) for items in reduced[3:5] if items is not None]
    return {**attributes, "__reduce__": (*reduced[:2], others)}


def _equal(old: Any, new: Any) -> bool:
    """Tell whether two objects say that they are equal."""
    try:
        # Of pandas: labels, types and values, NaN at the same places.
        return bool(old.equals(new)) if hasattr(old, "equals") else bool(old == new)
    except Exception:  # noqa: BLE001 - an array within, for one, does not compare as a whole
        return False


def _same_when_pickled(old: Any, new: Any) -> bool:
    try:
        return pickle.dumps(old) == pickle.dumps(new)
    except Exception:  # noqa: BLE001 - it came from another format
        return _equal(old, new)


def _is_nan(value: Any) -> bool:
    return isinstance(value, Number) and bool(value != value)  # noqa: PLR0124 - NaN's mark


def _changed(path: str, old: Any, new: Any) -> str:
    return f"{path or 'value'}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - of somebody's class, or nested too deeply
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 3]}..."
