"""What a notebook shows: harmless HTML, made from one page of a listing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracing import system_calls

import perkey
from perkey import (
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    OverlappingMultiDict,
    PersiDict,
    WriteOnceDict,
    showing,
)
from perkey.aio import AsyncDict
from perkey.dataspace import Job, JobsCursor, Project, init_project
from perkey.stores import DirectoryStore, MemoryStore
from perkey.synced import JSONAttrDict, JSONDict, JSONList
from perkey.testing import FaultyStore
from perkey.tools.checking import Fault, VerifyReport
from perkey.tools.copying import CopyReport
from perkey.tools.pruning import PruneReport
from perkey.tools.usage import Usage, Written

TAGS = {"div", "p", "strong", "code", "br", "table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {
    ("class", "tex2jax_ignore mathjax_ignore"),
    ("scope", "col"),
    ("style", "text-align:left;white-space:pre-wrap"),
    ("style", "text-align:right"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table></div><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "$\\href{javascript:alert(1)}{x}$",
    "&lt;b&gt;<!--",
    "a\x00b\x1b[31m\u202e\u2028\r\n",
    "x" * 5000,
]
TEXTS = st.text(max_size=30) | st.sampled_from(HOSTILE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=15,
)


class Page(HTMLParser):
    """Takes HTML apart; refuses all that is not in the two sets above."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        html.encode()
        assert len(html) < 200_000
        self.feed(html)
        self.close()
        assert self.open == []
        assert self.text.isprintable()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {(name, value) for name, value in attrs} <= ATTRIBUTES
        if tag != "br":
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment  # type: ignore[assignment] # other names


def page_of(thing: Any) -> Page:
    return Page(thing._repr_html_())


# --- What is shown --------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, "txt"),
    "no digests": lambda path: FileDirDict(path, "txt", digest_len=0),
    "memory": lambda _: LocalDict("txt"),
    "any store": lambda _: PersiDict(MemoryStore(), file_type="txt"),
    "part": lambda path: FileDirDict(path, "txt").get_subdict(("p", "q")),
    "cached": lambda path: CachedDict(FileDirDict(path, "txt"), LocalDict("txt")),
    "write once": lambda path: WriteOnceDict(FileDirDict(path, "txt")),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_dictionary_shows_keys_sizes_and_times(maker: str, tmp_path: Path) -> None:
    d = MAKERS[maker](tmp_path)
    assert "0 items" in page_of(d).text
    d.update({"a": "one", ("b", "c"): "three"})
    for handle in (d, d.read_only()):
        page = page_of(handle)
        assert type(d).__name__ in page.text
        assert d.store.describe() in page.text
        assert "2 items" in page.text
        times = [showing.moment_text(d.timestamp(key)) for key in ("a", ("b", "c"))]
        assert page.cells[3:] == ["'a'", "3 bytes", times[0], "'b', 'c'", "5 bytes", times[1]]
    assert ("read-only" in page_of(d.read_only()).text, "read-only" in page_of(d).text) == (True, False)
    assert repr(d).startswith(type(d).__name__)


def test_only_the_first_keys_are_shown_and_all_of_a_page_are_counted(tmp_path: Path) -> None:
    d = FileDirDict[int](tmp_path, "json", durability="none")
    d.update({f"k{number:04}": number for number in range(990)})
    FileDirDict[Any](tmp_path, "pkl")["other"] = 1
    page = page_of(d)
    assert "990 items, of which 20 are shown" in page.text
    assert len(page.cells) == 63
    d.update({f"m{number:04}": number for number in range(500)})
    assert re.search("at least (999|1,000) items, of which 20 are shown", page_of(d).text)


def test_empty_and_overlapping_dictionaries_are_shown(tmp_path: Path) -> None:
    assert "0 items" in page_of(EmptyDict[Any]()).text
    both = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, pkl={}, json={})
    assert page_of(both).cells == [
        "file type", "class", "place",
        "pkl", "FileDirDict", str(tmp_path),
        "json", "FileDirDict", str(tmp_path),
    ]  # fmt: skip


