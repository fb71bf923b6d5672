"""The schema of a project."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line
from perkey.cli.selecting import Words, project_here, select_options, selected


@click.command("schema", cls=Command)
@click.option(
    "-x", "--exclude-const", is_flag=True, help="Leave out keys with one value, the same in all jobs."
)
@click.option("-t", "--depth", type=int, default=0, help="Show nested keys nested, down to this depth.")
@click.option("-p", "--precision", type=int, help="Round numbers to so many digits.")
@click.option("-r", "--max-num-range", type=int, help="Show so many values of a key at most, by default 5.")
@select_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    exclude_const: bool,
    depth: int,
    precision: int | None,
    max_num_range: int | None,
    sp_filter: Words,
    doc_filter: Words,
    job_id: Words,
    as_json: bool,
) -> None:
    """Print keys, types and values of state points."""
    project = project_here(context)
    chosen = sp_filter or doc_filter or job_id
    subset = selected(project, sp_filter, doc_filter, job_id) if chosen else None
    schema = project.detect_schema(exclude_const, subset)
    if as_json:
        line(dumped({path: _by_type(schema[path]) for path in schema}))
    else:
        line(schema.format(depth, precision, max_num_range))


def _by_type(values: dict[type, set[object]]) -> dict[str, list[object]]:
    return {kind.__name__: sorted(found, key=_order) for kind, found in values.items()}


def _order(value: object) -> tuple[float, str]:
    return (value, "") if isinstance(value, int | float) else (0, repr(value))
