"""The viewer in a real browser, which ``tests/viewer/browser.sh`` finds."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict, quote
from perkey.dataspace import Project, init_project
from perkey.viewer import serve
from viewer.conftest import CHROMIUM, until

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>\x1b\u202e"


def add_job(project: Project, document: dict[str, Any], **statepoint: Any) -> str:
    job = project.open_job(statepoint).init()
    Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps(document))
    return job.id


class Served:
    """A viewer of two places in a thread."""

    def __init__(self, folder: Path) -> None:
        self.d = FileDirDict(str(folder / "d"), file_type="json")
        for index in range(6):
            self.d[f"group{index % 2}", f"item{index}"] = {"number": index, "list": [1, 2, {"x": HOSTILE}]}
        self.d["hostile", quote(HOSTILE)] = HOSTILE
        self.d["table"] = [{"a": 1, "b": "=1+1"}] * 3
        self.d["big"] = "<b>x</b>" * (100 << 17)
        self.project = init_project("study", folder / "study")
        for index in range(8):
            self.job = add_job(
                self.project, {"score": index / 7}, c=10.0**index, kernel=["rbf", "poly"][index % 2]
            )
        self.hostile = add_job(self.project, {HOSTILE: HOSTILE, "score": 0.5}, **{HOSTILE: HOSTILE, "c": 1.5})
        announced: list[str] = []
        arguments = {"browser": False, "announce": announced.append}
        places = [self.d, self.project]
        threading.Thread(target=serve, args=(places,), kwargs=arguments, daemon=True).start()
        until(lambda: bool(announced))
        self.address = announced[0]
        self.base = self.address.partition("/?")[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("places"))


class Browser:
    """A browser that has the cookie of the viewer."""

    def __init__(self, served: Served) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
            options.add_argument(each)
        options.add_argument("--host-resolver-rules=MAP evil.example 127.0.0.1")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.served = served
        self.driver.get(served.address)

    def open(self, path: str) -> None:
        self.driver.get(self.served.base + path)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def texts(self, selector: str) -> list[str]:
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return list(self.run(f"return {found}.map(each => each.textContent.trim())"))

    def type(self, selector: str, text: str) -> None:
        from selenium.webdriver.common.by import By

        box = self.driver.find_element(By.CSS_SELECTOR, selector)
        box.clear()
        box.send_keys(text)

    def click(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def hosts(self) -> set[str]:
        """Return the hosts to which requests were sent since this was last asked."""
        log = [json.loads(each["message"])["message"] for each in self.driver.get_log("performance")]  # type: ignore[no-untyped-call]
        sent = [each["params"] for each in log if each["method"] == "Network.requestWillBeSent"]
        urls = [each["request"]["url"] for each in sent]
        return {url.split("/")[2] for url in urls if url.startswith(("http", "ws", "ftp"))}

    def has_alert(self) -> bool:
        from selenium.common.exceptions import NoAlertPresentException

        try:
            self.driver.switch_to.alert.dismiss()
        except NoAlertPresentException:
            return False
        return True

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Browser]:
    made = Browser(served)
    yield made
    made.driver.quit()


def test_the_tree_opens_and_the_search_finds(browser: Browser) -> None:
    browser.open("/d/0/")
    browser.click("#tree summary")
    until(lambda: any("item" in text for text in browser.texts("#tree details[open]")))
    browser.type("#q", "item3")
    until(lambda: len(browser.texts("#keys tbody tr")) == 1)
    assert "item3" in browser.texts("#keys tbody tr")[0]


def test_new_items_appear(browser: Browser, served: Served) -> None:
    browser.open("/d/0/")
    served.d["fresh_item"] = 1
    until(lambda: any("fresh_item" in text for text in browser.texts("#keys tbody tr")))
    browser.open("/s/1/")
    before = len(browser.texts("#jobs tbody tr"))
    add_job(served.project, {"score": 0.1}, c=77.0, kernel="rbf")
    until(lambda: len(browser.texts("#jobs tbody tr")) == before + 1)


def test_the_filter_works_and_explains(browser: Browser) -> None:
    browser.open("/s/1/")
    browser.type("#q", "kernel poly\n")
    until(lambda: browser.texts("#count strong") == ["4"])
    browser.type("#q", "{wrong\n")
    until(lambda: any("not JSON" in text for text in browser.texts("#q-outcome .error")))


def test_plots_are_drawn_and_points_lead_to_jobs(browser: Browser) -> None:
    browser.open("/s/1/plot?x=c&y=doc.score&log_x=1&group=kernel")
    assert browser.run("return document.querySelector('svg.chart').getBoundingClientRect().height") > 200
    assert browser.run("return document.querySelectorAll('svg [data-href]').length") >= 8
    browser.run(
        "document.querySelector('svg [data-href]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    until(lambda: "/s/1/j/" in browser.driver.current_url)


def test_parallel_axes_are_chosen_and_lines_lead_to_jobs(browser: Browser) -> None:
    browser.open("/s/1/plot")
    browser.click("input[value=parallel]")
    until(lambda: "kind=parallel" in browser.driver.current_url)
    lines = "return document.querySelectorAll('svg .chart-strand').length"
    until(lambda: browser.run(lines) >= 8)
    browser.run(
        "document.querySelector('.chart-strand').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    until(lambda: "/s/1/j/" in browser.driver.current_url)


def test_facets_are_clicked_and_taken_back(browser: Browser) -> None:
    browser.open("/s/1/")
    until(lambda: len(browser.texts(".facets a")) >= 2)
    before = browser.texts("#count strong")
    browser.click(".facets a")
    until(lambda: browser.texts("#count strong") == ["4"])
    assert browser.run("return document.querySelector('#q').value") == "kernel poly"
    browser.click(".facets a[aria-current]")
    until(lambda: browser.texts("#count strong") == before)


def test_chosen_jobs_are_compared(browser: Browser) -> None:
    browser.open("/s/1/")
    for number in (1, 2):
        browser.click(f"#jobs tbody tr:nth-child({number}) input")
    browser.click("#compare")
    until(lambda: "/compare?" in browser.driver.current_url)
    assert "Different parameters" in browser.texts("h2")


def test_without_the_token_no_page_is_shown(browser: Browser, served: Served) -> None:
    browser.hosts()
    for address in (served.base + "/", served.base + "/s/1/", served.base + "/?token=wrong"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address)
    port = served.base.rpartition(":")[2]
    browser.driver.get(f"http://evil.example:{port}/")  # resolves to the viewer, as after a rebinding
    assert "use the address that it printed" in browser.driver.page_source
    browser.driver.get(f"http://evil.example:{port}/{served.address.partition('/?')[2]}")
    assert "item" not in browser.driver.page_source


def test_pages_of_other_ports_get_nothing(browser: Browser, served: Served) -> None:
    """The other page has the same host, so the browser sends the cookie there."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>other</title><p>other")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.driver.get(f"http://127.0.0.1:{server.server_port}/")
        script = f"""
            const done = arguments[0], base = {json.dumps(served.base)}, found = [];
            const frame = document.createElement("iframe");
            frame.src = base + "/s/1/";
            document.body.append(frame);
            const image = new Image();
            const tried = [["cors", "include"], ["no-cors", "include"]].map(([mode, credentials]) =>
                fetch(base + "/s/1/", {{mode, credentials}}).then(
                    async got => found.push(await got.text() + got.type), () => found.push("refused")));
            image.onload = () => done(["image"]);
            image.src = base + "/static/style.css";
            Promise.all(tried).then(() => setTimeout(() => {{
                try {{ found.push(frame.contentDocument ? frame.contentDocument.body.textContent : "none"); }}
                catch {{ found.push("none"); }}
                done(found);
            }}, 500));
        """
        found = browser.driver.execute_async_script(script)
        server.shutdown()
    assert sorted(found) in (["none", "opaque", "refused"], ["none", "refused", "refused"])


