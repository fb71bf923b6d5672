"""Only the store answers: what interrupts a call is never taken for an answer of it."""

from __future__ import annotations

import ast
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tracing import with_own_exceptions

import perkey
from perkey import CachedDict, FileDirDict, LocalDict, PersiDict, WriteOnceDict
from perkey.answers import answer, interrupted, interruption, raise_unchanged, system_answer
from perkey.errors import ConflictError

SOURCE = Path(perkey.__file__).parent


# --- Every place that takes an exception for an answer ------------------------------------------------

PARTS = [
    SOURCE / "content.py",
    SOURCE / "parallel.py",
    *SOURCE.glob("files/*.py"),
    *SOURCE.glob("stores/**/*.py"),
    *SOURCE.glob("mapping/*.py"),
    *SOURCE.glob("dicts/*.py"),
]

MISTAKABLE = {
    "KeyError", "LookupError", "ConflictError", "Exception", "OSError", "PermissionError",
    "FileNotFoundError", "FileExistsError", "NotADirectoryError", "TypeError", "ValueError", "_FAILURES",
}  # fmt: skip

NOT_OF_A_CALL = {
    ("items.py", "decode"): "raised again, as it is",
    ("items.py", "encode"): "raised again, as it is",
    ("conditional.py", "_transformed"): "raised again, as it is",
    ("replacing.py", "_stream"): "compared by identity, and raised again",
    ("overlapping.py", "__getattr__"): "a dict in memory",
    ("overlapping.py", "__getitem__"): "a dict in memory",
    ("bulk.py", "_hashable"): "a hash",
    ("boto_client.py", "_parse_time"): "the text of a reply",
    ("boto.py", "_retry_after"): "the text of a reply",
    ("lineage.py", "of"): "a dict in memory",
    ("store.py", "_remove_any"): "ConflictError of its own method, tried again",
    ("responses.py", "_runs_here"): "looks at threads, and without an answer at none",
    ("responses.py", "_is_worker"): "looks at threads, and without an answer at none",
}


def handlers(path: Path) -> Iterator[tuple[str, ast.ExceptHandler | ast.Call]]:
    """Yield each except clause and `suppress` of a module, with the function that it is in."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler) or (
                    isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
                ):
                    yield function.name, node


def names_in(node: ast.ExceptHandler | ast.Call) -> set[str]:
    """Return the mistakable classes that are caught by name, not by `answer` or `system_answer`."""
    caught = [node.type] if isinstance(node, ast.ExceptHandler) else node.args
    if any(isinstance(each, ast.Call) and ast.unparse(each.func).endswith("answer") for each in caught):
        return set()
    return {name.id for each in caught if each for name in ast.walk(each) if isinstance(name, ast.Name)} & (
        MISTAKABLE
    )


def test_every_exception_that_is_taken_for_an_answer_is_checked() -> None:
    unchecked = {
        (path.name, function, *sorted(names))
        for path in PARTS
        for function, node in handlers(path)
        if (names := names_in(node)) and (path.name, function) not in NOT_OF_A_CALL
    }
    assert unchecked == set()


def test_what_cleans_up_does_so_after_interruptions_too() -> None:
    """An ``except BaseException`` that closes and raises again must not pass over a handler's exceptions."""
    filtered = {
        (path.name, function)
        for path in SOURCE.rglob("*.py")
        for function, node in handlers(path)
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Call)
        and "BaseException" in ast.unparse(node.type)
    }
    assert filtered == set()


# --- Handlers -----------------------------------------------------------------------------------------


class OwnError(OSError):
    """Of a user, with a constructor of its own."""

    def __init__(self, job: str) -> None:
        super().__init__(f"{job} took too long")
        self.job = job


ERRORS: list[Callable[[], Exception]] = [
    lambda: KeyError("the handler's"),
    lambda: ConflictError(("a.pkl",), "v1"),
    lambda: TimeoutError("the handler's"),
    lambda: OwnError("job-7"),
    lambda: FileNotFoundError(errno.ENOENT, "the handler's"),
    lambda: FileExistsError(errno.EEXIST, "the handler's"),
]

