"""The files of a job, for its page: lists, images, texts and the trees of HDF5 files, all bounded.

A path is only used if it is of a regular file within the job's folder. Links that lead out of it are refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, NamedTuple

from perkey.answers import answer, system_answer
from perkey.dataspace.space import FN_DOCUMENT, FN_STATEPOINT
from perkey.files import Handle
from perkey.viewer import images
from perkey.viewer.charts import Axis, Series, line

MOST_FILES: Final = 500
MOST_TEXT: Final = 64 << 10
MOST_NODES: Final = 400
MOST_IN_GROUP: Final = 50
MOST_DEPTH: Final = 20
MOST_ATTRIBUTES: Final = 20
LONGEST_ARRAY: Final = 20_000
LARGEST_CHUNK: Final = 32 << 20
"""Of how many bytes the chunks of a data set may be that is read for a plot: they are decompressed whole."""

IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}
_PIECE: Final = 256 << 10
_READ_AT_ONCE: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
"""Without a wait for the writer of a named pipe that took the place of a file."""

UNREADABLE: Final = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py raises for damaged files."""

_HDF5: Final = (".h5", ".hdf5", ".hdf", ".he5", ".nc")


class File(NamedTuple):
    """A file in the folder of a job.

    Attributes:
        path: Its path below the folder, with slashes.
        size: Its size in bytes.
        time: When it was changed, in seconds since the epoch.
        kind: ``"image"``, ``"hdf5"``, ``"text"``, ``"folder"`` (not listed further) or ``"refused"``.
    """

    path: str
    size: int
    time: float
    kind: str


class Node(NamedTuple):
    """A group or data set of an HDF5 file."""

    depth: int
    name: str
    what: str
    attributes: tuple[tuple[str, str], ...] = ()
    preview: str = ""
    chart: Any = None


def listed(folder: str) -> tuple[list[File], bool]:
    """Return the files below a folder, without those of perkey's own, and whether there are more.

    Folders are read in the order of their names; links to folders are listed, but not followed.
    """
    found: list[File] = []
    for file in _walk(folder, folder):
        if len(found) == MOST_FILES:
            return found, True
        found.append(file)
    return found, False


def kind_of(path: str) -> str:
    """Return how a file is shown, by the end of its name."""
    ending = os.path.splitext(path)[1].lower()
    return "image" if ending in IMAGES else "hdf5" if ending in _HDF5 else "text"


@contextmanager
def opened(folder: str, path: str) -> Iterator[IO[bytes]]:
    """Open a file of a job in a block.

    Args:
        folder: The folder of the job.
        path: The path of the file below it, with slashes.

    Raises:
        FileNotFoundError: It does not exist, is not a regular file, or lies outside the folder.
    """
    real = real_path(folder, path)
    with Handle() as handle, open(handle.open(real, _READ_AT_ONCE), "rb", closefd=False) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(f"{path!r} is not a regular file")
        yield file


def real_path(folder: str, path: str) -> str:
    """Return the path of a file without links; raises FileNotFoundError if it lies outside the folder."""
    parts = path.split("/")
    if "\0" in path or not path or any(part in {"", ".", ".."} for part in parts):
        raise FileNotFoundError(f"{path!r} is not a path below the folder of the job")
    home = os.path.realpath(folder)
    real = os.path.realpath(os.path.join(home, *parts))
    if os.path.commonpath((home, real)) != home:
        raise FileNotFoundError(f"{path!r} is a link that leads out of the folder of the job")
    if not os.path.isfile(real):
        raise FileNotFoundError(f"{path!r} does not exist, or is not a regular file")
    return real


def pieces(folder: str, path: str) -> Iterator[bytes]:
    """Yield the content of a file in pieces; raises as `opened`."""
    with opened(folder, path) as file:
        while piece := file.read(_PIECE):
            yield piece


def image_type(path: str) -> str | None:
    """Return the media type of an image by the end of its name, None for other files."""
    return IMAGES.get(os.path.splitext(path)[1].lower())


def too_large(folder: str, path: str) -> str:
    """Return why an image is not shown, or an empty text. A small file can have billions of pixels."""
    with opened(folder, path) as file:
        size = images.size_of(file.read(MOST_TEXT))
    if size is None or not images.is_too_large(size):
        return ""
    return (
        f"The image has {size[0]:,} x {size[1]:,} pixels, and a browser needs memory for each. Save the file."
    )


def is_shown(folder: str, path: str) -> bool:
    """Return whether a page may have an image; False if it cannot be read."""
    try:
        return not too_large(folder, path)
    except answer(OSError):
        return False


def described(folder: str, path: str) -> File:
    """Return a file of a job; raises as `opened`."""
    found = os.stat(real_path(folder, path))
    return File(path, found.st_size, found.st_mtime, kind_of(path))


