"""Panels: what functions of users add to the pages of jobs and of items."""

from __future__ import annotations

import datetime as dt
import re
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from documentation.pages import blocks

from perkey import FileDirDict
from perkey.dataspace import Project, init_project
from perkey.viewer import images
from perkey.viewer.panels import Panel, of_items, of_jobs
from viewer.conftest import TestClient, Viewer

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[Any]:
    d = FileDirDict[Any](tmp_path / "d", file_type="json", durability="none")
    d["run", "a"] = {"loss": [3, 2, 1], "note": HOSTILE}
    return d


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = init_project("study", tmp_path / "study")
    made.open_job({"n": 1}).init().doc.update(loss=[3, 2, 1], note=HOSTILE)
    return made


def item_page(client: TestClient, key: str = "run/a") -> str:
    answer = client.get("/d/0/item", params={"key": key})
    assert answer.status_code == 200
    return unescape(answer.text)


def figure(_: Any) -> Any:
    from matplotlib.figure import Figure

    made = Figure(figsize=(1, 1))
    made.add_subplot().plot([1, 2])
    return made


class Drawn:
    def _repr_png_(self) -> bytes:
        return images.png(3, 2, bytes(6))


RESULTS: dict[str, tuple[Panel, str]] = {
    "text": (lambda values: f"the note is {values['note']}", "the note is <script>"),
    "mapping": (lambda values: {"sum": sum(values["loss"])}, "<bdi>sum</bdi></td><td><bdi>6</bdi>"),
    "rows": (lambda values: [{"loss": each} for each in values["loss"]], "<bdi>loss</bdi></th>"),
    "frame": (lambda values: pd.DataFrame({"loss": values["loss"]}), "3 rows, 1 column<"),
    "array": (lambda values: np.array(values["loss"]), "Values by index"),
    "image": (lambda _: images.png(3, 2, bytes(6)), "PNG image, 3 x 2 pixels"),
    "bytes": (lambda _: b"\x00\x01", "00 01"),
    "figure": (figure, "PNG image, 100 x 100 pixels"),
    "drawn": (lambda _: Drawn(), "PNG image, 3 x 2 pixels"),
    "number": (lambda values: len(values["loss"]), ">3</pre>"),
    "exception": (lambda values: values["absent"], "KeyError: "),
    "exit": (lambda _: sys.exit(3), "SystemExit: 3"),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_each_result_is_shown_beside_jobs_and_items(
    kind: str, viewer: Viewer, d: FileDirDict[Any], project: Project
) -> None:
    function, expected = RESULTS[kind]

    def of_job(job: Any) -> Any:
        """Show the job."""
        return function(job.doc())

    def of_item(key: Any, value: Any) -> Any:
        """Show the item."""
        assert key == ("run", "a")
        return function(value)

    (job,) = project
    client = viewer(d, project, panels=[of_job, of_item])
    item, page = item_page(client), unescape(client.get(f"/s/1/j/{job.id}").text)
    for text, shown, other in ((item, "item", "job"), (page, "job", "item")):
        assert re.search(rf"<h2[^>]*>Show the {shown}</h2>.*{re.escape(expected)}", text, re.DOTALL)
        assert f"Show the {other}" not in text
    raw = client.get("/d/0/item", params={"key": "run/a"}).text
    assert "<script>alert" not in raw
    numbers = re.findall(r' id="([^"]+)"', raw)
    assert len(numbers) == len(set(numbers))


def test_a_panel_without_a_result_is_left_out(viewer: Viewer, d: FileDirDict[Any]) -> None:
    def nothing(key: Any, value: Any) -> None:
        """Left out."""

    assert "Left out" not in item_page(viewer(d, panels=[nothing]))


LEFT_OUT = "The value has to be loaded, which --unpickle allows. Panels are left out."


@pytest.mark.parametrize(
    ("stored", "plain", "loaded"),
    [
        (("json", dt.date(2026, 1, 2)), "dict", "date"),
        (("json", {"a": 1}), "dict", "dict"),
        (("pkl", {"a": np.arange(3)}), "dict", "dict"),
        (("pkl", np.arange(3)), "ndarray", "ndarray"),
        (("pkl", Path("x")), LEFT_OUT, "PosixPath"),
        (("txt", "text"), "str", "str"),
    ],
    ids=["date", "dict", "dict of array", "array", "path", "text"],
)
def test_panels_get_plain_data_unless_values_are_loaded(
    stored: tuple[str, Any], plain: str, loaded: str, viewer: Viewer, tmp_path: Path
) -> None:
    d = FileDirDict[Any](tmp_path / "d", file_type=stored[0], durability="none")
    d["a"] = stored[1]
    for expected, unpickle in ((plain, False), (loaded, True)):
        client = viewer(d, panels=[lambda key, value: f"a {type(value).__name__}"], unpickle=unpickle)
        text = item_page(client, "a")
        assert LEFT_OUT in text if expected == LEFT_OUT else f"a {expected}</pre>" in text


@pytest.mark.parametrize("raw", [b"{", b'"' + b"x" * (9 << 20) + b'"'], ids=["damaged", "large"])
def test_a_value_that_is_not_decoded_has_no_panels(raw: bytes, viewer: Viewer, d: FileDirDict[Any]) -> None:
    d["a"] = 1
    (stored,) = [path for path in Path(d.base_dir).iterdir() if path.name.startswith("a")]
    stored.write_bytes(raw)
    text = item_page(viewer(d, panels=[lambda key, value: "called"]), "a")
    assert "Panels are left out." in text
    assert "called</pre>" not in text


def test_the_panels_of_the_documentation_work(viewer: Viewer, d: FileDirDict[Any], project: Project) -> None:
    names: dict[str, Any] = {"__name__": "my_panels"}
    for block in blocks("docs/viewer_spaces.md"):
        if block.language == "python":
            exec(block.text, names)
    functions = [each for each in names.values() if getattr(each, "__module__", "") == "my_panels"]
    (job,) = project
    d["a"] = [3, 2, 1]
    client = viewer(d, project, panels=functions)
    assert len(of_jobs(functions)) == len(of_items(functions)) == 1
    assert re.search(r"How the loss falls</h2>\s*<div[^>]*><svg", client.get(f"/s/1/j/{job.id}").text)
    assert "<bdi>mean</bdi></td><td><bdi>2</bdi>" in item_page(client, "a")
