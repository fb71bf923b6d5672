"""Finding, grouping, comparing and tabulating jobs."""

from perkey.dataspace.search.diff import diff_jobs
from perkey.dataspace.search.filter import STATEPOINT, JobFilter, split_path
from perkey.dataspace.search.frames import to_dataframe
from perkey.dataspace.search.grouping import by_document, by_job, group
from perkey.dataspace.search.neighbors import neighbors_of
from perkey.dataspace.search.schema import ProjectSchema, frozen

__all__ = [
    "STATEPOINT",
    "JobFilter",
    "ProjectSchema",
    "by_document",
    "by_job",
    "diff_jobs",
    "frozen",
    "group",
    "neighbors_of",
    "split_path",
    "to_dataframe",
]
