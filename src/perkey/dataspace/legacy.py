"""Names of signac that are not rebuilt, with what replaces them; and how old names warn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Final


class DataspaceDeprecationWarning(UserWarning):
    """A name that is kept for programs written for signac, and what to write instead."""


_INDEXING: Final = "the index is built in: use find_jobs(), or a Collection for documents of your own"
_MIRRORS: Final = "copy files with Project.export_to(), Project.sync() or the tools of your system"
_HOSTS: Final = "use a client of the database itself; perkey has no host configuration"

REPLACED: Final[Mapping[str, str]] = {
    "index": _INDEXING,
    "index_files": _INDEXING,
    "build_job_search_index": _INDEXING,
    "build_job_statepoint_index": "use detect_schema()",
    "create_access_module": _INDEXING,
    "create_view": "use create_linked_view()",
    "find_job_documents": "use find_jobs(), and the documents of the jobs",
    "find_statepoints": "use find_jobs(), and the state points of the jobs",
    "find_variable_parameters": "use detect_schema(exclude_const=True)",
    "fetch_one": _MIRRORS,
    "RegexFileCrawler": _INDEXING,
    "MainCrawler": _INDEXING,
    "MasterCrawler": _INDEXING,
    "SignacProjectCrawler": _INDEXING,
    "fetch": _MIRRORS,
    "export": _MIRRORS,
    "export_one": _MIRRORS,
    "export_to_mirror": _MIRRORS,
    "export_pymongo": _MIRRORS,
    "fs": _MIRRORS,
    "FetchError": _MIRRORS,
    "ExportError": _MIRRORS,
    "flush": "leave the buffered() block of perkey.synced; edits outside of one are written at once",
    "warnings": "the class is perkey.dataspace.DataspaceDeprecationWarning",
    "SignacDeprecationWarning": "the class is perkey.dataspace.DataspaceDeprecationWarning",
    "get_database": _HOSTS,
    "db": _HOSTS,
    "AuthenticationError": _HOSTS,
}
"""Names of signac that are not rebuilt, and what to use instead."""


def replaced(owner: str, name: str) -> AttributeError:
    """Return the error for a name that does not exist, with what replaces it, if it was signac's."""
    advice = f"; it is not part of perkey: {REPLACED[name]}" if name in REPLACED else ""
    return AttributeError(f"{owner} has no attribute {name!r}{advice}")


def refuse_index(index: object) -> None:
    """Refuse an index of signac 1 where it took one."""
    if index is not None:
        raise ValueError(f"no index can be passed: {REPLACED['index']}")


def deprecated(old: str, new: str) -> None:
    """Warn the caller's caller that a name is kept for old programs only."""
    warnings.warn(f"{old} is deprecated: use {new}", DataspaceDeprecationWarning, stacklevel=3)
