"""How projects and jobs look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from perkey.errors import MissingExtraError

if TYPE_CHECKING:
    from perkey.dataspace.cursor import JobsCursor
    from perkey.dataspace.project import Project


def table_of(jobs: JobsCursor) -> str:
    """Return jobs as a table; without pandas, as text."""
    text = escape(repr(jobs))
    try:
        return text + str(jobs.to_dataframe()._repr_html_())
    except MissingExtraError:
        return text


def card_of(project: Project) -> str:
    """Return where a project is and what it has."""
    facts = {
        "Project": project.id,
        "Root": project.path,
        "Workspace": project.workspace(),
        "Size": str(len(project)),
    }
    lines = "<br>".join(f"<strong>{name}:</strong> {escape(fact)}" for name, fact in facts.items())
    return f"<p>{lines}</p>{table_of(project.find_jobs())}"