def test_hostile_keys_and_values_are_harmless(browser: Browser, served: Served) -> None:
    browser.hosts()
    browser.driver.get_log("browser")  # type: ignore[no-untyped-call]
    browser.open("/d/0/")
    links = [
        link
        for link in browser.run("return [...document.querySelectorAll('main a')].map(each => each.href)")
        if served.base + "/d/0/" in link
    ]
    job = f"/s/1/j/{served.hostile}"
    pages = ["/s/1/", job, "/s/1/plot?x=c&y=doc.score", f"/s/1/compare?job={served.hostile}&job={served.job}"]
    for path in [*(link.removeprefix(served.base) for link in links), *pages]:
        browser.open(path)
        assert not browser.has_alert(), path
        assert browser.run("return document.querySelectorAll('main script, main img[src=x]').length") == 0, (
            path
        )
        assert browser.run("return document.documentElement.outerHTML.length") < 2_000_000, path
    assert browser.hosts() == {served.base.partition("//")[2]}
    complaints = [each for each in browser.driver.get_log("browser") if "Security Policy" in each["message"]]  # type: ignore[no-untyped-call]
    assert not complaints


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_open_page_has_a_message_when_the_viewer_has_ended(
    name: str, browser: Browser, served: Served
) -> None:
    def start(port: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "perkey.cli", "view", "--no-browser", "--port", port]
        process = subprocess.Popen(
            [*command, str(served.d.base_dir), str(served.project.path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        return process, process.stdout.readline().strip()

    process, address = start("0")
    try:
        for path in ("/d/0/", "/s/1/"):
            browser.driver.get(address)
            browser.driver.get(address.partition("/?")[0] + path)
            until(lambda: not browser.texts("#connection:not([hidden])"))
            began = time.monotonic()
            process.send_signal(signal.Signals[name])
            process.wait(20)
            assert time.monotonic() - began < 5
            until(lambda: any("it was probably ended" in text for text in browser.texts("#connection")))
            process.stdout.close()  # type: ignore[union-attr]
            process, address = start(address.split(":")[2].partition("/")[0])
            until(lambda: any("another token" in text for text in browser.texts("#connection")))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(scheme: str, browser: Browser, served: Served) -> None:
    browser.scheme(scheme)
    axe = Path(os.environ["PERKEY_AXE"]).read_text()
    faults = []
    for path in (
        "/", "/d/0/", "/d/0/charts", "/d/0/claims", "/s/1/", "/s/1/?q={wrong", "/s/1/plot", "/s/1/project",
        "/s/1/?q=kernel rbf", "/s/1/plot?kind=parallel&group=kernel", "/d/0/item?key=table",
        f"/s/1/j/{served.job}", f"/s/1/compare?job={served.hostile}&job={served.job}",
    ):  # fmt: skip
        browser.open(path)
        browser.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = browser.driver.execute_async_script("axe.run().then(arguments[0])")
        faults += [
            f"{path}: {each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
    assert not faults, "\n".join(faults)
