"""Pages of dictionaries: keys, a value, charts, claims."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from perkey.content import Content, close, read_all
from perkey.errors import PerkeyError
from perkey.keys import NonEmptySafeStrTuple, SafeStrTuple, unquote
from perkey.mapping import PersiDict
from perkey.naming import naming
from perkey.showing import size_text
from perkey.stores import Name, Stat
from perkey.tools.once import claims
from perkey.viewer import exports, values
from perkey.viewer import panels as adding
from perkey.viewer.charts import Axis, Series, bars, line
from perkey.viewer.index import Branch, Index, Order
from perkey.viewer.pages import Pages, Shown

_PAGE: Final = 100
_BRANCHES: Final = 200
_MOST_OPEN: Final = 50
"""Branches of the tree that a page keeps open while it is brought up to date."""
_WAIT: Final = 5.0
"""Seconds that the first page waits for the first keys of a place."""
_LONGEST_WAIT: Final = 600.0
"""Seconds that a file of all keys waits for the last keys of a place."""
_BINS: Final = 60
_PIECE: Final = 1 << 20
_CLAIMS: Final = 500


class _View(NamedTuple):
    """What part of the keys a page shows, and in which order: the query of its address.

    Attributes:
        prefix: What the keys begin with.
        search: Words that occur in them.
        order: The order; None means that of the keys, and the order of the listing until all are known.
        descending: Whether the greatest come first.
        page: The number of the page, from 1.
    """

    prefix: str
    search: str
    order: Order | None
    descending: bool
    page: int

    @classmethod
    def of(cls, request: Request) -> _View:
        query = request.query_params
        order = query.get("sort")
        return cls(
            prefix=_prefix(query.get("prefix", "")),
            search=query.get("q", "")[:200],
            order=order if order in get_args(Order) else None,  # type: ignore[arg-type] # it was compared
            descending=query.get("dir") == "desc",
            page=_number(query.get("page"), 1, least=1),
        )

    def query(self, **changes: Any) -> str:
        """Return the query of an address: this view with changes."""
        view = self._replace(**changes)
        pairs = (
            ("prefix", view.prefix),
            ("q", view.search),
            ("sort", view.order),
            ("dir", "desc" if view.descending else ""),
            ("page", view.page if view.page > 1 else ""),
        )
        return "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs if value)

    def sorted_by(self, order: Order, now: Order, *, descending: bool) -> str:
        """Return the query that a heading leads to: sorted by it, in the other direction if it is already."""
        turned = not self.descending if now == order else descending
        return self.query(order=order, descending=turned, page=1)


class Dictionary:
    """The pages of a dictionary.

    Args:
        d: The dictionary, read-only.
        pages: Makes responses.
        shown: Its title and path.
        unpickle: Whether pickles are loaded.
        panels: Functions that users add, see `perkey.viewer.panels`.
    """

    def __init__(
        self,
        d: PersiDict[Any],
        pages: Pages,
        shown: Shown,
        *,
        unpickle: bool,
        panels: Iterable[adding.Panel] = (),
    ) -> None:
        self._d = d
        self._pages = pages
        self._shown = shown
        self._unpickle = unpickle
        self._panels = adding.of_items(panels)
        self._names = naming(d.digest_len, d.file_type)
        self._index = Index(d)

    def routes(self) -> list[BaseRoute]:
        """Return the routes, relative to the path of the dictionary."""
        return [
            Route("/", self._front),
            Route("/keys", self._keys),
            Route("/keys.{file_type}", self._saved_keys),
            Route("/tree", self._tree),
            Route("/branch", self._branch),
            Route("/item", self._item),
            Route("/table.csv", self._saved_table),
            Route("/raw", self._raw),
            Route("/charts", self._charts),
            Route("/claims", self._claims),
        ]

    def close(self) -> None:
        """End what works in the background."""
        self._index.close()

    def _respond(self, request: Request, template: str, **context: Any) -> Response:
        return self._pages.respond(request, template, shown=self._shown, d=self._d, **context)

    # --- Keys -----------------------------------------------------------------------------------------

    def _front(self, request: Request) -> Response:
        context = self._listed(request)
        return self._respond(request, "dict_keys.html", **context, **self._grown(request))

    def _keys(self, request: Request) -> Response:
        """Return the table of keys; nothing if it has not changed since the state in the address."""
        since = request.query_params.get("since")
        if since is not None and self._index.progress().state == _number(since, -1):
            return Response(status_code=204)
        return self._respond(request, "dict_keys_part.html", **self._listed(request))

    def _listed(self, request: Request) -> dict[str, Any]:
        view = _View.of(request)
        progress = self._index.progress(_PAGE + 1, _WAIT)
        order: Order = view.order or ("key" if progress.complete or view.search else "listing")
        offset = (view.page - 1) * _PAGE
        rows = self._index.rows(
            prefix=view.prefix,
            search=view.search,
            order=order,
            descending=view.descending,
            offset=offset,
            limit=_PAGE,
        )
        narrowed = view.prefix or view.search
        count = self._index.count(view.prefix, view.search) if narrowed else progress.items
        start = _number(request.query_params.get("start"), -1)
        if start < 0 or start > progress.state or not progress.complete:
            start = progress.state
        return {
            "view": view,
            "order": order,
            "rows": rows,
            "count": count,
            "offset": offset,
            "last": max(1, -(-count // _PAGE)),
            "progress": progress,
            "start": start,
            "new": sum(row.changed > start for row in rows),
            "plain": _plain,
        }

    def _saved_keys(self, request: Request) -> Response:
        """Return all keys of a view as a file to save, when all are known."""
        file_type = request.path_params["file_type"]
        if file_type not in get_args(exports.FileType):
            return self._missing(request, "This page does not exist.")
        progress = self._index.progress(sys.maxsize, _LONGEST_WAIT)
        if not progress.complete:
            why = f"The listing failed: {progress.error}" if progress.error else "The listing goes on."
            return self._pages.respond(request, "error.html", status=503, message=f"{why} Try again later.")
        view = _View.of(request)
        found = self._index.records(
            prefix=view.prefix, search=view.search, order=view.order or "key", descending=view.descending
        )
        rows = ((key, size, exports.moment(mtime), version) for key, size, mtime, version in found)
        return exports.saved("keys", file_type, ("key", "bytes", "time", "etag"), rows)

    def _tree(self, request: Request) -> Response:
        since = request.query_params.get("since")
        if since is not None and self._index.progress().state == _number(since, -1):
            return Response(status_code=204)
        return self._respond(request, "dict_tree_part.html", **self._grown(request))

    def _grown(self, request: Request) -> dict[str, Any]:
        """Return what the template of the tree needs: the root, and the branches that are open."""
        state = self._index.progress().state
        opened = dict.fromkeys(map(_prefix, request.query_params.getlist("open")[:_MOST_OPEN]))
        below = {prefix: self._level(prefix) for prefix in ("", *opened)}
        return {"below": below, "state": state}

    def _level(self, prefix: str, after: str = "") -> tuple[list[Branch], str]:
        """Return a page of branches, and the name that the next one begins after, if there is one."""
        found = self._index.branches(prefix, after, _BRANCHES + 1)
        if len(found) <= _BRANCHES:
            return found, ""
        last = found[_BRANCHES - 1]
        return found[:_BRANCHES], f"{last.name}/" if last.items else last.name

    def _branch(self, request: Request) -> Response:
        """Return one page of what is directly below a branch."""
        prefix = _prefix(request.query_params.get("prefix", ""))
        after = request.query_params.get("after", "")
        below = {prefix: self._level(prefix, after)}
        return self._respond(request, "dict_branch_part.html", below=below, prefix=prefix)

    # --- A value ----------------------------------------------------------------------------------------

    def _item(self, request: Request) -> Response:
        key = _key(request)
        found = None if key is None else self._beginning(key)
        if key is None or found is None:
            return self._missing(request)
        name, stat, raw = found
        size = max(stat.size, len(raw))
        parts = values.parts_of_bytes(raw, size, self._d.file_type, unpickle=self._unpickle)
        return self._respond(
            request,
            "dict_item.html",
            key="/".join(key),
            meaning=_meaning(key),
            stat=stat,
            place=self._d.store.describe(name),
            program=self._program(key),
            parts=parts,
            is_table=any(part.kind == "table" for part in parts),
            panels=self._added(key, raw, size),
        )

    def _beginning(self, key: tuple[str, ...]) -> tuple[Name, Stat, bytes] | None:
        """Return name, status and first bytes of an item, as many as pages show; None if it is missing."""
        name = self._names.name_of(key)
        try:
            stat = self._d.store.stat(name)
            content = self._d.store.content(name, limit=0)
        except KeyError:
            return None
        return name, stat, _first_bytes(content, values.most_bytes(self._d.file_type))

    def _saved_table(self, request: Request) -> Response:
        """Return the table that a value is, all of it, as CSV."""
        key = _key(request)
        found = None if key is None else self._beginning(key)
        if key is None or found is None:
            return self._missing(request)
        _, stat, raw = found
        sheet = values.sheet_of_bytes(
            raw, max(stat.size, len(raw)), self._d.file_type, unpickle=self._unpickle
        )
        if sheet is None:
            return self._missing(request, "This value is not a table any more, or too large.")
        return exports.saved(key[-1], "csv", sheet.columns, sheet.rows)

    def _added(self, key: tuple[str, ...], raw: bytes, size: int) -> list[adding.Shown]:
        """Return what functions of the user's add to the page of an item."""
        if not self._panels:
            return []
        try:
            value = values.value_of_bytes(raw, size, self._d.file_type, unpickle=self._unpickle)
        except values.UnknownValueError as error:
            return [adding.Shown("Panels", error=f"{error}. Panels are left out.")]
        return adding.run(self._panels, key, value)

    def _program(self, key: tuple[str, ...]) -> str:
        """Return the line of Python that reads an item."""
        place = self._d.store.describe()
        needed = {"file_type": self._d.file_type, "digest_len": self._d.digest_len}
        service = {name: self._d.get_params().get(name) for name in ("region", "endpoint_url")}
        needed |= {name: value for name, value in service.items() if value is not None}
        params = ", ".join(f"{name}={value!r}" for name, value in needed.items())
        shown = repr(key[0]) if len(key) == 1 else ", ".join(map(repr, key))
        return f'perkey.open({place!r}, "r", {params})[{shown}]'

    def _raw(self, request: Request) -> Response:
        """Return the stored bytes, as a file to save: a browser never shows it as a page."""
        key = _key(request)
        if key is None:
            return self._missing(request)
        name = self._names.name_of(key)
        try:
            content = self._d.store.content(name, limit=0)
        except KeyError:
            return self._missing(request)
        return StreamingResponse(
            _pieces(content),
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{key[-1]}.{self._d.file_type}"'},
        )

    def _missing(
        self, request: Request, message: str = "This key does not exist. Another program may have removed it."
    ) -> Response:
        return self._pages.respond(request, "error.html", status=404, message=message)

    # --- Charts and claims ------------------------------------------------------------------------------

    def _charts(self, request: Request) -> Response:
        progress = self._index.progress(_PAGE + 1, _WAIT)
        charts = []
        first, last, counts = self._index.times(_BINS)
        if counts:
            width = (last - first) / _BINS or 1.0
            middles = [first + width * (number + 0.5) for number in range(_BINS)]
            title = "Items by the time of their last write"
            charts.append(
                line([Series(middles, counts)], title=title, x=Axis("time", "time"), y=Axis("items"))
            )
        pairs = [(f"less than {size_text(limit)}", count) for limit, count in self._index.sizes()]
        if pairs:
            charts.append(bars(pairs, title="Items by size", value=Axis("items")))
        return self._respond(request, "dict_charts.html", charts=charts, progress=progress)

    def _claims(self, request: Request) -> Response:
        found, error = [], ""
        try:
            for claim in claims(self._d, free=True):
                found.append(claim)
                if len(found) == _CLAIMS:
                    break
        except (PerkeyError, OSError) as raised:
            error = str(raised)
        live = self._d.store.workers == 1
        return self._respond(request, "dict_claims.html", claims=found, error=error, live=live)


def _prefix(text: str) -> str:
    """Return a beginning of keys, with single slashes between its parts."""
    return "/".join(filter(None, text.split("/")))


def _number(text: str | None, default: int, least: int = 0) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 12:  # noqa: PLR2004 - digits
        return default
    return max(least, int(text))


def _key(request: Request) -> tuple[str, ...] | None:
    try:
        return NonEmptySafeStrTuple(request.query_params.get("key", "").split("/"))
    except ValueError:
        return None


def _meaning(key: tuple[str, ...]) -> str:
    """Return the text that `perkey.quote` made a key of, if that is not the key itself."""
    if not any("=" in part for part in key):
        return ""
    try:
        return unquote(SafeStrTuple(key))
    except ValueError:
        return ""


def _plain(key: str) -> str:
    return _meaning(tuple(key.split("/")))


def _first_bytes(content: Content, most: int) -> bytes:
    try:
        return content[:most] if isinstance(content, bytes) else content.read(most)
    finally:
        close(content)


def _pieces(content: Content) -> Iterator[bytes]:
    try:
        if isinstance(content, bytes):
            yield read_all(content)
            return
        while piece := content.read(_PIECE):
            yield piece
    finally:
        close(content)
