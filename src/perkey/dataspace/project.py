"""A project: a folder with a configuration, a document, and a workspace full of jobs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.exchange_methods import ExchangingProject
from perkey.dataspace.handle import StrPath, find
from perkey.dataspace.job import Job
from perkey.dataspace.old_methods import LegacyProject
from perkey.dataspace.space import Workspace, is_job_id, transfers, write_cache
from perkey.dataspace.space import config as configuration
from perkey.dataspace.sync_methods import SyncedProject
from perkey.files import make_base
from perkey.stores.folder import Durability


class Project(SyncedProject, ExchangingProject, LegacyProject):
    """The handle on a project. Make projects with `init_project`, open them with `get_project`.

    A handle can be pickled and shared by threads; any number of processes may use one project at once.

    Args:
        config: The project's folder, or its configuration; None searches upwards from the working directory.
        ignore_schema_version: Whether to open a project whose layout has an unknown version.
        path: The project's folder, as signac 2 calls the first argument.
        durability: ``"sync"``: changes of what jobs there are, are on disk when they return. ``"none"``:
            when the system pleases, as in signac.

    Raises:
        LookupError: There is no project.
        ConfigError: Its configuration cannot be understood.
        IncompatibleSchemaVersion: Its layout is not known here.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Take the class of the jobs from `Job`, as signac 1 calls it, if a subclass sets that one."""
        super().__init_subclass__(**arguments)
        if "Job" in vars(cls) and "job_class" not in vars(cls):
            cls.job_class = vars(cls)["Job"]

    # --- Places -------------------------------------------------------------------------------------

    @classmethod
    def init_project(
        cls,
        name: str | None = None,
        root: StrPath | None = None,
        workspace: StrPath | None = None,
        make_dir: bool = True,
        *,
        path: StrPath | None = None,
        schema_version: int | None = None,
        durability: Durability = "sync",
    ) -> Self:
        """Make a project, or open it if it exists; may be called by many at once.

        Args:
            name: The name of the project.
            root: Its folder, by default the working directory.
            workspace: The folder of the jobs, relative to `root`.
            make_dir: Whether to make `root` if it does not exist.
            path: The same as `root`, as signac 2 calls it.
            schema_version: The layout: 2 is that of signac 2; 1 is that of signac 1, and the default for a
                workspace of another name, which signac 2 does not know.
            durability: As for the class.

        Raises:
            RuntimeError: There is a project with another name or workspace; nothing was changed.
            ValueError: The name is a path: signac 2 takes one where signac 1 takes the name.
            FileNotFoundError: `root` does not exist.
            ConfigError, WorkspaceError: The configuration cannot hold the name or workspace, or the workspace
                cannot be made; there is no new project then.
            ValueError: There is no layout of that version.
        """
        folder = os.path.abspath(path or root or os.getcwd())
        found = configuration.load(folder)
        if name is not None and (found is None or found.get("project") != name):
            _require_name(name)
        if make_dir:
            make_base(folder, durable=durability == "sync")
        elif not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no folder {folder!r}, and make_dir is False")
        if found is None:
            wanted = {} if name is None else {"project": str(name)}
            other = workspace is not None and os.fspath(workspace) != configuration.DEFAULT_WORKSPACE
            if other:
                wanted["workspace_dir"] = os.fspath(workspace or "")
            layout = configuration.LAYOUTS.get(schema_version or (1 if other else 2))
            if layout is None:
                raise ValueError(f"schema_version is 1 or 2, not {schema_version!r}")
            # First: what cannot be the workspace must not get into the configuration.
            planned = configuration.ProjectConfig(folder, layout, wanted)
            Workspace(planned.workspace, durable=durability == "sync").make()
            found = configuration.create(folder, wanted, layout, durable=durability == "sync")
        if not _agrees(found, name, workspace):
            raise RuntimeError(f"{found.path} is the configuration of another project; nothing was changed")
        project = cls(found, durability=durability)
        project._jobs.make()
        return project

    @classmethod
    def get_project(
        cls,
        root: StrPath | None = None,
        search: bool = True,
        *,
        path: StrPath | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return the project of a folder.

        Args:
            root: The folder, by default the working directory.
            search: Whether the nearest folder above it will do as well.
            path: The same as `root`, as signac 2 calls it.
            **kwargs: As for the class.

        Raises:
            LookupError: There is no project.
        """
        return cls(find(path or root, search=search), **kwargs)

    @classmethod
    def get_job(cls, root: StrPath | None = None, *, path: StrPath | None = None) -> Job:
        """Return the job whose folder is at or above a path, by default the working directory.

        Raises:
            LookupError: There is none.
        """
        start = os.path.realpath(path or root or os.getcwd())  # it may be the link in a view
        if not os.path.exists(start):
            raise LookupError(f"{start} is not in a job's folder: it does not exist")
        folder = start
        while True:
            above, name = os.path.split(folder)
            if is_job_id(name):
                project = cls.get_project(above)
                if os.path.realpath(project._jobs.path) == os.path.realpath(above):
                    return project.open_job(id=name)
            if above == folder:
                raise LookupError(f"{start} is not in a job's folder")
            folder = above

    # --- Jobs ---------------------------------------------------------------------------------------

    def clone(self, job: Job, copytree: transfers.CopyTree | None = None) -> Job:
        """Copy a job of another project, with all its data, into this one; it appears as a whole.

        Args:
            job: The job.
            copytree: What copies folders, such as `shutil.copytree`; by default all files, with their links.

        Raises:
            ValueError: The job is not initialised.
            DestinationExistsError: There is such a job here; nothing was changed.
        """
        copy = self.job_class(self, _id=job.id, statepoint=job.cached_statepoint)
        self._jobs.make()
        try:
            transfers.clone(job.id, job.project._jobs, self._jobs, copytree)
        except DestinationExistsError:
            raise DestinationExistsError(copy) from None
        except FileNotFoundError:
            raise ValueError(f"job {job.id} cannot be cloned: it is not initialized") from None
        return copy

    @contextmanager
    def temporary_project(self, name: str | None = None, dir: StrPath | None = None) -> Iterator[Project]:
        """Make a project for the time of a ``with`` block.

        Args:
            name: Its name.
            dir: The folder in which its own is made, by default this project's workspace, so that jobs can
                be moved by renaming.
        """
        self._jobs.make()
        with TemporaryProject(name, type(self), dir=dir or self._jobs.path) as project:
            yield project

    def _repr_html_(self) -> str:
        from perkey.dataspace.html import card_of  # noqa: PLC0415 - for notebooks only

        return card_of(self)

    # --- The index ----------------------------------------------------------------------------------

    def update_cache(self) -> int:
        """Bring up to date what is known of state points and documents, and the cache that signac reads.

        Returns:
            The number of jobs in the cache.

        Searching keeps itself up to date; this is for signac's programs, and to have it done at a time of
        one's own choosing. Also deletes what killed processes left behind an hour ago.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
            CorruptValueError: A document cannot be read.
        """
        self._index.update()
        statepoints = self._index.all()
        write_cache(self._cache_path, statepoints)
        with self._documents.many(statepoints):
            for job in statepoints:
                self._documents(job)
        self._jobs.sweep()
        return len(statepoints)


