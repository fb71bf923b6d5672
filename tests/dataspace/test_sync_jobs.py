"""One job is brought up to date with another."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataspace.trees import job_files, leftovers, write_tree
from perkey.dataspace import Job, Project
from perkey.dataspace.errors import DocumentSyncConflict, FileSyncConflict, SyncConflict
from perkey.dataspace.sync import DocSync, FileSync, sync_jobs
from perkey.files.folder import OURS

LONG_AGO = 1_000_000_000


class Pair:
    """Two jobs of one state point; files and documents are put into both before one is synchronised."""

    def __init__(self, src: Job, dst: Job) -> None:
        self.src = src.init()
        self.dst = dst.init()

    def files(self, src: dict[str, str], dst: dict[str, str] | None = None) -> Pair:
        write_tree(self.src.path, src)
        write_tree(self.dst.path, dst or {})
        return self

    def docs(self, src: dict[str, Any], dst: dict[str, Any] | None = None) -> Pair:
        self.src.doc.update(src)
        self.dst.doc.update(dst or {})
        return self

    def sync(self, **kwargs: Any) -> dict[str, str]:
        """Return the files afterwards."""
        self.dst.sync(self.src, **kwargs)
        assert leftovers(self.dst.path) == []
        return job_files(self.dst)

    def sync_docs(self, doc_sync: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Return the document afterwards."""
        self.dst.sync(self.src, doc_sync=doc_sync, **kwargs)
        document: dict[str, Any] = self.dst.doc()
        return document


@pytest.fixture
def pair(project: Project, other: Project) -> Pair:
    return Pair(other.open_job({"a": 1}), project.open_job({"a": 1}))


def set_time(path: str, seconds: int = LONG_AGO) -> None:
    os.utime(path, (seconds, seconds))


# --- Files ----------------------------------------------------------------------------------------------


def test_what_is_missing_is_copied_and_what_is_there_stays(pair: Pair) -> None:
    assert pair.files({"f": "1"}, {"g": "2"}).sync() == {"f": "1", "g": "2"}


def test_the_job_is_made_if_there_is_none(project: Project, pair: Pair) -> None:
    pair.files({"f": "1", "s/g": "2"})
    pair.dst.remove()
    assert pair.sync() == {"f": "1", "s/g": "2"}
    project.check()


def test_a_difference_without_a_strategy_is_a_conflict_that_changes_nothing(pair: Pair) -> None:
    pair.files({"a": "new", "f": "1"}, {"f": "2"}).docs({"x": 1})
    with pytest.raises(FileSyncConflict) as raised:
        pair.sync()
    assert raised.value.filename == "f"
    assert isinstance(raised.value, SyncConflict)
    assert (job_files(pair.dst), pair.dst.doc()) == ({"f": "2"}, {})


def test_the_strategies(pair: Pair) -> None:
    pair.files({"f": "1"}, {"f": "22"})
    assert pair.sync(strategy=FileSync.never) == {"f": "22"}
    assert pair.sync(strategy=FileSync.always) == {"f": "1"}


@pytest.mark.parametrize("newer", ["src", "dst"])
def test_update_overwrites_what_is_older(pair: Pair, newer: str) -> None:
    pair.files({"f": "src"}, {"f": "dst"})
    set_time((pair.dst if newer == "src" else pair.src).fn("f"))
    assert pair.sync(strategy=FileSync.update) == {"f": newer}


def test_a_function_decides_about_each_file_that_differs(pair: Pair) -> None:
    pair.files({"f": "1", "g": "1", "same": "=", "s/h": "1"}, {"f": "2", "g": "2", "same": "=", "s/h": "2"})
    asked = []

    def strategy(src: Job, dst: Job, name: str) -> bool:
        asked.append((src, dst, name))
        return name != "f"

    found = pair.sync(strategy=strategy, recursive=True)
    assert found == {"f": "2", "g": "1", "same": "=", "s/h": "1"}
    assert sorted(asked, key=str) == sorted(
        ((pair.src, pair.dst, name) for name in ["f", "g", "s/h"]), key=str
    )


