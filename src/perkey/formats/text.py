"""Text: the characters of a str in UTF-8, nothing else."""

from __future__ import annotations

from typing import Any

from perkey.content import Content, Data, read_all
from perkey.errors import CorruptValueError, UnstorableValueError
from perkey.formats.base import Format
from perkey.formats.foreign import foreign_to_text, refuse_foreign


class TextFormat(Format):
    """Stores str values as UTF-8, without any change to line ends.

    Damage is seen only where it breaks UTF-8: a shortened text is a text.
    """

    value_class = str

    def encode(self, value: Any) -> Data:
        if not isinstance(value, str):
            raise UnstorableValueError(
                f"this dictionary stores text, so values must be str, not {type(value).__name__}; "
                'use file_type="pkl" or "json" for other values, or call perkey.register_format() before the '
                "dictionary is made"
            )
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise UnstorableValueError(f"not encodable as UTF-8: {error}") from error

    def check(self, content: Content) -> bool:
        self.decode(content)
        return True

    def decode(self, content: Content) -> str:
        raw = read_all(content)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            refuse_foreign(foreign_to_text(raw), error)
            raise CorruptValueError(f"not UTF-8: {error.reason} at byte {error.start}") from error
