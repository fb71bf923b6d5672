"""What a format is, and the registry that finds one by the type of a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from perkey.arguments import check_flag, check_kind
from perkey.content import Content, Data
from perkey.naming import check_file_type


class Format(ABC):
    """Encodes values to bytes and decodes them; without visible state, shared between threads.

    Attributes:
        value_class: The class of the values, or None. `encode` has to refuse values of other classes itself;
            a dictionary only refuses a `base_class_for_values` that is not a subclass of this class.
    """

    value_class: type | None = None

    @abstractmethod
    def encode(self, value: Any) -> Data:
        """Return what is to be stored.

        Raises:
            UnstorableValueError: The value has no form in this format; also possible later, from
                `Streamable.write_to`.
        """

    @abstractmethod
    def decode(self, content: Content) -> Any:
        """Return the value that was encoded as `content`; a file is not closed.

        Raises:
            CorruptValueError: The bytes are damaged, as far as the format can detect it.
            UnloadableValueError: The bytes are sound, but the value cannot be built in this program.
        """

    def check(self, content: Content) -> bool:
        """Look for damage without running anything that the bytes name; return whether that is possible.

        A format with checksums overrides this. A subclass that overrides `decode` overrides this, too; if it
        does not, its values count as unchecked.

        Raises:
            CorruptValueError, UnloadableValueError: As `decode`, as far as that is seen without building the
                value.
        """
        del content
        return False


def can_check(codec: Format) -> bool:
    """Return whether the `check` of a format is about the bytes that its `decode` reads."""
    classes = type(codec).__mro__
    checking = next(cls for cls in classes if "check" in vars(cls))
    overriding = classes[: classes.index(checking)]
    return checking is not Format and not any("decode" in vars(cls) for cls in overriding)


_formats: dict[str, Format] = {}


def register_format(file_type: str, new: Format, *, replace: bool = False) -> None:
    """Register a format for `file_type` in this process, for dictionaries that are made from now on.

    A dictionary handle that is unpickled elsewhere finds its format by name, so workers must register it,
    too.

    Args:
        file_type: The ending of the files without a dot, such as ``"csv"``; the characters of a key part.
        new: The format.
        replace: Whether an existing meaning may be replaced.

    Raises:
        ValueError: `file_type` is not safe, or has a meaning and `replace` is False.
        TypeError: `new` is not a `Format`.
    """
    check_kind("file_type", file_type, str, "a string")
    check_kind("new", new, Format, "a Format")
    replaces = check_flag("replace", replace)
    file_type = check_file_type(file_type)
    if file_type in _formats and not replaces:
        raise ValueError(f"file type {file_type!r} has a format already; pass replace=True to replace it")
    _formats[file_type] = new


def find_format(file_type: str) -> Format | None:
    """Return the format registered for `file_type`, or None."""
    return _formats.get(file_type)