def test_the_user_is_asked_once_for_each_name(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["maybe", "y", "n"])
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    pair.files({"f": "1", "g": "1"}, {"f": "2", "g": "2"})
    ask = FileSync.Ask()
    assert pair.sync(strategy=ask) == {"f": "1", "g": "2"}
    pair.files({"f": "3", "g": "3"})
    assert pair.sync(strategy=ask) == {"f": "3", "g": "2"}
    assert [text.partition("'")[2][0] for text in asked] == ["f", "f", "g"]


def test_the_class_of_a_strategy_will_do(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert pair.files({"f": "1"}, {"f": "2"}).sync(strategy=FileSync.Ask) == {"f": "2"}


def test_the_names_of_the_strategies() -> None:
    names = FileSync.keys()
    assert names == ("always", "never", "update", "Ask")
    assert all(hasattr(FileSync, name) for name in names)


@pytest.mark.parametrize(
    ("compare", "is_same"), [("quick", True), ("rounded", True), ("size", True), ("content", False)]
)
def test_files_of_one_size_and_time_are_compared_by_content_on_demand(
    pair: Pair, compare: Any, is_same: bool
) -> None:
    pair.files({"f": "1"}, {"f": "2"})
    for job in (pair.src, pair.dst):
        set_time(job.fn("f"))
    assert pair.sync(strategy=FileSync.always, compare=compare) == {"f": "2" if is_same else "1"}
    assert pair.sync(strategy=FileSync.always, deep=True) == {"f": "1"}


@pytest.mark.parametrize(("compare", "is_same"), [("quick", False), ("rounded", True), ("size", True)])
def test_times_may_be_rounded_or_ignored(pair: Pair, compare: Any, is_same: bool) -> None:
    pair.files({"f": "1"}, {"f": "2"})
    os.utime(pair.src.fn("f"), ns=(LONG_AGO, LONG_AGO))
    os.utime(pair.dst.fn("f"), ns=(LONG_AGO, LONG_AGO + 500_000_000))
    assert pair.sync(strategy=FileSync.always, compare=compare) == {"f": "2" if is_same else "1"}


def test_equal_contents_are_no_conflict_whatever_their_times(pair: Pair) -> None:
    pair.files({"f": "1" * 10**6}, {"f": "1" * 10**6})
    set_time(pair.src.fn("f"))
    pair.sync()


def test_folders_are_left_alone_unless_asked_for(pair: Pair) -> None:
    pair.files({"s/t/f": "1", "s/e/": ""}, {"s/g": "2"})
    assert pair.sync() == {"s/g": "2"}
    assert pair.sync(recursive=True) == {"s/t/f": "1", "s/g": "2", "s/e/": ""}


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("f", {"g.txt", "s/g.txt"}),
        ("g", {"f", "f1", "s/f"}),
        (".*", set()),
        ("s/f", {"f", "f1", "g.txt", "s/g.txt"}),
        (["f1", r".*\.txt$"], {"f", "s/f"}),
        ("nothing", {"f", "f1", "g.txt", "s/f", "s/g.txt"}),
    ],
)
def test_files_are_excluded_by_the_beginning_of_name_or_path(
    pair: Pair, exclude: Any, left: set[str]
) -> None:
    pair.files(dict.fromkeys(["f", "f1", "g.txt", "s/f", "s/g.txt"], "x"))
    assert {name for name in pair.sync(exclude=exclude, recursive=True) if name != "s/"} == left


def test_files_are_excluded_from_new_jobs_but_not_state_point_and_document(pair: Pair) -> None:
    pair.files({"f": "1", "g": "2"}).docs({"x": 1})
    pair.dst.remove()
    assert pair.sync(exclude=".*") == {}
    assert pair.dst.doc() == {"x": 1}


@pytest.mark.parametrize("strategy", [None, FileSync.always])
def test_a_folder_is_never_overwritten_by_a_file_nor_the_other_way(pair: Pair, strategy: Any) -> None:
    pair.files({"a": "1", "b/c": "2"}, {"a/c": "3", "b": "4"})
    with pytest.raises(FileSyncConflict):
        pair.sync(strategy=strategy, recursive=True)
    assert pair.sync(strategy=FileSync.never, recursive=True) == {"a/c": "3", "b": "4"}


