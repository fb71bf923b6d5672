"""Several dictionaries in one place, each with its own type of file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perkey.arguments import check_kind
from perkey.handles import NeverSame
from perkey.keys import text_of
from perkey.mapping import PersiDict, items_of
from perkey.showing import page, shown, table


class OverlappingMultiDict(NeverSame):
    """Dictionaries that share a place but have different file types, each an attribute named for its type.

    A key may have a value in each of them; they do not see each other's items.

    Args:
        dict_type: The class of the dictionaries, such as `FileDirDict`.
        shared_subdicts_params: Its parameters, the same for all, such as the place.
        **individual_subdicts_params: For each file type a dict of further parameters, may be empty.

    Raises:
        TypeError: `dict_type` is not a `PersiDict` class, or parameters are not dicts.
        ValueError: `file_type` is among the parameters: it is given by the name.

    >>> import tempfile
    >>> from perkey import FileDirDict
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     both = OverlappingMultiDict(FileDirDict, {"base_dir": folder}, pkl={}, json={})
    ...     both.json["a"] = {"x": 1}
    ...     both.pkl["a"] = {1, 2}
    ...     both.json["a"], both.pkl["a"]
    ({'x': 1}, {1, 2})
    """

    def __init__(
        self,
        dict_type: type[PersiDict[Any]],
        shared_subdicts_params: dict[str, Any],
        **individual_subdicts_params: dict[str, Any],
    ) -> None:
        # A parametrised class, such as FileDirDict[int], is one, too.
        if PersiDict not in getattr(dict_type, "__mro__", ()):
            raise TypeError(f"dict_type must be a class of PersiDict, not {dict_type!r}")
        check_kind("shared_subdicts_params", shared_subdicts_params, Mapping, "a dict of parameters")
        for file_type, params in individual_subdicts_params.items():
            check_kind(text_of(file_type), params, Mapping, "a dict of parameters")
        self.dict_type = dict_type
        self.shared_subdicts_params = dict(shared_subdicts_params)
        self.individual_subdicts_params = {
            text_of(file_type): dict(params) for file_type, params in individual_subdicts_params.items()
        }
        self.subdicts_names = list(self.individual_subdicts_params)
        self._subdicts: dict[str, PersiDict[Any]] = {}
        for file_type, params in self.individual_subdicts_params.items():
            merged = {**self.shared_subdicts_params, **params}
            if "file_type" in merged:
                raise ValueError(
                    "file_type is given by the name of each dictionary, not among its parameters"
                )
            subdict = dict_type(**merged, file_type=file_type)
            items_of(subdict).policy.shares_place = True
            self._subdicts[file_type] = subdict

    def __getattr__(self, name: str) -> PersiDict[Any]:
        """Return the dictionary of a file type."""
        try:
            return self.__dict__["_subdicts"][name]  # type: ignore[no-any-return] # mypy does not know __dict__
        except KeyError:
            raise AttributeError(f"no dictionary of file type {name!r} here") from None

    def __getitem__(self, file_type: str) -> PersiDict[Any]:
        """Return the dictionary of a file type; for types whose names cannot be attribute names.

        Raises:
            KeyError: The file type is unknown here.
        """
        try:
            return self._subdicts[file_type]
        except KeyError:
            raise KeyError(f"no dictionary of file type {file_type!r} here; {self._advice()}") from None

    def __setitem__(self, key: Any, value: Any) -> None:
        """Refuse an item, whose dictionary is not known; raises TypeError."""
        raise TypeError(f"item {key!r} cannot be set: {self._advice()}")

    def __delitem__(self, key: Any) -> None:
        """Refuse to delete an item, whose dictionary is not known; raises TypeError."""
        raise TypeError(f"item {key!r} cannot be deleted: {self._advice()}")

    def _advice(self) -> str:
        names = ", ".join(f".{name}" for name in self._subdicts)
        return f"items are in the dictionaries by file type, which are the attributes {names}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._subdicts)

    def __len__(self) -> int:
        return len(self._subdicts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._subdicts.values()))})"

    def _repr_html_(self) -> str:
        """Return the dictionaries as a table for a notebook; their place is not asked."""
        return shown(self._html, lambda: type(self).__name__)

    def _html(self) -> str:
        rows = [
            (file_type, type(each).__name__, each.store.describe())
            for file_type, each in self._subdicts.items()
        ]
        return page(type(self).__name__, "", (), [table(("file type", "class", "place"), rows)])
