"""Tables as files: complete, exact as JSON, and in CSV without anything that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import FileDirDict, LocalDict, PersiDict, UnstorableValueError, quote
from perkey.dataspace import Project, init_project
from perkey.naming import Name
from perkey.stores import MemoryStore, Stat
from perkey.viewer import exports, sheets, values
from perkey.viewer.security import HEADERS
from viewer.conftest import TestClient, Viewer, until

RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""Beginnings of texts that OWASP warns of."""
FORMULAS = [f"{sign}1+1" for sign in RUN] + ['=cmd|" /C calc"!A0', '"=1', '=HYPERLINK("http://evil.example")']


def parsed(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def harmless(content: bytes) -> bool:
    """Return whether no cell of a text begins as a formula; numbers are not quoted, and are numbers."""
    for cell in re.findall(r'(?:^|,|\r\n)(?:"((?:[^"]|"")*)"|([^",\r\n]*))(?=,|\r\n|$)', content.decode()):
        if cell[0].startswith(RUN):
            return False
        if cell[1] and not math.isfinite(float(cell[1])) and cell[1] not in {"nan", "inf", "-inf"}:
            return False
    return True


cells = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(FORMULAS),
    st.lists(st.text(), max_size=3), st.dictionaries(st.text(), st.text(), max_size=2), st.binary(max_size=5),
)  # fmt: skip


@given(st.lists(st.one_of(st.text(), st.sampled_from(FORMULAS)), min_size=1, max_size=4), st.data())
def test_no_cell_is_a_formula_and_every_cell_comes_back(columns: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), max_size=5))
    content = b"".join(exports.csv_pieces(columns, rows))
    assert harmless(content)
    found = parsed(content)
    assert [len(row) for row in found if row] == [len(columns)] * (1 + len(rows))
    for given_row, row in zip([columns, *rows], found, strict=True):
        for value, cell in zip(given_row, row, strict=True):
            if isinstance(value, str):
                text = value.encode("utf-8", "backslashreplace").decode()
                assert cell in {text, f"'{text}"}
                assert (cell != text) == text.startswith(RUN)
            elif type(value) is float:
                assert float(cell) == value or value != value  # noqa: PLR0124 - NaN
            elif type(value) is int:
                assert int(cell) == value


@given(st.lists(st.dictionaries(st.text(), cells.filter(lambda cell: not isinstance(cell, bytes)))))
def test_records_are_valid_json(records: list[dict[str, Any]]) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    text = b"".join(exports.json_pieces(records)).decode()
    found = json.loads(text, parse_constant=refuse)
    assert len(found) == len(records)
    for one, other in zip(records, found, strict=True):
        for name, value in other.items():
            assert value == one.get(name, value) or value is None or isinstance(value, str | list | dict)


# --- Dictionaries -------------------------------------------------------------------------------------------


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[Any]:
    d = FileDirDict[Any](tmp_path / "d", file_type="json", durability="none")
    for number in range(1203):
        d[f"run{number % 3}", f"item{number}"] = number
    d["=1"] = "a formula as a key"
    return d


@pytest.mark.parametrize("query", ["", "prefix=run1", "q=item12", "sort=size&dir=desc", "sort=time"])
def test_all_keys_of_a_view_are_saved(query: str, viewer: Viewer, d: FileDirDict[Any]) -> None:
    client = viewer(d)
    table = client.get(f"/d/0/keys.csv?{query}")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="keys.csv"'
    assert harmless(table.content)
    head, *rows = parsed(table.content)
    assert head == ["key", "bytes", "time", "etag"]
    found = [
        {"key": key.removeprefix("'"), "bytes": int(size), "time": time, "etag": etag}
        for key, size, time, etag in rows
    ]
    records = client.get(f"/d/0/keys.json?{query}").json()
    assert records == found
    wanted = {"/".join(key) for key in d}
    if "prefix" in query:
        wanted = {key for key in wanted if key.startswith("run1/")}
    if "q=" in query:
        wanted = {key for key in wanted if "item12" in key}
    assert {each["key"] for each in records} == wanted
    for each in records[::400]:
        key = tuple(each["key"].split("/"))
        assert each["etag"] == d.etag(key)
        assert pd.Timestamp(each["time"]).timestamp() == pytest.approx(d.timestamp(key), abs=1e-5)
    if "size" in query:
        sizes = [each["bytes"] for each in records]
        assert sizes == sorted(sizes, reverse=True)


