"""A project: a folder with a configuration, a document, and a workspace full of jobs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise, takewhile
from typing import Any, Final, Self, TypeVar

from perkey.dataspace import config as configuration
from perkey.dataspace import transfers
from perkey.dataspace.cursor import JobsCursor
from perkey.dataspace.documents import DocumentFile, SpaceDocument
from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.ids import ID_LENGTH, is_job_id
from perkey.dataspace.index import Index, read_cache, write_cache
from perkey.dataspace.job import Job
from perkey.dataspace.legacy import LegacyProject
from perkey.dataspace.schema import ProjectSchema
from perkey.dataspace.search import Documents
from perkey.dataspace.statepoints import StatePoints
from perkey.dataspace.workspace import Workspace
from perkey.stores.directory import Durability

P = TypeVar("P", bound="Project")

StrPath = str | os.PathLike[str]


class PathText(str):
    """A path that may also be called for itself: signac 1 has methods where signac 2 has attributes."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return the path."""
        return str(self)


class Project(StatePoints, LegacyProject):
    """The handle on a project. Make projects with `init_project`, open them with `get_project`.

    A handle can be pickled and shared by threads; any number of processes may use one project at once.

    Args:
        config: The project's folder, or its configuration; None searches upwards from the working directory.
        ignore_schema_version: Whether to open a project whose layout has an unknown version.
        durability: ``"sync"``: changes of what jobs there are, are on disk when they return. ``"none"``:
            when the system pleases, as in signac.

    Raises:
        LookupError: There is no project.
        ConfigError: Its configuration cannot be understood.
        IncompatibleSchemaVersion: Its layout is not known here.
    """

    FN_DOCUMENT: Final = "signac_project_document.json"
    """The file of the project's document."""

    FN_CACHE: Final = "signac_sp_cache.json.gz"
    """What signac calls its cache of state points, by default."""

    KEY_DATA: Final = "signac_data"
    """The name of the project's own store for arrays."""

    job_class: type[Job] = Job
    """The class of the jobs; a subclass of `Project` may have another."""

    def __init__(
        self,
        config: configuration.ProjectConfig | StrPath | None = None,
        ignore_schema_version: bool = False,
        *,
        durability: Durability = "sync",
    ) -> None:
        if not isinstance(config, configuration.ProjectConfig):
            config = _find(config, search=config is None)
        if not ignore_schema_version:
            config.check_version()
        self._config = config
        self._durability: Durability = durability
        self._durable = durability == "sync"
        self._jobs = Workspace(config.workspace, durable=self._durable)
        self._index = Index(self._jobs)
        self._documents = Documents(lambda job: f"{self._jobs.folder(job)}/{Job.FN_DOCUMENT}")
        self._document: SpaceDocument | None = None
        transfers.recover(self._jobs)

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
            FileNotFoundError: `root` does not exist.
        """
        folder = os.path.abspath(path or root or os.getcwd())
        if make_dir:
            os.makedirs(folder, exist_ok=True)
        elif not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no folder {folder!r}, and make_dir is False")
        found = configuration.load(folder)
        if found is None:
            wanted = {} if name is None else {"project": str(name)}
            other = workspace is not None and os.fspath(workspace) != configuration.DEFAULT_WORKSPACE
            if other:
                wanted["workspace_dir"] = os.fspath(workspace or "")
            layout = configuration.LAYOUTS[schema_version or (1 if other else 2)]
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
        return cls(_find(path or root, search=search), **kwargs)

    @classmethod
    def get_job(cls, root: StrPath | None = None, *, path: StrPath | None = None) -> Job:
        """Return the job whose folder is at or above a path, by default the working directory.

        Raises:
            LookupError: There is none.
        """
        start = os.path.abspath(path or root or os.getcwd())
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

    @property
    def document(self) -> SpaceDocument:
        """The project's document: a nested dictionary that saves itself, safe under many writers."""
        if self._document is None:
            file = DocumentFile(self.fn(self.FN_DOCUMENT), self._make, durable=self._durable)
            self._document = SpaceDocument(file)
        return self._document

    @document.setter
    def document(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)

    @property
    def doc(self) -> SpaceDocument:
        """The same as `document`."""
        return self.document

    @doc.setter
    def doc(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)

    def _make(self) -> None:
        os.makedirs(self.path, exist_ok=True)

    # --- Jobs ---------------------------------------------------------------------------------------

    def open_job(self, statepoint: Mapping[str, Any] | None = None, id: str | None = None) -> Job:
        """Return a handle on the job of a state point, or of an id.

        Args:
            statepoint: The state point; the job need not exist.
            id: The id of an existing job, or the beginning of it, if that is enough.

        Raises:
            ValueError: Not one of both was given.
            TypeError: The state point is no mapping, or JSON has no form for a part of it.
            KeyError: There is no such job.
            LookupError: There are several jobs whose ids begin like this.
        """
        if (statepoint is None) == (id is None):
            raise ValueError("a job is opened by its state point or by its id, by one of both")
        if statepoint is not None:
            return self.job_class(self, statepoint)
        return self.job_class(self, _id=self._complete(str(id)))

    def _complete(self, beginning: str) -> str:
        if len(beginning) < ID_LENGTH:
            found = [job for job in self._index.ids() if job.startswith(beginning)]
            if len(found) > 1:
                raise LookupError(f"{beginning!r} is the beginning of the ids of {len(found)} jobs")
            if found:
                return found[0]
        elif is_job_id(beginning) and beginning in self._jobs:
            return beginning
        raise KeyError(beginning)

    def min_len_unique_id(self) -> int:
        """Return how many characters of an id are enough to tell all jobs apart.

        Cost: as a listing, and sorting the ids.
        """
        ids = sorted(self._index.ids())
        return max((_common(*pair) + 1 for pair in pairwise(ids)), default=0)

    def find_jobs(
        self, filter: Mapping[str, Any] | None = None, doc_filter: Mapping[str, Any] | None = None
    ) -> JobsCursor:
        """Return the jobs that match a filter; `perkey.query` describes the language.

        Paths that begin with ``doc.`` speak of the jobs' documents, all others, and those that begin with
        ``sp.``, of their state points.

        Args:
            filter: The filter; None is all jobs.
            doc_filter: A filter whose paths all speak of documents. Deprecated, write ``doc.`` paths.

        Raises:
            TypeError, ValueError: It is no filter.
        """
        return JobsCursor(self, filter, doc_filter)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.find_jobs())

    def __len__(self) -> int:
        return len(self._index.ids())

    def __bool__(self) -> bool:
        """A project without jobs is one, too."""
        return True

    def __contains__(self, job: Job) -> bool:
        """Tell whether a job is initialised here; one system call, however many jobs there are."""
        return job.id in self._jobs

    def num_jobs(self) -> int:
        """Return the number of jobs; the same as ``len(project)``."""
        return len(self)

    def groupby(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs; as `JobsCursor.groupby`."""
        return self.find_jobs().groupby(key, default)

    def groupbydoc(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs by their documents; as `JobsCursor.groupbydoc`. Deprecated."""
        return self.find_jobs().groupbydoc(key, default)

    def to_dataframe(self, *args: Any, **kwargs: Any) -> Any:
        """Return all jobs as a data frame; as `JobsCursor.to_dataframe`."""
        return self.find_jobs().to_dataframe(*args, **kwargs)

    def detect_schema(
        self, exclude_const: bool = False, subset: Iterable[Job | str] | None = None
    ) -> ProjectSchema:
        """Return which keys the state points have, of which types and with which values.

        Args:
            exclude_const: Whether to leave out keys that have one value, the same in all jobs.
            subset: Look at these jobs (or ids) only.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        if subset is None:
            return ProjectSchema.detect(self._index.all().values(), exclude_const=exclude_const)
        jobs = [job if isinstance(job, str) else job.id for job in subset]
        statepoints = [self._index.statepoint(job) for job in jobs]
        return ProjectSchema.detect(statepoints, exclude_const=exclude_const)

    def clone(self, job: Job, copytree: transfers.CopyTree | None = None) -> Job:
        """Copy a job of another project, with all its data, into this one; it appears as a whole.

        Args:
            job: The job.
            copytree: What copies folders, by default `shutil.copytree`.

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

    # --- The index ----------------------------------------------------------------------------------

    def update_cache(self) -> None:
        """Bring the index up to date, and with it the cache that signac reads.

        Searching keeps the index up to date by itself; this is for signac's programs, and to have it done
        at a time of one's own choosing. Also deletes what killed processes left behind an hour ago.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        self._index.update()
        write_cache(self._cache_path, self._index.all())
        self._jobs.sweep()

    @property
    def _cache_path(self) -> str:
        return os.path.join(self.path, self._config.layout.cache)

    def _signac_cache(self) -> dict[str, Any]:
        return read_cache(self._cache_path)

    # --- Identity -----------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Project):
            return NotImplemented
        return self._jobs.path == other._jobs.path and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def _repr_html_(self) -> str:
        from perkey.dataspace.html import card_of  # noqa: PLC0415 - for notebooks only

        return card_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.path, self._durability)


def _common(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _reopen(cls: type[P], path: str, durability: Durability) -> P:
    return cls(path, ignore_schema_version=True, durability=durability)


def _find(start: StrPath | None, *, search: bool) -> configuration.ProjectConfig:
    folder = os.path.abspath(start or os.getcwd())
    found = configuration.search(folder) if search else configuration.load(folder)
    if found is None:
        raise LookupError(f"there is no project in {folder}" + (" or above it" if search else ""))
    return found


def _agrees(found: configuration.ProjectConfig, name: str | None, workspace: StrPath | None) -> bool:
    """Tell whether a project is the one that was to be made."""
    if name is not None and found.get("project", name) != name:
        return False
    if workspace is None:
        return True
    wanted = os.path.expanduser(os.path.expandvars(os.fspath(workspace)))
    return os.path.abspath(os.path.join(found.root, wanted)) == found.workspace


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
        yield (cls or Project).init_project(name or os.path.basename(folder), folder, durability="none")