VERBS: dict[str, Callable[[PersiDict[Any]], object]] = {
    "assignment": lambda d: d.__setitem__("new", 1),
    "replacement": lambda d: d.__setitem__("a", 1),
    "nested": lambda d: d.__setitem__(("x", "y"), 1),
    "get": lambda d: d.get("a"),
    "get of none": lambda d: d.get("absent"),
    "in": lambda d: ("x", "absent") in d,
    "discard": lambda d: d.discard("a"),
    "discard of none": lambda d: d.discard(("x", "absent")),
    "setdefault": lambda d: d.setdefault("new", 1),
    "setdefault_if": lambda d: d.setdefault_if("a", 1),
    "transform_item": lambda d: d.transform_item("a", lambda n: n + 1),
    "pop": lambda d: d.pop("a", None),
    "set_many": lambda d: d.set_many({f"k{n}": n for n in range(3)}),
    "get_many": lambda d: d.get_many(["a", "absent"]),
    "delete_many": lambda d: d.delete_many(["a", "absent"]),
    "items": lambda d: list(d.items()),
    "len": len,
    "newest_keys": lambda d: d.newest_keys(),
}

PLACES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "quick folder": lambda path: FileDirDict(path, durability="none"),
    "durable folder": FileDirDict,
    "cached": lambda path: CachedDict(
        FileDirDict(path, durability="none"), FileDirDict(path / "cache", durability="none")
    ),
}