def test_the_links_of_a_page_are_those_of_its_view(viewer: Viewer, d: FileDirDict[Any]) -> None:
    client = viewer(d)
    client.get("/d/0/keys.csv")  # all keys are known now
    text = client.get("/d/0/?q=item1&sort=size&page=2").text
    link = re.search(r'id="save-csv" href="([^"]+)"', text)
    assert link is not None
    assert len(parsed(client.get(unescape(link[1])).content)) == 1 + 314


def test_a_file_of_keys_waits_for_all_of_them(viewer: Viewer) -> None:
    class Slow(MemoryStore):
        def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
            for number in range(3000):
                if number == 200:
                    until(lambda: bool(asked), timeout=30)
                yield ((f"k{number}.json",), Stat("1", 0.0, 1))

    asked: list[bool] = []
    client = viewer(PersiDict[Any](Slow(), file_type="json", digest_len=0))
    assert "goes on" in client.get("/d/0/").text
    asked.append(True)
    assert len(client.get("/d/0/keys.json").json()) == 3000


def test_keys_of_a_place_that_cannot_be_listed_are_not_saved(viewer: Viewer) -> None:
    class Denied(MemoryStore):
        def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
            raise PermissionError(13, "no")

    answer = viewer(PersiDict[Any](Denied(), file_type="json")).get("/d/0/keys.csv")
    assert answer.status_code == 503
    assert "The listing failed" in answer.text
    assert "content-disposition" not in answer.headers


def test_an_empty_dictionary_and_other_types_of_files(viewer: Viewer) -> None:
    client = viewer(LocalDict[Any]())
    assert client.get("/d/0/keys.csv").content == b'"key","bytes","time","etag"\r\n'
    assert client.get("/d/0/keys.json").json() == []
    assert client.get("/d/0/keys.html").status_code == 404
    assert client.get("/d/0/table.csv?key=missing").status_code == 404
    assert client.get("/d/0/table.csv?key=").status_code == 404


def test_memory_of_a_file_of_keys_is_small(viewer: Viewer) -> None:
    class Endless(MemoryStore):
        def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
            return ((("part", f"item{n}.json"), Stat("1", float(n), n)) for n in range(60_000))

    from perkey.viewer.index import Index

    index = Index(PersiDict[Any](Endless(), file_type="json", digest_len=0))
    until(lambda: index.progress().complete)
    tracemalloc.start()
    try:
        rows = index.records()
        assert sum(len(piece) for piece in exports.csv_pieces(("key",), rows)) > 60_000 * 10
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
        index.close()


TABLES: dict[str, tuple[Any, list[list[str]]]] = {
    "records": ([{"a": 1, "b": "=1+1"}, {"b": -2.5, "c": None}], [["a", "b", "c"], ["1", "'=1+1", ""],
                                                                 ["", "-2.5", ""]]),
    "rows": ([[1, "@x"], [2, "y"]], [["0", "1"], ["1", "'@x"], ["2", "y"]]),
    "columns": ({"-x": [1, 2], "y": [True, None]}, [["'-x", "y"], ["1", "true"], ["2", ""]]),
}  # fmt: skip


