"""Pages of data spaces: the table of jobs, one job and its files, plots, comparisons, panels."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import h5py
import numpy as np
import pytest

from perkey.cli import main
from perkey.dataspace import Job, Project, init_project
from perkey.dataspace.space import FN_STATEPOINT
from perkey.viewer import charts, images, load_panels
from perkey.viewer.panels import of_items, of_jobs, run
from perkey.viewer.spaces import files
from perkey.viewer.spaces.overview import MOST_COLUMNS, MOST_VALUES, Overview
from perkey.viewer.spaces.reader import LARGEST_DOCUMENT, Reader
from viewer.conftest import TestClient, Viewer, until

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = init_project("study", tmp_path / "study")
    for index in range(12):
        statepoint = {
            "kernel": ["rbf", "poly"][index % 2],
            "c": 10.0 ** (index // 2),
            "deep": {"x": index // 4},
        }
        write(made.open_job(statepoint).init(), {"score": index / 10, "notes": f"note {index}"})
    return made


def write(job: Job, document: Mapping[str, Any]) -> None:
    """Write a document without the cost of durability."""
    Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps(document))


@pytest.fixture
def client(project: Project, viewer: Viewer) -> TestClient:
    made = viewer(project)
    until(lambda: "Reading 12 jobs" not in made.get("/s/0/").text)
    return made


def page(client: TestClient, path: str, **parameters: Any) -> str:
    response = client.get(f"/s/0/{path}", params=parameters)
    assert response.status_code == 200, response.text
    return str(response.text)


def rows(text: str) -> list[str]:
    """Return the ids of the jobs in a table, in its order."""
    return re.findall(r'name="job" value="([0-9a-f]{32})"', text)


def test_the_first_page_has_jobs_parameters_results_and_the_schema(
    client: TestClient, project: Project
) -> None:
    text = page(client, "")
    assert rows(text) == project.find_jobs().ids()
    for name in ("kernel", "c", "deep.x", "doc.score", "doc.notes"):
        assert f"<bdi>{name}</bdi>" in text
    assert "1 to 100000" in text
    assert "<strong>12</strong> jobs" in text


def test_large_spaces_have_pages(tmp_path: Path, viewer: Viewer) -> None:
    made = init_project("big", tmp_path / "big")
    for index in range(120):
        made.open_job({"i": index}).init()
    client = viewer(made)
    pages = [rows(page(client, "", page=number)) for number in range(3)]
    assert [len(each) for each in pages] == [50, 50, 20]
    assert sorted(pages[0] + pages[1] + pages[2]) == sorted(made.find_jobs().ids())
    assert rows(page(client, "", page="99999")) == pages[2]
    assert rows(page(client, "", page="-1 x")) == pages[0]


@pytest.mark.parametrize("path", ["c", "kernel", "doc.score", "deep.x", "id", "doc.missing", "sp.c"])
def test_sorting(path: str, client: TestClient, project: Project) -> None:
    write(project.open_job({"kernel": "new"}).init(), {"score": "text"})
    up = rows(page(client, "", sort=path))
    down = rows(page(client, "", sort=path, order="desc"))
    assert sorted(up) == sorted(down) == sorted(project.find_jobs().ids())
    if path == "doc.score":
        scores = [project.open_job(id=job).doc.get("score") for job in up]
        assert scores == [*sorted(scores[:-1]), "text"]


@pytest.mark.parametrize(
    "typed",
    [
        "kernel rbf",
        "c.$gt 10 doc.score.$lt 0.9",
        '{"$or": [{"kernel": "poly"}, {"doc.score": 0.2}]}',
        "doc.notes /1$/",
        "doc.notes '/note 1/'",
        "deep.x 1 kernel",
        "nothing 1",
        "",
    ],
)
def test_the_filter_is_that_of_the_command_line(
    typed: str, client: TestClient, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [typed] if typed.startswith("{") else shlex.split(typed)
    assert main(["space", "-C", str(project.path), "find", *words]) == 0
    output = capsys.readouterr().out
    expected = [line for line in output.splitlines() if re.fullmatch("[0-9a-f]{32}", line)]
    assert sorted(rows(page(client, "", q=typed))) == sorted(expected)


@pytest.mark.parametrize(
    "typed",
    ["{bad", '{"a": {"$nope": 1}}', "a.", "a '", '{"$where": "lambda x: x"}', "a.$where x", '{"$and": 3}'],
)
def test_a_wrong_filter_is_explained_beside_the_box(typed: str, client: TestClient) -> None:
    text = page(client, "", q=typed)
    outcome = re.search(r'id="q-outcome".*?</span>\s*</span>', text, re.DOTALL)
    assert outcome is not None
    assert 'class="error"' in outcome[0]
    assert 'aria-invalid="true"' in text
    assert len(rows(text)) == 12
    assert page(client, "plot", q=typed)


def test_a_filter_that_is_probably_not_meant_has_a_hint(client: TestClient) -> None:
    assert "neither less nor greater" in page(client, "", q="c.$gt 1,5")


def test_a_deep_filter_is_an_error_of_the_filter(client: TestClient) -> None:
    text = page(client, "", q='{"a": ' * 3000 + "1" + "}" * 3000)
    assert 'class="error"' in text


def test_chosen_columns(client: TestClient) -> None:
    text = page(client, "", col=["deep.x", "nothing"])
    assert re.findall(r'id="sort-\d+"[^>]*><bdi>([\w.]+)</bdi>', text) == ["id", "deep.x", "nothing"]


def facets_of(text: str) -> dict[str, tuple[int, str, bool]]:
    """Return the values of facets with their counts, the filters behind them, and whether they are chosen."""
    found = re.findall(
        r'<li><a href="/s/0/\?([^"]*)"( aria-current="true")?><bdi>(.*?)</bdi>.*?class="faint">(\d+)<', text
    )
    return {
        unescape(value): (int(count), parse_qs(unescape(query)).get("q", [""])[0], bool(chosen))
        for query, chosen, value, count in found
    }


def test_facets_narrow_the_filter_and_count_its_jobs(client: TestClient, project: Project) -> None:
    found = facets_of(page(client, ""))
    assert found == {
        **{kernel: (6, f"kernel {kernel}", False) for kernel in ("poly", "rbf")},
        **{str(10.0**n): (2, f"c {10.0**n}", False) for n in range(6)},
        **{str(n): (4, f"deep.x {n}", False) for n in range(3)},
    }
    for count, query, _ in found.values():
        assert len(rows(page(client, "", q=query))) == count
    found = facets_of(page(client, "", q="kernel rbf", sort="c", col="c"))
    assert found["rbf"] == (6, "", True)
    assert "poly" not in found
    assert found["100.0"] == (1, "kernel rbf c 100.0", False)
    for count, query, _ in found.values():
        assert len(rows(page(client, "", q=query))) == (count if query else 12)
    text = page(client, "", q='{"$or": [{"c": 1.0}, {"kernel": "poly"}], "deep.x": {"$lt": 2}}')
    for count, query, _ in facets_of(text).values():
        assert len(rows(page(client, "", q=query))) == count
    assert not facets_of(page(client, "", q="{wrong"))


def test_links_of_facets_keep_order_and_columns(client: TestClient) -> None:
    text = page(client, "", sort="c", order="desc", col="c", page=0)
    link = re.search(r'href="([^"]*)"><bdi>poly</bdi>', text)
    assert link is not None
    assert parse_qs(unescape(link[1]).partition("?")[2]) == {
        "q": ["kernel poly"], "sort": ["c"], "order": ["desc"], "col": ["c"],
    }  # fmt: skip


ODD = ["", "true", "1", "/x/", "it's", "x y", '{"a"', HOSTILE, "\n", "$gt", "ü", "x" * 150]


def test_facets_of_odd_values_find_their_jobs(tmp_path: Path, viewer: Viewer) -> None:
    made = init_project("odd", tmp_path / "odd")
    values: list[Any] = [*ODD[:8], None, True, 1.5, -0.5]
    for number, value in enumerate(values * 2):
        made.open_job({"v": value, "n": number}).init()
    for number, value in enumerate([*ODD[8:], [1], {"x": 1}, "y" * 500]):
        for twice in range(2):
            made.open_job({"w": value, "n": number, "m": twice, "s": "y"}).init()
    client = viewer(made)
    until(lambda: "Reading" not in page(client, ""))
    text = page(client, "")
    assert "<script>alert" not in text
    found = re.findall(r'<li><a href="/s/0/\?([^"]*)"><bdi>.*?class="faint">(\d+)<', text, re.DOTALL)
    assert len(found) >= len(values)
    for query, count in found:
        typed = parse_qs(unescape(query), keep_blank_values=True)["q"][0]
        shown = page(client, "", q=typed)
        assert "aria-invalid" not in shown, typed
        assert f"<strong>{count}</strong> " in shown, typed


def test_few_values_of_many_jobs_make_facets_and_ids_do_not(tmp_path: Path, viewer: Viewer) -> None:
    made = init_project("some", tmp_path / "some")
    for number in range(30):
        made.open_job({"seed": number, "half": number // 2, "kind": number % 12, "one": 1}).init()
    client = viewer(made)
    until(lambda: "Reading" not in page(client, ""))
    assert set(facets_of(page(client, ""))) == {str(kind) for kind in range(12)}


def test_new_jobs_and_results_appear(client: TestClient, project: Project) -> None:
    text = page(client, "")
    digest = re.search(r'"digest": "(\w+)"', text)
    assert digest is not None
    assert client.get("/s/0/jobs", params={"digest": digest[1]}).status_code == 204
    job = project.open_job({"kernel": "new"}).init()
    response = client.get("/s/0/jobs", params={"digest": digest[1], "job": job.id})
    assert response.status_code == 200
    assert job.id in response.text
    assert re.search(rf'value="{job.id}"[^>]* checked', response.text)
    digest = re.search(r'"digest": "(\w+)"', response.text)
    assert digest is not None
    write(job, {"score": 0.123456})
    assert "0.123456" in client.get("/s/0/jobs", params={"digest": digest[1]}).text


def test_a_job_has_all_parts(client: TestClient, project: Project) -> None:
    job = next(iter(project.find_jobs({"c": 100.0, "kernel": "rbf"})))
    Path(job.fn("log.txt")).write_text("all is well\n")
    text = page(client, f"j/{job.id}")
    for part in ("rbf", "100.0", "note 4", "log.txt", f'open_job(id="{job.id}")'):
        assert part in unescape(text)
    assert page(client, f"j/{job.id[:12]}")
    assert client.get("/s/0/j/ffffffff").status_code == 404


def test_neighbors_are_those_of_the_project(project: Project) -> None:
    reader = Reader(project)
    expected = project.get_neighbors()
    for job in project:
        found = {key: dict(jobs) for key, jobs in reader.neighbors(job.id)}
        assert found == {key: jobs for key, jobs in expected[job.id].items() if jobs}


def test_files_are_shown_by_their_kind(client: TestClient, project: Project) -> None:
    job = next(iter(project))
    folder = Path(job.path)
    (folder / "sub" / "deeper").mkdir(parents=True)
    (folder / "sub" / "deeper" / "a b#?.txt").write_text(HOSTILE)
    (folder / "zero.bin").write_bytes(b"\0\1\2")
    (folder / "plot.PNG").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "draw.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    )
    (folder / "page.html").write_text("<script>alert(1)</script>")
    text = page(client, f"j/{job.id}")
    links = re.findall(r'class="key" href="(/s/0/j/\w+/file/[^"]+)"', text)
    assert len(links) == 5
    for link in links:
        assert client.get(unescape(link)).status_code == 200
    shown = page(client, f"j/{job.id}/file/sub/deeper/a b%23%3F.txt")
    assert "<script>alert" not in shown
    assert "&lt;script&gt;" in shown
    assert r"\x1b" in shown
    assert "not text" in page(client, f"j/{job.id}/file/zero.bin")
    assert '<img class="whole"' in page(client, f"j/{job.id}/file/plot.PNG")
    raw = client.get(f"/s/0/j/{job.id}/raw/page.html")
    assert raw.headers["content-disposition"].startswith("attachment")
    assert raw.headers["content-type"] == "application/octet-stream"
    svg = client.get(f"/s/0/j/{job.id}/raw/draw.svg")
    assert "sandbox" in svg.headers["content-security-policy"]
    assert "script" not in svg.headers["content-security-policy"]
    assert client.get(f"/s/0/j/{job.id}/raw/plot.PNG").content == b"\x89PNG\r\n\x1a\n"


def test_videos_are_shown_and_sent_in_parts(client: TestClient, project: Project) -> None:
    job = next(iter(project))
    content = bytes(range(256)) * 4000
    Path(job.fn("run.mp4")).write_bytes(content)
    raw = f"/s/0/j/{job.id}/raw/run.mp4"
    for text in (page(client, f"j/{job.id}"), page(client, f"j/{job.id}/file/run.mp4")):
        assert re.search(rf'<video[^>]* src="{raw}" controls', text)
    assert "media-src 'self'" in client.get(raw).headers["content-security-policy"]
    for asked, begin, end in [
        ("", None, None), ("bytes=0-", 0, None), ("bytes=5-9", 5, 10),
        ("bytes=1000000-99999999", 1_000_000, None),
        ("bytes=300000-700000", 300_000, 700_001), ("bytes=9-5", None, None), ("bytes=-5", None, None),
        ("bytes=2000000-", None, None), ("bytes=0-1,4-5", None, None), ("lines=1-2", None, None),
    ]:  # fmt: skip
        sent = client.get(raw, headers={"range": asked} if asked else {})
        assert sent.headers["content-type"] == "video/mp4"
        assert sent.status_code == (200 if begin is None else 206), asked
        assert sent.content == content[begin:end], asked
        if begin is not None:
            last = len(content) if end is None else end
            assert sent.headers["content-range"] == f"bytes {begin}-{last - 1}/{len(content)}"


@pytest.mark.parametrize("view", ["file", "raw"])
def test_nothing_outside_a_job_is_read(
    view: str, client: TestClient, project: Project, tmp_path: Path
) -> None:
    job = next(iter(project))
    folder = Path(job.path)
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    (folder / "out.txt").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "in.txt").symlink_to("real.txt")
    (folder / "real.txt").write_text("inside")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(folder)
        bound.bind("sock")
        os.chdir(tmp_path)
        refused = [
            "out.txt", "up/secret.txt", "loop", "pipe.txt", "sock", "missing", "", ".", "/etc/passwd",
            "//etc/passwd", "..%2F..%2F..%2Fsecret.txt", "%2E%2E/%2E%2E/%2E%2E/secret.txt", "real.txt%00",
            "real.txt/", "a//real.txt", "..%5C..%5Csecret.txt",
        ]  # fmt: skip
        for path in refused:
            response = client.get(f"/s/0/j/{job.id}/{view}/{path}")
            assert response.status_code == 404, path
            assert "the secret" not in response.text
        assert "inside" in client.get(f"/s/0/j/{job.id}/{view}/in.txt").text
        text = unescape(page(client, f"j/{job.id}"))
    assert text.count("leads out of the job, or not a regular file") == 4
    assert "a link to a folder, not followed" in text
    assert "the secret" not in text


def test_hdf5_files_are_trees_and_links_to_other_files_are_not_followed(
    client: TestClient, project: Project, tmp_path: Path
) -> None:
    job = next(iter(project))
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = 31337
    (tmp_path / "secret.bin").write_bytes(b"31337..." * 4)
    with h5py.File(job.fn("data.h5"), "w") as file:
        file["group/wave"] = np.sin(np.arange(50_000) / 5_000)
        file["group"].attrs["unit"] = HOSTILE
        file["text"] = "31 is a text"
        file["matrix"] = np.eye(3)
        file["loop"] = h5py.SoftLink("/")
        file["group/again"] = file["/"]
        file["outside"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/secret")
        file.create_dataset("raw", shape=(4,), dtype="S8", external=[(str(tmp_path / "secret.bin"), 0, 32)])
        for index in range(1_000):
            file.create_group(f"many/{index}")
    text = page(client, f"j/{job.id}/file/data.h5")
    assert "<svg" in text
    assert "50000, float64" in text
    assert "3 x 3" in text
    assert "not followed" in text
    assert "in other files" in text
    assert "31337" not in text
    assert "more is not shown" in text
    assert "<script>alert" not in text
    Path(job.fn("bad.h5")).write_bytes(b"not HDF5")
    assert "cannot be read" in page(client, f"j/{job.id}/file/bad.h5")


def test_lists_of_files_and_texts_are_bounded(client: TestClient, project: Project) -> None:
    job = next(iter(project))
    for index in range(files.MOST_FILES + 5):
        Path(job.fn(f"f{index}.txt")).touch()
    with open(job.fn("big.txt"), "wb") as file:
        file.write(b"begin\n")
        file.truncate(100 << 20)
    with open(job.fn("lines.txt"), "wb") as file:
        file.write(b"x" * 79 + b"\n" * (1 << 20))
    assert "There are more files" in page(client, f"j/{job.id}")
    assert len(page(client, f"j/{job.id}/file/big.txt")) < 100_000
    assert len(page(client, f"j/{job.id}/file/lines.txt")) < 100_000
    assert "The first 64.0 KiB" in page(client, f"j/{job.id}/file/lines.txt")


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"a": ' * 100_000, b"\xff\xfe", '{"a": "' + "x" * LARGEST_DOCUMENT + '"}']
)
def test_a_damaged_or_huge_document_stops_no_page(
    content: str | bytes, client: TestClient, project: Project
) -> None:
    job = next(iter(project))
    Path(job.fn(job.FN_DOCUMENT)).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert len(rows(page(client, ""))) == 12
    assert len(rows(page(client, "", sort="doc.score"))) == 12
    assert rows(page(client, "", q="doc.score.$gte 0"))
    assert "The document" in page(client, f"j/{job.id}")
    assert "<svg" in page(client, "plot", x="c", y="doc.score")
    page(client, "compare", job=[each.id for each in project][:2])


def test_a_damaged_state_point_stops_no_page(tmp_path: Path, viewer: Viewer) -> None:
    made = init_project("damaged", tmp_path / "damaged")
    jobs = [made.open_job({"i": index}).init() for index in range(5)]
    Path(jobs[0].fn(FN_STATEPOINT)).write_text("{")
    client = viewer(type(made).get_project(made.path))
    text = page(client, "", sort="i")
    assert len(rows(text)) == 5
    assert "damaged" in text
    assert "damaged" in page(client, f"j/{jobs[0].id}")
    assert len(rows(page(client, "", q="i.$gt 2"))) == 2


def test_hostile_names_and_values_are_texts(viewer: Viewer, tmp_path: Path) -> None:
    made = init_project("hostile", tmp_path / "hostile")
    for index in range(3):
        job = made.open_job({HOSTILE: HOSTILE, "i": index}).init()
        write(job, {HOSTILE: {HOSTILE: [HOSTILE]}, "y": index, "long": "x" * 100_000})
        Path(job.fn("<img src=x onerror=alert(1)>.txt")).write_text("a")
    made.doc[HOSTILE] = HOSTILE
    job = next(iter(made))
    client = viewer(made)
    compared = {"job": [each.id for each in made]}
    hostile_plot = {"x": "i", "y": "doc.y", "group": HOSTILE}
    for path, parameters in (
        ("", {}), ("", {"q": HOSTILE}), ("", {"sort": HOSTILE}), ("", {"col": HOSTILE}), (f"j/{job.id}", {}),
        ("plot", hostile_plot), ("plot", {"x": HOSTILE}), ("compare", compared), ("project", {}),
    ):  # fmt: skip
        text = page(client, path, **parameters)
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 200_000


def test_plots_of_numbers_texts_and_counts(client: TestClient) -> None:
    proposed = page(client, "plot")
    assert "doc.score by c" in proposed
    assert "kernel = rbf" in proposed
    assert proposed.count("data-href") == 12
    assert "chart-line" in page(client, "plot", x="c", y="doc.score", group="kernel", kind="line", log_x="1")
    assert ">poly</text>" in page(client, "plot", x="kernel", y="doc.score")
    assert "<rect" in page(client, "plot", x="c", y="")
    assert "no values to draw" in page(client, "plot", x="missing", y="missing")
    few = page(client, "plot", x="c", y="doc.score", q="kernel rbf")
    assert few.count("data-href") == 6


def test_parallel_coordinates(client: TestClient, project: Project) -> None:
    write(project.open_job({"c": 1.0}).init(), {"score": "text"})
    text = page(client, "plot", kind="parallel", group="kernel")
    assert "Jobs across 3 values" in text
    assert text.count("data-href") == 13
    assert re.findall(r'name="axis" value="([^"]+)" checked', text) == ["c", "deep.x", "doc.score"]
    assert "kernel = rbf" in text
    assert "2 values missing, or not on the axis" in text
    text = page(client, "plot", kind="parallel", axis=["kernel", "doc.notes", "missing"], q="c 1.0")
    assert text.count("data-href") == 3
    assert ">rbf</text>" in text
    assert ">(missing)</text>" in text
    assert page(client, "plot", kind="parallel", axis=["a" * 500] * 100)


def test_compared_jobs_are_plotted(client: TestClient, project: Project) -> None:
    jobs = [job.id for job in project][:3]
    assert page(client, "compare", job=jobs[:1]).count("<svg") == 0
    text = page(client, "compare", job=jobs)
    assert text.count("<svg") == 1
    assert text.count("data-href") == 3
    for number, job in enumerate(jobs):
        loss = [1 / (step + 1) for step in range(20)] if number else ["no", "curve", "here"]
        write(project.open_job(id=job), {"score": number, "sub": {"loss": loss}, HOSTILE: [1, 2, 3, number]})
    text = page(client, "compare", job=jobs)
    assert text.count("<svg") == 3
    assert "<title>doc.sub.loss</title>" in text
    assert "<script>alert" not in text
    assert all(f">{job[:8]}</text>" in text for job in jobs)


def test_comparison(client: TestClient, project: Project) -> None:
    jobs = [job.id for job in project.find_jobs({"c": 1.0})]
    text = page(client, "compare", job=jobs)
    assert ">kernel<" in text
    assert ">c<" not in text
    assert "note 0" in text
    assert "Choose two or more jobs" in page(client, "compare")
    assert client.get("/s/0/compare", params={"job": "ffff"}).status_code == 404


def test_images_of_compared_jobs_are_side_by_side(client: TestClient, project: Project) -> None:
    one, two, three, *_ = project
    picture = images.png(3, 2, bytes(6))
    for job, names in ((one, ["a.png", "b.png"]), (two, ["b.png"]), (three, ["note.txt"])):
        for name in names:
            Path(job.fn(name)).write_bytes(picture)
    text = page(client, "compare", job=[one.id, two.id, three.id])
    shown = re.findall(r'<img src="/s/0/j/(\w+)/raw/([^"]+)"', text)
    assert shown == [(one.id, "b.png"), (two.id, "b.png"), (one.id, "a.png")]
    assert ">Images<" not in page(client, "compare", job=[three.id])


def test_the_page_of_the_project(client: TestClient, project: Project) -> None:
    project.doc.owner = "Ada"
    assert "Ada" in page(client, "project")


def test_an_empty_space(tmp_path: Path, viewer: Viewer) -> None:
    client = viewer(init_project("empty", tmp_path / "empty"))
    assert "does not have jobs" in page(client, "")
    assert page(client, "plot")
    assert page(client, "project")


def panel_text(job: Job) -> str:
    """Show a text."""
    return f"<b>{job.sp.c}</b>"


def panel_rows(job: Job) -> list[dict[str, Any]]:
    return [{"a": job.sp.c, "b": HOSTILE}, {"a": 2}]


def panel_chart(job: Job) -> str:
    """Show a chart."""
    return charts.line([charts.Series([1, 2], [3, 4])], title=HOSTILE)


def panel_fault(job: Job) -> str:
    raise ValueError(HOSTILE)


def panel_nothing(job: Job) -> None:
    """Left out."""


def panel_item(key: str, value: Any) -> Mapping[str, Any]:
    return {key: value}


def test_panels_show_texts_tables_and_charts_and_no_markup_of_values(
    project: Project, viewer: Viewer
) -> None:
    client = viewer(
        project, panels=[panel_text, panel_rows, panel_chart, panel_fault, panel_nothing, panel_item]
    )
    job = next(iter(project.find_jobs({"c": 1.0})))
    text = page(client, f"j/{job.id}")
    assert "&lt;b&gt;1.0&lt;/b&gt;" in text
    assert "Panel rows" in text
    assert "<svg" in text
    assert "ValueError: " in text
    assert "Left out" not in text
    assert "<script>alert" not in text


def test_panels_are_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_panels.py").write_text(
        "def one(job):\n    return 'one'\ndef two(key, value):\n    return value\ndef _hidden(job): pass\n"
    )
    (tmp_path / "broken_panels.py").write_text("1 / 0\n")
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    found = load_panels(["my_panels:one", "my_panels"], folder=str(tmp_path))
    assert [each.__name__ for each in found] == ["one", "one", "two"]
    assert [each.__name__ for each in of_jobs(found)] == ["one", "one"]
    assert run(of_items(found), "k", "v")[0].text == "v"
    for wrong in ("no_such_module:one", "my_panels:no_such", "broken_panels:one"):
        with pytest.raises(ValueError, match=r"no_such|ZeroDivisionError"):
            load_panels([wrong])


def test_an_overview_is_bounded() -> None:
    overview = Overview()
    for job in range(1_000):
        overview.add((f"p{job}.{index}", "x" * 10_000) for index in range(2))
        overview.add([("same", job)])
    assert len(overview.columns) == MOST_COLUMNS
    assert overview.more_columns
    assert len(overview.columns["same"].values) == MOST_VALUES
    assert overview.columns["same"].high == 999
    assert all(len(text) <= 200 for each in overview.columns.values() for text in each.values)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path) -> Iterator[None]:
    before = os.getcwd()
    yield
    os.chdir(before)


def test_nothing_of_a_job_is_changed(client: TestClient, project: Project) -> None:
    def state() -> dict[str, bytes]:
        jobs = [Path(job.path) for job in project]
        found = [file for folder in jobs for file in folder.rglob("*") if file.is_file()]
        return {str(file): file.read_bytes() for file in found}

    before = state()
    job = next(iter(project))
    for path in ("", f"j/{job.id}", "plot", "project", f"compare?job={job.id}", "?q=doc.score.$gt 0.1"):
        assert client.get(f"/s/0/{path}").status_code == 200
    for verb in ("post", "put", "delete", "patch"):
        assert getattr(client, verb)(f"/s/0/j/{job.id}").status_code == 405
    assert state() == before
