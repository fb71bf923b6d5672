"""The path of a folder as a user gives it, and as it is used."""

from __future__ import annotations

import os
import re
from typing import Final

from perkey.arguments import without_secrets, wrong_kind
from perkey.keys import text_of

_OF_SERVICES: Final = "s3|s3a|gs|gcs|az|abfs|abfss|azure|memory|file|https?"
_ADDRESS: Final = rf"(?s:([A-Za-z][A-Za-z0-9+.\-]+):(/+)(.*)|((?i:{_OF_SERVICES})):()(.*))"
"""Of at least two letters before the colon, because "C:/data" is a folder of Windows. `pathlib` leaves one
slash of two, and some users write none."""


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
    if ":" in text and (found := re.fullmatch(_ADDRESS, text)) is not None:
        raise _not_a_path(found, argument)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~") and expanded == text:
        raise ValueError(f"{argument}={text!r}: the user does not exist; './{text}' is a folder of that name")
    return os.path.abspath(expanded)


def _not_a_path(found: re.Match[str], argument: str) -> ValueError:
    """Return the error about an address where the path of a folder was expected."""
    groups = found.groups()
    scheme, slashes, rest = groups[:3] if groups[0] else groups[3:]
    address = without_secrets(f"{scheme}://{rest}")
    shown = address.replace("://", f":{slashes}", 1)
    return ValueError(
        f"{argument} must be the path of a folder, not the address {shown!r}; "
        f"{_advice(argument, shown, scheme.lower(), address.partition('://')[2])}"
    )


def _advice(argument: str, shown: str, scheme: str, rest: str) -> str:
    """Return what to use for an address.

    Args:
        argument: The name of the argument.
        shown: The address as it was given, without secrets.
        scheme: What it begins with.
        rest: What is behind the slashes.
    """
    as_folder = f"'./{shown}' is a folder of that name"
    if scheme == "file":
        if "/" in shown.partition(":")[2][:1]:
            return f"the path is '/{rest.removeprefix('localhost/').lstrip('/')}'"
        return f"the path is {rest!r}; {as_folder}"
    if scheme in {"http", "https"}:
        return "the address of a service is its endpoint, for S3Dict(..., endpoint_url=...)"
    if scheme not in _OF_SERVICES.split("|"):
        return as_folder
    address = f"{'gs' if scheme == 'gcs' else scheme}://{rest}"
    if argument == "place":
        return f"write {address!r}; {as_folder}"
    bucket, _, prefix = rest.partition("/")
    direct = f"S3Dict({bucket!r}, root_prefix={prefix!r}), " if scheme in {"s3", "s3a"} else ""
    return f"use {direct}ObjectStoreDict({address!r}) or perkey.open({address!r})"