@pytest.mark.parametrize("file_type", ["json", "pkl"])
@pytest.mark.parametrize("unpickle", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_the_table_of_a_value_is_saved(name: str, unpickle: bool, file_type: str, viewer: Viewer) -> None:
    value, expected = TABLES[name]
    d = LocalDict[Any](file_type)
    d["of", "a", name], d["other"] = value, "a text"
    client = viewer(d, unpickle=unpickle)
    assert f"/d/0/table.csv?key=of/a/{name}" in client.get(f"/d/0/item?key=of/a/{name}").text
    answer = client.get(f"/d/0/table.csv?key=of/a/{name}")
    assert parsed(answer.content) == expected
    assert harmless(answer.content)
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
    assert "table.csv" not in client.get("/d/0/item?key=other").text
    assert client.get("/d/0/table.csv?key=other").status_code == 404


FRAME = pd.DataFrame({"=sum": [1.5, 2.5] * 150, "name": ["+a", "b"] * 150, "n": range(300)})


@pytest.mark.parametrize("file_type", ["json", "pkl"])
@pytest.mark.parametrize("unpickle", [False, True])
def test_frames_and_arrays_are_saved_whole(unpickle: bool, file_type: str, viewer: Viewer) -> None:
    d = LocalDict[Any](file_type)
    d["frame"], d["array"] = FRAME, np.arange(3000).reshape(300, 10) / 4
    client = viewer(d, unpickle=unpickle)
    head, *rows = parsed(client.get("/d/0/table.csv?key=frame").content)
    labels = ["", *range(300)] if head[0] == "" else []
    assert [name for name in head if name] == ["'=sum", "name", "n"]
    assert len(rows) == 300
    assert rows[299][1 if labels else 0 :] == ["2.5", "b", "299"]
    rows = parsed(client.get("/d/0/table.csv?key=array").content)
    assert len(rows) == 301
    assert rows[300] == [str(number / 4) for number in range(2990, 3000)]


@pytest.mark.parametrize("unpickle", [False, True])
def test_a_page_links_to_a_table_exactly_if_there_is_one(unpickle: bool) -> None:
    things: list[Any] = [
        [], {}, None, 1, "a", b"b", [1, 2, 3], [[]], [{}], {"a": 1}, {"a": []}, [[1], 2], [{"a": 1}, 2],
        np.arange(4), np.eye(9), np.zeros((2, 2, 2)), np.array(1), np.zeros((0, 3)), FRAME, FRAME["n"],
        FRAME[:0], *(value for value, _ in TABLES.values()), {"a": [1], "b": [1, 2]}, {"a": {"x": 1}},
    ]  # fmt: skip
    for file_type in ("json", "pkl", "csv", "tsv"):
        for thing in things:
            d = LocalDict[Any](file_type)
            if file_type in {"csv", "tsv"}:
                thing = str(thing)  # noqa: PLW2901
            try:
                d["x"] = thing
            except UnstorableValueError:
                assert file_type == "json"
                continue
            raw = d.store.read(next(iter(d.store.scan())))[0]  # type: ignore[index] # it is there
            assert isinstance(raw, bytes)
            parts = values.parts_of_bytes(raw, len(raw), file_type, unpickle=unpickle)
            shown = [part.data for part in parts if part.kind == "table"]
            sheet = values.sheet_of_bytes(raw, len(raw), file_type, unpickle=unpickle)
            assert bool(shown) == (sheet is not None), thing
            if sheet is not None:
                rows = list(sheet.rows)
                assert (shown[0].height, shown[0].width) == (sheet.height, sheet.width)
                assert len(rows) == sheet.height
                assert parsed(b"".join(exports.csv_pieces(sheet.columns, rows)))


def test_tables_of_text_are_saved_without_formulas(viewer: Viewer) -> None:
    d = LocalDict[Any]("tsv")
    d["t"] = "a\tb\n=1\t2\n"
    answer = viewer(d).get("/d/0/table.csv?key=t")
    assert parsed(answer.content) == [["a", "b"], ["'=1", "2"]]


def test_a_list_that_is_a_table_only_at_its_beginning_is_not_saved() -> None:
    mixed: list[Any] = [{"a": 1}] * 300 + ["the end"]
    assert sheets.of_value(mixed, 201) is not None
    assert sheets.of_value(mixed) is None


# --- Data spaces --------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = init_project("study", tmp_path / "study")
    for index in range(1203):
        job = made.open_job({"kernel": ["=rbf", "poly"][index % 2], "id": index, "deep": {"x": index // 4}})
        os.makedirs(job.path)
        Path(job.fn("signac_statepoint.json")).write_text(json.dumps(dict(job.statepoint())))
        if index % 3:
            document = {
                "score": index / 8,
                "-text": "@a\nb",
                "n": None,
                "sub": {"list": [1, 2]},
                f"k{index}": 1,
            }
            Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps(document))
    return made


@pytest.fixture
def client(project: Project, viewer: Viewer) -> TestClient:
    return viewer(project)


def test_all_jobs_are_saved_with_all_columns(client: TestClient, project: Project) -> None:
    table = client.get("/s/0/jobs.csv")
    assert table.headers["content-disposition"] == 'attachment; filename="jobs.csv"'
    assert harmless(table.content)
    head, *rows = parsed(table.content)
    assert head[:5] == ["id", "kernel", "sp.id", "deep.x", "doc.score"]
    assert len(head) == 8 + 802  # more than an overview keeps
    records = client.get("/s/0/jobs.json").json()
    assert [each["id"] for each in records] == [row[0] for row in rows] == project.find_jobs().ids()
    for record in records[::100]:
        job = project.open_job(id=record["id"])
        assert (record["sp.id"], record["deep.x"], record["kernel"]) == (
            job.sp["id"], job.sp.deep.x, job.sp.kernel,
        )  # fmt: skip
        assert record.get("doc.score") == job.doc.get("score")
        assert ("doc.n" in record) == ("n" in job.doc)
        assert record.get("doc.sub.list", [1, 2]) == [1, 2]


@pytest.mark.parametrize("file_type", ["csv", "json"])
def test_filter_order_and_columns_are_those_of_the_table(file_type: str, client: TestClient) -> None:
    query = "q=doc.score.$gt 140&sort=doc.score&order=desc&col=doc.score&col=deep.x&col=nothing"
    until(lambda: "being read" not in client.get(f"/s/0/?{query}").text)
    text = client.get(f"/s/0/?{query}").text
    links = [unescape(link) for link in re.findall(rf'href="(/s/0/jobs.{file_type}[^"]*)"', text)]
    everything, chosen = (client.get(link) for link in links)
    if file_type == "json":
        found = chosen.json()
        assert {name for each in found for name in each} == {"id", "doc.score", "deep.x"}
        assert {"kernel", "doc.sub.list"} <= set(everything.json()[0])
    else:
        head, *rows = parsed(chosen.content)
        assert head == ["id", "doc.score", "deep.x", "nothing"]
        found = [{"id": row[0], "doc.score": float(row[1])} for row in rows]
        assert len(parsed(everything.content)) == 1 + len(found)
    scores = [each["doc.score"] for each in found]
    assert scores == [index / 8 for index in range(1202, 1120, -1) if index % 3]
    assert [each["id"] for each in found][:50] == re.findall(r'name="job" value="([0-9a-f]{32})"', text)


def test_a_wrong_filter_saves_nothing(client: TestClient) -> None:
    answer = client.get("/s/0/jobs.csv?q={wrong")
    assert answer.status_code == 400
    assert "not JSON" in answer.text
    assert "content-disposition" not in answer.headers
    assert "save-csv" not in client.get("/s/0/?q={wrong").text
    assert client.get("/s/0/jobs.xlsx").status_code == 404


def test_damaged_and_removed_jobs_stop_no_file(client: TestClient, project: Project) -> None:
    one, two, three, *_ = project
    Path(one.fn("signac_statepoint.json")).write_text("{")
    Path(two.fn(two.FN_DOCUMENT)).write_text("[1]")
    three.remove()
    records = {each["id"]: each for each in client.get("/s/0/jobs.json").json()}
    assert len(records) == 1202
    assert [name for name in records[one.id] if not name.startswith("doc.")] == ["id"]
    assert not any(name.startswith("doc.") for name in records[two.id])


@pytest.mark.parametrize(
    "path", ["/d/0/keys.csv", "/d/0/keys.json", "/d/0/table.csv?key=t", "/s/1/jobs.csv", "/s/1/jobs.json"]
)
def test_files_have_the_headers_of_all_pages_and_need_the_token(
    path: str, viewer: Viewer, project: Project, open_viewer: Callable[..., TestClient]
) -> None:
    d = LocalDict[Any]("json")
    d["t"] = [{"a": 1}]
    answer = viewer(d, project).get(path)
    assert answer.status_code == 200
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["content-disposition"].startswith("attachment; ")
    stranger = open_viewer(d, project)
    assert stranger.get(path).status_code == 403
    assert viewer(d, project).get(path, headers={"host": "evil.example"}).status_code == 421
    assert viewer(d, project).post(path).status_code == 405


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", '"; filename="evil.exe', "ü", "=1+1", "a/b"])
def test_the_name_of_a_file_is_only_that(text: str, viewer: Viewer) -> None:
    d = LocalDict[Any]("json")
    key = quote(text)
    d[key] = [{"a": 1}]
    answer = viewer(d).get("/d/0/table.csv?key=" + "/".join(key))
    assert answer.status_code == 200
    name = re.fullmatch(r'attachment; filename="([^"\\\r\n;/]+)\.csv"', answer.headers["content-disposition"])
    assert name is not None
    assert "set-cookie" not in answer.headers
