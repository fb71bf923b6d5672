"""Calls whose reply a network file system lost, or whose file was replaced meanwhile: each verb is right.

A client repeats a call whose reply was lost. If the first one had succeeded, the second one fails: ENOENT for
a renaming or a removal, EEXIST for a link, a new folder or an exclusive creation. ESTALE says that another
machine has replaced the file or folder that a client had found.
"""

from __future__ import annotations

import errno
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from crews import LONG

from perkey import ITEM_NOT_AVAILABLE, FileDirDict
from perkey.dataspace import get_project, init_project
from perkey.errors import ConflictError, OutcomeUnknownError
from perkey.expectations import ABSENT
from perkey.files import shared, sharing
from perkey.files.folder import LOCK_FILE, TEMPORARY, ways
from perkey.stores import DirectoryStore
from perkey.synced import JSONDict

FLAT, DEEP, NEW = ("a.pkl",), ("x", "y", "a.pkl"), ("x", "new.pkl")
REPLIES = {
    "replace": errno.ENOENT,
    "rename": errno.ENOENT,
    "unlink": errno.ENOENT,
    "link": errno.EEXIST,
    "mkdir": errno.EEXIST,
    "open": errno.EEXIST,
}
LOOKS = ("open", "stat", "lstat", "fstat", "read", "scandir", "listdir", "utime", "fsync", "fchmod")
CHANGES = ("replace", "rename", "unlink", "link", "mkdir")