def test_reports_are_shown(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d", "json", digest_len=0)
    d.update({("a", str(number)): number for number in range(30)})
    (tmp_path / "d" / "bad.json").write_text("{")
    assert "by_prefix: 2 entries" in page_of(perkey.usage(d)).text
    assert "oldest" in page_of(perkey.usage(d)).cells
    found = page_of(perkey.verify(d))
    assert {"damaged", "'bad'"} <= set(found.cells)
    removed = page_of(perkey.prune(d, max_items=3))
    assert removed.cells[removed.cells.index("removed") + 1] == "28"
    d.clear()
    d["x"] = 1
    copied = page_of(perkey.copy(d, LocalDict[Any]("json")))
    assert copied.cells[copied.cells.index("copied") + 1] == "1"
    assert "1 computed" in page_of(perkey.run_all(LocalDict[Any](), str, {"a": 1})).text
    failed = page_of(perkey.run_all(LocalDict[Any](), lambda _: 1 / 0, {"a": 1})).cells
    assert any(cell.startswith("  File ") for cell in failed)  # the indentation of a traceback
    assert len(page_of(showing_lines(30)).cells) == 20


def showing_lines(count: int) -> Any:
    """Return an object whose text has so many lines."""
    text = showing.text_html("\n".join(map(str, range(count))))
    return mock.Mock(_repr_html_=lambda: text)


def test_documents_are_shown_and_their_keys_come_first(tmp_path: Path) -> None:
    for cls in (JSONDict, JSONAttrDict):
        doc: Any = cls(str(tmp_path / f"{cls.__name__}.json"))
        doc.update({f"k{number}": {"a": [number]} for number in range(30)})
        page = page_of(doc)
        assert "30 items, of which 20 are shown" in page.text
        assert page.cells[2:4] == ["'k0'", "{'a': [0]}"]
        assert "1 item" in page_of(doc["k3"]).text
    mine: Any = JSONAttrDict(str(tmp_path / "JSONAttrDict.json"))
    mine["_repr_html_"] = "mine"
    assert mine._repr_html_ == "mine"
    numbers = JSONList(str(tmp_path / "list.json"))
    numbers.extend([5, "<b>"])
    assert page_of(numbers).cells[2:] == ["0", "5", "1", "'<b>'"]


def test_projects_cursors_and_jobs_are_shown(tmp_path: Path) -> None:
    project = init_project("study", tmp_path)
    assert "0 jobs" in page_of(project).text
    for number in range(12):
        project.open_job({"a": number}).init().doc.b = number * 2
    page = page_of(project)
    assert "12 jobs, of which 10 are shown" in page.text
    assert page.cells[:3] == ["job", "sp.a", "doc.b"]
    assert "12 jobs, of which 10 are shown" in page_of(project.find_jobs()).text
    (job,) = project.find_jobs({"a": 3})
    for wanted in ({"a": 3}, {"doc.b": 6}, {"a": 3, "doc.b": 6}):
        jobs = project.find_jobs(wanted)
        expected = [job.id, "3", "6"]
        assert page_of(jobs).cells[3:] == expected
        assert len(jobs) == 1
        assert page_of(jobs).cells[3:] == expected
    (tmp_path / "workspace" / job.id / "data.txt").write_text("12345")
    shown = page_of(job)
    assert shown.cells[-2:] == ["data.txt", "5 bytes"]
    assert {"'a'", "'b'"} <= set(shown.cells)
    (tmp_path / "workspace" / job.id / "signac_job_document.json").write_text("{")
    assert "CorruptValueError" in page_of(job).text
    assert "10 are shown" in page_of(project).text
    absent = project.open_job({"a": "absent"})
    assert "not initialised" in page_of(absent).text
    assert absent not in project


# --- Hostile text ---------------------------------------------------------------------------------------


@given(data=st.dictionaries(TEXTS, JSON, max_size=30))
def test_no_text_of_a_document_becomes_markup(data: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        doc = JSONDict(f"{folder}/d.json")
        doc.reset(data)
        page = page_of(doc)
        assert len(page.cells) == min(20, len(data)) * 2 + 2 * bool(data)


@given(texts=st.lists(TEXTS.filter(bool), min_size=1, max_size=30, unique=True))
def test_no_key_and_no_foreign_file_becomes_markup(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        d = FileDirDict[str](folder, "txt", durability="none")
        for text in texts:
            d[perkey.quote(text, shorten=True)] = text
            with contextlib.suppress(OSError, ValueError):  # no file can have the name
                Path(folder, text.replace("/", "_")).write_text("x")
        assert perkey.errors.counted(len(d), "item") in page_of(d).text
        page_of(perkey.verify(d))


@given(texts=st.lists(TEXTS, min_size=4, max_size=4), many=st.integers(1, 40))
def test_no_text_of_a_report_becomes_markup(texts: list[str], many: int) -> None:
    a, b, c, e = texts
    keys = [(a, f"{b}{number}") for number in range(many)]
    usage = Usage(3, 5, Written((a, b), 1e30), None, c, {key: Usage(1) for key in keys})
    faults = [Fault("damaged", a, b, key, moved_to=e) for key in keys]
    for report in (
        usage,
        VerifyReport(a, faults=faults, quarantine=b),
        PruneReport(a, failures=dict.fromkeys(keys, c), failed=many),
        CopyReport(a, b, errors=dict.fromkeys(keys, e)),
    ):
        page_of(report)


@given(wanted=st.dictionaries(st.sampled_from(["a", "doc.b"]), TEXTS, min_size=1), title=TEXTS)
def test_no_filter_and_no_name_of_a_class_becomes_markup(wanted: dict[str, str], title: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = init_project(path=folder)
        job = project.open_job({"a": title}).init()
        job.doc.b = title
        for thing in (project, job, project.find_jobs(wanted), project.find_jobs()):
            page_of(thing)
        if "\0" not in title and not any("\ud800" <= each <= "\udfff" for each in title):
            page_of(type(title, (LocalDict,), {})())


# --- Bounded work ---------------------------------------------------------------------------------------


def calls_of(thing: Any) -> int:
    thing._repr_html_()
    return len(system_calls(thing._repr_html_))


def test_a_large_folder_costs_as_much_as_one_page(tmp_path: Path) -> None:
    d = FileDirDict[int](tmp_path, "json", durability="none")
    d.update({f"k{number}": number for number in range(1100)})
    first = calls_of(d)
    d.update({f"m{number}": number for number in range(2500)})
    assert calls_of(d) <= first + 2 < 80


@pytest.mark.parametrize("kind", ["foreign files", "empty folders", "other types", "nested folders"])
def test_what_is_not_an_item_is_bounded_too(kind: str, tmp_path: Path) -> None:
    for number in range(1500):
        name = tmp_path / f"f{number}"
        if kind == "foreign files":
            (tmp_path / f".@perkey-x{number}").touch()
        elif kind == "other types":
            name.with_suffix(".json").touch()
        else:
            name.mkdir()
            if kind == "nested folders":
                (name / "inner").mkdir()
    d = FileDirDict[Any](tmp_path, "txt")
    looked: list[str] = []
    entries = os.scandir

    def scandir(path: Any) -> Any:
        looked.append(path)
        return entries(path)

    with mock.patch("os.scandir", scandir):
        page = page_of(d)
    assert "no item on the first page of the listing" in page.text
    assert len(looked) <= 1001


def test_nothing_is_swept_and_no_value_is_read(tmp_path: Path) -> None:
    stale = tmp_path / ".@perkey-tmp-stale"
    stale.touch()
    os.utime(stale, (1, 1))
    (tmp_path / "broken.pkl").write_bytes(b"damaged")
    store = FaultyStore(DirectoryStore(tmp_path))
    d = PersiDict[Any](store, digest_len=0)
    assert "'broken'" in page_of(d).cells
    assert set(store.calls) == {"scan_stats"}
    assert stale.exists()


def test_a_data_space_is_not_walked(tmp_path: Path) -> None:
    project = init_project(path=tmp_path)
    for number in range(1200):
        folder = tmp_path / "workspace" / f"{number:032x}"
        folder.mkdir()
        (folder / "signac_statepoint.json").write_text('{"a": 1}')
    space = Project(tmp_path).space
    read = type(space.workspace).foreign_statepoint
    with (
        mock.patch.object(type(space.workspace), "ids", side_effect=AssertionError),
        mock.patch.object(type(space.index), "all", side_effect=AssertionError),
        mock.patch.object(
            type(space.workspace), "foreign_statepoint", autospec=True, side_effect=read
        ) as reads,
    ):
        reads.side_effect = read
        assert "at least 1,000 jobs, of which 10 are shown" in page_of(project).text
        assert reads.call_count == 10
        assert "100 of the first 100 jobs match" in page_of(project.find_jobs({"a": 1})).text
        assert reads.call_count <= 10 + 110
        assert "0 of the first 100 jobs match" in page_of(project.find_jobs({"a": 2})).text


def test_an_async_dictionary_asks_nothing() -> None:
    store = FaultyStore(MemoryStore())

    async def show() -> str:
        async with AsyncDict(PersiDict[Any](store)) as d:
            store.calls.clear()
            return d._repr_html_()

    assert "memory:" in Page(asyncio.run(show())).text
    assert not store.calls


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    code = f"""
import sys
from perkey import FileDirDict, usage
from perkey.dataspace import init_project
d = FileDirDict({str(tmp_path / "d")!r}, "json")
d["a"] = 1
project = init_project(path={str(tmp_path / "p")!r})
project.open_job({{"a": 1}}).init()
for thing in (d, usage(d), project, project.find_jobs({{"a": 1}}), next(iter(project.find_jobs()))):
    assert "<table>" in thing._repr_html_()
print([name for name in ("pandas", "numpy", "IPython", "rich", "h5py") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


# --- Never an exception ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [PermissionError(13, "<b>secret</b>"), ValueError("x"), RecursionError(), KeyError()]
)
def test_a_place_that_fails_is_text_with_the_name_of_the_error(error: Exception) -> None:
    store = FaultyStore(MemoryStore())
    store.fail("scan_stats", error, nth=None)
    page = page_of(PersiDict[Any](store))
    assert type(error).__name__ in page.text
    assert "PersiDict(" in page.text
    assert "secret" not in page.text


def test_places_that_are_gone_are_text(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d")
    project = init_project(path=tmp_path / "p")
    job = project.open_job({"a": 1}).init()
    doc: Any = JSONAttrDict(str(tmp_path / "doc.json"))
    (tmp_path / "d").rmdir()
    (tmp_path / "d").write_text("a file")
    (tmp_path / "doc.json").mkdir()
    assert "0 items" in page_of(d).text  # as its len()
    assert "Error" in page_of(doc).text
    assert repr(doc) == "<JSONAttrDict that cannot be shown: IsADirectoryError>"
    subprocess.run(["rm", "-r", str(tmp_path / "p")], check=True)
    (tmp_path / "p").symlink_to(tmp_path / "nowhere")
    for thing in (project, job, project.find_jobs({"a": 2})):
        page_of(thing)


def test_a_text_that_raises_is_left_out() -> None:
    class Mute(LocalDict[Any]):
        def __repr__(self) -> str:
            raise ValueError

        def get_params(self) -> dict[str, Any]:
            raise ValueError

    d = Mute()
    d._items.store.glimpse = mock.Mock(side_effect=OSError)  # type: ignore[method-assign] # a place that fails
    assert "OSError" in page_of(d).text


class StopError(Exception):
    pass


def test_what_a_signal_handler_raises_passes() -> None:
    def handle(_: int, __: FrameType | None) -> None:
        raise StopError

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        store = FaultyStore(MemoryStore())
        store.on("scan_stats", lambda: signal.raise_signal(signal.SIGUSR1))
        with pytest.raises(StopError):
            PersiDict[Any](store)._repr_html_()
        store.heal()
        store.fail("scan_stats", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            PersiDict[Any](store)._repr_html_()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_service_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from perkey import BasicS3Dict

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret-of-mine")
    monkeypatch.setattr(showing, "_PATIENCE", 0.5)
    d = BasicS3Dict[Any]("bucket", region="us-east-1", endpoint_url="http://127.0.0.1:9", retry_for=600)
    began = time.monotonic()
    page = page_of(d)
    assert time.monotonic() - began < 20
    assert "cannot be shown" in page.text
    assert "secret-of-mine" not in page.text


def test_classes_are_not_taken_for_objects() -> None:
    """IPython shows an attribute of a class if it is a bound method."""
    classes = [Job, JobsCursor, Project, AsyncDict, OverlappingMultiDict, JSONAttrDict, JSONDict, JSONList]
    classes += [PersiDict, FileDirDict, LocalDict, CachedDict, WriteOnceDict, Usage, VerifyReport]
    for cls in classes:
        assert not inspect.ismethod(cls._repr_html_), cls  # type: ignore[attr-defined] # they all have one
    assert all(dataclasses.is_dataclass(cls) for cls in (Usage, VerifyReport, PruneReport, CopyReport))
