"""The study computes each job once, and what it packs is the whole of it."""

from pathlib import Path

import pytest
from example_programs import assert_printed_as_kept, run_example

from perkey.dataspace import Project, init_project


@pytest.mark.slow
def test_a_study_from_grid_to_archive(tmp_path: Path) -> None:
    printed = run_example("study", "study", cwd=tmp_path)
    assert "10 jobs, 10 of them computed now" in printed
    assert_printed_as_kept("study", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    folder = tmp_path / "study"
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")
    links = list((folder / "view").rglob("job"))
    assert len(links) == 10
    assert all((link / "confusion.csv").exists() for link in links)

    copy = init_project("copy", tmp_path / "copy")
    assert len(copy.import_from(folder / "study.zip")) == 10
    original = Project(folder)
    for job in original:
        twin = copy.open_job(id=job.id)
        assert twin.doc() == job.doc()
        assert Path(twin.fn("confusion.csv")).read_bytes() == Path(job.fn("confusion.csv")).read_bytes()

    original.open_job(id=next(iter(original)).id).doc.clear()
    assert "10 jobs, 1 of them computed now" in run_example("study", "study", cwd=tmp_path)