def test_links_are_followed_or_copied(pair: Pair) -> None:
    pair.files({"f": "1", "d/g": "2"})
    os.symlink("f", pair.src.fn("link"))
    os.symlink("d", pair.src.fn("folder"))
    os.symlink("nowhere", pair.src.fn("dead"))
    links = {"link": "-> f", "folder": "-> d", "dead": "-> nowhere"}
    assert pair.sync(follow_symlinks=False) == {"f": "1", **links}
    assert pair.sync(follow_symlinks=False) == {"f": "1", **links}
    pair.dst.clear()
    assert pair.sync(recursive=True) == {"f": "1", "d/g": "2", "link": "1", "folder/g": "2"}


def test_links_that_differ_are_files_that_differ(pair: Pair) -> None:
    os.symlink("one", pair.src.fn("link"))
    os.symlink("two", pair.dst.fn("link"))
    with pytest.raises(FileSyncConflict):
        pair.sync(follow_symlinks=False)
    assert pair.sync(follow_symlinks=False, strategy=FileSync.always) == {"link": "-> one"}


def test_links_that_loop_end(pair: Pair) -> None:
    pair.files({"d/f": "1"})
    os.symlink("..", pair.src.fn("d/up"))
    os.symlink("self", pair.src.fn("self"))
    assert pair.sync(recursive=True) == {"d/f": "1", "d/up/": ""}


