"""Configuration files: both layouts, the user's, and what is wrong with one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perkey.dataspace import Project, errors, get_project, init_project
from perkey.dataspace.space import config
from perkey.dataspace.space.config import dump_config, read_config, set_config_value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# comment\n\na = 1\n", {"a": "1"}),
        ("a = b c # comment\n", {"a": "b c"}),
        ("a = \"b, 'c' # d\"\n", {"a": "b, 'c' # d"}),
        ("a = 'x' # comment\n'b c' = 1", {"a": "x", "b c": "1"}),
        ("a =\n", {"a": ""}),
        ("a = b = c\n", {"a": "b = c"}),
        ("\ufeffa = 1\n", {"a": "1"}),
        (
            "a = 1\n[s]\nb = 2\n[[t]]\nc = 3\n[u]\nd = 4",
            {"a": "1", "s": {"b": "2", "t": {"c": "3"}}, "u": {"d": "4"}},
        ),
    ],
)
def test_reading(text: str, values: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    assert read_config(str(path)) == values
    path.write_bytes(dump_config(values))
    assert read_config(str(path)) == values


@pytest.mark.parametrize("text", ["no value\n", "= 5\n", "[s\n", "[]\n", "[[deep]]\n", "a = \udcff"])
def test_a_file_that_makes_no_sense_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "signac.rc"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(errors.ConfigError, match=r"signac\.rc"):
        get_project(tmp_path)


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "config")
    set_config_value(path, "a", "1")
    for wrong in ("two\nlines", "both ' and \""):
        with pytest.raises(errors.ConfigError):
            set_config_value(path, "b", wrong)
    with pytest.raises(errors.ConfigError):
        set_config_value(path, "a.b", "1")
    assert read_config(path) == {"a": "1"}


def test_values_are_set_in_the_files_of_project_and_user(project: Project, home: Path) -> None:
    set_config_value(project.config.path, "mine", "a, b")
    set_config_value(project.config.path, "section.key", "x")
    set_config_value(config.global_config_path(), "everybody's", "y")
    set_config_value(config.global_config_path(), "mine", "other")
    fresh = Project(project.path)
    assert fresh.config["mine"] == "a, b"
    assert fresh.config["section"]["key"] == "x"
    assert fresh.config["everybody's"] == "y"
    assert (home / ".signacrc").exists()
    assert dict(fresh.config) == {**fresh.config}
    assert "section" in repr(fresh.config)
    with pytest.raises(ValueError, match="set_config_value"):
        fresh.config["a"] = 1
    with pytest.raises(ValueError, match="set_config_value"):
        del fresh.config["mine"]
    assert len(fresh.config) == 5


@pytest.mark.parametrize(
    ("file", "version", "error"),
    [
        ("signac.rc", "2", errors.IncompatibleSchemaVersion),
        ("signac.rc", "x", errors.ConfigError),
        (".signac/config", "3", errors.IncompatibleSchemaVersion),
        (".signac/config", "1", errors.IncompatibleSchemaVersion),
    ],
)
def test_unknown_layouts_are_refused(file: str, version: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"schema_version = {version}\n")
    with pytest.raises(error):
        get_project(tmp_path)
    assert get_project(tmp_path, ignore_schema_version=True).path == str(tmp_path)


def test_versions_0_and_1_are_the_layout_of_signac_1(tmp_path: Path) -> None:
    for text in ("project = p\n", "project = p\nschema_version = 0\n", "project = p\nschema_version = 1\n"):
        (tmp_path / "signac.rc").write_text(text)
        assert get_project(tmp_path).id == "p"


def test_a_workspace_of_another_name_is_written_in_the_layout_of_signac_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    project = init_project("p", tmp_path, "$PLACE/jobs")
    assert os.path.isdir(tmp_path / "place" / "jobs")
    assert init_project("p", tmp_path, "$PLACE/jobs") == project
    assert project.config["workspace_dir"] == "$PLACE/jobs"
    monkeypatch.setenv("PLACE", "elsewhere")
    assert Project(tmp_path).workspace == str(tmp_path / "elsewhere" / "jobs")
