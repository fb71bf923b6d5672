"""The path of a folder as a user gives it, and as it is used."""

from __future__ import annotations

import os
import re
from typing import Final

from perkey.arguments import wrong_kind
from perkey.keys import text_of

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/+(.*)", re.DOTALL)
"""Of at least two letters before the colon, because "C:/data" is a folder of Windows. `pathlib` leaves one
slash of two."""


def folder_path(path: str | os.PathLike[str], argument: str = "base_dir") -> str:
    """Return the absolute path of a folder; a leading ``~`` is the user's own.

    Args:
        path: The path.
        argument: The name of the argument that it is, for errors.

    Raises:
        TypeError: `path` is not a path of text.
        ValueError: `path` is empty, an address, or begins with the name of a user who does not exist.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise wrong_kind(argument, "a path", path)
    given = os.fspath(path)
    if not isinstance(given, str):
        raise wrong_kind(argument, "a path of text (os.fsdecode(x) makes one)", given)
    text = text_of(given)
    if not text:
        raise ValueError(f"{argument} must not be empty; '.' is the current folder")
    if "\0" in text:
        raise ValueError(f"{argument} must not contain NUL characters: {text!r}")
    address = _ADDRESS.fullmatch(text)
    if address is not None:
        raise ValueError(
            f"{argument} must be the path of a folder, not the address {text!r}; {_advice(*address.groups())}"
        )
    expanded = os.path.expanduser(text)
    if expanded.startswith("~") and expanded == text:
        raise ValueError(f"{argument}={text!r}: the user does not exist; './{text}' is a folder of that name")
    return os.path.abspath(expanded)


def _advice(scheme: str, rest: str) -> str:
    """Return what to use for an address."""
    if scheme.lower() == "file":
        return f"the path is '/{rest.removeprefix('localhost/').lstrip('/')}'"
    bucket, _, prefix = rest.partition("/")
    generic = f"ObjectStoreDict('{scheme}://{rest}')"
    if scheme.lower() in {"s3", "s3a"}:
        return f"use S3Dict({bucket!r}, root_prefix={prefix!r}) or {generic}"
    if scheme.lower() in {"gs", "gcs", "az", "abfs", "abfss", "azure", "memory", "http", "https"}:
        return f"use {generic}"
    return f"'./{scheme}:/{rest}' is a folder of that name"
