"""The space that search, exchange and sync work on: configuration, workspace, state points, documents."""

from perkey.dataspace.space import config, transfers
from perkey.dataspace.space.config import LAYOUTS, ProjectConfig
from perkey.dataspace.space.documents import FN_DOCUMENT, Documents, parse, settle, settle_all
from perkey.dataspace.space.index import Index
from perkey.dataspace.space.space import Space, StrPath, create, find, job_folders_above
from perkey.dataspace.space.statepoints import add_statepoints, by_id, read_statepoints, repair, require_sound
from perkey.dataspace.space.transfers import CopyTree
from perkey.dataspace.space.workspace import (
    FN_STATEPOINT,
    ID_LENGTH,
    StatePoint,
    Workspace,
    delete_tree,
    is_job_id,
    job_id,
    normalized,
)

__all__ = [
    "FN_DOCUMENT",
    "FN_STATEPOINT",
    "ID_LENGTH",
    "LAYOUTS",
    "CopyTree",
    "Documents",
    "Index",
    "ProjectConfig",
    "Space",
    "StatePoint",
    "StrPath",
    "Workspace",
    "add_statepoints",
    "by_id",
    "config",
    "create",
    "delete_tree",
    "find",
    "is_job_id",
    "job_folders_above",
    "job_id",
    "normalized",
    "parse",
    "read_statepoints",
    "repair",
    "require_sound",
    "settle",
    "settle_all",
    "transfers",
]
