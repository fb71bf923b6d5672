"""A module that stands in for `signac` 2, so that programs written for it run with perkey.

Its names, parameters and their order are those of signac 2.4; all else is `perkey.dataspace`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, Self

from perkey import dataspace, query, synced
from perkey.dataspace import errors
from perkey.dataspace import project as projects
from perkey.dataspace.search import frozen
from perkey.dataspace.space import StrPath

VERSION: Final = "2.4.1"
"""The version of signac whose names the module has."""


def as_signac() -> ModuleType:
    """Return a module that stands in for `signac`, and let ``import signac`` find it from now on.

    Call it before anything imports signac, as signac-flow and signac-dashboard do.

    Raises:
        RuntimeError: signac itself is imported already.
    """
    known = sys.modules.get("signac")
    if isinstance(known, StandIn):
        return known
    if known is not None:
        raise RuntimeError("signac itself is imported already: call as_signac() before all that imports it")
    made = modules()
    sys.modules.update(made)
    return made["signac"]


def modules() -> dict[str, StandIn]:
    """Return new modules by name, which are not imported yet."""
    made = {name: StandIn(name, home, own) for name, (home, own) in _MODULES.items()}
    for name, module in made.items():
        above, _, last = name.rpartition(".")
        if above:
            setattr(made[above], last, module)
    return made


class StandIn(ModuleType):
    """One of the modules of signac.

    Args:
        name: Its name.
        home: The name of the module of perkey that has all names that are not in `own`.
        own: What has another form in signac.
    """

    def __init__(self, name: str, home: str, own: Mapping[str, Any]) -> None:
        super().__init__(name, f"Stands in for {name}: the names are those of signac, the rest is {home}.")
        self._home = home
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        """Return what perkey has under a name; raises AttributeError, which names a replacement."""
        if name == "__all__":
            return [each for each in dir(self) if not each.startswith("_")]
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(self._home), name)

    def __dir__(self) -> list[str]:
        """Return the public names, and Python's own."""
        home = import_module(self._home)
        return sorted({*vars(self), *getattr(home, "__all__", dir(home))})


class JobsCursor(dataspace.JobsCursor):
    """The jobs that match a filter, with what signac-flow asks of signac's own."""

    def __init__(self, project: dataspace.Project, filter: Mapping[str, Any] | None = None) -> None:
        super().__init__(project, filter)

    @property
    def _ids(self) -> list[str]:
        return self.ids()

    @property
    def _id_set(self) -> frozenset[str]:
        return frozenset(self.ids())


class Project(dataspace.Project):
    """A project with the parameters of signac 2 where these come in another order.

    Args:
        path: The project's folder; None searches upwards from the working directory.
    """

    def __init__(self, path: Any = None, ignore_schema_version: bool = False, **arguments: Any) -> None:
        super().__init__(path, ignore_schema_version, **arguments)

    @classmethod
    def init_project(cls, path: Any = None, **arguments: Any) -> Self:  # type: ignore[override] # signac's order
        """Make the project of a folder, by default the working directory, or open it if it exists."""
        return super().init_project(path=path, **arguments)

    @classmethod
    def get_project(cls, path: StrPath | None = None, search: bool = True, **arguments: Any) -> Self:  # type: ignore[override] # signac's order
        """Return the project of a folder, by default the working directory, or of the nearest one above."""
        return super().get_project(path, search, **arguments)

    @classmethod
    def get_job(cls, path: StrPath | None = None) -> dataspace.Job:
        """Return the job whose folder is at or above a path, by default the working directory."""
        return super().get_job(path)

    def find_jobs(self, filter: Mapping[str, Any] | None = None) -> JobsCursor:  # type: ignore[override] # signac's
        """Return the jobs that match a filter."""
        return JobsCursor(self, filter)

    @property
    def _config(self) -> Mapping[str, Any]:
        """The configuration; signac-flow reads it."""
        return self.config

    def _contains_job_id(self, job_id: str) -> bool:
        """Return whether a job exists; signac-flow asks."""
        return job_id in self.space.workspace

    def create_linked_view(  # type: ignore[override] # signac's order
        self, prefix: Any = None, job_ids: Iterable[str] | None = None, path: Any = None
    ) -> dict[str, str]:
        """Make or update a folder of links to jobs."""
        return super().create_linked_view(prefix, job_ids, path=path)

    def repair(self, job_ids: Iterable[str] | None = None) -> None:  # type: ignore[override] # signac's order
        """Restore the state points and ids that jobs have lost."""
        super().repair(job_ids=job_ids)

    @contextmanager
    def temporary_project(self, dir: StrPath | None = None) -> Iterator[dataspace.Project]:  # type: ignore[override] # signac's order
        """Make a project for the time of a ``with`` block."""
        with super().temporary_project(dir=dir) as project:
            yield project


