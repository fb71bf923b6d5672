"""What goes wrong while pages are open: each page says so, and the others go on."""

from __future__ import annotations

import html
import json
import shutil
import struct
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient as Client
from starlette.types import Receive, Scope, Send

from perkey import AccessDeniedError, FileDirDict, PersiDict
from perkey.dataspace import Job, Project, init_project
from perkey.formats import PickleFormat
from perkey.stores import DirectoryStore
from perkey.testing.faults import FaultyStore
from perkey.viewer import images
from perkey.viewer.failures import Failures
from perkey.viewer.values import parts_of
from viewer.conftest import TestClient, Viewer, until, without_rights

SECRET = "/usr/lib/python3/secret.py"


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[Any]:
    d = FileDirDict[Any](tmp_path / "results", file_type="json", durability="none")
    d["a"], d["run", "b"] = 1, [1, 2, 3]
    return d


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = init_project("study", tmp_path / "study")
    for number in range(4):
        job = made.open_job({"n": number}).init()
        Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps({"score": number}))
    return made


def ready(client: TestClient, path: str) -> None:
    """Wait until all keys or jobs are known."""
    until(lambda: "goes on" not in client.get(path).text and "Reading" not in client.get(path).text)


def is_page(answer: Any) -> bool:
    """Return whether an answer forbids scripts, and shows nothing of the program."""
    policy = answer.headers["content-security-policy"]
    return policy.startswith("default-src 'none'") and not any(
        each in answer.text for each in ("Traceback", SECRET, "site-packages", "perkey/viewer")
    )