class Calls:
    """Counts calls into the system, and lets one of them fail.

    Args:
        names: The functions of `os` that are counted.
        due: Which call fails, counted from 1.
        fail: Takes the function, its name and arguments; acts, and raises the error.
    """

    def __init__(self, names: tuple[str, ...], due: int, fail: Callable[..., Any]) -> None:
        self.names = names
        self.left = due
        self.fail = fail
        self.failed = ""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with ExitStack() as patches:
            for name in self.names:
                patches.enter_context(mock.patch.object(os, name, self._counted(name)))
            yield

    def _counted(self, name: str) -> Callable[..., Any]:
        function = getattr(os, name)

        def called(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not self._concerns(arguments, named):
                return function(*arguments, **named)
            self.left -= 1
            if self.left:
                return function(*arguments, **named)
            self.failed = f"{name}{arguments}"
            return self.fail(function, name, *arguments, **named)

        return called

    def _concerns(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
        """Return whether an opening is one that can fail in this way: for a replay, an exclusive one."""
        flags: int = named["flags"] if "flags" in named else arguments[1]
        if self.fail is succeed_and_fail:
            return bool(flags & os.O_EXCL)
        return flags & os.O_TMPFILE != os.O_TMPFILE  # the copy of a large content, on this machine's disk


def succeed_and_fail(function: Callable[..., Any], name: str, *arguments: Any, **named: Any) -> Any:
    done = function(*arguments, **named)
    if name == "open":
        os.close(done)
    raise OSError(REPLIES[name], os.strerror(REPLIES[name]))


def be_stale(function: Callable[..., Any], name: str, *arguments: Any, **named: Any) -> Any:
    del function, name, arguments, named
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def step_of(kind: str) -> int:
    """Return how many calls are passed over, where there are many of a kind."""
    return 5 if kind in {"stale look", LOOKS[0]} and not LONG else 1


def swap(store: DirectoryStore) -> None:
    version = store.write(DEEP, b"new", expect=store.stat(DEEP).version)
    assert store.read(DEEP) == (b"new", version)


def insert(store: DirectoryStore) -> None:
    version = store.write(NEW, b"new", expect=ABSENT)
    assert store.read(NEW) == (b"new", version)


def insert_again(store: DirectoryStore) -> None:
    with pytest.raises(ConflictError):
        store.write(FLAT, b"wrong", expect=ABSENT)


def remove_again(store: DirectoryStore) -> None:
    with pytest.raises(KeyError):
        store.remove(NEW)


def large(store: DirectoryStore) -> None:
    content = store.content(FLAT, limit=0)
    assert not isinstance(content, bytes)
    with content:
        assert content.read() == b"old"


OLD = {FLAT: b"old", DEEP: b"old"}
Act = Callable[[DirectoryStore], object]
# What is done, and what there is afterwards.
VERBS: dict[str, tuple[Act, dict[tuple[str, ...], bytes]]] = {
    "read": (lambda store: store.read(DEEP), OLD),
    "large content": (large, OLD),
    "stat": (lambda store: (store.stat(DEEP), store.mtime(FLAT), store.exists(DEEP)), OLD),
    "missing": (lambda store: store.exists(NEW), OLD),
    "write": (lambda store: store.write(DEEP, b"new"), OLD | {DEEP: b"new"}),
    "put": (lambda store: store.put(NEW, b"new"), OLD | {NEW: b"new"}),
    "write into a new folder": (
        lambda store: store.write(("p", "q", "r"), b""),
        OLD | {("p", "q", "r"): b""},
    ),
    "insert": (insert, OLD | {NEW: b"new"}),
    "insert again": (insert_again, OLD),
    "remove": (lambda store: store.remove(DEEP), {FLAT: b"old"}),
    "remove again": (remove_again, OLD),
    "write many": (
        lambda store: [store.read(name) for name, _ in store.write_many([(NEW, b"1"), (FLAT, b"2")])],
        {FLAT: b"2", DEEP: b"old", NEW: b"1"},
    ),
    "remove many": (lambda store: list(store.remove_many([FLAT, DEEP])), {}),
    "scan": (lambda store: list(store.scan()), OLD),
    "scan for times": (lambda store: [*store.scan_stats(), *store.scan_mtimes()], OLD),
    "folders": (lambda store: list(store.folders()), OLD),
}
WITH_VERSIONS: dict[str, tuple[Act, dict[tuple[str, ...], bytes]]] = {
    "swap": (swap, OLD | {DEEP: b"new"}),
    "remove a version": (
        lambda store: store.remove(DEEP, expect=store.stat(DEEP).version),
        {FLAT: b"old"},
    ),
}


@pytest.fixture(autouse=True)
def _settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ways.clear()
    monkeypatch.setattr(sharing, "SETTLING_SECONDS", 0.0)
    monkeypatch.setattr(shared, "_INSERTING_SECONDS", 0.0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def fail_each(
    names: tuple[str, ...],
    fail: Callable[..., Any],
    prepare: Callable[[int], Any],
    act: Callable[[Any], object],
) -> Iterator[tuple[Any, str, object]]:
    """Let each call fail in turn; yield what was prepared, the call that failed, and the result or error."""
    number = 0
    while True:
        number += 1 if fail is succeed_and_fail else step_of(names[0])
        prepared = prepare(number)
        before = descriptors()
        calls = Calls(names, number, fail)
        with calls():
            result: object
            try:
                result = act(prepared)
            except OutcomeUnknownError as error:
                result = error
        if not calls.failed:
            return
        del calls.fail
        assert descriptors() == before, calls.failed
        yield prepared, calls.failed, result


def check_store(
    tmp_path: Path,
    locking: Any,
    verb: tuple[Act, dict[tuple[str, ...], bytes]],
    names: tuple[str, ...],
    fail: Callable[..., Any],
) -> None:
    act, expected = verb

    def prepare(number: int) -> DirectoryStore:
        for name, content in OLD.items():
            DirectoryStore(tmp_path / str(number), locking=locking, durability="none").write(name, content)
        return DirectoryStore(tmp_path / str(number), locking=locking)

    def check(store: DirectoryStore) -> object:
        result = act(store)
        assert not any(isinstance(each, Exception) for each in flat(result)), result
        return result

    normal = act(prepare(0))
    for store, call, result in fail_each(names, fail, prepare, check):
        found = {name: store.read(name)[0] for name in store.scan()}
        assert found == expected, call
        assert not isinstance(result, OutcomeUnknownError), call
        assert isinstance(result, type(normal)), call
        assert list(Path(store.base).rglob(f"{TEMPORARY}*")) == [] or "unlink" in call, call
        if isinstance(normal, list):
            assert len(result) == len(normal), call  # type: ignore[arg-type]


def flat(result: object) -> list[object]:
    return (
        [part for each in result for part in (each if isinstance(each, tuple) else (each,))]
        if isinstance(result, list)
        else []
    )


READING = ("read", "large content", "stat", "missing", "scan", "scan for times", "folders")
# Verbs that read change nothing, and without locks conditions on versions are refused.
COMBINATIONS = [
    (locking, kind, verb)
    for locking in ("shared", "none")
    for kind in ("replayed", "stale look", "stale change")
    for verb in (*VERBS, *WITH_VERSIONS)
    if (kind == "stale look" or verb not in READING) and (locking == "shared" or verb not in WITH_VERSIONS)
]


@pytest.mark.parametrize(("locking", "kind", "verb"), COMBINATIONS)
def test_each_verb_is_right_whichever_call_fails(tmp_path: Path, locking: str, kind: str, verb: str) -> None:
    names = {"replayed": tuple(REPLIES), "stale look": LOOKS, "stale change": CHANGES}[kind]
    fail = succeed_and_fail if kind == "replayed" else be_stale
    check_store(tmp_path, locking, {**VERBS, **WITH_VERSIONS}[verb], names, fail)


def test_what_cannot_be_decided_is_an_error_of_its_own(tmp_path: Path) -> None:
    """The reply is lost, and a program that does not lock puts another file into the place."""
    store = DirectoryStore(tmp_path, locking="shared")
    version = store.write(DEEP, b"old")

    def lose_and_overwrite(*arguments: Any, **named: Any) -> None:
        replace(*arguments, **named)
        (tmp_path / "other").write_bytes(b"other")
        replace(tmp_path / "other", tmp_path / "x" / "y" / "a.pkl")
        raise FileNotFoundError(errno.ENOENT, "lost")

    replace = os.replace
    with mock.patch.object(os, "replace", lose_and_overwrite), pytest.raises(OutcomeUnknownError) as caught:
        store.write(DEEP, b"new", expect=version)
    assert caught.value.name == DEEP
    assert store.read(DEEP)[0] == b"other"  # type: ignore[index]


@pytest.mark.parametrize("locking", ["shared", "none"])
def test_of_two_removers_one_is_told_that_it_was_another(tmp_path: Path, locking: Any) -> None:
    """A file that another process removes in the same moment is not taken for one's own removal."""
    store = DirectoryStore(tmp_path, locking="none")
    store.write(FLAT, b"old")
    changing = "replace"

    def be_late(*arguments: Any, **named: Any) -> None:
        os.remove(tmp_path / "a.pkl")
        original(*arguments, **named)

    original = getattr(os, changing)
    with mock.patch.object(os, changing, be_late), pytest.raises(KeyError):
        store.remove(FLAT)


def test_a_link_that_is_refused_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, locking="none")

    def be_late(*arguments: Any, **named: Any) -> None:
        (tmp_path / "a.pkl").write_bytes(b"first")
        link(*arguments, **named)

    link = os.link
    with mock.patch.object(os, "link", be_late), pytest.raises(ConflictError):
        store.write(FLAT, b"second", expect=ABSENT)
    assert (tmp_path / "a.pkl").read_bytes() == b"first"


def test_a_folder_that_is_gone_for_ever_ends_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither hangs nor says that the folder is empty."""
    monkeypatch.setattr(shared, "_ESTALE_SECONDS", 0.05)
    d = FileDirDict[int](tmp_path, locking="shared")
    d["a"] = 1
    monkeypatch.setattr(shared.SharedFolder, "_walk", be_stale_for_ever)
    for act in (lambda: d["a"], lambda: len(d), lambda: list(d), lambda: d.__setitem__("a", 2)):
        with pytest.raises(OSError, match=r"[Ss]tale"):
            act()


def be_stale_for_ever(_: object) -> None:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


class TestDocuments:
    @pytest.mark.parametrize("kind", ["replayed", "stale look", "stale change"])
    def test_an_edit_is_made_once_whichever_call_fails(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(sharing.VARIABLE, "shared")

        def prepare(number: int) -> JSONDict:
            (tmp_path / str(number)).mkdir()
            document = JSONDict(tmp_path / str(number) / "d.json", write_concern=True)
            document["n"] = [1]
            return document

        def act(document: JSONDict) -> object:
            document["n"].append(2)
            document["new"] = len(document["n"])
            return document()

        names = {"replayed": tuple(REPLIES), "stale look": LOOKS, "stale change": CHANGES}[kind]
        fail = succeed_and_fail if kind == "replayed" else be_stale
        for document, call, result in fail_each(names, fail, prepare, act):
            assert result == {"n": [1, 2], "new": 2}, call
            assert document() == result, call


SPACE: dict[str, tuple[Callable[[Any], object], list[int]]] = {
    "make": (lambda project: project.open_job({"n": 3}).init(), [1, 2, 3]),
    "make again": (lambda project: project.open_job({"n": 1}).init(), [1, 2]),
    "remove": (lambda project: project.open_job({"n": 1}).remove(), [2]),
    "change": (
        lambda project: project.open_job({"n": 1}).update_statepoint({"n": 5}, overwrite=True),
        [2, 5],
    ),
    "edit": (lambda project: project.open_job({"n": 1}).document.update(a=1), [1, 2]),
    "find": (lambda project: [job.id for job in project.find_jobs({"doc.a": 1})], [1, 2]),
    "list": (lambda project: (len(project), [job.statepoint() for job in project]), [1, 2]),
    "in": (lambda project: project.open_job({"n": 1}) in project, [1, 2]),
    "clear": (lambda project: project.open_job({"n": 1}).clear(), [1, 2]),
}


@pytest.mark.parametrize("kind", ["replayed", "stale look", "stale change"])
@pytest.mark.parametrize("verb", SPACE)
def test_data_spaces_are_right_whichever_call_fails(
    tmp_path: Path, verb: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sharing.VARIABLE, "shared")
    act, expected = SPACE[verb]

    def prepare(number: int) -> Any:
        shutil.copytree(tmp_path / "space", tmp_path / str(number), symlinks=True)
        return get_project(tmp_path / str(number))

    names = {"replayed": tuple(REPLIES), "stale look": LOOKS, "stale change": CHANGES}[kind]
    fail = succeed_and_fail if kind == "replayed" else be_stale
    project = init_project(path=tmp_path / "space")
    for n in (1, 2):
        project.open_job({"n": n}).init().document["a"] = n
    normal = act(prepare(0))
    failures = []
    number = 0
    while True:
        number += step_of(kind)
        project = prepare(number)
        calls = Calls(names, number, fail)
        before = descriptors()
        try:
            with calls():
                result = act(project)
        except Exception as error:  # noqa: BLE001 - shown with all others
            failures.append((calls.failed, "".join(traceback.format_exception(error)[-4:])))
            continue
        if not calls.failed:
            break
        anew = get_project(tmp_path / str(number))
        found = sorted(job.statepoint()["n"] for job in anew)
        if found != expected or (isinstance(normal, list | tuple | bool) and result != normal):
            failures.append((calls.failed, f"found {found}, {result!r} and not {normal!r}"))
        if descriptors() != before:
            failures.append((calls.failed, "a descriptor is open"))
    assert failures == []


def test_a_count_under_failing_looks_misses_nothing(tmp_path: Path) -> None:
    def prepare(number: int) -> FileDirDict[int]:
        d = FileDirDict[int](tmp_path / str(number), locking="shared", durability="none")
        for key in ("a", ("x", "b"), ("x", "y", "c")):
            d[key] = 1
        return d

    def act(d: FileDirDict[int]) -> object:
        n = d.transform_item("n", transformer=lambda n: 1 if n is ITEM_NOT_AVAILABLE else n + 1).new_value
        return len(d), len(list(d.items())), n

    for d, call, result in fail_each(LOOKS, be_stale, prepare, act):
        assert result == (4, 4, 1), call
        assert (Path(d.base_dir) / LOCK_FILE).exists()