@contextmanager
def TemporaryProject(cls: type[Project] | None = None, **arguments: Any) -> Iterator[dataspace.Project]:  # noqa: N802
    """Make a project in a temporary folder for the time of a ``with`` block."""
    with projects.TemporaryProject(None, cls or Project, **arguments) as project:
        yield project


def parse_filter_arg(args: Sequence[str] | None, file: Any = None) -> dict[str, Any] | None:
    """Return the filter that words of a command line stand for; None without words."""
    del file
    return query.parse_filter(args)


def parse_simple(tokens: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a filter that is given as words in turn."""
    return iter((query.parse_filter(tokens) or {}).items())


def parse_filter(filter: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a filter."""
    return iter(filter.items())


def _hashable(value: Any) -> Any:
    """Return a value of a state point that is equal for equal values, and can be a key."""
    return frozen(value() if isinstance(value, synced.SyncedCollection) else value)


_PROJECTS: Final = {
    "JobsCursor": JobsCursor,
    "Project": Project,
    "TemporaryProject": TemporaryProject,
    "get_job": Project.get_job,
    "get_project": Project.get_project,
    "init_project": Project.init_project,
}
_FILTERS: Final = {
    "parse_filter": parse_filter,
    "parse_filter_arg": parse_filter_arg,
    "parse_simple": parse_simple,
}
_HOME: Final = "perkey.dataspace"

_MODULES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "signac": (_HOME, {**_PROJECTS, "__version__": VERSION}),
    "signac._utility": (_HOME, {"_to_hashable": _hashable}),
    "signac.cite": (f"{_HOME}.cite", {}),
    "signac.contrib": (_HOME, _PROJECTS),
    "signac.contrib.collection": (_HOME, {}),
    "signac.contrib.filterparse": (_HOME, _FILTERS),
    "signac.contrib.job": (_HOME, {}),
    "signac.contrib.project": (_HOME, _PROJECTS),
    "signac.contrib.schema": (_HOME, {}),
    "signac.diff": (_HOME, {}),
    "signac.errors": (f"{_HOME}.errors", {}),
    "signac.filterparse": (_HOME, _FILTERS),
    "signac.h5store": (
        _HOME,
        {name: getattr(errors, name) for name in ("H5StoreAlreadyOpenError", "H5StoreClosedError")},
    ),
    "signac.job": (_HOME, {}),
    "signac.project": (_HOME, _PROJECTS),
    "signac.schema": (_HOME, {}),
    "signac.sync": (f"{_HOME}.sync", {}),
    "signac.version": (_HOME, {"__version__": VERSION, "SCHEMA_VERSION": "2"}),
    "signac.warnings": (_HOME, {"SignacDeprecationWarning": dataspace.DataspaceDeprecationWarning}),
    **{
        f"signac.synced_collections{name}": ("perkey.synced", {})
        for name in (
            "",
            ".backends",
            ".backends.collection_json",
            ".backends.collection_mongodb",
            ".backends.collection_redis",
            ".backends.collection_zarr",
            ".data_types",
            ".data_types.attr_dict",
            ".data_types.synced_collection",
            ".data_types.synced_dict",
            ".data_types.synced_list",
            ".errors",
            ".utils",
            ".validators",
        )
    },
}
"""The modules, those above first, each with the module of perkey that has its names and what differs."""
