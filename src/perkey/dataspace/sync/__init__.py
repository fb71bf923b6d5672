"""Copying jobs and projects into others, with strategies for conflicts."""

from perkey.dataspace.sync.plan import Exclude
from perkey.dataspace.sync.run import DocSync, FileSync, FileTransferStats, sync_jobs, sync_projects
from perkey.dataspace.sync.strategies import DocStrategy, FileStrategy

__all__ = [
    "DocStrategy",
    "DocSync",
    "Exclude",
    "FileStrategy",
    "FileSync",
    "FileTransferStats",
    "sync_jobs",
    "sync_projects",
]
