"""A project: a folder with a configuration, a document, and a workspace full of jobs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from perkey.dataspace.cursor import JobsCursor
from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.job import Job
from perkey.dataspace.legacy import deprecated, refuse_index, replaced
from perkey.dataspace.members import DataFolder, DocumentFile
from perkey.dataspace.search import ProjectSchema, neighbors_of, project_html
from perkey.dataspace.space import (
    FN_DOCUMENT,
    LAYOUTS,
    CopyTree,
    ProjectConfig,
    Space,
    StatePoint,
    StrPath,
    add_statepoints,
    by_id,
    create,
    find,
    job_folders_above,
    read_statepoints,
    repair,
    require_sound,
    settle,
    transfers,
)
from perkey.files import folder_path
from perkey.handles import unlike_any
from perkey.stores.folder import Durability

if TYPE_CHECKING:
    from perkey.dataspace.exchange.discovery import Schema
    from perkey.dataspace.exchange.paths import PathSpec
    from perkey.dataspace.sync import DocStrategy, Exclude, FileStrategy, FileTransferStats

P = TypeVar("P", bound="Project")


class PathText(str):
    """A path that may also be called for itself: signac 1 has methods where signac 2 has attributes."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return the path."""
        return str(self)


class Project(DataFolder):
    """The handle on a project. Make projects with `init_project`, open them with `get_project`.

    A handle can be pickled and shared by threads; any number of processes may use one project at once.

    Args:
        config: The project's folder, or its configuration; None searches upwards from the working directory.
        ignore_schema_version: Whether to open a project whose layout has an unknown version.
        path: The project's folder, as signac 2 calls the first argument.
        durability: ``"sync"``: new, moved and removed jobs are on disk when a call returns. ``"none"``: the
            system decides when, as in signac.

    Raises:
        LookupError: The folder is not in a project.
        ConfigError: The configuration cannot be parsed.
        IncompatibleSchemaVersion: The layout is unknown to this version of perkey.

    Attributes:
        space: The space of the project: what search, exchange and synchronisation work on.
    """

    FN_DOCUMENT: Final = "signac_project_document.json"
    """The file of the project's document."""

    FN_CACHE: str = LAYOUTS[2].cache
    """The file of signac's cache of state points: a project's own, or of the class in the newest layout."""

    FN_STATEPOINTS: Final = "signac_statepoints.json"
    """The file that state points are written to and read from by default."""

    job_class: type[Job] = Job
    """The class of the jobs; a subclass of `Project` may have another."""

    def __init__(
        self,
        config: ProjectConfig | StrPath | None = None,
        ignore_schema_version: bool = False,
        *,
        path: StrPath | None = None,
        durability: Durability = "sync",
    ) -> None:
        config = path if config is None else config
        if not isinstance(config, ProjectConfig):
            config = find(config, search=config is None)
        if not ignore_schema_version:
            config.check_version()
        self.FN_CACHE = config.layout.cache
        self.space = Space(config, durability=durability, make_job=self._make_job)
        self._made_here = frozenset((*vars(self), "_made_here", "_document", "_stores"))

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Take the class of the jobs from `Job`, as signac 1 calls it, if a subclass sets that one."""
        super().__init_subclass__(**arguments)
        if "Job" in vars(cls) and "job_class" not in vars(cls):
            cls.job_class = vars(cls)["Job"]

    def _make_job(self, id: str, statepoint: Mapping[str, Any] | None = None) -> Job:
        return self.job_class(self, _id=id, statepoint=statepoint)

    # --- Making and opening ------------------------------------------------------------------------

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
        """Make a project, or open it if it exists; several processes may call this at once.

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
            RuntimeError: A project with another name or workspace exists already; nothing was changed.
            ValueError: The name is a path: signac 2 takes one where signac 1 takes the name.
            FileNotFoundError: `root` does not exist.
            ConfigError, WorkspaceError: The configuration cannot hold the name or workspace, or the workspace
                cannot be made; no project is made then.
            ValueError: The layout is unknown.
        """
        found = create(
            folder_path(path or root or os.getcwd(), "path"),
            name,
            workspace,
            make_dir=make_dir,
            schema_version=schema_version,
            durable=durability == "sync",
        )
        project = cls(found, durability=durability)
        project.space.workspace.make()
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
            LookupError: The folder is not in a project.
        """
        return cls(find(path or root, search=search), **kwargs)

    @classmethod
    def get_job(cls, root: StrPath | None = None, *, path: StrPath | None = None) -> Job:
        """Return the job whose folder is at or above a path, by default the working directory.

        Raises:
            LookupError: The path is not in a job's folder.
        """
        given = folder_path(path or root or os.getcwd(), "path")
        start = os.path.realpath(given)  # it may be the link in a view
        if not os.path.exists(start):
            raise LookupError(f"{start} is not in a job's folder: it does not exist")
        for workspace, job in job_folders_above(start):
            project = cls.get_project(workspace)
            if os.path.realpath(project.space.workspace.path) == os.path.realpath(workspace):
                return project.open_job(id=job)
        raise LookupError(f"{start} is not in a job's folder: give the folder of a job, or a path in it")

    @contextmanager
    def temporary_project(self, name: str | None = None, dir: StrPath | None = None) -> Iterator[Project]:
        """Make a project for the time of a ``with`` block.

        Args:
            name: Its name.
            dir: The folder in which its own is made, by default this project's workspace, so that jobs can
                be moved by renaming.
        """
        self.space.workspace.make()
        with TemporaryProject(name, type(self), dir=dir or self.space.workspace.path) as project:
            yield project

    # --- Places ------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The project's folder."""
        return self.space.config.root

    def root_directory(self) -> str:
        """Return the project's folder."""
        return self.path

    @property
    def workspace(self) -> PathText:
        """The path of the folder of the jobs; may also be called."""
        return PathText(self.space.workspace.path)

    @property
    def config(self) -> ProjectConfig:
        """The project's configuration, with the user's; it is not changed in memory."""
        return self.space.config

    @property
    def id(self) -> str:
        """The project's name, or its path if it has no name."""
        return str(self.space.config.get("project") or self.path)

    def get_id(self) -> str:
        """Return the project's name. Deprecated: `Project.id`."""
        deprecated("Project.get_id()", "Project.id")
        return self.id

    def _prepare(self) -> Callable[[], object]:
        require = self.space.workspace.require_root
        require()
        return require

    def _document_file(self) -> DocumentFile:
        require = self.space.workspace.require_root
        return DocumentFile(self.fn(self.FN_DOCUMENT), require, durable=self.space.durable, place=self.path)

    # --- Jobs --------------------------------------------------------------------------------------

    def open_job(self, statepoint: Mapping[str, Any] | None = None, id: str | None = None) -> Job:
        """Return a handle on the job of a state point, or of an id.

        Args:
            statepoint: The state point; the job need not exist.
            id: The id of an existing job, or the beginning of it, if that is enough.

        Raises:
            ValueError: Not one of both was given.
            TypeError: The state point is not a mapping, or JSON has no form for a part of it.
            NoSuchJobError: No job has that id; a KeyError.
            LookupError: The ids of several jobs begin with it.
        """
        if (statepoint is None) == (id is None):
            raise ValueError("open_job() takes a state point or an id: exactly one of both")
        if statepoint is not None:
            return self.job_class(self, statepoint)
        return self.job_class(self, _id=self.space.complete(str(id)))

    def clone(self, job: Job, copytree: transfers.CopyTree | None = None) -> Job:
        """Copy a job of another project, with all its data, into this one; it appears as a whole.

        Args:
            job: The job.
            copytree: What copies folders, such as `shutil.copytree`; by default all files, with their links.

        Raises:
            ValueError: The job is not initialised.
            DestinationExistsError: This project has the job already; nothing was changed.
        """
        copy = self.job_class(self, _id=job.id, statepoint=job.cached_statepoint)
        self.space.workspace.make()
        settle(job.fn(FN_DOCUMENT))
        try:
            transfers.clone(job.id, job.space.workspace, self.space.workspace, copytree)
        except DestinationExistsError:
            raise DestinationExistsError(copy) from None
        except FileNotFoundError:
            raise ValueError(
                f"job {job.id} cannot be cloned: it is not initialized. Make it by init()"
            ) from None
        return copy

    def find_jobs(
        self, filter: Mapping[str, Any] | None = None, doc_filter: Mapping[str, Any] | None = None
    ) -> JobsCursor:
        """Return the jobs that match a filter; `perkey.query` describes the language.

        Paths that begin with ``doc.`` speak of the jobs' documents, all others, and those that begin with
        ``sp.``, of their state points.

        Args:
            filter: The filter; by default all jobs.
            doc_filter: A filter whose paths all speak of documents. Deprecated, write ``doc.`` paths.

        Raises:
            TypeError, ValueError: The filter is not valid.
        """
        return JobsCursor(self, filter, doc_filter)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.find_jobs())

    def __len__(self) -> int:
        return len(self.space.index.ids())

    def __bool__(self) -> bool:
        """A project without jobs is one, too."""
        return True

    def __contains__(self, job: object) -> bool:
        """Return whether a job is initialised here; one system call, however many jobs there are."""
        return isinstance(job, Job) and job.id in self.space.workspace

    def num_jobs(self) -> int:
        """Return the number of jobs; the same as ``len(project)``."""
        return len(self)

    def min_len_unique_id(self) -> int:
        """Return how many characters of an id are enough to distinguish all jobs.

        Cost: as a listing, and sorting the ids.
        """
        return self.space.shortest_unique()

    def find_job_ids(
        self,
        filter: Mapping[str, Any] | None = None,
        doc_filter: Mapping[str, Any] | None = None,
        index: None = None,
    ) -> list[str]:
        """Return the ids of the jobs that match. Deprecated: `Project.find_jobs`."""
        refuse_index(index)
        deprecated("Project.find_job_ids()", "[job.id for job in Project.find_jobs()]")
        return [job.id for job in self.find_jobs(filter, doc_filter)]

    # --- Comparing and grouping --------------------------------------------------------------------

    def groupby(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs; as `JobsCursor.groupby`."""
        return self.find_jobs().groupby(key, default)

    def groupbydoc(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs by their documents; as `JobsCursor.groupbydoc`. Deprecated."""
        return self.find_jobs().groupbydoc(key, default)

    def to_dataframe(self, *args: Any, **kwargs: Any) -> Any:
        """Return all jobs as a data frame; as `JobsCursor.to_dataframe`."""
        return self.find_jobs().to_dataframe(*args, **kwargs)

    def get_neighbors(self, ignore: str | Iterable[str] = ()) -> dict[str, dict[str, dict[Any, str]]]:
        """Return for each job the jobs whose state points differ from its own in one value only.

        Args:
            ignore: Keys that may differ, too: those that change together with others.

        Returns:
            By the id of each job, and the path of each key that it has and that is not the same in all jobs:
            the ids of the jobs with the next smaller and the next larger value, by that value (lists as
            tuples), as far as there are such jobs.

        Raises:
            ValueError: Without the keys to ignore, some jobs would be the same.
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        return neighbors_of(self.space.index.all(), [ignore] if isinstance(ignore, str) else list(ignore))

    def detect_schema(
        self,
        exclude_const: bool = False,
        subset: Iterable[Job | str] | None = None,
        index: None = None,
    ) -> ProjectSchema:
        """Return which keys the state points have, of which types and with which values.

        Args:
            exclude_const: Whether to leave out keys that have one value, the same in all jobs.
            subset: Look at these jobs (or ids) only.
            index: Not supported: use `subset`.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        refuse_index(index)
        if subset is None:
            return ProjectSchema.detect(self.space.index.all().values(), exclude_const=exclude_const)
        jobs = [job if isinstance(job, str) else job.id for job in subset]
        statepoints = [self.space.index.statepoint(job) for job in jobs]
        return ProjectSchema.detect(statepoints, exclude_const=exclude_const)

    # --- State points ------------------------------------------------------------------------------

    def dump_statepoints(self, statepoints: Iterable[Mapping[str, Any]]) -> dict[str, StatePoint]:
        """Return the state points by the ids of their jobs, which need not exist."""
        return by_id(statepoints)

    def write_statepoints(
        self,
        statepoints: Iterable[Mapping[str, Any]] | None = None,
        fn: str | None = None,
        indent: int | None = 2,
    ) -> None:
        """Write state points into a file, beside those that it has.

        Args:
            statepoints: By default those of all jobs.
            fn: The file, by default `FN_STATEPOINTS` in the project's folder.
            indent: As for `json.dumps`.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        found = self.space.index.all() if statepoints is None else by_id(statepoints)
        add_statepoints(fn or self.fn(self.FN_STATEPOINTS), found, indent)

    def read_statepoints(self, fn: str | None = None) -> dict[str, StatePoint]:
        """Return the state points in a file by the ids of their jobs.

        Args:
            fn: The file, by default `FN_STATEPOINTS` in the project's folder.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is not JSON.
        """
        return read_statepoints(fn or self.fn(self.FN_STATEPOINTS))

    def check(self) -> None:
        """Read the state point of every job, and finish what killed processes left half done.

        Raises:
            JobsCorruptedError: Some are missing or damaged, or belong to another id; it names them all.
        """
        require_sound(self.space.workspace)

    def repair(
        self,
        fn_statepoints: str | None = None,
        index: None = None,
        job_ids: Iterable[str] | None = None,
    ) -> None:
        """Restore the state points and ids that jobs have lost.

        A state point is taken from a file, from the index, or from signac's cache. A folder of a wrong name,
        whose state point is sound, gets the right one. Also deletes what killed processes left behind.

        Args:
            fn_statepoints: A file of `write_statepoints`, by default `FN_STATEPOINTS` if it exists.
            index: Not supported: use `job_ids`.
            job_ids: The jobs to look at, by default all.

        Raises:
            JobsCorruptedError: Some could not be repaired; it names them all.
            FileNotFoundError: The file named does not exist.
        """
        refuse_index(index)
        default = self.fn(self.FN_STATEPOINTS)
        repair(self.space, job_ids, fn_statepoints or (default if os.path.exists(default) else None))

    def update_cache(self) -> int:
        """Update the index of state points and documents, and the cache that signac reads.

        Returns:
            The number of jobs in the cache.

        Searching keeps itself up to date; this is for signac's programs, and to have it done at a time of
        one's own choosing. Also deletes what killed processes left behind an hour ago.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
            CorruptValueError: A document cannot be read.
        """
        return self.space.update_cache()

    def get_statepoint(self, jobid: str, fn: str | None = None) -> dict[str, Any]:
        """Return the state point of a job, or of an id in a state-point file. Deprecated.

        Raises:
            KeyError: The id is unknown.
        """
        deprecated("Project.get_statepoint()", "Project.open_job(id=...).statepoint()")
        try:
            return dict(self.space.index.statepoint(jobid))
        except KeyError:
            try:
                entries: dict[str, dict[str, Any]] = self.read_statepoints(fn)
            except FileNotFoundError:
                entries = {}
            return entries[jobid]

    def reset_statepoint(self, job: Job, new_statepoint: Mapping[str, Any]) -> None:
        """Give a job another state point. Deprecated: `Job.reset_statepoint`."""
        deprecated("Project.reset_statepoint()", "Job.reset_statepoint()")
        job.reset_statepoint(new_statepoint)

    def update_statepoint(self, job: Job, update: Mapping[str, Any], overwrite: bool = False) -> None:
        """Change a job's state point. Deprecated: `Job.update_statepoint`."""
        deprecated("Project.update_statepoint()", "Job.update_statepoint()")
        job.update_statepoint(update, overwrite)

    # --- Other places ------------------------------------------------------------------------------

    def export_to(
        self,
        target: StrPath,
        path: PathSpec = None,
        copytree: CopyTree | None = None,
    ) -> dict[str, str]:
        """Export all jobs to a folder or an archive, under paths that contain their state points.

        It appears when it is complete; what fails leaves nothing. Only with a `copytree`, jobs appear one by
        one, and those that were exported stay if a later one fails.

        Relative links within a job stay links; others become what they lead to.

        Args:
            target: A new or empty folder, or a new file: ``.zip``, ``.tar``, ``.tar.gz`` (or ``.tgz``,
                ``.gz``), ``.tar.bz2`` (``.bz2``) or ``.tar.xz`` (``.xz``).
            path: The path of each job: a format string, in which ``{a.b}`` is a key of the state point,
                ``{job.id}``, ``{job.sp.a}`` and ``{job.doc.b}`` attributes of the job, and ``{{auto}}`` all
                keys that differ and are not named otherwise (``{{auto:_}}`` with another separator); or a
                function of the job; or False for the ids. By default ``{{auto}}``, with the ids where that
                is not enough.
            copytree: For folders: what copies a job, as `shutil.copytree`. `shutil.move` and `os.replace`
                move jobs, each of which is in one place, or for a moment in both.

        Returns:
            The path of each job in the target, by the path of its folder.

        Raises:
            FileExistsError: The target exists; nothing was changed.
            ExchangePathError: Paths clash or lead out of the target; nothing was changed.
            ValueError: A `copytree` for an archive.
            JobsCorruptedError: The state point of a job cannot be read.
        """
        return self.find_jobs().export_to(target, path, copytree)

    def import_from(
        self,
        origin: StrPath | None = None,
        schema: Schema = None,
        sync: bool | Mapping[str, Any] | None = None,
        copytree: CopyTree | None = None,
    ) -> dict[str, str]:
        """Import the jobs that are in a folder or an archive, with all their files.

        All is looked at, and copied, before the first job appears. If several processes import the same at
        once, some of a later one's jobs may have appeared before it fails.

        Archives are extracted safely: an absolute path, one with ``..``, a link that leads out, or a device
        raises `ArchiveError`, and nothing is left of it.

        Args:
            origin: The folder or archive, by default the working directory.
            schema: How jobs are recognised: by default by the state-point files in them; by a path such as
                ``foo/{foo:int}/{n.bar}`` with types ``str``, ``int``, ``float`` and ``bool``; or by a
                function of the path of a folder, which returns its state point, if it is a job.
            sync: Whether jobs that exist are synchronised, folders within included, as `sync` does; or the
                arguments for that. A conflict leaves the project and the origin as they were.
            copytree: For folders: what copies a job, as `shutil.copytree`. `shutil.move` and `os.replace`
                move jobs.

        Returns:
            The path of each job in this project, by its path in the origin.

        Raises:
            DestinationExistsError: The job exists already and `sync` is not given; nothing was changed.
            StatepointParsingError: A state point cannot be read, contradicts the schema, or belongs to two
                folders; nothing was changed.
            FileNotFoundError: The origin does not exist.
            ArchiveError: The file is not an archive, is damaged, or is not safe.
            ValueError: The schema makes no sense.
        """
        from perkey.dataspace.exchange.importing import import_jobs  # noqa: PLC0415 - archives are seldom needed

        if sync is None or sync is False:
            return import_jobs(self.space, origin, schema, copytree)
        options = {} if sync is True else sync
        merging = partial(self._merging, options)
        keeps_origin = bool(options.get("dry_run"))
        return import_jobs(self.space, origin, schema, copytree, merging, keeps_origin=keeps_origin)

    @contextmanager
    def _merging(self, options: Mapping[str, Any]) -> Iterator[Space]:
        """Give a temporary space for a block, whose jobs are then synchronised into this project."""
        with self.temporary_project() as temporary:
            yield temporary.space
            self.sync(temporary, **{"recursive": True, "check_schema": False, **options})

    def create_linked_view(
        self,
        prefix: StrPath | None = None,
        job_ids: Iterable[str] | None = None,
        index: None = None,
        path: PathSpec = None,
    ) -> dict[str, str]:
        """Make or update a folder of paths that contain state points, each with a relative link ``job``.

        Links to jobs that are not in the view any more are removed, with the folders that held nothing else.
        Files and links of others in that folder stay.

        Args:
            prefix: The folder, by default ``view`` in the working directory.
            job_ids: The jobs, by default all.
            index: Not supported: use `job_ids`.
            path: As for `export_to`.

        Returns:
            The path of each link, by the path of its job's folder.

        Raises:
            FileExistsError: Something else is where a link must be; nothing was changed.
            ExchangePathError: Paths clash or lead out of the view; nothing was changed.
            KeyError: A job does not exist.
        """
        from perkey.dataspace.exchange.views import link_jobs  # noqa: PLC0415 - seldom needed

        refuse_index(index)
        known = self.space.index
        chosen = known.all() if job_ids is None else {job: known.statepoint(job) for job in map(str, job_ids)}
        return link_jobs(self.space, chosen, prefix or "view", path)

    def sync(
        self,
        other: Project,
        strategy: FileStrategy | None = None,
        exclude: Exclude = None,
        doc_sync: DocStrategy | str | bool | None = None,
        selection: Iterable[Job | str] | None = None,
        **kwargs: Any,
    ) -> FileTransferStats | None:
        """Bring this project up to date with another project; all checks are made before any change.

        Args:
            other: The project to copy from.
            strategy: Decides about files that differ; one of `sync.FileSync`, or a function.
            exclude: Regular expressions of files that are left out.
            doc_sync: What becomes of documents; one of `sync.DocSync`, or a function.
            selection: Jobs or ids; all other jobs are left alone.
            **kwargs: As for `sync.sync_projects`, which describes everything.

        Raises:
            FileSyncConflict, DocumentSyncConflict, SchemaSyncConflict: They differ, without a strategy.
        """
        from perkey.dataspace.sync import sync_projects  # noqa: PLC0415 - seldom needed

        return sync_projects(other, self, strategy, exclude, doc_sync, selection, **kwargs)

    # --- Identity ----------------------------------------------------------------------------------

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, which names the replacement of a name of signac that is not rebuilt."""
            raise replaced(type(self).__name__, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Project):
            return NotImplemented
        return self.space.identity == other.space.identity

    def __hash__(self) -> int:
        return hash(self.space.identity)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def _repr_html_(self) -> str:
        """Return the first jobs as a table for a notebook."""
        title = f"{type(self).__name__} {self.config.get('project', '')}".strip()
        return project_html(title, self.space, self.__repr__)

    def __reduce__(self) -> tuple[Any, ...]:
        # What a subclass has added travels, and its constructor, which may take anything, is not called.
        added = {name: value for name, value in vars(self).items() if name not in self._made_here}
        return _reopen, (type(self), self.path, self.space.durability, unlike_any()), added or None


def _reopen(cls: type[P], path: str, durability: Durability, unique: bytes = b"") -> P:
    del unique  # which makes pickles differ
    project = cls.__new__(cls)
    Project.__init__(project, path, ignore_schema_version=True, durability=durability)
    return project


type.__setattr__(Project, "Job", Job)  # in the class it would hide the module's


@contextmanager
def TemporaryProject(  # noqa: N802 - signac's name
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