def _require_name(name: object) -> None:
    """Refuse a path in the place of a name; raises ValueError."""
    if isinstance(name, os.PathLike) or os.path.basename(str(name)) != str(name):
        raise ValueError(
            f"{os.fspath(name) if isinstance(name, os.PathLike) else name!r} is a path, not the name of a "
            f"project: for a project in this folder write init_project(path={str(name)!r})"
        )


def _agrees(found: configuration.ProjectConfig, name: str | None, workspace: StrPath | None) -> bool:
    """Tell whether a project is the one that was to be made."""
    if name is not None and found.get("project", str(name)) != str(name):
        return False
    if workspace is None:
        return True
    wanted = os.path.expanduser(os.path.expandvars(os.fspath(workspace)))
    return os.path.abspath(os.path.join(found.root, wanted)) == found.workspace


type.__setattr__(Project, "Job", Job)  # in the class it would hide the module's


@contextmanager
def TemporaryProject(  # noqa: N802 - the seed's name
    name: str | None = None, cls: type[Project] | None = None, **kwargs: Any
) -> Iterator[Project]:
    """Make a project in a temporary folder for the time of a ``with`` block.

    Args:
        name: Its name, by default that of its folder.
        cls: Its class, by default `Project`.
        **kwargs: As for `tempfile.TemporaryDirectory`.
    """
    with tempfile.TemporaryDirectory(**kwargs) as folder:
        yield (cls or Project).init_project(
            name=name or os.path.basename(folder), root=folder, durability="none"
        )
