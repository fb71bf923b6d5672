"""Linked views: folders whose paths contain state points, with a link to each job.

A link belongs to the view if it is called ``job`` and leads to the folder of a job of this project, or to a
folder that does not exist any more. Such links are kept up to date or removed. All other files stay.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from perkey.dataspace.exchange.paths import PathSpec, paths_of, require_distinct
from perkey.dataspace.space import Space, StatePoint, StrPath, is_job_id
from perkey.files import folder_path, temporary_name

LINK: Final = "job"
"""The name of the links."""

_ATTEMPTS: Final = 16
_NOT_EMPTY: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT))


def link_jobs(
    space: Space, jobs: Mapping[str, StatePoint], prefix: StrPath, path: PathSpec
) -> dict[str, str]:
    """Bring a view up to date; `Project.create_linked_view` describes it."""
    place = folder_path(prefix, "prefix")
    paths = paths_of(space, jobs, path, below=LINK)
    require_distinct(paths)
    root = os.path.realpath(place)
    workspace = os.path.realpath(space.workspace.path)
    wanted = {os.path.join(root, name): os.path.join(workspace, job) for job, name in paths.items()}
    present = dict(_links(root, workspace))
    _require_free(root, workspace, wanted, present)
    os.makedirs(root, exist_ok=True)
    for link in present.keys() - wanted.keys():
        _remove(link, root)
    for link, target in wanted.items():
        text = os.path.relpath(target, os.path.dirname(link))
        if present.get(link) != text:
            _place(link, text)
    shown = place if os.fspath(prefix).startswith("~") else os.fspath(prefix)
    return {space.workspace.folder(job): os.path.join(shown, name) for job, name in paths.items()}


def _links(root: str, workspace: str) -> Iterator[tuple[str, str]]:
    """Yield the links of the view, and their texts."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            text = _text_of(path) if name == LINK else None
            if text is not None and _is_ours(path, text, workspace):
                yield path, text


def _text_of(path: str) -> str | None:
    """Return the text of a link; None if it is missing."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _is_ours(link: str, text: str, workspace: str) -> bool:
    target = os.path.normpath(os.path.join(os.path.dirname(link), text))
    above, name = os.path.split(target)
    return is_job_id(name) is not None and (above == workspace or not os.path.exists(target))


def _require_free(root: str, workspace: str, wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
    """Raise FileExistsError if a foreign file is where a link or a folder must be."""
    for link in wanted:
        mode, text = _mode_of(link), _text_of(link)
        is_another = text is not None and not _is_ours(link, text, workspace)
        if is_another or (mode and not modes.S_ISLNK(mode)):
            raise FileExistsError(f"{link} is not a link of this view; nothing was changed")
        folder = os.path.dirname(link)
        while len(folder) >= len(root):
            mode = _mode_of(folder)
            if mode and not modes.S_ISDIR(mode) and folder not in present.keys() - wanted.keys():
                raise FileExistsError(f"{folder} is not a folder; nothing was changed")
            folder = os.path.dirname(folder)


def _mode_of(path: str) -> int:
    """Return the type and the rights of a path, by one look because files come and go; 0 if it is missing."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _remove(link: str, root: str) -> None:
    """Remove a link, and the folders that held nothing else."""
    with suppress(FileNotFoundError):
        os.unlink(link)
    folder = os.path.dirname(link)
    while folder != root:
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            return
        folder = os.path.dirname(folder)


def _place(link: str, text: str) -> None:
    """Make a link, or replace one; readers see the old one or the new one."""
    temporary = os.path.join(os.path.dirname(link), temporary_name())
    for attempt in range(_ATTEMPTS):
        try:
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(text, temporary)
            os.replace(temporary, link)
        except FileNotFoundError:
            # Another process, for which this view is an old one, removed the folder while it was empty.
            if attempt == _ATTEMPTS - 1:
                raise
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        else:
            return