def text_of(folder: str, path: str) -> tuple[str | None, int]:
    """Return the beginning of a file as text, None if it is not text, and the size of the file."""
    with opened(folder, path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(MOST_TEXT)
    if b"\0" in content:
        return None, size
    return content.decode("utf-8", "replace"), size


def hdf5_tree(folder: str, path: str) -> list[Node]:
    """Return groups and data sets of an HDF5 file, those in front first, at most `MOST_NODES`.

    Links to other files are named but not followed, and data that lies in other files is not read.

    Raises:
        FileNotFoundError: As `opened`.
        ImportError: h5py is not installed.
        OSError: It is not an HDF5 file, or a program has it open for writing.
        UNREADABLE: It is damaged. If only a part is, there is a node with the error in its place.
    """
    import h5py  # noqa: PLC0415 - an extra, and heavy

    nodes: list[Node] = []
    with h5py.File(real_path(folder, path), "r") as file:
        nodes.append(Node(0, "/", "group", _attributes(file)))
        _add_group(h5py, file, 1, nodes)
    return nodes


def _walk(folder: str, home: str) -> Iterator[File]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except system_answer(OSError):
        return
    for entry in entries:
        path = os.path.relpath(entry.path, home).replace(os.sep, "/")
        if path in {FN_STATEPOINT, FN_DOCUMENT} or entry.name.startswith(".@perkey"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, home)
        else:
            yield _file(home, path, entry.path)


def _file(home: str, path: str, full: str) -> File:
    try:
        return described(home, path)
    except answer(OSError):
        return File(path, 0, 0.0, "folder" if os.path.isdir(full) else "refused")


def _add_group(h5py: Any, group: Any, depth: int, nodes: list[Node]) -> None:
    for count, name in enumerate(group):
        if len(nodes) >= MOST_NODES or count == MOST_IN_GROUP:
            nodes.append(Node(depth, "…", "more is not shown"))
            return
        try:
            _add_link(h5py, name, group, depth, nodes)
        except answer(*UNREADABLE) as error:
            nodes.append(Node(depth, name, f"damaged: {error}"))


def _add_link(h5py: Any, name: str, group: Any, depth: int, nodes: list[Node]) -> None:
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.HardLink):
        _add_item(h5py, name, group[name], depth, nodes)
    else:
        target = f"{getattr(link, 'filename', '')}{link.path}"
        nodes.append(Node(depth, name, f"link to {target}, not followed"))


def _add_item(h5py: Any, name: str, item: Any, depth: int, nodes: list[Node]) -> None:
    if isinstance(item, h5py.Group):
        nodes.append(Node(depth, name, f"group of {len(item)}", _attributes(item)))
        if depth < MOST_DEPTH:
            _add_group(h5py, item, depth + 1, nodes)
    elif isinstance(item, h5py.Dataset):
        nodes.append(_dataset(name, item, depth))
    else:
        nodes.append(Node(depth, name, "type"))


def _dataset(name: str, item: Any, depth: int) -> Node:
    shape = " x ".join(map(str, item.shape or ())) or "one value"
    what = f"{shape}, {item.dtype}"
    if item.is_virtual or item.external:
        return Node(depth, name, f"{what}, in other files", _attributes(item))
    size = item.dtype.itemsize
    for side in item.chunks or ():
        size *= side
    if item.shape is None or size > LARGEST_CHUNK or 0 in item.shape:
        return Node(depth, name, what, _attributes(item))
    values = item[tuple(slice(0, LONGEST_ARRAY if not axis else 8) for axis in range(len(item.shape)))]
    chart = None
    if len(item.shape) == 1 and item.dtype.kind in "iuf" and item.shape[0] > 2:  # noqa: PLR2004
        part = "" if item.shape[0] <= LONGEST_ARRAY else f", the first {LONGEST_ARRAY:,} values"
        numbers = values.tolist()
        chart = line(
            [Series(range(len(numbers)), numbers)], title=f"{name}{part}", x=Axis("index"), size=(720, 260)
        )
    preview = str(values[:8] if getattr(values, "ndim", 0) else values)[:400]
    return Node(depth, name, what, _attributes(item), preview, chart)


def _attributes(item: Any) -> tuple[tuple[str, str], ...]:
    names = [name for name, _ in zip(item.attrs, range(MOST_ATTRIBUTES), strict=False)]
    return tuple((name, _attribute(item, name)) for name in names)


def _attribute(item: Any, name: str) -> str:
    try:
        return str(item.attrs[name])[:200]
    except answer(*UNREADABLE) as error:  # damaged, or of a type that h5py does not know
        return f"({error})"
