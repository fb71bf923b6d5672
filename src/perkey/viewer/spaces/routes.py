"""The pages of one data space."""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, get_args
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from perkey.answers import answer
from perkey.dataspace import Project, diff_jobs
from perkey.query import MISSING, joined, leaves
from perkey.viewer import exports
from perkey.viewer import panels as adding
from perkey.viewer.charts import parallels
from perkey.viewer.pages import Pages, Shown
from perkey.viewer.spaces import files, plots
from perkey.viewer.spaces.facets import facets
from perkey.viewer.spaces.overview import Column, Overview, Overviews
from perkey.viewer.spaces.reader import DOCUMENT, ID, Parts, Reader, Search, flat
from perkey.viewer.text import cell_text
from perkey.viewer.values import tree

PAGE: Final = 50
MOST_COLUMNS: Final = 12
MOST_COMPARED: Final = 20
MOST_IMAGES: Final = 12
MOST_PATHS: Final = 500
_SVG_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For images that could hold scripts: none runs, and nothing is loaded."""


class DataSpace:
    """The pages of a data space, at ``/s/<number>/``.

    Args:
        project: The data space.
        pages: Makes responses.
        shown: Its title, and what the paths of its pages begin with.
        panels: Functions that users add, see `perkey.viewer.panels`.
    """

    def __init__(
        self, project: Project, pages: Pages, shown: Shown, panels: Iterable[adding.Panel] = ()
    ) -> None:
        self.project = project
        self.reader = Reader(project)
        self.overviews = Overviews(self.reader)
        self._pages = pages
        self._shown = shown
        self._panels = adding.of_jobs(panels)

    def routes(self) -> list[BaseRoute]:
        """Return the routes, relative to the path of the data space."""
        return [
            Route("/", self._front),
            Route("/jobs", self._jobs),
            Route("/jobs.{file_type}", self._saved_jobs),
            Route("/plot", self._plot),
            Route("/compare", self._compare),
            Route("/project", self._project),
            Route("/j/{job}", self._job),
            Route("/j/{job}/file/{path:path}", self._file),
            Route("/j/{job}/raw/{path:path}", self._raw),
        ]

    def close(self) -> None:
        """End what works in the background."""
        self.overviews.close()

    def _respond(self, request: Request, template: str, **context: Any) -> Response:
        return self._pages.respond(request, template, shown=self._shown, cell=cell_text, **context)

    def _missing(self, request: Request, message: str) -> Response:
        return self._respond(request, "error.html", status=404, message=message)

    def _front(self, request: Request) -> Response:
        return self._respond(request, "space_jobs.html", **self._table(request))

    def _jobs(self, request: Request) -> Response:
        """Return the table alone; nothing if the browser shows the same."""
        table = self._table(request)
        if request.query_params.get("digest") == table["digest"]:
            return Response(status_code=204)
        return self._respond(request, "space_table.html", **table)

    def _saved_jobs(self, request: Request) -> Response:
        """Return all jobs of a table as a file to save, with the chosen columns or with all."""
        asked = request.query_params
        file_type = request.path_params["file_type"]
        if file_type not in get_args(exports.FileType):
            return self._missing(request, "This page does not exist.")
        search = self.reader.search(asked.get("q", ""))
        if search.error:
            return self._respond(request, "error.html", status=400, message=f"The filter: {search.error}")
        sort = asked.get("sort", "")
        ids = search.ids
        if sort:
            ids = self.reader.ordered(ids, sort, descending=asked.get("order") == "desc")
        chosen = asked.getlist("col")
        columns = list(dict.fromkeys([ID, *chosen])) if chosen else self._all_columns(ids)
        rows = ([job.get(path, MISSING) for path in columns] for job in self.reader.flat(ids))
        return exports.saved("jobs", file_type, columns, rows)

    def _all_columns(self, ids: Sequence[str]) -> list[str]:
        """Return the paths of all values of some jobs, those of documents at the end."""
        paths = dict.fromkeys(chain([ID], *self.reader.flat(ids)))
        return sorted(paths, key=lambda path: path.startswith(f"{DOCUMENT}."))

    def _table(self, request: Request) -> dict[str, Any]:
        started = time.monotonic()
        asked = request.query_params
        typed, sort, descending = asked.get("q", ""), asked.get("sort", ""), asked.get("order") == "desc"
        everything = self.reader.ids()
        is_ready = self.overviews.ready(everything) if typed.strip() or sort else True
        overview = self.overviews.get(everything)
        search = self.reader.search(typed) if is_ready else Search(everything)
        ids = (
            self.reader.ordered(search.ids, sort, descending=descending) if sort and is_ready else search.ids
        )
        last = max(0, len(ids) - 1) // PAGE
        page = min(max(_whole_number(asked.get("page", "0")), 0), last)
        rows = list(self._rows(ids[page * PAGE : (page + 1) * PAGE]))
        columns = _columns(overview, rows, asked.getlist("col"))
        context = {
            "search": search,
            "overview": overview,
            "facets": facets(overview, self.reader, search) if overview.is_complete else {},
            "rows": [(parts, flat(parts)) for parts in rows],
            "columns": columns,
            "heads": [(ID, False), *((each.path, each.is_number) for each in columns)],
            "chosen_columns": asked.getlist("col"),
            "sort": sort,
            "descending": descending,
            "page": page,
            "last": last,
            "first_row": page * PAGE,
            "count": len(ids),
            "is_ready": is_ready,
            "chosen": set(asked.getlist("job")),
            "q": asked.get("q", ""),
            "address": _Addresses(request, self._shown.base),
            "error": self.overviews.error,
        }
        # A slow table is asked for less often.
        context["seconds"] = max(2, min(60, round(10 * (time.monotonic() - started))))
        context["digest"] = _digest(context)
        return context

    def _rows(self, ids: Iterable[str]) -> Iterable[Parts]:
        for job in ids:
            try:
                yield self.reader.parts(job)
            except answer(KeyError):
                continue  # removed since it was listed

    def _job(self, request: Request) -> Response:
        try:
            parts = self.reader.parts(self._id(request))
        except answer(LookupError):
            return self._missing(request, "This job does not exist.")
        job = self.project.open_job(id=parts.id)
        found, more = files.listed(job.path)
        return self._respond(
            request,
            "space_job.html",
            project_path=repr(str(self.project.path)),
            parts=parts,
            statepoint=tree(parts.statepoint),
            document=tree(parts.document),
            files=found,
            more_files=more,
            images=self._images(job.path, found),
            neighbors=self.reader.neighbors(parts.id),
            panels=adding.run(self._panels, job),
            quote=quote,
        )

    def _images(self, folder: str, found: Iterable[files.File]) -> list[str]:
        """Return the paths of images that the page of a job shows."""
        named = (each.path for each in found if each.kind == "image")
        return list(islice((path for path in named if files.is_shown(folder, path)), MOST_IMAGES))

    def _id(self, request: Request) -> str:
        """Return the id of the job in a path; a beginning is enough. Raises LookupError."""
        return self.project.space.complete(request.path_params["job"])

    def _file(self, request: Request) -> Response:
        path = request.path_params["path"]
        try:
            job = self._id(request)
            shown = self._shown_file(self.project.open_job(id=job).path, path)
        except answer(LookupError, OSError) as error:
            return self._missing(request, str(error))
        return self._respond(request, "space_file.html", job=job, path=path, quote=quote, **shown)

    def _shown_file(self, folder: str, path: str) -> dict[str, Any]:
        found = files.described(folder, path)
        shown: dict[str, Any] = {"file": found, "text": None, "nodes": None, "problem": ""}
        if found.kind == "hdf5":
            try:
                shown["nodes"] = files.hdf5_tree(folder, path)
            except answer(ImportError, *files.UNREADABLE) as error:
                shown["problem"] = f"The HDF5 file cannot be read: {error}"
        elif found.kind == "image":
            shown["problem"] = files.too_large(folder, path)
        elif found.kind == "text":
            shown["text"], _ = files.text_of(folder, path)
            shown["limit"] = files.MOST_TEXT
        return shown

    def _raw(self, request: Request) -> Response:
        """Return a file: images and videos to be shown, everything else to be saved."""
        path = request.path_params["path"]
        try:
            folder = self.project.open_job(id=self._id(request)).path
            size = files.described(folder, path).size
            part = _part(request.headers.get("range", ""), size)
            pieces = files.pieces(folder, path, *(part or ()))
            first = next(pieces, b"")
        except answer(LookupError, OSError) as error:
            return self._missing(request, str(error))
        kind = files.media_type(path)
        name = quote(path.rpartition("/")[2], errors="replace")
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": f"{'inline' if kind else 'attachment'}; filename*=UTF-8''{name}",
        }
        if kind == "image/svg+xml":
            headers["Content-Security-Policy"] = _SVG_POLICY
        if part is not None:
            headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
        return StreamingResponse(
            chain((first,), pieces),
            206 if part else 200,
            media_type=kind or "application/octet-stream",
            headers=headers,
        )

    def _plot(self, request: Request) -> Response:
        asked = request.query_params
        is_ready = self.overviews.ready(self.reader.ids(), patience=1)
        overview = self.overviews.current
        search = self.reader.search(asked.get("q", "")) if is_ready else Search(())
        x, y, group = plots.proposed(overview)
        choice = plots.Choice(
            asked.get("x", x),
            asked.get("y", y),
            asked.get("group", "" if "x" in asked else group),
            asked.get("kind", "") if asked.get("kind") in plots.KINDS else "scatter",
            "log_x" in asked,
            "log_y" in asked,
            tuple(asked.getlist("axis")[: parallels.MOST_AXES]) or plots.proposed_axes(overview),
        )
        link = f"{self._shown.base}/j/{{}}".format
        chart = (
            plots.draw(self.reader, search.ids, choice, link) if is_ready and choice.is_something else None
        )
        return self._respond(
            request,
            "space_plot.html",
            search=search,
            overview=overview,
            is_ready=is_ready,
            choice=choice,
            most_axes=parallels.MOST_AXES,
            chart=chart,
            paths=[each.path for each in (*overview.parameters(), *overview.results())],
            q=asked.get("q", ""),
        )

    def _compare(self, request: Request) -> Response:
        chosen = list(dict.fromkeys(request.query_params.getlist("job")))
        parts = []
        for each in chosen[:MOST_COMPARED]:
            try:
                parts.append(self.reader.parts(self.project.space.complete(each)))
            except answer(LookupError) as error:
                return self._missing(request, f"{each!r}: {error}")
        sound = [each for each in parts if each.statepoint]
        differences = diff_jobs(*(self.project.open_job(id=each.id) for each in sound))
        return self._respond(
            request,
            "space_compare.html",
            parts=parts,
            left_out=len(chosen) - len(parts),
            statepoint=_side_by_side([differences.get(each.id, {}) for each in parts]),
            document=_side_by_side([each.document for each in parts], different=True),
            charts=plots.compared(parts, f"{self._shown.base}/j/{{}}".format),
            images=self._images_beside([each.id for each in sound]),
            quote=quote,
        )

    def _images_beside(self, jobs: Iterable[str]) -> list[tuple[str, set[str]]]:
        """Return the paths of images, each with the ids of the jobs that have it, most of them first."""
        found: dict[str, set[str]] = defaultdict(set)
        for job in jobs:
            folder = self.project.open_job(id=job).path
            for path in self._images(folder, files.listed(folder)[0]):
                found[path].add(job)
        return sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:MOST_IMAGES]

    def _project(self, request: Request) -> Response:
        document, problem = self.reader.project_document()
        return self._respond(
            request, "space_project.html", project=self.project, document=tree(document), problem=problem
        )


class _Addresses:
    """The addresses of other views of the same jobs."""

    def __init__(self, request: Request, base: str) -> None:
        self._base = base
        self._asked = [
            (name, value)
            for name, value in request.query_params.multi_items()
            if name in {"q", "sort", "order", "col"}
        ]

    def page(self, number: int) -> str:
        """Return the address of another page of the table."""
        return self._made([*self._asked, ("page", str(number))])

    def saved(self, file_type: str, *, everything: bool = False) -> str:
        """Return the address of the file of all jobs of this view; with all columns, or those chosen."""
        kept = [pair for pair in self._asked if pair[0] != "col" or not everything]
        return f"{self._base}/jobs.{file_type}?{urlencode(kept, errors='replace')}"

    def filtered_by(self, typed: str) -> str:
        """Return the address of the table with another filter."""
        kept = [pair for pair in self._asked if pair[0] != "q"]
        return self._made([*([("q", typed)] if typed else []), *kept])

    def sorted_by(self, path: str, *, descending: bool) -> str:
        """Return the address of the table in another order."""
        kept = [pair for pair in self._asked if pair[0] not in {"sort", "order"}]
        return self._made([*kept, ("sort", path), *([("order", "desc")] if descending else [])])

    def here(self) -> list[tuple[str, str]]:
        """Return the parameters of this view."""
        return self._asked

    def _made(self, pairs: Sequence[tuple[str, str]]) -> str:
        return f"{self._base}/?{urlencode(pairs, errors='replace')}"


def _columns(overview: Overview, rows: Sequence[Parts], chosen: Sequence[str]) -> list[Column]:
    """Return the columns of the table: those chosen, or the parameters that differ and the results."""
    if chosen:
        return [overview.columns.get(path) or Column(path) for path in chosen[:MOST_COLUMNS]]
    if not overview.done:
        overview = Overview()
        for parts in rows:
            overview.add(flat(parts).items())
    parameters = overview.parameters()
    different = [each for each in parameters if not each.is_constant]
    results = overview.results()
    few = max(MOST_COLUMNS // 2, MOST_COLUMNS - len(results))
    first = (different or parameters)[:few]
    return [*first, *results[: MOST_COLUMNS - len(first)]]


def _side_by_side(
    values: Sequence[Mapping[str, Any]], *, different: bool = False
) -> list[tuple[str, list[Any]]]:
    """Return the paths of several mappings, each with the text of its value in each of them.

    Args:
        values: The mappings.
        different: Whether paths whose values are all the same are left out.
    """
    by_path = [{joined(path): cell_text(value) for path, value in leaves(each)} for each in values]
    paths = list(dict.fromkeys(path for each in by_path for path in each))[:MOST_PATHS]
    rows = [(path, [each.get(path) for each in by_path]) for path in paths]
    return [row for row in rows if not different or len(set(row[1])) > 1]


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """Return begin and end of the part that a header ``Range`` asks for; None if it is the whole file.

    Browsers ask for parts when a user moves to another moment of a video.
    """
    found = re.fullmatch(r"bytes=(\d{1,18})-(\d{0,18})", asked, re.ASCII)
    if found is None or int(found[1]) >= size:
        return None
    end = min(int(found[2]) + 1, size) if found[2] else size
    return (int(found[1]), end) if end > int(found[1]) else None


def _whole_number(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 12 else 0  # noqa: PLR2004


def _digest(table: Mapping[str, Any]) -> str:
    """Return a text that is another one when the table looks different."""
    shown = [
        table[name] for name in ("rows", "count", "page", "sort", "descending", "error", "is_ready", "search")
    ]
    overview: Overview = table["overview"]
    known = (overview.done, overview.total, overview.is_complete, [each.path for each in table["columns"]])
    shown[-1] = shown[-1]._replace(ids=())
    return hashlib.sha256(repr((shown, known)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
