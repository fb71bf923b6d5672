"""Finding, grouping, comparing and tabulating jobs."""

from perkey.dataspace.search.diff import diff_jobs
from perkey.dataspace.search.filter import STATEPOINT, JobFilter, split_path
from perkey.dataspace.search.frames import to_dataframe
from perkey.dataspace.search.grouping import by_document, by_job, group
from perkey.dataspace.search.neighbors import neighbors_of
from perkey.dataspace.search.schema import ProjectSchema, frozen
from perkey.dataspace.search.showing import job_html, jobs_html, project_html

__all__ = [
    "STATEPOINT",
    "JobFilter",
    "ProjectSchema",
    "by_document",
    "by_job",
    "diff_jobs",
    "frozen",
    "group",
    "job_html",
    "jobs_html",
    "neighbors_of",
    "project_html",
    "split_path",
    "to_dataframe",
]
