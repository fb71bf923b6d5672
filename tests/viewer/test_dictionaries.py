"""The pages of a dictionary."""

from __future__ import annotations

import html
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import numpy as np
import pytest
from moto import mock_aws

import perkey
from perkey import BasicS3Dict, FileDirDict, quote
from perkey.dataspace import init_project
from perkey.viewer import index as module
from viewer.conftest import TestClient, Viewer, clients, until

HOSTILE = "<script>alert(1)</script>\x00\x1b]0;x\x07\u202e\u2066\ud800\ufeff'\"&"


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[Any]:
    return results(tmp_path)


def results(folder: Path) -> FileDirDict[Any]:
    d = FileDirDict[Any](folder / "results", file_type="json", durability="none")
    for number in range(250):
        d[f"run{number % 3}", f"item{number:03}"] = {"number": number}
    d["single"] = [{"loss": 0.5}, {"loss": 0.25}]
    return d


def listed(client: TestClient, address: str = "/d/0/") -> list[str]:
    """Return the keys in the table of a page."""
    return [html.unescape(key) for key in re.findall(r'<a id="k\d+"[^>]*>([^<]+)<', page(client, address))]


def page(client: TestClient, address: str = "/d/0/") -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.text)


def link(text: str, name: str) -> str:
    """Return where the link with an id or a text leads."""
    found = re.search(rf'<a [^>]*id="{name}"[^>]*href="([^"]+)"', text) or re.search(
        rf'<a [^>]*href="([^"]+)"[^>]*>{re.escape(name)}</a>', text
    )
    assert found, name
    return html.unescape(found[1])


