"""Find jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from perkey.cli.options import Command, Perhaps, Several
from perkey.cli.output import dumped, json_option, line, lines, pretty
from perkey.cli.printing import DEPTH, document_of, pretty_option
from perkey.cli.selecting import Words, filter_of, project_here, replaced_option
from perkey.dataspace import Job
from perkey.query import MISSING, split, value_at

_SHORTEST = 6


@click.command("find", cls=Command)
@click.argument("filter", nargs=-1, metavar="[FILTER]...")
@click.option("-d", "--doc-filter", cls=Several, help="A filter of documents.")
@replaced_option("-i", "--index")
@click.option(
    "-s",
    "--show",
    cls=Perhaps,
    bare=DEPTH,
    type=int,
    metavar="[DEPTH]",
    help=f"Show state points and documents; the same as --sp --doc --pretty {DEPTH}.",
)
@click.option("--sp", cls=Several, at_least=0, help="Show state points, or these keys of them.")
@click.option("--doc", cls=Several, at_least=0, help="Show documents, or these keys of them.")
@pretty_option
@click.option("-1", "--one-line", is_flag=True, help="Show state points and documents in JSON, on one line.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    filter: tuple[str, ...],
    doc_filter: Words,
    show: int | None,
    sp: Words,
    doc: Words,
    pretty: int | None,
    one_line: bool,
    as_json: bool,
) -> None:
    """Print the ids of jobs that match a filter.

    The filter is in JSON, or keys and values in turn: find a 42 b.$lt 3.
    """
    if show is not None:
        sp, doc, pretty = sp or (), doc or (), show
    project = project_here(context)
    jobs = project.find_jobs(filter_of(filter, doc_filter))
    if as_json:
        line(dumped([{"id": job.id, **dict(_parts(job, sp, doc))} for job in jobs]))
    elif one_line and (sp, doc) != (None, None):
        length = max(_SHORTEST, project.min_len_unique_id())
        lines(
            f"{job.id[:length]} {name} {dumped(values)}"
            for job in jobs
            for name, values in _parts(job, sp, doc)
        )
    else:
        depth = DEPTH if pretty is None else pretty
        lines(text for job in jobs for text in _paragraph(job, sp, doc, depth))


def _paragraph(job: Job, sp: Words, doc: Words, depth: int) -> Iterator[str]:
    yield job.id
    for _, values in _parts(job, sp, doc):
        yield pretty(values, depth)


def _parts(job: Job, sp: Words, doc: Words) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the values of each part of a job that is shown."""
    if sp is not None:
        yield "sp", _picked(job.cached_statepoint, sp)
    if doc is not None:
        yield "doc", _picked(document_of(job), doc)


def _picked(values: Mapping[str, Any], paths: Words) -> dict[str, Any]:
    """Return the values of the paths that exist; all values if no path is given."""
    if not paths:
        return dict(values)
    found = ((path, value_at(values, split(path))) for path in paths)
    return {path: value for path, value in found if value is not MISSING}
