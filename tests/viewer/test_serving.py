"""The program `perkey view`: its first line, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from perkey import FileDirDict
from perkey.cli import main
from perkey.viewer import serve
from viewer.conftest import until, without_rights

Start = Callable[..., tuple[subprocess.Popen[str], str]]

PRIVILEGED = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
"""The first port that is not."""

needs_ipv6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").exists(), reason="this machine does not have IPv6"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    d = FileDirDict[Any](tmp_path / "results", file_type="json")
    d["a"], d["large"] = 1, "x" * 30_000_000
    return tmp_path / "results"


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Return a function that starts the program, and returns it with its first line."""
    running: list[subprocess.Popen[str]] = []

    def begin(*options: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "perkey.cli", "view", *options, str(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        running.append(process)
        assert process.stdout
        return process, process.stdout.readline().strip()

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_the_first_line_is_the_address_with_the_token(start: Start) -> None:
    _, address = start("--no-browser")
    assert address.startswith("http://127.0.0.1:")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert b"2 items" in opener.open(address, timeout=20).read()
    with pytest.raises(HTTPError, match="403"):
        urllib.request.urlopen(address.partition("?")[0], timeout=20)


def test_it_listens_on_loopback_only(start: Start) -> None:
    _, address = start("--no-browser")
    port = int(address.split(":")[2].partition("/")[0])
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    listening = [words[1] for words in lines if words[3] == "0A" and words[1].endswith(f":{port:04X}")]
    loopback = {f"0100007F:{port:04X}", f"{'0' * 24}01000000:{port:04X}"}
    assert set(listening) <= loopback
    assert f"0100007F:{port:04X}" in listening


@needs_ipv6
def test_each_name_of_loopback_leads_to_it(start: Start) -> None:
    _, address = start("--no-browser")
    handlers = urllib.request.HTTPCookieProcessor(), urllib.request.ProxyHandler({})
    for host in ("127.0.0.1", "localhost", "[::1]"):
        opener = urllib.request.build_opener(*handlers)
        assert b"2 items" in opener.open(address.replace("127.0.0.1", host), timeout=20).read()


@needs_ipv6
def test_a_port_that_is_taken_on_ipv6_only_is_used(place: Path) -> None:
    announced: list[str] = []
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = {"port": port, "browser": False, "announce": announced.append}
        threading.Thread(target=serve, args=([place],), kwargs=options, daemon=True).start()
        until(lambda: bool(announced))
    assert announced[0].startswith(f"http://127.0.0.1:{port}/")


@pytest.mark.skipif(not PRIVILEGED, reason="users of this machine may listen on any port")
def test_a_privileged_port_is_reported_in_a_line(place: Path) -> None:
    d = FileDirDict[Any](place, file_type="json")
    port = PRIVILEGED - 1
    message = f"port {port} of 127.0.0.1; choose another one"
    with without_rights(), pytest.raises(PermissionError, match=message):
        serve([d], port=port, browser=False, announce=pytest.fail)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("connected", [False, True], ids=["idle", "connected"])
def test_a_signal_ends_it_at_once(name: str, connected: bool, start: Start) -> None:
    process, address = start("--no-browser")
    host, port = address.removeprefix("http://").partition("/")[0].split(":")
    connections = []
    if connected:
        for path in (address.partition(port)[2], "/d/0/"):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert connection.recv(100)
            connections.append(connection)
        # A client that does not read what it asked for: the response cannot end.
        stuck = socket.create_connection((host, int(port)))
        cookie = f"perkey-{port}={address.partition('token=')[2]}"
        stuck.sendall(
            f"GET /d/0/raw?key=large HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        assert b"200 OK" in stuck.recv(100)
        connections.append(stuck)
        half = socket.create_connection((host, int(port)))
        half.sendall(b"GET / HTTP/1.1\r\n")
        connections.append(half)
    began = time.monotonic()
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert (process.returncode, errors) == (0, "")
    for connection in connections:
        connection.close()


def test_the_browser_gets_the_address(start: Start, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    opened = tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    browser.chmod(0o755)
    _, address = start(BROWSER=f"{browser} %s")
    deadline = time.monotonic() + 20
    while not opened.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert opened.read_text().strip() == address


def test_a_port_that_is_taken_is_reported_in_a_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["view", "--no-browser", "--port", str(port), str(place)]) == 1
    shown = capsys.readouterr()
    assert "in use" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2"])
def test_a_missing_package_names_the_extra(
    package: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("perkey.cli.view.find_spec", lambda name: None if name == package else True)
    assert main(["view", str(place)]) == 1
    assert capsys.readouterr().err == f"perkey: perkey view needs {package}: pip install 'perkey[view]'\n"


def test_a_place_that_does_not_exist_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "--no-browser", str(tmp_path / "absent")]) == 1
    assert "has no dictionary" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()


def test_it_ends_although_a_thread_waits_for_a_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate()) - {threading.main_thread()}
    alive = threading.enumerate
    monkeypatch.setattr(threading, "enumerate", lambda: [each for each in alive() if each not in before])
    over = threading.Event()
    waiting = threading.Thread(target=over.wait, args=(60,))
    codes: list[int] = []
    monkeypatch.setattr("perkey.viewer.serve", lambda *_, **__: waiting.start())
    monkeypatch.setattr("perkey.cli.view.os._exit", codes.append)
    try:
        assert main(["view", "--no-browser", str(place)]) == 0
    finally:
        over.set()
        waiting.join()
    assert codes == [0]
    monkeypatch.setattr("perkey.viewer.serve", lambda *_, **__: None)
    assert main(["view", "--no-browser", str(place)]) == 0
    assert codes == [0], "without such threads the process ends as others do"