@pytest.fixture
def client(viewer: Viewer, d: FileDirDict[Any]) -> TestClient:
    return shown(viewer(d))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client for many questions that change nothing."""
    with clients() as viewer:
        yield shown(viewer(results(tmp_path_factory.mktemp("asked"))))


def shown(client: TestClient) -> TestClient:
    until(lambda: "251 items" in page(client) and "goes on" not in page(client))
    return client


def test_keys_are_shown_by_pages_and_sorted(client: TestClient, d: FileDirDict[Any]) -> None:
    keys = sorted("/".join(key) for key in d)
    first = page(client)
    assert listed(client) == keys[:100]
    second = link(first, "page-on")
    assert listed(client, second) == keys[100:200]
    assert listed(client, link(page(client, second), "page-on")) == keys[200:]
    turned = link(first, "sort-key")
    assert listed(client, turned) == keys[::-1][:100]
    largest = link(first, "sort-size")
    assert listed(client, largest)[0] == "single"
    assert listed(client, link(page(client, largest), "sort-size"))[0] != "single"
    d["run0", "newest"] = 1
    until(lambda: listed(client, link(page(client), "sort-time"))[0] == "run0/newest")


def test_search_narrows_and_keeps_the_order(client: TestClient) -> None:
    assert listed(client, "/d/0/?q=item00+run1") == ["run1/item001", "run1/item004", "run1/item007"]
    assert listed(client, "/d/0/keys?q=ITEM00*9&sort=key&dir=desc") == ["run0/item009"]
    assert "3 of 251 items" in page(client, "/d/0/?q=item00+run1")
    assert "No key matches" in page(client, "/d/0/?q=nothing")
    assert listed(client, "/d/0/?prefix=run1&q=item00&sort=size") == [f"run1/item00{n}" for n in (1, 4, 7)]


@pytest.mark.parametrize(
    "query",
    ["q=%00", "q=%ff", "q='%22%3Cscript%3E", "q=%25_%5C", "sort=nonsense", "sort=id;drop", "page=0", "page=x",
     "page=-1", "page=99999999999999", "page=900", "dir=x", "prefix=../..", "prefix=%00", "prefix=%ED%A0%80",
     "since=x", "start=-5", "prefix=" + "a/" * 5000, "q=" + "a+" * 5000, "sort=key&sort=size",
     "open=a&open=b"],
    ids=lambda query: query[:20],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/d/0/", "/d/0/keys", "/d/0/tree", "/d/0/branch"])
def test_queries_of_any_kind_are_answered(path: str, query: str, asked: TestClient) -> None:
    text = page(asked, f"{path}?{query}")
    assert "<script>" not in text.replace('<script src="/static/', "")


def test_the_tree_has_counts_and_opens(client: TestClient) -> None:
    text = page(client)
    counts = re.findall(r'<span class="key">([^<]*)</span> <span class="faint">([\d,]+)</span>', text)
    assert counts == [("run0/", "84"), ("run1/", "83"), ("run2/", "83")]
    branch = page(client, "/d/0/branch?prefix=run1")
    assert branch.count("/d/0/item?key=run1/item") == 83
    opened = page(client, "/d/0/tree?open=run1")
    assert opened.count("/d/0/item?key=run1/item") == 83
    assert opened.count("<details") == 3
    assert len(re.findall(r"<details[^>]* open", opened)) == 1


def test_a_large_level_of_the_tree_is_shown_by_pages(tmp_path: Path, viewer: Viewer) -> None:
    d = FileDirDict[Any](tmp_path, file_type="json", durability="none")
    keys = {f"k{n:03}": n for n in range(450)}
    d.update(keys)
    client = viewer(d)
    until(lambda: "450 items" in page(client))
    found, text = [], page(client, "/d/0/tree")
    while True:
        found += re.findall(r"item\?key=(k\d+)", text)
        more = re.search(r'hx-get="([^"]+after=[^"]+)"', text)
        if more is None:
            break
        text = page(client, html.unescape(more[1]))
    assert found == sorted(keys)


def test_new_items_appear_and_nothing_is_sent_without_changes(
    viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.05)
    d = FileDirDict[Any](tmp_path, file_type="json")
    d["old"] = 1
    client = viewer(d)
    until(lambda: "goes on" not in page(client))
    text = page(client)
    polled = html.unescape(re.findall(r'<div id="keys" hx-get="([^"]+)"', text)[0])
    tree = html.unescape(re.findall(r'<div id="tree"[^>]*hx-get="([^"]+)"', text)[0])
    assert client.get(polled).status_code == client.get(tree).status_code == 204
    assert client.get(polled).content == b""
    d["fresh"] = 2
    until(lambda: client.get(polled).status_code == 200)
    text = page(client, polled)
    assert "1 new or changed" in text
    assert re.search(r'<tr class="new">\s*<th[^>]*><a[^>]*>fresh<', text)
    assert not re.search(r'<tr class="new">\s*<th[^>]*><a[^>]*>old<', text)
    assert "key=fresh" in page(client, tree)


def test_an_item_has_its_facts_and_the_line_that_reads_it(client: TestClient, d: FileDirDict[Any]) -> None:
    text = html.unescape(page(client, "/d/0/item?key=run1/item001"))
    assert d.etag(("run1", "item001")) in text
    assert d.store.describe(perkey.naming.naming(d.digest_len, "json").name_of(("run1", "item001"))) in text
    program = re.search(r"perkey\.open\(.*\]", text)
    assert program
    assert eval(program[0], {"perkey": perkey}) == {"number": 1}
    assert "<table>" in page(client, "/d/0/item?key=single")


@pytest.mark.parametrize("key", ["absent", "", "a//b", "..", "../../etc/passwd", "%00", "run1", "x" * 5000])
@pytest.mark.parametrize("path", ["item", "raw"])
def test_keys_that_do_not_exist(path: str, key: str, client: TestClient) -> None:
    answer = client.get(f"/d/0/{path}", params={"key": key})
    assert answer.status_code == 404
    assert "does not exist" in answer.text


def test_stored_bytes_are_saved_and_never_shown(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type="html")
    d["page"] = "<script>alert(1)</script>" * 100_000  # more than travels as one piece
    answer = viewer(d).get("/d/0/raw?key=page")
    assert answer.text == d["page"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("file_type", ["json", "pkl", "txt"])
def test_hostile_keys_and_values_are_shown_harmlessly(file_type: str, viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type=file_type)
    key = quote(HOSTILE)
    plain = HOSTILE.encode("utf-8", "replace").decode()
    d[key] = (
        plain if file_type == "txt" else {HOSTILE: [HOSTILE, {"a": HOSTILE}], "rows": [{HOSTILE: HOSTILE}]}
    )
    client = viewer(d)
    for path in ("/d/0/", f"/d/0/item?key={quote_url('/'.join(key))}"):
        text = page(client, path)
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert not re.search("[\x00\x07\x1b\u202e\u2066\ufeff\ud800]", text)
        assert r"\u202e" in text


def quote_url(text: str) -> str:
    return text.replace("=", "%3D")


@pytest.mark.parametrize("file_type", ["json", "pkl", "txt"])
def test_of_100_megabytes_only_the_beginning_is_read(file_type: str, viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type=file_type, digest_len=0)
    with open(tmp_path / f"big.{file_type}", "wb") as file:
        file.write(b'["<script>",' * 1000)
        file.truncate(100_000_000)
    client = viewer(d)
    tracemalloc.start()
    try:
        text = page(client, "/d/0/item?key=big")
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
    assert "95.4 MiB" in text
    assert len(text) < 300_000
    assert "<script>&" not in text


def test_a_link_in_place_of_a_value_is_not_read(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d", file_type="txt", digest_len=0)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "d" / "link.txt").symlink_to(tmp_path / "secret")
    for path in ("item", "raw"):
        answer = viewer(d).get(f"/d/0/{path}?key=link")
        assert answer.status_code == 502
        assert "not followed" in answer.text


def test_pickles_are_loaded_only_with_unpickle(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d")
    d["evil"] = Evil(str(tmp_path / "made"))
    assert "posix.mkdir" in page(viewer(d), "/d/0/item?key=evil")
    assert not (tmp_path / "made").exists()
    page(viewer(d, unpickle=True), "/d/0/item?key=evil")
    assert (tmp_path / "made").exists()


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (self.path,)


def test_a_value_that_cannot_be_decoded_is_explained(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, digest_len=0)
    (tmp_path / "bad.pkl").write_bytes(b"no pickle")
    for unpickle in (False, True):
        text = page(viewer(d, unpickle=unpickle), "/d/0/item?key=bad")
        assert "cannot be" in text


def test_images_and_plots_are_drawn(viewer: Viewer, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d["image"], d["line"] = np.eye(20), np.arange(50.0)
    client = viewer(d)
    assert 'src="data:image/png;base64,' in page(client, "/d/0/item?key=image")
    assert "<svg" in page(client, "/d/0/item?key=line")


def test_charts_count_all_items(client: TestClient) -> None:
    text = page(client, "/d/0/charts")
    assert text.count("<svg") == 2
    assert "251 items" in text


def test_claims_show_their_holders(client: TestClient, d: FileDirDict[Any]) -> None:
    assert "No claims" in page(client, "/d/0/claims")
    with perkey.claim(d, ["run9", "todo"]):
        text = page(client, "/d/0/claims")
        (info,) = perkey.claims(d)
        for part in ("run9/todo", "held", info.host, str(info.process)):
            assert part in text


def test_several_places_have_pages_of_their_own(viewer: Viewer, d: FileDirDict[Any], tmp_path: Path) -> None:
    project = init_project("study", tmp_path / "study")
    client = viewer(str(d.base_dir), tmp_path / "study", d, project)
    text = page(client, "/")
    assert re.findall(r'<li><a href="([^"]+)"', text) == ["/d/0/", "/s/1/", "/d/2/", "/s/3/"]
    for path in ("/d/0/", "/s/1/", "/d/2/", "/s/3/"):
        assert page(client, path)
    for path in ("/d/1/", "/s/0/", "/d/9/"):
        assert client.get(path).status_code == 404


def test_requests_for_each_page_of_a_bucket(viewer: Viewer) -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="results")
        d = BasicS3Dict[Any]("results", client=client, file_type="json", region="us-east-1")
        for number in range(20):
            d[f"k{number}"] = number
        requests: list[str] = []

        def record(model: Any, **_: Any) -> None:
            requests.append(model.name)

        client.meta.events.register("before-call.s3", record)
        pages = viewer(d)
        until(lambda: "goes on" not in page(pages))
        assert requests == ["ListObjectsV2"], "the first page, and then the index, need one listing"
        requests.clear()
        for path in ("/d/0/", "/d/0/keys?q=k1", "/d/0/tree", "/d/0/charts", "/d/0/?sort=size"):
            page(pages, path)
        assert requests == []
        text = html.unescape(page(pages, "/d/0/item?key=k1"))
        assert requests == ["HeadObject", "GetObject"]
        assert "perkey.open('s3://results" in text
        assert "region='us-east-1'" in text
        assert "['k1']" in text
        requests.clear()
        pages.get("/d/0/raw?key=k1")
        assert requests == ["GetObject"]
        requests.clear()
        page(pages, "/d/0/claims")
        assert requests == ["ListObjectsV2"]


def test_every_link_of_a_page_leads_to_a_page(client: TestClient) -> None:
    for path in ("/d/0/", "/d/0/item?key=single", "/d/0/charts", "/d/0/claims"):
        for target in set(re.findall(r'(?:href|src|hx-get)="(/[^"]*)"', page(client, path))):
            answer = client.get(html.unescape(target))
            assert answer.status_code in {200, 204}, target
            assert not urlsplit(target).netloc