def test_a_file_is_not_written_through_a_link(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    pair.files({"f": "1"})
    os.symlink(tmp_path / "precious", pair.dst.fn("f"))
    assert pair.sync(strategy=FileSync.always) == {"f": "1"}
    assert (tmp_path / "precious").read_text() == "precious"


def test_pipes_are_left_out(pair: Pair) -> None:
    os.mkfifo(pair.src.fn("pipe"))
    assert pair.files({"f": "1"}).sync() == {"f": "1"}


def test_what_unfinished_changes_left_is_not_copied(pair: Pair) -> None:
    assert pair.files({"f": "1", OURS + "tmp-x": "2", f"s/{OURS}tmp-y": "3"}).sync(recursive=True) == {
        "f": "1",
        "s/": "",
    }


def test_leftovers_of_a_killed_sync_are_swept(pair: Pair) -> None:
    pair.files({"f": "1"}, {OURS + "tmp-old": "x"})
    set_time(pair.dst.fn(OURS + "tmp-old"))
    assert pair.sync() == {"f": "1"}


# --- Permissions, times, owners -------------------------------------------------------------------------


def mode(job: Job, name: str = "f") -> int:
    return stat.S_IMODE(os.stat(job.fn(name)).st_mode)


def test_a_new_file_has_what_the_umask_leaves_and_an_old_one_keeps_its_permissions(pair: Pair) -> None:
    pair.files({"f": "1", "g": "1"}, {"g": "2"})
    os.chmod(pair.src.fn("f"), 0o777)
    os.chmod(pair.dst.fn("g"), 0o600)
    before = os.umask(0o027)
    try:
        pair.sync(strategy=FileSync.always)
    finally:
        os.umask(before)
    assert (mode(pair.dst), mode(pair.dst, "g")) == (0o750, 0o600)


def test_permissions_and_times_are_preserved(pair: Pair) -> None:
    pair.files({"f": "1"})
    os.chmod(pair.src.fn("f"), 0o604)
    set_time(pair.src.fn("f"))
    pair.sync(preserve_permissions=True, preserve_times=True)
    assert (mode(pair.dst), os.stat(pair.dst.fn("f")).st_mtime) == (0o604, LONG_AGO)


def test_times_are_preserved_only_with_permissions(pair: Pair) -> None:
    with pytest.raises(ValueError, match="permissions"):
        pair.sync(preserve_times=True)


def test_owner_and_group_are_preserved(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to give files away, this is seen from the system call."""
    calls = []
    monkeypatch.setattr(os, "chown", lambda _, uid, gid: calls.append((uid, gid)))
    found = os.stat(pair.files({"f": "1"}).src.fn("f"))
    for owner, group in [(True, False), (False, True)]:
        pair.dst.clear()
        pair.sync(preserve_owner=owner, preserve_group=group)
    assert calls == [(found.st_uid, -1), (-1, found.st_gid)]


# --- Documents ------------------------------------------------------------------------------------------


def test_keys_are_added_also_in_nested_mappings(pair: Pair) -> None:
    pair.docs({"a": 1, "n": {"x": 1, "same": [1]}}, {"b": 2, "n": {"y": 2, "same": [1]}})
    assert pair.sync_docs() == {"a": 1, "b": 2, "n": {"x": 1, "y": 2, "same": [1]}}


def test_keys_that_differ_are_a_conflict_that_names_them_all_and_changes_nothing(pair: Pair) -> None:
    pair.docs({"a": 1, "n": {"x": 1}, "m": {"k": 1}, "new": 1}, {"a": 2, "n": {"x": 2}, "m": 1})
    pair.files({"f": "1"})
    with pytest.raises(DocumentSyncConflict) as raised:
        pair.sync()
    assert set(raised.value.keys) == {"a", "n.x", "m"}
    assert (pair.dst.doc(), job_files(pair.dst)) == ({"a": 2, "n": {"x": 2}, "m": 1}, {})


def test_nan_agrees_with_itself(pair: Pair) -> None:
    pair.docs({"a": float("nan"), "l": [float("nan")]}, {"a": float("nan"), "l": [float("nan")]})
    pair.sync_docs()


@pytest.mark.parametrize("strategy", ["foo", lambda key: "foo" in key])
def test_a_key_strategy_decides_what_is_overwritten(pair: Pair, strategy: Any) -> None:
    pair.docs({"a foo": 1, "n": {"foo": 1}, "new": 1}, {"a foo": 2, "n": {"foo": 2, "x": 3}})
    assert pair.sync_docs(DocSync.ByKey(strategy)) == {"a foo": 1, "n": {"foo": 1, "x": 3}, "new": 1}
    pair.docs({"bar": 1}, {"bar": 2})
    with pytest.raises(DocumentSyncConflict, match="bar"):
        pair.sync_docs(DocSync.ByKey(strategy))
    assert pair.sync_docs(DocSync.ByKey(strategy, otherwise="keep"))["bar"] == 2


def test_no_sync_leaves_documents_alone(pair: Pair) -> None:
    assert pair.docs({"a": 1, "b": 1}, {"a": 2}).sync_docs(DocSync.NO_SYNC) == {"a": 2}


def test_update_overwrites_whole_values(pair: Pair) -> None:
    pair.docs({"a": 1, "n": {"x": 1}}, {"a": 2, "n": {"y": 1}, "b": 3})
    assert pair.sync_docs(DocSync.update) == {"a": 1, "n": {"x": 1}, "b": 3}


def test_copy_treats_documents_as_files(pair: Pair) -> None:
    pair.docs({"a": 1}, {"a": 2, "b": 3})
    with pytest.raises(FileSyncConflict):
        pair.sync_docs(DocSync.COPY)
    assert pair.sync_docs(DocSync.COPY, strategy=FileSync.never) == {"a": 2, "b": 3}
    assert pair.sync_docs(DocSync.COPY, strategy=FileSync.always) == {"a": 1}


def test_a_function_merges_documents(pair: Pair) -> None:
    def add(src: dict[str, Any], dst: dict[str, Any]) -> None:
        for key, value in src.items():
            dst[key] = dst.get(key, 0) + value
        src.clear()

    assert pair.docs({"a": 1, "b": 5}, {"a": 2}).sync_docs(add) == {"a": 3, "b": 5}
    assert pair.src.doc() == {"a": 1, "b": 5}


def test_a_function_is_asked_once_about_a_document(pair: Pair) -> None:
    """It may be a person."""
    asked: list[str] = []

    def ask(key: str) -> bool:
        asked.append(key)
        return True

    assert pair.docs({"a": 1, "n": {"b": 1}}, {"a": 2, "n": {"b": 2}}).sync_docs(DocSync.ByKey(ask)) == {
        "a": 1,
        "n": {"b": 1},
    }
    assert asked == ["a", "n.b"]


def test_edits_of_others_between_plan_and_merge_are_kept(pair: Pair) -> None:
    """The strategy is asked while planning; what it writes then must survive."""
    pair.files({"f": "1"}, {"f": "2"}).docs({"a": 1})

    def strategy(_src: Job, dst: Job, _name: str) -> bool:
        dst.project.open_job(dst.sp()).doc.theirs = 1
        return True

    pair.sync(strategy=strategy)
    assert pair.dst.doc() == {"a": 1, "theirs": 1}


@pytest.mark.parametrize("wrong", ["update", True, 3])
def test_what_is_no_document_strategy_is_refused(pair: Pair, wrong: Any) -> None:
    with pytest.raises(TypeError, match="doc_sync"):
        pair.sync_docs(wrong)


@pytest.mark.parametrize(
    ("wrong", "error"), [({"strategy": "always"}, TypeError), ({"exclude": "*.txt"}, ValueError)]
)
def test_what_makes_no_sense_is_refused_even_without_a_difference(
    pair: Pair, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        pair.sync(**wrong)


def test_strategies_work_on_documents_directly(pair: Pair) -> None:
    pair.docs({"n": {"x": 1, "l": [1]}, "a": 1}, {"n": {"y": 1, "l": [1]}})
    DocSync.ByKey()(pair.src.doc, pair.dst.doc)
    assert pair.dst.doc() == {"n": {"x": 1, "y": 1, "l": [1]}, "a": 1}


# --- The rest -------------------------------------------------------------------------------------------


def test_a_dry_run_prints_its_plan_and_changes_nothing(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.files({"f": "1", "g": "22", "s/h": "1"}, {"g": "2"}).docs({"a": 1})
    plan = sync_jobs(pair.src, pair.dst, FileSync.always, recursive=True, dry_run=True)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["copy", "overwrite", "folder", "copy", "merge"]
    assert printed[0].endswith(pair.dst.fn("f"))
    assert plan.stats == (3, 4)
    assert (job_files(pair.dst), pair.dst.doc()) == ({"g": "2"}, {})


def test_nothing_to_do_is_said_too(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    pair.files({"f": "1"}).sync()
    assert len(sync_jobs(pair.src, pair.dst, dry_run=True)) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_dry_run_raises_the_conflicts_of_a_real_one(pair: Pair) -> None:
    with pytest.raises(FileSyncConflict):
        pair.files({"f": "1"}, {"f": "2"}).sync(dry_run=True)


def test_jobs_of_other_state_points_keep_theirs(project: Project, other: Project) -> None:
    pair = Pair(other.open_job({"a": 1}), project.open_job({"b": 2}))
    pair.files({"f": "1"})
    pair.dst.remove()
    assert pair.sync() == {"f": "1"}
    assert pair.dst.sp() == {"b": 2}
    project.check()


def test_a_job_that_does_not_exist_cannot_be_synchronised_from(pair: Pair) -> None:
    pair.src.remove()
    with pytest.raises(ValueError, match="not initialized"):
        pair.sync()


def test_a_job_cannot_be_synchronised_with_itself(pair: Pair) -> None:
    with pytest.raises(ValueError, match="same"):
        pair.src.sync(pair.src)


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_an_interrupted_sync_can_be_run_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    pair.files({"a": "1", "b": "2", "s/c": "3"}, {"b": "old"}).docs({"x": 1})
    real: Callable[..., None] = os.replace
    calls = []

    def replace(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == fails:
            raise OSError("no space")
        real(*args, **kwargs)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="no space"):
        pair.sync(strategy=FileSync.always, recursive=True)
    monkeypatch.undo()
    assert leftovers(pair.dst.path) == []
    assert pair.sync(strategy=FileSync.always, recursive=True) == {"a": "1", "b": "2", "s/c": "3"}
    assert pair.dst.doc() == {"x": 1}


@pytest.mark.parametrize("pattern", ["[", "(", "*", "(?P<a>x)(?P<a>y)"])
def test_what_is_not_a_regular_expression_is_refused(pair: Pair, pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        DocSync.ByKey(pattern)
    for exclude in (pattern, ["x", pattern]):
        with pytest.raises(ValueError, match="is not a regular expression"):
            pair.sync(exclude=exclude)
