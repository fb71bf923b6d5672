"""Only the owner of the token gets an answer, from the viewer's own pages, and nothing can be changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from perkey import FileDirDict
from perkey.viewer import create_app
from viewer.conftest import ADDRESS, TOKEN, TestClient, Viewer

PATHS = (
    "/",
    "/d/0/",
    "/d/0/item?key=a",
    "/d/0/raw?key=a",
    "/d/0/keys",
    "/d/0/keys.csv",
    "/static/htmx.min.js",
    "/nothing",
)


@pytest.fixture
def d(tmp_path: Path) -> FileDirDict[Any]:
    d = FileDirDict[Any](tmp_path / "results", file_type="json")
    d["a"] = "the secret value"
    return d


@pytest.fixture
def stranger(d: FileDirDict[Any]) -> TestClient:
    """A client without the token."""
    return TestClient(create_app([d], token=TOKEN), base_url=ADDRESS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", "\u00e9", "\ud800"])
def test_without_the_token_no_path_answers(path: str, token: str | None, stranger: TestClient) -> None:
    if token is not None:
        path += ("&" if "?" in path else "?") + "token=" + token.encode("utf-8", "replace").decode()
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "secret" not in answer.text
    assert "set-cookie" not in answer.headers


def test_a_wrong_token_beside_the_right_one_is_refused(stranger: TestClient) -> None:
    assert stranger.get(f"/?token={TOKEN}&token=wrong", follow_redirects=False).status_code == 403


@pytest.mark.parametrize("cookie", ["wrong", "", f'"{TOKEN}', "\xe9", ";;=;", f"x={TOKEN}"])
def test_a_wrong_cookie_is_refused(cookie: str, stranger: TestClient) -> None:
    answer = stranger.get("/", headers={"cookie": f"perkey-8123={cookie}".encode("latin-1")})
    assert answer.status_code == 403


def test_the_token_goes_from_the_address_into_a_cookie(stranger: TestClient) -> None:
    answer = stranger.get(f"/d/0/item?key=a&token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/d/0/item?key=a")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    page = stranger.get("/d/0/item?key=a")
    assert (page.status_code, "the secret value" in page.text) == (200, True)
    assert TOKEN not in page.text


def test_the_redirection_stays_on_the_viewer(stranger: TestClient) -> None:
    answer = stranger.get(f"//evil.example/?token={TOKEN}", follow_redirects=False)
    assert not answer.headers.get("location", "").startswith("//")


def test_a_cookie_of_another_program_does_not_matter(viewer: Viewer, d: FileDirDict[Any]) -> None:
    headers = {"cookie": f'other="; bad[]=1; perkey-1=x; perkey-8123={TOKEN}'}
    assert viewer(d).get("/d/0/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "localhost:1", "0.0.0.0:8123", "",
     "127.0.0.1.evil.example:8123", "127.0.0.1:8123@evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_rebound_to_loopback_is_refused(
    host: str, path: str, viewer: Viewer, d: FileDirDict[Any]
) -> None:
    answer = viewer(d).get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "LOCALHOST:8123", "[::1]:8123"])
def test_each_name_of_loopback_is_answered(host: str, viewer: Viewer, d: FileDirDict[Any]) -> None:
    headers = {"host": host, "cookie": f"perkey-8123={TOKEN}"}
    assert viewer(d).get("/d/0/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8123"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "nonsense"},
    ],
    ids=lambda headers: "-".join(*headers.items()),
)
@pytest.mark.parametrize("path", [*PATHS, f"/?token={TOKEN}"])
def test_requests_of_other_sites_are_refused(
    headers: dict[str, str], path: str, viewer: Viewer, d: FileDirDict[Any]
) -> None:
    answer = viewer(d).get(path, headers=headers)
    assert answer.status_code == 403
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "headers", [{"origin": ADDRESS}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_requests_of_the_own_pages_are_answered(
    headers: dict[str, str], viewer: Viewer, d: FileDirDict[Any]
) -> None:
    assert viewer(d).get("/d/0/", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("path", PATHS)
def test_only_reading_is_possible(method: str, path: str, viewer: Viewer, d: FileDirDict[Any]) -> None:
    assert viewer(d).request(method, path).status_code == 405


@pytest.mark.parametrize("path", [*PATHS, "/d/0/tree", "/d/0/charts", "/d/0/claims", "/d/0/item?key=absent"])
def test_every_answer_forbids_scripts_frames_and_copies(
    path: str, viewer: Viewer, d: FileDirDict[Any], stranger: TestClient
) -> None:
    for answer in (viewer(d).get(path), stranger.get(path)):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        for part in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            assert part in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_no_page_has_scripts_or_styles_within(viewer: Viewer, d: FileDirDict[Any]) -> None:
    client = viewer(d)
    for path in ("/d/0/", "/d/0/item?key=a", "/d/0/charts", "/d/0/claims"):
        page = client.get(path).text
        assert "<script>" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert re.search(r"\son\w+\s*=", page) is None


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"])
def test_static_files_are_those_of_the_viewer(path: str, viewer: Viewer, d: FileDirDict[Any]) -> None:
    assert viewer(d).get(path).status_code == 404


def test_web_sockets_are_refused(viewer: Viewer, d: FileDirDict[Any]) -> None:
    with pytest.raises(WebSocketDisconnect) as refusal, viewer(d).websocket_connect("/d/0/"):
        pytest.fail("it was accepted")
    assert refusal.value.code == 1008


def test_a_dictionary_that_may_write_is_opened_read_only(viewer: Viewer, d: FileDirDict[Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(d.base_dir).rglob("*")}
    client = viewer(d)
    for path in (*PATHS, "/d/0/charts", "/d/0/claims"):
        client.get(path)
    assert {path: path.stat().st_mtime_ns for path in Path(d.base_dir).rglob("*")} == before
