"""The handle on a project: where it is, what its configuration and document say, and what makes it equal."""

from __future__ import annotations

import os
from typing import Any, Final, TypeAlias, TypeVar

from perkey.dataspace.h5store_access import WithStores
from perkey.dataspace.job import Job
from perkey.dataspace.members import DocumentFile, WithDocument
from perkey.dataspace.space import Documents, Index, Workspace, transfers
from perkey.dataspace.space import config as configuration
from perkey.files import make_base
from perkey.handles import NeverSame, unlike_any
from perkey.stores.folder import Durability

H = TypeVar("H", bound="Handle")

StrPath: TypeAlias = str | os.PathLike[str]


class PathText(str):
    """A path that may also be called for itself: signac 1 has methods where signac 2 has attributes."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return the path."""
        return str(self)


class Handle(NeverSame, WithDocument, WithStores):
    """What every part of a project needs; see `Project`."""

    FN_DOCUMENT: Final = "signac_project_document.json"
    """The file of the project's document."""

    FN_CACHE: str = configuration.LAYOUTS[2].cache
    """The file of signac's cache of state points: a project's own, or of the class in the newest layout."""

    def __init__(
        self,
        config: configuration.ProjectConfig | StrPath | None = None,
        ignore_schema_version: bool = False,
        *,
        path: StrPath | None = None,
        durability: Durability = "sync",
    ) -> None:
        config = path if config is None else config
        if not isinstance(config, configuration.ProjectConfig):
            config = find(config, search=config is None)
        if not ignore_schema_version:
            config.check_version()
        self._config = config
        self.FN_CACHE = config.layout.cache
        self._durability: Durability = durability
        self._durable = durability == "sync"
        self._jobs = Workspace(config.workspace, durable=self._durable)
        self._index = Index(self._jobs)
        self._real = os.path.realpath(config.workspace), os.path.realpath(config.root)
        self._documents = Documents(self._jobs, lambda job: f"{self._jobs.folder(job)}/{Job.FN_DOCUMENT}")
        self._made_here = frozenset((*vars(self), "_made_here", "_document", "_stores"))
        transfers.recover(self._jobs)

    @property
    def path(self) -> str:
        """The project's folder."""
        return self._config.root

    def root_directory(self) -> str:
        """Return the project's folder."""
        return self.path

    @property
    def workspace(self) -> PathText:
        """The path of the folder of the jobs; may also be called."""
        return PathText(self._jobs.path)

    @property
    def config(self) -> configuration.ProjectConfig:
        """The project's configuration, with the user's; it is not changed in memory."""
        return self._config

    @property
    def id(self) -> str:
        """The project's name; its path if it has none."""
        return str(self._config.get("project") or self.path)

    def fn(self, filename: str) -> str:
        """Return the path of a file in the project's folder."""
        return os.path.join(self.path, filename)

    def isfile(self, filename: str) -> bool:
        """Tell whether there is a file of that name in the project's folder."""
        return os.path.isfile(self.fn(filename))

    def _make(self) -> None:
        make_base(self.path, durable=self._durable)

    def _document_file(self) -> DocumentFile:
        return DocumentFile(self.fn(self.FN_DOCUMENT), self._make, durable=self._durable, place=self.path)

    @property
    def _cache_path(self) -> str:
        return self.fn(self.FN_CACHE)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return NotImplemented
        return self._real == other._real

    def __hash__(self) -> int:
        return hash(self._real)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # What a subclass has added travels, and its constructor, which may take anything, is not called.
        added = {name: value for name, value in vars(self).items() if name not in self._made_here}
        return _reopen, (type(self), self.path, self._durability, unlike_any()), added or None


def _reopen(cls: type[H], path: str, durability: Durability, unique: bytes = b"") -> H:
    del unique  # which makes pickles differ
    project = cls.__new__(cls)
    Handle.__init__(project, path, ignore_schema_version=True, durability=durability)
    return project


def find(start: StrPath | None, *, search: bool) -> configuration.ProjectConfig:
    """Return the configuration of the project in a folder, or above it; raises LookupError.

    A folder that does not exist is in no project: whoever mistypes it must not get the one above.
    """
    folder = os.path.abspath(start or os.getcwd())
    if not os.path.exists(folder):
        raise LookupError(f"there is no project in {folder}, which does not exist")
    found = configuration.search(folder) if search else configuration.load(folder)
    if found is None:
        raise LookupError(f"there is no project in {folder}" + (" or above it" if search else ""))
    return found
