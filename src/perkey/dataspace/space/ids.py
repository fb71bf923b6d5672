"""State points and their ids: the MD5 of the state point's one canonical JSON text, as in signac."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from perkey.synced import InvalidKeyError, lenient_key, to_plain

StatePoint: TypeAlias = dict[str, Any]
"""Of exact JSON types; not to be changed, because it is shared."""

ID_LENGTH: Final = 32
"""An id has so many hexadecimal digits."""

is_job_id = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}").fullmatch
"""Matches what may be the id of a job."""


def normalized(statepoint: Mapping[Any, Any]) -> StatePoint:
    """Return a copy of a state point as it will be stored.

    Tuples and arrays become lists, NumPy's numbers Python's, and keys that are whole numbers, truth values or
    None their text.

    Raises:
        TypeError: It is not a mapping, or JSON has no form for a value.
        KeyTypeError: A key is of another type.
        InvalidKeyError: A key has a dot in it, which would make it a path.
    """
    if not isinstance(statepoint, Mapping):
        raise TypeError(f"a state point is a mapping, not a {type(statepoint).__name__}")
    found: StatePoint = to_plain(statepoint, key_of=_key)
    return found


def job_id(statepoint: StatePoint) -> str:
    """Return the id of a normalised state point."""
    return hashlib.md5(canonical(statepoint), usedforsecurity=False).hexdigest()


def canonical(statepoint: StatePoint) -> bytes:
    """Return the text that stands for a normalised state point, whatever the order of its keys."""
    return json.dumps(statepoint, sort_keys=True).encode("ascii")


def _key(key: Any) -> str:
    text = lenient_key(key)
    if "." in text:
        raise InvalidKeyError(f"a key of a state point has no dot in it: {text!r}")
    return text
