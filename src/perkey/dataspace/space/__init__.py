"""The space that search, exchange and sync work on: configuration, workspace, state points, documents."""

from perkey.dataspace.space import config, transfers
from perkey.dataspace.space.config import LAYOUTS, ProjectConfig
from perkey.dataspace.space.documents import Documents, parse
from perkey.dataspace.space.ids import ID_LENGTH, StatePoint, is_job_id, job_id, normalized
from perkey.dataspace.space.index import Index, read_cache, write_cache
from perkey.dataspace.space.transfers import CopyTree
from perkey.dataspace.space.workspace import FN_STATEPOINT, Workspace, delete_tree

__all__ = [
    "FN_STATEPOINT",
    "ID_LENGTH",
    "LAYOUTS",
    "CopyTree",
    "Documents",
    "Index",
    "ProjectConfig",
    "StatePoint",
    "Workspace",
    "config",
    "delete_tree",
    "is_job_id",
    "job_id",
    "normalized",
    "parse",
    "read_cache",
    "transfers",
    "write_cache",
]
