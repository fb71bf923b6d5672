"""Values to bytes and back: pkl, json, text, and a registry for more."""

from typing import TYPE_CHECKING, Any

from perkey.arguments import check_kind
from perkey.content import Content, Data, Streamable, read_all
from perkey.formats.base import Format, can_check, find_format, register_format
from perkey.formats.comparing import differences
from perkey.formats.jsons import JsonFormat
from perkey.formats.pickled import PickleFormat
from perkey.formats.text import TextFormat

if TYPE_CHECKING:
    from perkey.formats.guarded import AllowListPickleFormat, SignedFormat

register_format("pkl", PickleFormat())
register_format("json", JsonFormat())
_TEXT = TextFormat()


def format_of(file_type: str) -> Format:
    """Return the format for files of `file_type`: the one registered, else text."""
    check_kind("file_type", file_type, str, "a string")
    return find_format(file_type) or _TEXT


def __getattr__(name: str) -> Any:
    """Load the formats for shared places, which need hashlib, when one is first asked for."""
    if name in {"AllowListPickleFormat", "SignedFormat"}:
        from perkey.formats import guarded  # noqa: PLC0415 - that is what this function is for

        return getattr(guarded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "AllowListPickleFormat",
    "Content",
    "Data",
    "Format",
    "JsonFormat",
    "PickleFormat",
    "SignedFormat",
    "Streamable",
    "TextFormat",
    "can_check",
    "differences",
    "find_format",
    "format_of",
    "read_all",
    "register_format",
]