# --- Exceptions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [RuntimeError(SECRET), OSError(24, "Too many open files", SECRET), MemoryError()],
    ids=lambda each: type(each).__name__,
)
def test_an_exception_is_a_page_of_one_line_and_its_details_are_logged(
    error: Exception,
    viewer: Viewer,
    d: FileDirDict[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = viewer(d)

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("perkey.viewer.values.parts_of_bytes", fail)
    answer = client.get("/d/0/item?key=a")
    assert answer.status_code == (502 if isinstance(error, OSError) else 500)
    assert is_page(answer)
    assert "the terminal of the viewer has the details" in answer.text.lower()
    assert "All places" in answer.text
    assert caplog.records[-1].exc_info is not None
    assert caplog.records[-1].exc_info[1] is error
    assert client.get("/d/0/").status_code == 200


def test_a_template_that_fails_is_a_line_of_text(
    viewer: Viewer, d: FileDirDict[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = viewer(d)

    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError(SECRET)

    monkeypatch.setattr("perkey.viewer.pages.Pages.render", fail)
    answer = client.get("/d/0/")
    assert (answer.status_code, is_page(answer)) == (500, True)
    assert answer.text.count("\n") == 1


def test_a_response_that_began_is_cut_and_not_mixed_with_a_page(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError(SECRET)

    def respond(*_: Any) -> Any:
        pytest.fail("the response had begun")

    sent = Client(Failures(app, respond)).get("/x")
    assert sent.content == b"half"
    assert SECRET in str(caplog.records[-1].exc_info)


@pytest.mark.parametrize("call", ["stat", "read"])
def test_a_service_that_refuses_is_named(call: Any, viewer: Viewer, tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore(tmp_path / "d"))
    d = PersiDict[Any](store, file_type="json")
    d["a"] = 1
    client = viewer(d)
    assert client.get("/d/0/item?key=a").status_code == 200
    error = AccessDeniedError("the credentials are wrong", backend="s3://b", operation=call)
    store.fail(call, error, nth=None)
    answer = client.get("/d/0/item?key=a")
    assert (answer.status_code, is_page(answer)) == (502, True)
    assert "the credentials are wrong" in answer.text
    store.heal()
    assert client.get("/d/0/item?key=a").status_code == 200


# --- Folders and files --------------------------------------------------------------------------------------


def test_a_dictionary_that_may_not_be_read_any_more(viewer: Viewer, d: FileDirDict[Any]) -> None:
    client = viewer(d)
    ready(client, "/d/0/")
    client.get("/d/0/item?key=a")
    client.get("/none")
    folder = Path(d.base_dir)
    folder.chmod(0)
    try:
        with without_rights():
            for path in (
                "/d/0/",
                "/d/0/item?key=a",
                "/d/0/raw?key=a",
                "/d/0/claims",
                "/d/0/charts",
                "/d/0/tree",
            ):
                answer = client.get(path)
                assert answer.status_code in {200, 404, 502}, path
                assert is_page(answer), path
            until(lambda: "The listing failed" in client.get("/d/0/").text)
    finally:
        folder.chmod(0o755)
    until(lambda: "The listing failed" not in client.get("/d/0/").text)
    assert client.get("/d/0/item?key=a").status_code == 200


def test_a_data_space_that_may_not_be_read_any_more(viewer: Viewer, project: Project) -> None:
    client = viewer(project)
    ready(client, "/s/0/")
    job = next(iter(project))
    Path(job.fn("a.txt")).write_text("text")
    paths = [
        "/",
        "/plot",
        "/project",
        f"/j/{job.id}",
        f"/j/{job.id}/file/a.txt",
        "/?q=n 1",
        f"/compare?job={job.id}",
    ]
    for path in paths:
        client.get(f"/s/0{path}")
    for place in (Path(job.path), Path(project.workspace)):
        place.chmod(0)
        try:
            with without_rights():
                for path in paths:
                    answer = client.get(f"/s/0{path}")
                    assert answer.status_code in {200, 404, 502}, path
                    assert is_page(answer), path
        finally:
            place.chmod(0o755)
        assert client.get(f"/s/0/j/{job.id}/file/a.txt").status_code == 200


def test_links_that_lead_out_of_a_dictionary_are_not_followed(viewer: Viewer, d: FileDirDict[Any]) -> None:
    secret = Path(d.base_dir).parent / "secret"
    secret.mkdir()
    other = FileDirDict[Any](secret, file_type="json", durability="none")
    other["elsewhere"] = "the hidden value"
    (stored,) = secret.iterdir()
    (Path(d.base_dir) / stored.name).symlink_to(stored)
    (Path(d.base_dir) / "folder").symlink_to(secret)
    client = viewer(d)
    ready(client, "/d/0/")
    assert "elsewhere" not in client.get("/d/0/").text
    for key in ("elsewhere", "folder/elsewhere"):
        for page in ("item", "raw"):
            answer = client.get(f"/d/0/{page}", params={"key": key})
            assert answer.status_code in {404, 502}
            assert "the hidden value" not in answer.text


def test_the_folder_of_a_job_is_removed_while_its_page_is_open(viewer: Viewer, project: Project) -> None:
    client = viewer(project)
    ready(client, "/s/0/")
    first, second, *_ = project
    Path(first.fn("a.txt")).write_text("text")
    for path in ("", "/file/a.txt", "/raw/a.txt"):
        assert client.get(f"/s/0/j/{first.id}{path}").status_code == 200
    shutil.rmtree(first.path)
    for path in (f"j/{first.id}", f"j/{first.id}/file/a.txt", f"j/{first.id}/raw/a.txt",
                 f"compare?job={first.id}&job={second.id}"):  # fmt: skip
        answer = client.get(f"/s/0/{path}")
        assert (answer.status_code, is_page(answer)) == (404, True), path
    until(lambda: "<strong>3</strong> jobs" in client.get("/s/0/jobs").text)
    assert client.get("/s/0/plot").status_code == 200


def test_long_keys_have_all_pages(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type="json", digest_len=8, durability="none")
    key = tuple(letter * 200 for letter in "abcd")
    d[key] = "the value"
    client = viewer(d)
    ready(client, "/d/0/")
    text = "/".join(key)
    assert text in client.get("/d/0/").text
    assert "the value" in client.get("/d/0/item", params={"key": text}).text
    assert text in client.get("/d/0/keys", params={"q": "*".join("abcd")}).text
    below = "/".join(key[:-1])
    assert text in client.get("/d/0/", params={"prefix": below}).text
    opened = ["/".join(key[:count]) for count in range(1, 4)]
    assert f"i-{text.replace('/', '~~')}" in client.get("/d/0/tree", params={"open": opened}).text
    assert f"i-{text.replace('/', '~~')}" in client.get("/d/0/branch", params={"prefix": below}).text


def test_two_viewers_show_one_place(viewer: Viewer, d: FileDirDict[Any], project: Project) -> None:
    clients = [viewer(Path(d.base_dir), Path(project.path)) for _ in range(2)]
    for client in clients:
        ready(client, "/d/0/")
        ready(client, "/s/1/")
    d["fresh"] = 1
    job = project.open_job({"n": 99}).init()
    for client in clients:
        until(lambda client=client: "fresh" in client.get("/d/0/").text)  # type: ignore[misc]
        until(lambda client=client: job.id in client.get("/s/1/jobs").text)  # type: ignore[misc]


# --- Values and files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(), (1,), (50,), (50, 3), (30, 30), (2, 3, 4)], ids=str)
def test_arrays_without_a_finite_number_are_shown(
    fill: float, shape: tuple[int, ...], viewer: Viewer
) -> None:
    array = np.full(shape, fill)
    with warnings.catch_warnings(action="error"):
        parts = parts_of(array)
        assert parts
        assert parts_of(array.tolist())
        if array.size > 2:
            array.flat[0], array.flat[1] = 1.0, 1e308
            assert parts_of(array)
    for part in parts:
        assert part.kind != "plot" or not {"nan", "inf"} & set(str(part.data).replace('"', " ").split())


def png_of(width: int, height: int) -> bytes:
    made = images.png(1, 1, b"\0")
    return made[:16] + struct.pack(">II", width, height) + made[24:]


HEADS = {
    "png": png_of,
    "jpeg": lambda w, h: b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", h, w) + b"\x01" * 20,
    "gif": lambda w, h: b"GIF89a" + struct.pack("<HH", w, h) + b"\0" * 20,
    "bmp": lambda w, h: b"BM" + b"\0" * 16 + struct.pack("<ii", w, -h) + b"\0" * 20,
    "webp": lambda w, h: (
        b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (w - 1).to_bytes(3, "little") + (h - 1).to_bytes(3, "little")
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_images_of_billions_of_pixels_are_not_given_to_the_browser(
    kind: str, viewer: Viewer, project: Project, d: FileDirDict[Any]
) -> None:
    make = HEADS[kind]
    assert images.size_of(make(30_000, 20_000)) == (30_000, 20_000)
    job = next(iter(project))
    Path(job.fn(f"small.{kind}")).write_bytes(make(30, 20))
    Path(job.fn(f"bomb.{kind}")).write_bytes(make(50_000, 50_000))
    d["bomb"] = 1
    (stored,) = [path for path in Path(d.base_dir).iterdir() if path.name.startswith("bomb")]
    stored.write_bytes(make(50_000, 50_000))
    client = viewer(project, d)
    text = client.get(f"/s/0/j/{job.id}").text
    assert f'raw/small.{kind}" alt=' in text
    assert f'raw/bomb.{kind}" alt=' not in text
    assert "and 1 more, in the list of files" in text
    shown = client.get(f"/s/0/j/{job.id}/file/bomb.{kind}").text
    assert "50,000 x 50,000 pixels" in shown
    assert "<img" not in shown
    assert "<img" in client.get(f"/s/0/j/{job.id}/file/small.{kind}").text
    assert "<img" not in client.get("/d/1/item?key=bomb").text


def test_small_images_of_the_other_forms_of_webp_have_a_size() -> None:
    lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (29 | 19 << 14).to_bytes(4, "little") + b"\0" * 8
    lossy = b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 30, 20)
    assert images.size_of(lossless) == images.size_of(lossy) == (30, 20)
    for head in HEADS.values():
        for cut in range(30):
            images.size_of(head(30, 20)[:cut])  # raises nothing


def damaged(content: bytes) -> Iterator[bytes]:
    random = np.random.default_rng(3)
    for length in (0, 8, 100, len(content) // 2, len(content) - 1):
        yield content[:length]
    for _ in range(60):
        changed = bytearray(content)
        for at in random.integers(0, min(len(content), 4000), 8):
            changed[at] ^= int(random.integers(1, 256))
        yield bytes(changed)


def test_damaged_hdf5_files_are_an_error_of_their_page(viewer: Viewer, project: Project) -> None:
    job: Job = next(iter(project))
    path = Path(job.fn("data.h5"))
    with h5py.File(path, "w") as file:
        file["group/numbers"] = np.arange(300.0)
        file["group"].attrs["unit"] = "m"
        file["text"] = "text"
        file.create_dataset("packed", data=np.zeros((50, 50)), chunks=(10, 10), compression="gzip")
    content = path.read_bytes()
    client = viewer(project)
    seen = set()
    for each in damaged(content):
        path.write_bytes(each)
        answer = client.get(f"/s/0/j/{job.id}/file/data.h5")
        assert answer.status_code == 200, answer.text
        seen.add("cannot be read" in answer.text)
    assert seen == {True, False}


def test_an_unreadable_pickle_is_a_note_when_it_is_loaded(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d", file_type="pkl", durability="none")
    d["a"] = 1
    (stored,) = (tmp_path / "d").iterdir()
    for raw in (b"", b"damaged", PickleFormat(compression=None).encode(Unloadable())):
        assert isinstance(raw, bytes)
        stored.write_bytes(raw)
        answer = viewer(d, unpickle=True).get("/d/0/item?key=a")
        assert (answer.status_code, "cannot be decoded" in answer.text) == (200, True)


class Unloadable:
    def __reduce__(self) -> Any:
        return refuse, ()


def refuse() -> None:
    raise ArithmeticError("not today")


# --- Searches that would take years -------------------------------------------------------------------------


def test_an_expression_that_takes_too_long_is_an_error_of_the_filter(viewer: Viewer, tmp_path: Path) -> None:
    made = init_project("study", tmp_path / "study")
    for number in range(30):
        made.open_job({"n": number, "text": "a" * number + "!"}).init()
    client = viewer(made)
    ready(client, "/s/0/")
    began = time.monotonic()
    for path in ("/s/0/", "/s/0/plot"):
        text = html.unescape(client.get(path, params={"q": "text /(a+)+$/"}).text)
        assert "takes more than 3 s" in text
    assert time.monotonic() - began < 30
    assert "<strong>27</strong> jobs" in client.get("/s/0/", params={"q": "text /a{3}/"}).text
    for typed in ("text /a{99999999999999}/", "text '/" + "(" * 500 + ")" * 500 + "/'"):
        assert client.get("/s/0/", params={"q": typed}).status_code == 200


def test_filters_with_expressions_choose_the_same_jobs_as_in_python(project: Project, viewer: Viewer) -> None:
    for text in ("xa", "xb", "yb"):
        job = project.open_job({"text": text, "list": [{"$regex": "x"}]}).init()
        Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps({"note": {"text": text * 2}}))
    client = viewer(project)
    ready(client, "/s/0/")
    for wanted in (
        {"text": {"$regex": "^x"}},
        {"text.$regex": "b$"},
        {"text": {"$regex": "x", "$ne": "xa"}},
        {"$or": [{"n": 1}, {"doc.note.text": {"$regex": "^yb"}}]},
        {"$and": [{"text": {"$not": {"$regex": "x"}}}, {"doc": {"note": {"text": {"$regex": "b"}}}}]},
        {"$not": {"text": {"$regex": "."}}},
        {"n": {"$regex": "1"}},
        {"list": [{"$regex": "x"}]},
        {"text": {"$in": ["xa", "$regex"]}},
    ):
        text = client.get("/s/0/", params={"q": json.dumps(wanted)}).text
        expected = len(project.find_jobs(wanted))
        assert f"<strong>{expected}</strong> job" in text, wanted


def test_wildcards_in_a_search_of_keys_are_fast(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type="json", digest_len=8, durability="none")
    d[("a" * 200,) * 4] = 1
    client = viewer(d)
    ready(client, "/d/0/")
    began = time.monotonic()
    assert "No key matches" in client.get("/d/0/", params={"q": "*a" * 80 + "*b"}).text
    assert "1 to 1 of 1" in client.get("/d/0/", params={"q": "*a" * 80 + "?/A"}).text
    assert time.monotonic() - began < 10
