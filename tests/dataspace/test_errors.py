"""Errors have the fields of signac's, are builtins, and survive pickling."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from perkey.dataspace import Project, errors
from perkey.dataspace.space.workspace import Workspace
from perkey.files import read_file, write_file


@pytest.mark.parametrize(
    ("error", "builtin", "fields"),
    [
        (errors.WorkspaceError("x"), OSError, {"error": "x"}),
        (errors.DestinationExistsError("x"), RuntimeError, {"destination": "x"}),
        (errors.JobsCorruptedError(["a"] * 7), RuntimeError, {"job_ids": ("a",) * 7}),
        (errors.FileSyncConflict("f"), RuntimeError, {"filename": "f"}),
        (errors.DocumentSyncConflict(["a", "b"]), RuntimeError, {"keys": ["a", "b"]}),
        (errors.SchemaSyncConflict(1, 2), RuntimeError, {"schema_src": 1, "schema_dst": 2}),
        (errors.ConfigError("x"), RuntimeError, {}),
    ],
)
def test_fields(error: errors.Error, builtin: type[Exception], fields: dict[str, object]) -> None:
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(each, builtin)
        assert str(each)
        assert {name: getattr(each, name) for name in fields} == fields


def test_a_file_in_the_workspace_s_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    jobs = Workspace(str(path), durable=False)
    for act in (jobs.ids, jobs.make, jobs.make_home):
        with pytest.raises(errors.WorkspaceError, match="file"):
            act()


def test_files_of_any_size(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    for size in (0, 1, 65535, 65536, 65537, 300_000):
        write_file(path, b"x" * size)
        assert read_file(path) == b"x" * size
    with pytest.raises(FileExistsError):
        write_file(path, b"new", new=True)
    assert read_file(path) == b"x" * 300_000
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == ["file"]
    assert read_file(str(tmp_path / "nowhere")) is None


def test_a_large_document_is_found(project: Project) -> None:
    job = project.open_job({"a": 1})
    job.doc.text = "x" * 300_000
    assert len(project.find_jobs({"doc.text": {"$regex": "x$"}})) == 1
