"""The study computes each job once, and what it packs is the whole of it."""

from pathlib import Path

from example_programs import run_example

from perkey.dataspace import Project, init_project


def test_a_study_from_grid_to_archive(tmp_path: Path) -> None:
    options = ["--folder", "study", "--walkers", "20"]
    printed = run_example("study", *options, cwd=tmp_path)
    assert "12 jobs, 12 of them computed now" in printed
    assert "'steps': 'int([10, 30, 100, 300], 4)'" in printed
    folder = tmp_path / "study"
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "results.csv").read_text().splitlines()) == 13
    links = list((folder / "view").rglob("job"))
    assert len(links) == 12
    assert all((link / "ends.csv").exists() for link in links)

    copy = init_project("copy", tmp_path / "copy")
    assert len(copy.import_from(folder / "study.zip")) == 12
    original = Project(folder)
    for job in original:
        twin = copy.open_job(id=job.id)
        assert twin.doc() == job.doc()
        assert Path(twin.fn("ends.csv")).read_bytes() == Path(job.fn("ends.csv")).read_bytes()

    original.open_job(id=next(iter(original)).id).doc.clear()
    assert "12 jobs, 1 of them computed now" in run_example("study", *options, cwd=tmp_path)
    options[-1] = "10"
    assert "24 jobs, 12 of them computed now" in run_example("study", *options, cwd=tmp_path)
