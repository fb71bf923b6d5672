"""What may go wrong with data spaces; the names and fields are those of signac.

Each is also the builtin that a caller would already catch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from perkey.dataspace.legacy import replaced
from perkey.errors import PerkeyError
from perkey.synced import BufferedFileError, BufferException, InvalidKeyError, KeyTypeError


class Error(PerkeyError):
    """Base of all errors of data spaces."""


class ConfigError(Error, RuntimeError):
    """A configuration file cannot be read or makes no sense."""


class IncompatibleSchemaVersion(Error):
    """The project's layout is unknown, or newer than this library."""


class WorkspaceError(Error, OSError):
    """The workspace cannot be made or read.

    Attributes:
        error: The underlying error.
    """

    def __init__(self, error: object) -> None:
        super().__init__(error)
        self.error = error


class DestinationExistsError(Error, RuntimeError):
    """The target of a move or copy of a job exists already; nothing was changed.

    Attributes:
        destination: A job, an id or a path.
    """

    def __init__(self, destination: Any) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        """Name the destination."""
        return f"{self.destination} exists already; nothing was changed"


class JobsCorruptedError(Error, RuntimeError):
    """The state point of one or more jobs cannot be read, or does not belong to the job's id.

    Attributes:
        job_ids: The ids of these jobs.
    """

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.job_ids = tuple(job_ids)
        super().__init__(self.job_ids)

    def __str__(self) -> str:
        """Name the jobs, and the way out."""
        shown = ", ".join(self.job_ids[:5]) + (", ..." if len(self.job_ids) > 5 else "")  # noqa: PLR2004
        return f"missing or damaged state points: {shown}; Project.repair() may help"


class NoSuchJobError(Error, KeyError):
    """The job does not exist.

    Attributes:
        job_id: The id, or the beginning of it.
        place: The workspace.
    """

    def __init__(self, job_id: str, place: str | None = None) -> None:
        super().__init__(job_id)
        self.job_id = job_id
        self.place = place

    def __str__(self) -> str:
        """Name the job and the workspace, and the ways to find or make a job."""
        where = f" in {self.place}" if self.place else ""
        return (
            f"no job with the id {self.job_id!r}{where}: an id is 32 hexadecimal digits, or the first of "
            "them. find_jobs() and `perkey space find` list the jobs; open_job(statepoint).init() makes one"
        )


class StatepointParsingError(Error, RuntimeError):
    """No state point could be found in a path or a file."""


class SyncConflict(Error, RuntimeError):
    """A synchronisation met two versions of a file or document, and no rule that chooses."""


class FileSyncConflict(SyncConflict):
    """Two files of one name differ.

    Attributes:
        filename: The name.
    """

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.filename = filename

    def __str__(self) -> str:
        """Name the file, and the way out."""
        return f"{self.filename} differs in source and destination; a strategy would decide"


class DocumentSyncConflict(SyncConflict):
    """Two documents differ.

    Attributes:
        keys: Where they do.
    """

    def __init__(self, keys: Any) -> None:
        super().__init__(keys)
        self.keys = keys

    def __str__(self) -> str:
        """Name the keys, and the way out."""
        shown = ", ".join(sorted(map(str, self.keys)))
        return f"{shown}: source and destination have different values; a key strategy would decide"


class SchemaSyncConflict(SyncConflict):
    """The schemata of two projects differ.

    Attributes:
        schema_src: That of the source.
        schema_dst: That of the destination.
    """

    def __init__(self, schema_src: Any, schema_dst: Any) -> None:
        super().__init__(schema_src, schema_dst)
        self.schema_src = schema_src
        self.schema_dst = schema_dst

    def __str__(self) -> str:
        """Return a sentence without the schemata, which may be long."""
        return "the schemata of source and destination differ; check_schema=False merges all the same"


class ExchangePathError(Error, RuntimeError, ValueError):
    """The paths of an export or a view clash, lead out of it, or name a key that a job does not have."""


class ArchiveError(Error, ValueError):
    """A file is damaged, is not an archive, or holds members that could be written outside of the target.

    Also raised if an archive of this kind cannot hold the name of a file.
    """


class H5StoreClosedError(Error, RuntimeError):
    """The HDF5 file must be open for this: arrays stay in the file until they are asked for.

    Attributes:
        filename: The file.
    """

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.filename = filename

    def __str__(self) -> str:
        """Name the file, and the way to open it."""
        return f"{self.filename} must be open for this: use the store in a with block"


class H5StoreAlreadyOpenError(Error, OSError):
    """The HDF5 file is open in this store already."""


def located(error: OSError, path: str | os.PathLike[str]) -> WorkspaceError:
    """Return the error of a workspace that cannot be used."""
    return WorkspaceError(f"{os.fspath(path)}: {error.strerror or error}")


def __getattr__(name: str) -> Any:
    """Raise AttributeError, which names the replacement of an error of signac."""
    raise replaced(f"module {__name__!r}", name)


__all__ = [
    "ArchiveError",
    "BufferException",
    "BufferedFileError",
    "ConfigError",
    "DestinationExistsError",
    "DocumentSyncConflict",
    "Error",
    "ExchangePathError",
    "FileSyncConflict",
    "H5StoreAlreadyOpenError",
    "H5StoreClosedError",
    "IncompatibleSchemaVersion",
    "InvalidKeyError",
    "JobsCorruptedError",
    "KeyTypeError",
    "NoSuchJobError",
    "SchemaSyncConflict",
    "StatepointParsingError",
    "SyncConflict",
    "WorkspaceError",
    "located",
]
