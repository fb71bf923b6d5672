"""Data spaces: projects of jobs, each with a state point, a document and files; what signac does.

`Project`, `Job` and `JobsCursor` are handles with short methods. The work is done by functions of the
packages below them, which see a `Space` and never a project: `exchange`, `sync` and `h5`, `search`, and
`space` itself. These modules are stable for the other packages of perkey:

- ``project.space.workspace``: ``folder(id)``, ``ids()``, ``in``, ``create``, ``remove``, ``rename``, and
  ``stage()`` with ``publish(staging, id)``. Each folder that becomes a job goes through these two.
- ``project.space.index``: ``all()``, ``ids()``, ``statepoint(id)``. State points are shared: do not change
  them.
- ``project.space.documents(id)``: the document of a job as plain data; do not change it.
- `space.transfers`, `space.normalized`, `space.job_id`; whole files are `perkey.files.write_file`.
- Files whose names begin with ``.@perkey-`` belong to unfinished changes, and are never copied.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from perkey.dataspace import errors
from perkey.dataspace.cursor import JobsCursor
from perkey.dataspace.job import Job
from perkey.dataspace.legacy import DataspaceDeprecationWarning
from perkey.dataspace.legacy import replaced as _replaced
from perkey.dataspace.project import Project, TemporaryProject
from perkey.dataspace.search import ProjectSchema, diff_jobs
from perkey.synced import BufferedJSONAttrDict as JSONDict

if TYPE_CHECKING:
    from perkey.dataspace.collection import Collection
    from perkey.dataspace.h5 import H5Group, H5Store, H5StoreManager
    from perkey.dataspace.signac_module import as_signac

init_project = Project.init_project
get_project = Project.get_project
get_job = Project.get_job

buffered = JSONDict.buffer_backend
is_buffered = JSONDict.backend_is_buffered
get_buffer_capacity = get_buffer_size = JSONDict.get_buffer_capacity
set_buffer_capacity = JSONDict.set_buffer_capacity
get_current_buffer_size = get_buffer_load = JSONDict.get_current_buffer_size

_ON_DEMAND = {
    "Collection": "perkey.dataspace.collection",
    "H5Group": "perkey.dataspace.h5",
    "H5Store": "perkey.dataspace.h5",
    "H5StoreManager": "perkey.dataspace.h5",
    "as_signac": "perkey.dataspace.signac_module",
}
_ROOMS = ("cite", "sync")


def __getattr__(name: str) -> Any:
    """Load what is seldom needed when it is first asked for."""
    if name in _ROOMS:
        return _import_module(f"{__name__}.{name}")
    if name == "__version__":
        return _import_module("perkey").__version__
    if name in _ON_DEMAND:
        return getattr(_import_module(_ON_DEMAND[name]), name)
    raise _replaced(f"module {__name__!r}", name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "Collection",
    "DataspaceDeprecationWarning",
    "H5Group",
    "H5Store",
    "H5StoreManager",
    "JSONDict",
    "Job",
    "JobsCursor",
    "Project",
    "ProjectSchema",
    "TemporaryProject",
    "as_signac",
    "buffered",
    "diff_jobs",
    "errors",
    "get_buffer_capacity",
    "get_buffer_load",
    "get_buffer_size",
    "get_current_buffer_size",
    "get_job",
    "get_project",
    "init_project",
    "is_buffered",
    "set_buffer_capacity",
]
