"""The space: all that search, exchange and synchronisation need of a project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from typing import Any, TypeAlias

from perkey.dataspace.errors import NoSuchJobError
from perkey.dataspace.space import config as configuration
from perkey.dataspace.space import transfers
from perkey.dataspace.space.documents import Documents
from perkey.dataspace.space.index import Index, write_cache
from perkey.dataspace.space.workspace import ID_LENGTH, Workspace, is_job_id
from perkey.files import folder_path, make_base
from perkey.stores.folder import Durability

StrPath: TypeAlias = str | os.PathLike[str]


class Space:
    """The jobs of one project: their folders, and what is known of their state points and documents.

    Making one finishes the moves of jobs whose processes were killed.

    Args:
        config: The configuration, with the place of everything.
        durability: As for `Project`.
        make_job: Returns a handle on a job, given its id and, where it is known, its state point.

    Attributes:
        config: The configuration.
        durability: As given.
        durable: Whether changes are on disk when they return.
        workspace: The folders of the jobs: makes, renames and removes them.
        index: The state points of all jobs.
        documents: The documents of jobs as plain data.
        make_job: As given.
        identity: The same for all handles on this space, by whatever path.
    """

    def __init__(
        self,
        config: configuration.ProjectConfig,
        *,
        durability: Durability,
        make_job: Callable[..., Any],
    ) -> None:
        self.config = config
        self.durability: Durability = durability
        self.durable = durability == "sync"
        self.workspace = Workspace(config.workspace, durable=self.durable, root=config.root)
        self.index = Index(self.workspace)
        self.documents = Documents(self.workspace)
        self.make_job = make_job
        self.identity = os.path.realpath(config.workspace), os.path.realpath(config.root)
        transfers.recover(self.workspace)

    def complete(self, beginning: str) -> str:
        """Return the id of the one job whose id begins with a text.

        Raises:
            NoSuchJobError: No id begins with it.
            LookupError: Several ids begin with it.
        """
        if len(beginning) < ID_LENGTH:
            found = [job for job in self.index.ids() if job.startswith(beginning)]
            if len(found) > 1:
                raise LookupError(
                    f"{beginning!r} is the beginning of the ids of {len(found)} jobs in "
                    f"{self.workspace.path}: give more digits; {self.shortest_unique()} are enough"
                )
            if found:
                return found[0]
        elif is_job_id(beginning) and beginning in self.workspace:
            return beginning
        raise NoSuchJobError(beginning, self.workspace.path)

    def shortest_unique(self) -> int:
        """Return how many characters of an id are enough to distinguish all jobs."""
        ids = sorted(self.index.ids())
        return max((_common(*pair) + 1 for pair in pairwise(ids)), default=0)

    def update_cache(self) -> int:
        """Bring the index, the documents and signac's cache up to date; return the number of jobs."""
        self.index.update()
        statepoints = self.index.all()
        write_cache(self.config.cache_path, statepoints)
        with self.documents.many(statepoints):
            for job in statepoints:
                self.documents(job)
        self.workspace.sweep()
        return len(statepoints)


def find(start: StrPath | None, *, search: bool) -> configuration.ProjectConfig:
    """Return the configuration of the project in a folder, or of the nearest folder above it.

    A folder that does not exist is in no project: a path with a typing error must not find the project above.

    Raises:
        LookupError: The folder is not in a project.
    """
    folder = folder_path(start or os.getcwd(), "path")
    if not os.path.exists(folder):
        raise LookupError(
            f"no project in {folder}: the folder does not exist. Check the path; a project is made by "
            f"`perkey space -C {folder} init` or init_project(path={folder!r})"
        )
    found = configuration.search(folder) if search else configuration.load(folder)
    if found is None:
        raise LookupError(
            f"no project in {folder}{' or above it' if search else ''}: give the folder of a project, or "
            f"make one by `perkey space init` in that folder or by init_project(path={folder!r})"
        )
    return found


def create(
    folder: str,
    name: str | None,
    workspace: StrPath | None,
    *,
    make_dir: bool,
    schema_version: int | None,
    durable: bool,
) -> configuration.ProjectConfig:
    """Make a project in a folder, unless it exists; return its configuration. See `Project.init_project`."""
    found = configuration.load(folder)
    if name is not None and (found is None or found.get("project") != name):
        _require_name(name)
    if make_dir:
        make_base(folder, durable=durable)
    elif not os.path.isdir(folder):
        raise FileNotFoundError(f"the folder {folder!r} does not exist, and make_dir is False")
    if found is None:
        found = _create_config(folder, name, workspace, schema_version, durable=durable)
    if not _agrees(found, name, workspace):
        raise RuntimeError(
            f"{found.path} is the configuration of a project with another name or workspace; nothing was "
            "changed. Open that project by get_project(), or choose another folder"
        )
    return found


def job_folders_above(start: str) -> Iterator[tuple[str, str]]:
    """Yield the path above, and the name, of each folder at or above a path that has the name of a job."""
    folder = start
    while True:
        above, name = os.path.split(folder)
        if is_job_id(name):
            yield above, name
        if above == folder:
            return
        folder = above


def _create_config(
    folder: str, name: str | None, workspace: StrPath | None, schema_version: int | None, *, durable: bool
) -> configuration.ProjectConfig:
    wanted = {} if name is None else {"project": str(name)}
    is_other = workspace is not None and os.fspath(workspace) != configuration.DEFAULT_WORKSPACE
    if is_other:
        wanted["workspace_dir"] = os.fspath(workspace or "")
    layout = configuration.LAYOUTS.get(schema_version or (1 if is_other else 2))
    if layout is None:
        raise ValueError(f"schema_version is 1 or 2, not {schema_version!r}")
    # First the workspace: a path that cannot be the workspace must not get into the configuration.
    planned = configuration.ProjectConfig(folder, layout, wanted)
    Workspace(planned.workspace, durable=durable).make()
    return configuration.create(folder, wanted, layout, durable=durable)


def _require_name(name: object) -> None:
    """Refuse a path in the place of a name; raises ValueError."""
    if isinstance(name, os.PathLike) or os.path.basename(str(name)) != str(name):
        raise ValueError(
            f"{os.fspath(name) if isinstance(name, os.PathLike) else name!r} is a path, not the name of a "
            f"project: for a project in this folder write init_project(path={str(name)!r})"
        )


def _agrees(found: configuration.ProjectConfig, name: str | None, workspace: StrPath | None) -> bool:
    """Return whether a project has the name and workspace that were asked for."""
    if name is not None and found.get("project", str(name)) != str(name):
        return False
    if workspace is None:
        return True
    wanted = os.path.expanduser(os.path.expandvars(os.fspath(workspace)))
    return os.path.abspath(os.path.join(found.root, wanted)) == found.workspace


def _common(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
