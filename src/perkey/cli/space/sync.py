"""Synchronise two projects."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from perkey.cli.options import Command, Perhaps
from perkey.cli.output import detail, dumped, line, working
from perkey.cli.selecting import F, project_here, select_options, selected
from perkey.dataspace import Project
from perkey.dataspace.errors import DocumentSyncConflict, FileSyncConflict, SchemaSyncConflict
from perkey.dataspace.space import LAYOUTS, ProjectConfig
from perkey.dataspace.sync import DocSync, FileSync, FileTransferStats

_KILO = 1024


def flag(*names: str, help: str) -> Callable[[F], F]:
    """Return an option that is given or not."""
    return click.option(*names, is_flag=True, help=help)


@click.command("sync", cls=Command)
@click.argument("source", type=click.Path(file_okay=False))
@click.argument("destination", required=False, type=click.Path(file_okay=False))
@flag("-v", "--verbosity", help="Print more.")
@flag("-a", "--archive", help="The same as -rltpog.")
@flag("-r", "--recursive", help="Synchronise folders within jobs, too.")
@flag("-l", "--links", help="Copy symbolic links as links.")
@flag("-p", "--perms", help="Preserve permissions.")
@flag("-o", "--owner", help="Preserve owners.")
@flag("-g", "--group", help="Preserve groups.")
@flag("-t", "--times", help="Preserve times of modification; needs -p.")
@click.option(
    "-x",
    "--exclude",
    cls=Perhaps,
    bare=".*",
    metavar="[REGEX]",
    help="Leave out matching files; without, all.",
)
@flag("-I", "--ignore-times", help="Compare the contents of files, whatever their sizes and times.")
@flag("--size-only", help="Files of one size are the same.")
@flag("--round-times", help="Compare times in whole seconds.")
@flag("-n", "--dry-run", help="Change nothing, and print what would be done.")
@flag("-u", "--update", help="Overwrite files that are older; the same as --strategy=update.")
@click.option(
    "-s", "--strategy", type=click.Choice(FileSync.keys()), help="What becomes of files that differ."
)
@click.option("-k", "--key", help="A regular expression of keys of documents that are overwritten.")
@flag("--all-keys", help="Overwrite all keys of documents; the same as --key='.*'.")
@flag("--no-keys", help="Overwrite no keys of documents.")
@flag("-w", "--allow-workspace", help="The destination may be a workspace.")
@flag("--force", help="Synchronise projects of different schemata.")
@flag("-m", "--merge", help="Copy the jobs that the destination does not have, too.")
@click.option(
    "--parallel",
    cls=Perhaps,
    bare=0,
    type=int,
    metavar="[N]",
    help="In N threads, by default one a processor.",
)
@flag("--stats", help="Print how much was copied.")
@flag("-H", "--human-readable", help="Print that for people.")
@flag("--json", "as_json", help="Print that in JSON.")
@select_options
@click.pass_context
def command(context: click.Context, /, *, source: str, destination: str | None, **options: Any) -> None:
    """Bring a project up to date with another.

    Data are copied from the project in the folder SOURCE to this one, or to DESTINATION. All is checked
    before anything is changed. Example: sync ../other -u --all-keys
    """
    context.obj["verbose"] |= options["verbosity"]
    origin = Project.get_project(source, search=False)
    target = _destination(context, destination, allow_workspace=options["allow_workspace"])
    detail(f"{origin.path} -> {target.path}")
    with working("Synchronizing..."):
        stats = _sync(origin, target, options)
    if options["stats"] or options["human_readable"] or options["as_json"]:
        _print(stats, human=options["human_readable"], as_json=options["as_json"])


def _destination(context: click.Context, path: str | None, *, allow_workspace: bool) -> Project:
    if path is None:
        return project_here(context)
    try:
        return Project.get_project(path, search=False)
    except LookupError:
        if not allow_workspace:
            raise
    # A project around a workspace, of which nothing else is needed or made.
    values = {"workspace_dir": os.path.abspath(path), "schema_version": "1"}  # noqa: PTH100 - kept as it is
    return Project(ProjectConfig(os.path.dirname(values["workspace_dir"]), LAYOUTS[1], values))  # noqa: PTH120


def _sync(source: Project, destination: Project, options: dict[str, Any]) -> FileTransferStats:
    chosen = selected(source, options["sp_filter"], options["doc_filter"], options["job_id"])
    everything, archive = options["merge"], options["archive"]
    parallel = options["parallel"]
    try:
        stats = destination.sync(
            source,
            strategy=_strategy(options),
            exclude=options["exclude"],
            doc_sync=_doc_sync(options),
            selection=[job for job in chosen if everything or job in destination],
            check_schema=not (options["force"] or everything),
            recursive=archive or options["recursive"],
            follow_symlinks=not (archive or options["links"]),
            preserve_permissions=archive or options["perms"],
            preserve_times=archive or options["times"],
            preserve_owner=archive or options["owner"],
            preserve_group=archive or options["group"],
            dry_run=options["dry_run"],
            parallel=False if parallel is None else parallel or True,
            collect_stats=True,
            compare=_comparison(options),
        )
    except SchemaSyncConflict as error:
        raise click.ClickException(
            "the schemata of source and destination differ: choose --merge, or --force to leave jobs out"
        ) from error
    except FileSyncConflict as error:
        raise click.ClickException(
            f"{error.filename} differs in source and destination: choose a --strategy, or --exclude it"
        ) from error
    except DocumentSyncConflict as error:
        raise click.ClickException(
            f"documents differ in {', '.join(sorted(map(str, error.keys)))}: "
            "choose --key, --all-keys or --no-keys"
        ) from error
    assert stats is not None  # noqa: S101 - they were asked for
    return stats


def _strategy(options: dict[str, Any]) -> Any:
    name = options["strategy"]
    if options["update"]:
        if name not in {None, "update"}:
            raise click.UsageError(f"--update and --strategy={name} exclude each other")
        name = "update"
    return None if name is None else getattr(FileSync, name)


def _doc_sync(options: dict[str, Any]) -> Any:
    given = [name for name in ("key", "all_keys", "no_keys") if options[name]]
    if len(given) > 1:
        raise click.UsageError("--key, --all-keys and --no-keys exclude each other")
    if options["no_keys"]:
        return DocSync.ByKey(otherwise="keep")
    return DocSync.ByKey(".*" if options["all_keys"] else options["key"])


def _comparison(options: dict[str, Any]) -> str:
    ways = {"ignore_times": "content", "size_only": "size", "round_times": "rounded"}
    given = [way for name, way in ways.items() if options[name]]
    if len(given) > 1:
        raise click.UsageError("--ignore-times, --size-only and --round-times exclude each other")
    return given[0] if given else "quick"


def _print(stats: FileTransferStats, *, human: bool, as_json: bool) -> None:
    if as_json:
        line(dumped(stats._asdict()))
        return
    volume = _readable(stats.volume) if human else f"{stats.volume} bytes"
    line(f"files: {stats.num_files}\nvolume: {volume}")


def _readable(number: float) -> str:
    """Return a number of bytes for people.

    >>> _readable(10), _readable(2048), _readable(5e9)
    ('10 B', '2.0 KiB', '4.7 GiB')
    """
    if number < _KILO:
        return f"{number:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        number /= _KILO
        if number < _KILO:
            return f"{number:.1f} {unit}"
    return f"{number / _KILO:.1f} TiB"