def interrupted_at(number: int, act: Callable[[], object], error: Exception) -> tuple[bool, Exception | None]:
    """Let a trace function raise at the nth line of perkey; return whether it did, and what came of it."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(str(SOURCE)):
            return None
        if event == "line":
            lines += 1
            if lines == number:
                sys.settrace(None)
                raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with_own_exceptions(act)
    except Exception as raised:  # noqa: BLE001 - that is what is looked at
        return lines >= number, raised
    finally:
        sys.settrace(before)
    return lines >= number, None


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", PLACES)
def test_an_interruption_at_any_line_passes_unchanged(place: str, verb: str, tmp_path: Path) -> None:
    number = 0
    while True:
        number += 1 + number // 8  # all lines at first, a sample later
        d = PLACES[place](tmp_path / str(number))
        d["a"] = 0
        error = ERRORS[number % len(ERRORS)]()
        told = str(error)
        met, raised = interrupted_at(number, lambda d=d: VERBS[verb](d), error)  # type: ignore[misc]
        if not met:
            assert raised is None
            break
        assert raised is error, f"line {number}: {error!r} became {raised!r}"
        assert str(error) == told
    assert number > 5


CALLS = ("open", "stat", "write", "fsync", "link", "replace", "unlink", "utime", "read", "access", "scandir")


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need it")
@pytest.mark.parametrize("error", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("call", CALLS)
def test_what_a_handler_raises_in_a_system_call_passes_unchanged(
    call: str, error: Callable[[], Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)
    armed = False
    raised: list[Exception] = []

    def handler(*_: object) -> None:
        nonlocal armed
        armed = False
        raised.append(error())
        raise raised[-1]

    def interrupting(*args: Any, **kwargs: Any) -> Any:
        if armed:
            signal.raise_signal(signal.SIGUSR1)
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, interrupting)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for place in ("quick folder", "durable folder"):
            for verb, act in VERBS.items():
                armed = False
                d = PLACES[place](tmp_path / place / verb)
                d["a"] = 0
                raised.clear()
                armed = True
                passed = None
                try:
                    act(d)
                except Exception as caught:  # noqa: BLE001 - that is what is looked at
                    passed = caught
                assert passed is (raised[0] if raised else None), f"{verb} raises {passed!r}"
    finally:
        armed = False
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("file_type", ["pkl", "json"])
def test_what_a_handler_raises_in_a_value_is_no_fault_of_the_value(file_type: str) -> None:
    d = LocalDict[Any](file_type)
    with pytest.raises(TimeoutError, match="in time") as caught:
        d["a"] = Interrupting()
    assert caught.value.__cause__ is None
    assert "a" not in d


class Interrupting:
    """A signal arrives while it is encoded."""

    def __reduce__(self) -> Any:
        def handler(*_: object) -> None:
            raise TimeoutError("not done in time")

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        return int, ()


# --- The means ----------------------------------------------------------------------------------------


def raise_in_frame(error: BaseException, frame: FrameType | None) -> None:
    """Raise as a handler does."""
    del frame
    raise error


def test_an_answer_is_what_no_handler_raised() -> None:
    def caught(act: Callable[[], object], kinds: Callable[..., Any], *classes: type[BaseException]) -> bool:
        try:
            act()
        except kinds(*classes):
            return True
        except BaseException:  # noqa: BLE001 - the others
            return False
        return False

    def handle(error: BaseException, *arguments: object) -> None:
        raise error

    frame = sys._getframe()
    assert caught(partial(handle, KeyError("a")), answer, KeyError)
    assert not caught(partial(handle, KeyError("a"), signal.SIGALRM, frame), answer, KeyError)
    assert not caught(partial(handle, KeyError("a")), answer, ValueError)
    assert caught(lambda: os.stat("/absent"), system_answer, FileNotFoundError)
    assert not caught(partial(handle, OSError("no number")), system_answer, OSError)
    assert not caught(partial(handle, OSError(5, "x"), signal.SIGALRM, frame), system_answer, OSError)


def test_a_handlers_exception_is_found_behind_a_librarys() -> None:
    def handle(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError("the handler's")

    def library() -> None:
        try:
            handle(signal.SIGALRM, sys._getframe())
        except Exception as error:
            raise RuntimeError("connection lost") from error

    with pytest.raises(RuntimeError) as caught:
        library()
    found = interruption(caught.value)
    assert isinstance(found, TimeoutError)
    assert interrupted(found)
    assert interruption(ValueError("alone")) is None


def test_what_the_caller_was_handling_is_no_interruption() -> None:
    def handle(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError("the handler's")

    found: list[object] = []
    try:
        handle(signal.SIGALRM, sys._getframe())
    except TimeoutError:
        try:
            int("of something else")
        except ValueError as error:
            found.append(interruption(error))
        found.append(LocalDict().get("absent"))
    assert found == [None, None]


def test_an_exception_raised_unchanged_has_the_context_that_it_had() -> None:
    error = ValueError("mine")

    def fail() -> None:
        try:
            os.environ["PERKEY_ABSENT"]
        except KeyError:
            raise_unchanged(error)

    with pytest.raises(ValueError, match="mine") as caught:
        fail()
    assert caught.value is error
    assert error.__context__ is None


# --- Values that are exceptions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [KeyError("a value"), ConflictError(("a",), "v"), ValueError("a value")], ids=repr
)
def test_an_exception_is_a_value_as_any_other(value: Exception, tmp_path: Path) -> None:
    for d in (FileDirDict[Any](tmp_path), LocalDict[Any]()):
        d.set_many({"a": value, "b": 1})
        assert {key[0]: repr(found) for key, found in d.items()} == {"a": repr(value), "b": "1"}
        assert repr(next(iter(d.get_many(["a"]).values()))) == repr(value)
        assert repr(d.transform_item("a", lambda found: found).new_value) == repr(value)


def test_a_first_value_that_was_removed_meanwhile_is_written(tmp_path: Path) -> None:
    items = FileDirDict[int](tmp_path)
    d = WriteOnceDict[int](items, 1)
    d["a"] = 1
    real = d.store.read

    def vanish(*args: Any, **kwargs: Any) -> Any:
        del items["a"]
        d.store.read = real  # type: ignore[method-assign]
        return real(*args, **kwargs)

    d.store.read = vanish  # type: ignore[method-assign]
    d["a"] = 2
    assert d["a"] == 2
    assert d.consistency_checks_attempted == 0


def test_what_cleans_up_is_not_for_answers_only() -> None:
    """A clause that closes and raises again must also see what interrupts."""
    filtered = {
        (path.name, function)
        for path in PARTS
        for function, node in handlers(path)
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Call)
        and any(isinstance(each, ast.Name) and each.id == "BaseException" for each in node.type.args)
    }
    assert filtered == set()
