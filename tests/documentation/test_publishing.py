"""What depends on the address of the documentation site, and the check of the built site."""

from __future__ import annotations

import json
import re
import runpy
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from documentation import built_site
from documentation.pages import ROOT
from perkey import pages

ADDRESS = "https://example.org/perkey"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names of the hook. Hatchling, which calls it, is there only while the package is built."""
    interface = ModuleType("interface")
    vars(interface)["MetadataHookInterface"] = object
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    return runpy.run_path(str(ROOT / "hatch_build.py"))


def test_without_an_address_nothing_is_invented(hook: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text()
    assert hook["with_addresses"](readme, "") == readme
    assert hook["urls"]("") == {}


def test_with_an_address_each_link_of_the_readme_leads_to_a_page_of_the_site(hook: dict[str, Any]) -> None:
    readme = hook["with_addresses"]((ROOT / "README.md").read_text(), f"{ADDRESS}/")
    links = re.findall(r"\]\(([^)#]*)", readme)
    assert [link for link in links if "://" not in link] == []
    made = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "security_policy": "SECURITY.md"}
    for link in links:
        if not link.startswith(ADDRESS):
            continue
        path = link.removeprefix(f"{ADDRESS}/").removesuffix("/")
        if path.startswith("examples"):
            assert (ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file(), link
        else:
            there = [made.get(path, f"docs/{path}.md"), f"docs/{path}/index.md", f"docs/{path}"]
            assert any((ROOT / each).is_file() for each in there), link
    assert "![" in readme
    assert f"]({ADDRESS}/images/viewer-dictionary.png)" in readme
    assert all(url.startswith(ADDRESS) for url in hook["urls"](ADDRESS).values())


def test_messages_name_the_address_of_a_page_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages.page("s3") == "the page 's3' of the documentation"
    monkeypatch.setattr(pages, "ADDRESS", f"{ADDRESS}/")
    assert pages.page("s3") == f"{ADDRESS}/s3/"


def test_addresses_and_readme_come_from_the_hook_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"readme", "urls"} <= set(project["dynamic"])
    assert not {"readme", "urls"} & set(project)


def test_the_citation_names_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_workflow_runs_the_whole_check() -> None:
    assert "- run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()


GOOD = (
    '<html><body><h1 id="a">A</h1><a href="#a">a</a><a href="other/#b">b</a><img src="x.png"></body></html>'
)


def test_the_check_of_the_site_finds_each_kind_of_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built_site, "MODULES", ())
    (tmp_path / "other").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "other" / "index.html").write_text('<p id="b">')
    (tmp_path / "x.png").write_bytes(b"")
    index = tmp_path / "search" / "search_index.json"
    index.parent.mkdir()
    found = [
        {"location": "start/questions/#a"},
        {"location": "keys/"},
        {"location": "api/keys/#b", "boost": 0.1},
        {"location": "changelog/", "boost": 0.1},
    ]
    index.write_text(json.dumps({"docs": found}))
    assert list(built_site.faults(tmp_path)) == []
    assert built_site.main(str(tmp_path)) == 0
    for good, bad in [
        ("#a", "#gone"),
        ("other/#b", "other/#gone"),
        ("other/#b", "gone/"),
        ("x.png", "gone.png"),
        ("x.png", "https://example.org/x.png"),
        ('<img src="x.png">', '<link rel="stylesheet" href="//example.org/x.css">'),
    ]:
        (tmp_path / "index.html").write_text(GOOD.replace(good, bad))
        assert len(list(built_site.faults(tmp_path))) == 1, bad
    (tmp_path / "index.html").write_text(GOOD)
    for bad_index in (found[1:], [*found, {"location": "api/"}], [*found, {"location": "s3/", "boost": 0.5}]):
        index.write_text(json.dumps({"docs": bad_index}))
        assert len(list(built_site.faults(tmp_path))) == 1, bad_index
    index.write_text(json.dumps({"docs": found}))
    monkeypatch.setattr(built_site, "MODULES", ("perkey.aio",))
    assert len(list(built_site.faults(tmp_path))) == 2
    assert built_site.main(str(tmp_path)) == 1
