"""Memoised functions: every row of the table of docs/compute_once.md is a test here."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import os
import pickle
import re
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from perkey import (
    BusyError,
    ComputationFailedError,
    CorruptValueError,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    PersiDict,
    SharedNameWarning,
    claim,
    claims,
    key_of,
    memoize,
)
from perkey.tools.once import Memoized
from perkey.tools.once.coroutines import THREADS
from perkey.tools.once.memoizing import Age
from tools.once import functions
from tools.once.functions import Model, double, square
from tools.once.simulated import SimulatedClock

WHATEVER: Any = len


@pytest.fixture
def d(tmp_path: Path) -> PersiDict[Any]:
    return FileDirDict(tmp_path / "d", durability="none")


class Counted:
    """Makes functions that count their calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, x: Any = 0, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
        self.calls.append((x, y, rest, z, more))
        return len(self.calls)


def counting(d: PersiDict[Any], **options: Any) -> tuple[Memoized[..., Any], list[Any]]:
    """Return a memoised function of many kinds of parameters, and its calls."""
    counted = Counted()

    @memoize(d, **{"name": "f", **options})
    def f(x: Any = 0, y: Any = 2, *rest: Any, z: Any = 3, **more: Any) -> Any:
        return counted(x, y, *rest, z=z, **more)

    return f, counted.calls


# --- Arguments ----------------------------------------------------------------------------------------


def test_arguments_are_as_the_signature_sees_them(d: PersiDict[Any]) -> None:
    f, calls = counting(d)
    same = [f(1), f(1, 2), f(x=1), f(y=2, x=1), f(1, z=3), f(z=3, y=2, x=1)]
    assert same == [1] * 6
    assert len(calls) == 1
    assert f(1, u=1, v=2) == f(1, v=2, u=1) == 2
    others = [f(2), f(1, 3), f(1, 2, 4), f(1, z=4), f(1, u=1), f(1, 2, 4, 5), f(1, 2, (4, 5)), f(y=1)]
    assert others == list(range(3, 11))
    with pytest.raises(TypeError):
        memoize(d, name="g")(lambda x: x)(1, 2)


def test_different_arguments_never_meet(d: PersiDict[Any]) -> None:
    f, _ = counting(d)
    values: list[Any] = [
        1, 1.0, True, "1", None, "None", [1], [[1]], {"a": 1}, {"a": "1"}, b"1", "", [], {}, 0.0, -0.0,
        {1}, {1: 1}, {"1": 1}, frozenset(), 1j, np.int64(1), np.int32(1), np.array(1), np.array([1]),
        np.array([[1]]), np.array([1.0]), np.array(["1"]), np.array([], float), np.array([], int),
        Path("1"), range(1), ["array", "<i8", [], ""], float("nan"), float("inf"),
    ]  # fmt: skip
    places: list[Callable[[Any], Any]] = [
        f.key,
        lambda value: f.key(z=value),
        lambda value: f.key(0, 2, value),
        lambda value: f.key(other=value),
    ]
    keys = [place(value) for value in values for place in places]
    assert len(set(keys)) == len(keys) - len(places)  # np.int64(1) and np.array(1) have the same content
    assert f.key(**{"a=b": "1"}) != f.key(a="b=1")


class Ordered(OrderedDict[Any, Any]):
    """A subclass."""


def test_arguments_that_differ_in_one_thing_only_never_meet(d: PersiDict[Any]) -> None:
    import pandas as pd

    f, _ = counting(d)
    twice = datetime(2020, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # the hour that is there twice
    assert twice.timestamp() != twice.replace(fold=1).timestamp()
    times = (twice, twice.replace(tzinfo=None), twice.timetz(), twice.time(), pd.Timestamp(twice))
    kinds: list[list[Any]] = [
        [each for time in times for each in (time, time.replace(fold=1))],
        [kind(items) for kind in (OrderedDict, Ordered, deque, list)
         for items in ((("a", 1), ("b", 2)), (("b", 2), ("a", 1)))],
        [deque([1]), deque([1], 1), deque([1], 2), defaultdict(int), defaultdict(list), {}],
        [Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal(0)],
        [0j, complex(0, -0.0), slice(1), slice(0, 1)],
        [functools.partial(pow, 1), functools.partial(pow, 2), functools.partial(pow, exp=1), pow],
        [SimpleNamespace(a=1), SimpleNamespace(b=1), SimpleNamespace()],
    ]  # fmt: skip
    values = [value for kind in kinds for value in kind]
    within: list[Callable[[Any], Any]] = [
        lambda value: value,
        lambda value: [value],
        lambda value: {1: value},
        lambda value: SimpleNamespace(a=value),
    ]
    keys = [f.key(place(value)) for value in values for place in within]
    assert len(set(keys)) == len(keys)


def test_json_like_arguments_have_keys_that_never_change(d: PersiDict[Any]) -> None:
    f, _ = counting(d)
    expected = key_of({"x": [1, {"a": 0.5}], "y": 2, "rest": [], "z": 3, "more": {}})
    assert f.key((1, {"a": 0.5})) == ("f", *expected)
    assert f.key(np.float64(0.5)) == f.key(0.5)
    fixed = square.key(3)
    assert fixed == ("tools.once.functions.square", key_of({"x": 3})[0])


def test_arrays_are_keyed_by_type_shape_and_content(d: PersiDict[Any]) -> None:
    f, _ = counting(d)
    array = np.arange(6.0).reshape(2, 3)
    assert f.key(array) == f.key(np.asfortranarray(array)) == f.key(array.astype(">f8"))
    assert f.key(0, 0, array, [array]) == f.key(0, 0, array.copy(), (np.asfortranarray(array),))
    assert "joblib" not in str(f.key(0, 0, array, [{"a": array}], more=array))
    assert f.key(array) == f.key(np.arange(12.0).reshape(2, 6)[:, :3] * 0 + array)
    different = [array.reshape(3, 2), array.astype("f4"), array + 1, array.ravel(), array[:1]]
    assert len({f.key(each) for each in [array, *different]}) == 6
    assert len(f.key(array)) == 2
    assert "joblib" not in str(f.key(array))
    assert "joblib" in str(f.key(np.array([object], dtype=object)))
    assert "joblib" in str(f.key(np.zeros(2, dtype=[("a", "i1"), ("b", "f8")])))


UNORDERED = """
import decimal
from types import SimpleNamespace
from perkey import LocalDict, memoize
f = memoize(LocalDict(), name="f")(len)
one = frozenset("abcd")
arguments = [
    set("abcd"), one, [one], {"a": set("abcd")}, {one: 1, frozenset("bc"): 2},
    {frozenset("ab"), frozenset("cd")}, {("a", 1), None, "b", 2.5}, {None: 1, "a": 2, 3: 4},
    {(frozenset("ab"), 1), (frozenset("cd"), 2)}, {float("nan"), 1.0, 2.0, 3.0},
    {decimal.Decimal(1), "a"}, SimpleNamespace(labels=one, groups={one: [one]}),
]
before = [object() for _ in range(int(__import__("sys").argv[1]))]
print([f.key(each) for each in arguments])
"""


def test_sets_have_the_same_key_in_each_process() -> None:
    shown = {
        subprocess.run(
            [sys.executable, "-c", UNORDERED, seed],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "123"
    }
    assert len(shown) == 1


def test_sets_and_dicts_that_differ_have_different_keys(d: PersiDict[Any]) -> None:
    f, _ = counting(d)
    values: list[Any] = [
        {1, 2}, {1, 3}, frozenset({1, 2}), {"1", "2"}, {(1, 2)}, {frozenset({1}), frozenset({2})},
        {frozenset({1, 2})}, {float("nan"): 1, float("nan"): 2}, {float("nan"): 2},
        {float("nan"), float("nan")}, {float("nan")}, {1: 2}, {1: 3}, {2: 1}, {1: {2}},
        {1: frozenset({2})}, {(1, 2): 3}, {None: 1},
        {},
        set(), frozenset(),
    ]  # fmt: skip
    assert len({f.key([each]) for each in values}) == len(values)


def test_other_arguments_are_hashed_as_joblib_does_and_the_key_says_so(d: PersiDict[Any]) -> None:
    import joblib

    f, calls = counting(d)
    version = f"~joblib-{joblib.__version__}-py{sys.version_info.major}.{sys.version_info.minor}"
    assert f.key({3, 1, 2}) == f.key({1, 2, 3})
    assert f.key({1, 2})[-1].endswith(version)
    assert f.key(Path("a"), y=np.arange(2))[-1].endswith(version)
    assert f(Path("a")) == f(Path("a"))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (lambda: 1, "no name of its own"),
        (threading.Lock(), "cannot be hashed"),
        ((x for x in "ab"), "cannot be hashed"),
        (LocalDict(), "a LocalDict, a handle"),
        ({1: [LocalDict()]}, "a LocalDict, a handle"),
        ([LocalDict()], "a LocalDict, a handle"),
        (Counted, None),
        (len, None),
    ],
    ids=["lambda", "lock", "generator", "handle", "inner", "innermost", "class", "builtin"],
)
def test_arguments_without_a_key_are_errors_that_name_them(
    argument: Any, message: str | None, d: PersiDict[Any]
) -> None:
    f, calls = counting(d)
    if message is None:
        f(argument)
        return
    with pytest.raises(TypeError, match=rf"argument y .*{message}.*ignore=\['y'\].*key="):
        f(1, argument)
    assert calls == []
    g, _ = counting(d, ignore=["y"])
    g(1, argument)
    h, _ = counting(d, key=lambda x, _: ("own", str(x)))
    assert h(1, argument) == 1
    assert h.key(1, argument) == ("f", "own", "1")


def test_arguments_that_refer_to_themselves_are_hashed_at_once(d: PersiDict[Any]) -> None:
    def tree(name: str) -> dict[str, Any]:
        root: dict[str, Any] = {"name": name, "parent": None}
        root["children"] = [{"name": str(number), "parent": root} for number in range(10)]
        return root

    first = memoize(d, name="tree")(len)
    assert first.key(tree("a")) == first.key(tree("a"))
    assert first.key(tree("a")) != first.key(tree("b"))
    with_handle = tree("a")
    with_handle["children"].append(d)
    with pytest.raises(TypeError, match="a handle"):
        first.key(with_handle)


def test_parameters_can_be_ignored(d: PersiDict[Any]) -> None:
    f, calls = counting(d, ignore=["y", "verbose"])
    assert f(1, 5, verbose=True) == f(1, 6, verbose=False) == f(1) == 1
    assert len(calls) == 1
    with pytest.raises(ValueError, match=r"ignore names \['b'\].*has the parameters \['a'\]"):
        memoize(d, name="g", ignore=["b"])(lambda a: a)
    with pytest.raises(TypeError, match="ignore must be an iterable"):
        memoize(d, ignore="y")


def test_keys_of_ones_own(d: PersiDict[Any]) -> None:
    @memoize(d, key=lambda user, page: ("pages", user, str(page)))
    def load(user: str, page: int) -> str:
        return f"{user} {page}"

    assert load("ann", 3) == "ann 3"
    assert d["pages", "ann", "3"] == "ann 3"
    assert load.key("ann", 3) == ("pages", "ann", "3")
    with pytest.raises(ValueError, match="ignore has no use with key="):
        memoize(d, key=str, ignore=["x"])(load.__wrapped__)


# --- Names and versions -------------------------------------------------------------------------------


def test_functions_without_a_name_of_their_own_are_refused(d: PersiDict[Any], tmp_path: Path) -> None:
    def local() -> None:
        pass

    for function in (local, lambda: 1, functools.partial(square, 3)):
        with pytest.raises(ValueError, match="name="):
            memoize(d)(function)
        memoize(LocalDict(), name="given")(function)
    program = tmp_path / "program.py"
    program.write_text(
        "from perkey import memoize, LocalDict\n"
        "def f(): return 1\n"
        "try:\n    memoize(LocalDict())(f)\n"
        "except ValueError as error:\n    print(error)\n"
        "print(memoize(LocalDict(), name='mine')(f)())\n"
    )
    shown = subprocess.run([sys.executable, program], check=True, capture_output=True, text=True).stdout
    assert "main module" in shown
    assert shown.endswith("1\n")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (staticmethod(len), "@staticmethod above @memoize"),
        (classmethod(WHATEVER), "@classmethod above @memoize"),
        (property(WHATEVER), "@property above @memoize"),
        (functools.cached_property(WHATEVER), "@cached_property above @memoize"),
        (5, "function must be callable"),
    ],
)
def test_what_is_not_a_function_is_refused(function: Any, message: str, d: PersiDict[Any]) -> None:
    with pytest.raises(TypeError, match=message):
        memoize(d, name="f")(function)


def test_generators_are_refused(d: PersiDict[Any]) -> None:
    def generate() -> Iterator[int]:
        yield 1

    async def generate_later() -> Any:
        yield 1

    for function in (generate, generate_later):
        with pytest.raises(TypeError, match="generator function"):
            memoize(d, name="f")(function)


def test_a_function_without_a_signature_needs_keys(d: PersiDict[Any]) -> None:
    with pytest.raises(ValueError, match="has no signature"):
        memoize(d, name="f")(dict.update)
    assert memoize(d, name="f", key=lambda *_: "k")(min)(3, 2) == 2


def test_versions_are_parts_of_keys(d: PersiDict[Any]) -> None:
    keys = {counting(d, version=version)[0].key(1) for version in (None, 1, 2, "1.0", "a b/c")}
    assert len(keys) == 5
    assert counting(d, version="1")[0].key(1) == counting(d, version=1)[0].key(1)
    assert "version-2" in counting(d, version=2)[0].key(1)


def test_the_source_can_be_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        "from perkey import memoize, LocalDict\n"
        "d = LocalDict()\n"
        "{decorator}\n"
        "def f(x):\n    return x{change}\n"
        "# {below}\n"
    )

    decorators = {"plain": "@memoize(d, version='source')", "old": "@memoize(d, version='source', max_age=5)"}

    def key(number: int, decorator: str = "plain", change: str = "", below: str = "") -> Any:
        name = f"versioned_{number}"
        program = text.format(decorator=decorators[decorator], change=change, below=below)
        (tmp_path / f"{name}.py").write_text(program)
        return __import__(name).f.key(1)[1]

    first = key(1)
    assert first.startswith("version-")
    assert key(2, below="something else") == first
    assert key(3, decorator="old") == first
    assert key(4, change=" + 1") != first
    with pytest.raises(ValueError, match="cannot be found"):
        memoize(LocalDict(), version="source", name="f", key=str)(len)
    with pytest.raises(ValueError, match="made by def"):
        memoize(LocalDict(), version="source", name="f")(lambda x: x)


# --- What a memoised function has ---------------------------------------------------------------------


def test_results_can_be_asked_for_forgotten_and_computed_anew(d: PersiDict[Any]) -> None:
    f, calls = counting(d)
    assert not f.cached(1)
    assert not f.forget(1)
    assert f(1) == 1
    assert f.cached(1)
    assert d[f.key(1)] == 1
    assert list(f.results.values()) == [1]
    assert f.recompute(1) == 2
    assert f(1) == d[f.key(1)] == 2
    assert f.recompute(5) == 3
    assert f(5) == 3
    assert f.forget(1)
    assert not f.cached(1)
    assert f(1) == 4
    f.results.clear()
    assert not f.cached(5)
    assert len(calls) == 4
    assert claims(d, free=True) == []


def test_of_several_that_recompute_one_does(d: PersiDict[Any]) -> None:
    begun, end, calls = threading.Event(), threading.Event(), []

    @memoize(d, name="f")
    def f() -> int:
        calls.append(1)
        if len(calls) > 1:
            begun.set()
            assert end.wait(60)
        return len(calls)

    assert f() == 1
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(f.recompute)
        assert begun.wait(60)
        others = [pool.submit(f.recompute) for _ in range(9)]
        assert f() == 1  # the old result, until there is a new one
        from tools.once.test_compute_once import await_calls

        await_calls(10, d, f.key())  # type: ignore[arg-type] # a key
        end.set()
        assert [each.result() for each in [first, *others]] == [2] * 10
    assert len(calls) == 2


def test_results_of_immutable_dictionaries_cannot_be_replaced() -> None:
    d = LocalDict[Any](immutable_items=True)
    f, calls = counting(d)
    assert f(1) == f(1) == 1
    for act in (f.recompute, f.forget):
        with pytest.raises(MutationPolicyError):
            act(1)
    assert len(calls) == 1
    with pytest.raises(ValueError, match="items that may change"):
        counting(d, max_age=3)


def test_it_looks_like_the_function() -> None:
    assert square.__name__ == "square"
    assert square.__doc__ == "Return the square."
    assert list(inspect.signature(square).parameters) == ["x"]
    assert "square" in repr(square)
    assert inspect.unwrap(square)(4) == 16


@pytest.mark.parametrize("function", [square, functions.by_hand, double, Model(2).scaled])
def test_memoised_functions_can_be_sent_to_other_processes(function: Any) -> None:
    twin = pickle.loads(pickle.dumps(function))
    assert twin.key(3) == function.key(3)
    assert type(twin) is type(function)
    if function in (square, double):
        assert twin is function


def test_methods() -> None:
    functions.results.clear()
    two, three = Model(2), Model(3)
    assert (two.scaled(5), three.scaled(5), Model(2).scaled(5)) == (10, 15, 10)
    assert len(functions.results) == 2
    assert two.scaled.cached(5)
    assert two.scaled.key(5) == Model.scaled.key(two, 5) != three.scaled.key(5)
    assert two.plain.key(5) == three.plain.key(5)
    assert (Model.made(4), two.made(4), Model.static(4), two.static(4)) == (4, 4, 4, 4)
    assert two.scaled.forget(5)
    assert not Model(2).scaled.cached(5)


# --- Age ----------------------------------------------------------------------------------------------


class Aging:
    """A memoised function whose clock is the test's."""

    def __init__(self, d: PersiDict[Any], max_age: float, early: float = 0.0) -> None:
        self.d = d
        self.clock = SimulatedClock()
        self.function, self.calls = counting(d, max_age=max_age, early=early)
        self.function._age = Age(max_age, early, self.clock)

    def at(self, age: float) -> None:
        """Let the result be so old."""
        self.clock.now = self.d.timestamp(self.function.key(1)) + age


def test_old_results_are_computed_anew(d: PersiDict[Any]) -> None:
    aging = Aging(d, 100.0)
    f = aging.function
    assert f(1) == 1
    aging.at(99.0)
    assert f(1) == 1
    assert f.cached(1)
    aging.at(101.0)
    assert not f.cached(1)
    assert f(1) == 2
    assert d[f.key(1)] == 2
    assert len(f.results) == 1
    aging.at(-3600.0)  # the place's clock is an hour ahead
    assert f(1) == 2


def test_an_old_result_is_not_replaced_if_another_was_stored_meanwhile(d: PersiDict[Any]) -> None:
    aging = Aging(d, 100.0)
    f = aging.function
    f(1)
    aging.at(101.0)
    inner = f._function

    def slow(*args: Any, **kwargs: Any) -> Any:
        d[f.key(1)] = "theirs"
        return inner(*args, **kwargs)

    f._function = slow
    assert f(1) == "theirs"
    assert d[f.key(1)] == "theirs"


def test_one_caller_computes_anew_before_the_time_is_over(d: PersiDict[Any]) -> None:
    aging = Aging(d, 100.0, early=20.0)
    f = aging.function
    assert f(1) == 1
    aging.at(79.0)
    assert f(1) == 1
    aging.at(90.0)
    with claim(d, f.key(1)):  # another caller computes it anew
        assert f(1) == 1
    assert len(aging.calls) == 1
    assert f(1) == 2
    aging.at(110.0)
    assert f(1) == 3


def test_an_early_computation_that_fails_leaves_the_old_result(
    d: PersiDict[Any], caplog: pytest.LogCaptureFixture
) -> None:
    aging = Aging(d, 100.0, early=20.0)
    f = aging.function
    f(1)
    inner = f._function

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("not today")

    f._function = broken
    aging.at(90.0)
    assert f(1) == 1
    assert "not today" in caplog.text
    aging.at(101.0)
    with pytest.raises(ValueError, match="not today"):
        f(1)
    f._function = inner
    assert f(1) == 2


def test_wrong_ages_are_refused(d: PersiDict[Any]) -> None:
    for options, message in [
        ({"max_age": 0}, "max_age must be"),
        ({"max_age": -1}, "max_age must be"),
        ({"early": 1}, "early needs max_age"),
        ({"max_age": 5, "early": 5}, "early must be less"),
    ]:
        with pytest.raises(ValueError, match=message):
            memoize(d, **options)  # type: ignore[arg-type] # numbers


# --- Once ---------------------------------------------------------------------------------------------


def test_threads_compute_once_and_get_its_failure(d: PersiDict[Any]) -> None:
    from tools.once.test_compute_once import await_calls

    for fails in (False, True):
        end, calls = threading.Event(), []

        @memoize(d, name=f"f{fails}")
        def f(fails: bool) -> int:
            calls.append(1)  # noqa: B023 - called within this turn
            assert end.wait(60)  # noqa: B023 - the same
            if fails:
                raise ValueError("no")
            return 5

        with ThreadPoolExecutor(20) as pool:
            futures = [pool.submit(f, fails) for _ in range(20)]
            await_calls(20, d, f.key(fails))  # type: ignore[arg-type] # a key
            end.set()
            errors = [type(future.exception()) for future in futures]
        assert len(calls) == 1
        if fails:
            assert sorted(map(str, errors)) == sorted(map(str, [ValueError] + [ComputationFailedError] * 19))
        else:
            assert {future.result() for future in futures} == {5}


def test_a_busy_result_does_as_it_was_asked_to(d: PersiDict[Any]) -> None:
    f, _ = counting(d, when_busy="raise")
    g, _ = counting(d, when_busy="default", default="old")
    h, _ = counting(d, when_busy="wait", timeout=0.01)
    with claim(d, f.key(1)):
        with pytest.raises(BusyError):
            f(1)
        assert g(1) == "old"
        with pytest.raises(BusyError):
            h(1)
    assert f(1) == 1


def test_recursion_with_other_arguments(d: PersiDict[Any]) -> None:
    @memoize(d, name="fibonacci")
    def fibonacci(n: int) -> int:
        result: int = n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
        return result

    assert fibonacci(30) == 832040
    assert len(fibonacci.results) == 31


# --- Coroutines ---------------------------------------------------------------------------------------


def threads_of_the_pool() -> int:
    return sum(thread.name.startswith("perkey_once") for thread in threading.enumerate())


def test_coroutine_functions(d: PersiDict[Any]) -> None:
    calls: list[int] = []

    @memoize(d, name="f")
    async def f(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.05)
        return len(calls)

    async def main() -> None:
        assert await asyncio.gather(*(f(1) for _ in range(100))) == [1] * 100
        assert await f(1) == 1
        assert await f.cached(1)
        assert d[f.key(1)] == 1
        assert await f.recompute(1) == 2
        assert await f.forget(1)
        assert not await f.cached(1)
        assert await f(1) == 3

    asyncio.run(main())
    assert calls == [1, 1, 1]
    assert threads_of_the_pool() <= THREADS
    assert claims(d, free=True) == []
    assert inspect.iscoroutinefunction(type(f).__call__)


def test_failures_of_coroutines(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    async def f() -> int:
        await asyncio.sleep(0.05)
        raise ValueError("no")

    async def main() -> list[type]:
        return [type(each) for each in await asyncio.gather(*(f() for _ in range(5)), return_exceptions=True)]

    kinds = asyncio.run(main())
    assert sorted(map(str, kinds)) == sorted(map(str, [ValueError] + [ComputationFailedError] * 4))


def test_a_cancelled_coroutine_gives_its_claim_back_and_another_computes(d: PersiDict[Any]) -> None:
    calls: list[int] = []
    begun = asyncio.Event()

    @memoize(d, name="f")
    async def f() -> int:
        calls.append(1)
        begun.set()
        await asyncio.sleep(60 if len(calls) == 1 else 0)
        return len(calls)

    async def main() -> int:
        first = asyncio.create_task(f())
        await begun.wait()
        second = asyncio.create_task(f())
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(main()) == 2
    assert claims(d, free=True) == []


def test_cancelling_at_any_moment_leaves_no_claim(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    async def f(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> None:
        for number in range(60):
            task = asyncio.create_task(f(number))
            await asyncio.sleep(number % 12 / 2000)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    assert claims(d, free=True) == []
    assert all(value == f.key(value)[0] or isinstance(value, int) for value in d.values())


def test_a_coroutine_that_asks_for_itself_is_an_error(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    async def f(x: int) -> int:
        return await f(x)

    with pytest.raises(RuntimeError, match="asks for the key itself"):
        asyncio.run(f(1))


def test_the_event_loop_goes_on_while_a_coroutine_waits(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    async def f() -> int:
        return 5

    async def main() -> tuple[int, int]:
        waiting = asyncio.create_task(f())
        steps = 0
        while not waiting.done():
            await asyncio.sleep(0.001)
            steps += 1
            if steps == 30:
                mine.release()
        return await waiting, steps

    with claim(d, f.key()) as mine:
        result, steps = asyncio.run(main())
    assert result == 5
    assert steps >= 30


# --- The page -----------------------------------------------------------------------------------------


def test_each_row_of_the_table_names_a_test_that_exists() -> None:
    page = (Path(__file__).parents[3] / "docs" / "compute_once.md").read_text()
    (table,) = re.findall(r"^\| \| perkey.*?\n\n", page, re.MULTILINE | re.DOTALL)
    rows = [line.strip("|").split("|") for line in table.splitlines() if line][2:]
    here = Path(__file__).parent
    defined = {
        name for path in here.glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(rows) > 20
    for row in rows:
        assert len(row) == 7, row
        assert all(cell.strip() for cell in row), row
        assert row[-1].strip().strip("`") in defined, row


class Quantity(np.ndarray[Any, Any]):
    """An array with a unit."""

    def __new__(cls, values: list[float], unit: str) -> Self:
        made = np.asarray(values).view(cls)
        made.unit = unit
        return made

    unit: str

    def __reduce__(self) -> Any:
        return Quantity, (self.tolist(), self.unit)


class Square(NamedTuple):
    width: int
    height: int


class Ellipse(NamedTuple):
    width: int
    height: int


class Marked(list[int]):
    """A list with an attribute."""

    mark = ""


def marked(mark: str) -> Marked:
    made = Marked([1])
    made.mark = mark
    return made


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Quantity([1.0, 2.0], "m"), Quantity([1.0, 2.0], "km")),
        ([Quantity([1.0], "m")], [Quantity([1.0], "km")]),
        (np.ma.masked_array([1, 2], [True, False]), np.ma.masked_array([1, 2], [False, True])),
        (Square(1, 2), Ellipse(1, 2)),
        (Square(1, 2), (1, 2)),
        (marked("a"), marked("b")),
        (Counter("ab"), {"a": 1, "b": 1}),
    ],
)
def test_arguments_of_subclasses_are_not_taken_for_others(one: Any, other: Any) -> None:
    d = LocalDict[Any]()
    calls: list[Any] = []

    @memoize(d, name="f")
    def f(value: Any) -> int:
        calls.append(value)
        return len(calls)

    assert (f(one), f(other), f(one), f(other)) == (1, 2, 1, 2)


class Factor:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, number: int) -> int:
        return self.factor * number

    def __call__(self, number: int) -> int:
        return self.factor * number


@pytest.mark.parametrize(
    "bind",
    [
        lambda factor: Factor(factor).times,
        Factor,
        lambda factor: functools.partial(operator.mul, factor),
        lambda factor: functools.partial(Factor(factor).times),
        lambda factor: functools.partial(Factor.times, Factor(factor)),
    ],
)
def test_what_a_callable_is_bound_to_is_a_part_of_the_key(
    bind: Callable[[int], Callable[[int], int]],
) -> None:
    d = LocalDict[int]()
    by_two, by_three = (memoize(d, name="f")(bind(factor)) for factor in (2, 3))
    assert (by_two(5), by_three(5), by_two(5)) == (10, 15, 10)
    assert len(d) == 2


# --- Kinds of functions -------------------------------------------------------------------------------


def test_parameters_may_have_any_name(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    def f(**parameters: int) -> int:
        return sum(parameters.values())

    arguments = dict.fromkeys(("self", "args", "kwargs", "function", "func", "key", "d", "first"), 1)
    assert f(**arguments) == f.recompute(**arguments) == len(arguments)
    assert f.cached(**arguments)
    assert f.key(**arguments) in d
    assert f.forget(**arguments)


def test_parameters_that_are_by_position_only(d: PersiDict[Any]) -> None:
    calls: list[Any] = []

    @memoize(d, name="f")
    def f(a: int, b: int = 2, /, c: int = 3, **more: int) -> int:
        calls.append((a, b, c, more))
        return len(calls)

    assert f(1) == f(1, 2) == f(1, c=3) == 1
    assert f(1, a=1) == 2
    assert f(1, b=2) == 3


def test_a_decorator_that_takes_other_arguments_than_the_function_is_memoised(d: PersiDict[Any]) -> None:
    def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(x: int) -> Any:
            return function("session", x)

        return wrapper

    @with_session
    def f(session: str, x: int) -> str:
        return f"{session} {x}"

    memoized = memoize(d, name="f")(f)
    assert memoized(3) == "session 3"
    assert memoized.cached(x=3)
    with pytest.raises(TypeError, match="too many positional arguments"):
        memoized(1, 2, 3)


def test_errors_about_what_is_bound_name_a_way_that_works(d: PersiDict[Any]) -> None:
    bound = functools.partial(lambda lock, x: (lock, x), threading.Lock())
    with pytest.raises(
        TypeError, match=r"argument partial\(\) .*cannot be hashed .*; pass key= to make the key"
    ):
        memoize(d, name="f")(bound).key(1)
    with pytest.raises(
        ValueError, match=r"ignore names \['z'\], but functools.partial.* has the parameters \['x'\]"
    ):
        memoize(d, name="g", ignore=["z"])(bound)


def test_a_damaged_result_is_an_error_until_it_is_computed_anew(d: FileDirDict[Any]) -> None:
    f, _ = counting(d)
    f(1)
    (path,) = Path(d.base_dir).rglob("*.pkl")
    path.write_bytes(b"damaged")
    with pytest.raises(CorruptValueError):
        f(1)
    assert f.recompute(1) == 2
    assert f(1) == 2


class Coroutines:
    async def __call__(self, x: int) -> int:
        return x + 1


class Generators:
    def __call__(self, x: int) -> Iterator[int]:
        yield x


def test_an_object_that_is_called_is_taken_as_what_it_does(d: PersiDict[Any]) -> None:
    f: Any = memoize(d, name="f")(Coroutines())
    assert asyncio.run(f(1)) == 2
    assert d[f.key(1)] == 2
    with pytest.raises(TypeError, match="generator function"):
        memoize(d, name="g")(Generators())


def test_an_empty_name_is_refused(d: PersiDict[Any]) -> None:
    with pytest.raises(ValueError, match="name must not be empty"):
        memoize(d, name="")


# --- Arguments that lie in memory in several ways -------------------------------------------------------


def frames() -> dict[str, tuple[Any, Any]]:
    """Return pairs of arguments that are equal, and lie differently in memory."""
    import pandas as pd

    plain = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "z"]})
    built = plain[["a", "b"]].copy()
    built["c"] = plain["c"]
    objects = np.array([["a", None], ["c", 1]], dtype=object)
    numbers = np.arange(12.0).reshape(3, 4)
    looked_at = plain.astype({"a": "Int64"})
    _ = looked_at.dtypes, looked_at["a"].dtype, looked_at["a"].isna()
    path, number = Path("a"), np.float64(0.5)
    return {
        "one path twice": (SimpleNamespace(a=path, b=[path]), SimpleNamespace(a=path, b=[Path("a")])),
        "one number twice": (
            SimpleNamespace(a=number, b=number),
            SimpleNamespace(a=number, b=np.float64(0.5)),
        ),
        "blocks": (built, plain),
        "copy": (plain.astype(object), plain.astype(object).copy()),
        "reversed twice": (plain.iloc[::-1].iloc[::-1], plain),
        "pickled": (pickle.loads(pickle.dumps(plain.astype(object))), plain.astype(object)),
        "looked at": (looked_at, plain.astype({"a": "Int64"})),
        "series": (plain["c"].iloc[::-1].iloc[::-1], plain["c"].copy()),
        "index": (plain.set_index("c").iloc[::-1].iloc[::-1], plain.set_index("c")),
        "objects": (objects, np.asfortranarray(objects)),
        "strides": ({1: np.repeat(numbers, 2, axis=0)[::2]}, {1: numbers}),
        "order": ({1: np.asfortranarray(numbers)}, {1: numbers}),
    }


@pytest.mark.parametrize("kind", frames())
def test_equal_content_is_the_same_argument_however_it_lies_in_memory(kind: str, d: PersiDict[Any]) -> None:
    f, _ = counting(d)
    one, other = frames()[kind]
    assert f.key(one) == f.key(other)
    assert f.key([one]) == f.key([other])


def test_frames_that_differ_in_anything_are_different_arguments(d: PersiDict[Any]) -> None:
    import pandas as pd

    f, _ = counting(d)
    plain = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    described = plain.copy()
    described.attrs["unit"] = "m"
    frames = [
        plain, described, plain.rename(columns={"a": "c"}), plain.set_index("a"),
        plain.astype({"a": "int32"}), plain.astype({"a": "Int64"}), plain.astype({"a": "Float64"}),
        plain[["b", "a"]], plain.iloc[::-1], plain.T, plain.assign(a=[1, 2, 4]),
        plain.assign(b=["x", "y", "w"]), plain.a, plain.a.rename("c"), plain.b, plain.rename_axis("rows"),
        plain.rename_axis(columns="names"), plain.astype(object), plain.astype("category"),
        plain.astype("string"), plain.set_index(["a", "b"]), plain.b.array, plain.set_index("b").index,
        plain.assign(a=pd.array([1, 2, pd.NA], dtype="Int64")),
        plain.assign(a=pd.array([1, 2, 0], dtype="Int64")), plain.assign(b=["x", "y", np.nan]),
        pd.DataFrame(index=[0, 1]), pd.DataFrame(columns=["a"]),
    ]  # fmt: skip
    assert len({f.key(each) for each in frames}) == len(frames)


def test_a_large_array_is_digested_without_a_copy(d: PersiDict[Any]) -> None:
    import tracemalloc

    f, _ = counting(d)
    array = np.zeros((4000, 2000))
    views = [array, array[:, ::2], array.T, array.astype(">f8")]
    f.key(np.zeros(1))
    keys = []
    for view in views:
        tracemalloc.start()
        keys.append(f.key(view))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * 2**24
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


# --- Event loops that end ---------------------------------------------------------------------------------


def test_a_loop_that_is_closed_leaves_neither_a_claim_nor_a_failure(d: PersiDict[Any]) -> None:
    import gc

    began = threading.Event()

    @memoize(d, name="f")
    async def f() -> int:
        began.set()
        await asyncio.sleep(3600)
        return 1

    loop = asyncio.new_event_loop()
    task = loop.create_task(f())
    while not began.is_set():
        loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # it is destroyed on purpose
    del task
    gc.collect()
    for _ in range(500):
        if not claims(d, free=True):
            break
        threading.Event().wait(0.01)
    assert claims(d, free=True) == []


def test_without_an_event_loop_of_asyncio_the_error_names_it(d: PersiDict[Any]) -> None:
    @memoize(d, name="f")
    async def f() -> int:
        return 1

    call = f()
    with pytest.raises(RuntimeError, match="needs a running event loop of asyncio"):
        call.send(None)


# --- Names that two functions have ------------------------------------------------------------------------


def one(x: int) -> int:
    return x + 1


def two(x: int) -> int:
    return x + 2


def times(factor: int) -> Callable[[int], int]:
    def f(x: int) -> int:
        return factor * x

    return f


def through(function: Callable[[int], int]) -> Callable[[int], int]:
    return lambda x: function(x)  # noqa: PLW0108 - it is the closure that counts


PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "functions": (one, two),
    "lambdas of one line": (lambda x: x + 1, lambda x: x + 2),
    "closures": (times(2), times(3)),
    "functions in closures": (through(one), through(two)),
    "a function and a builtin": (one, abs),
    "builtins": (abs, round),
    "partials of two functions": (functools.partial(one), functools.partial(two)),
    "methods": (Factor(2).times, Model(2).scaled),
    "objects": (Factor(2), Coroutines()),
    "coroutine functions": (one, Coroutines.__call__),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_two_functions_under_one_name_are_a_warning(kind: str, tmp_path: Path) -> None:
    first, second = PAIRS[kind]
    memoize(FileDirDict[Any](tmp_path), name="f")(first)
    with pytest.warns(SharedNameWarning, match=r"keep their results under one name, 'f' in .*another name="):
        memoize(FileDirDict[Any](tmp_path), name="f")(second)


def test_functions_that_share_no_results_are_no_warning(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    memoize(d, name="f")(one)
    memoize(d, name="g")(two)
    memoize(d, name="f", version=2)(two)
    memoize(d.get_subdict("below"), name="f")(two)
    memoize(FileDirDict[Any](tmp_path, file_type="json"), name="f")(two)
    memoize(LocalDict[Any](), name="f")(two)
    memoize(LocalDict[Any](), name="f")(one)
    memoize(d, name="f", key=str)(two)
    for bound in (Factor(2).times, Factor(3).times):  # what they are bound to is a part of the keys
        memoize(d, name="bound")(bound)


def test_a_function_that_is_defined_again_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        "from perkey import memoize, FileDirDict\n@memoize(FileDirDict({!r}), name='f')\ndef f(x):\n    {}\n"
    )
    module = tmp_path / "again.py"
    module.write_text(text.format(str(tmp_path / "d"), "return 1"))
    again = importlib.import_module("again")
    importlib.reload(again)
    module.write_text("\n\n" + text.format(str(tmp_path / "d"), "return x + 1"))
    importlib.reload(again)
    d = LocalDict[Any]()
    for number, cell in enumerate(["def f(x): return 1", "def f(x): return 1", "\ndef f(x): return x"]):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(cell, f"<ipython-input-{number}-ab>", "exec"), names)
        memoize(d, name="f")(names["f"])
        exec(compile(cell, "<stdin>", "exec"), names)
        memoize(d, name="typed")(names["f"])
    for _ in range(2):
        memoize(d, name="closure")(times(2))


def test_one_name_that_is_defined_twice_in_one_file_is_a_warning(tmp_path: Path) -> None:
    module = tmp_path / "twice.py"
    text = "@memoize(d, name='f')\ndef f(x): return {}\n"
    module.write_text(text.format(1) + text.format(2))
    names: dict[str, Any] = {"__name__": "twice", "memoize": memoize, "d": LocalDict[Any]()}
    with pytest.warns(
        SharedNameWarning, match=r"twice\.f .*twice\.py:1.* and twice\.f .*twice\.py:3"
    ) as caught:
        exec(compile(module.read_text(), str(module), "exec"), names)
    assert [each.filename for each in caught] == [str(module)]


def test_a_program_that_makes_dictionaries_without_end_does_not_keep_their_names() -> None:
    from perkey.tools.once import names

    for _ in range(names._MANY + 10):
        memoize(LocalDict[Any](), name="f")(one)
    assert len(names._taken) <= names._MANY


def by_keyword(a: Any, *, b: Any, c: Any = 3) -> None: ...
def by_position(a: Any, b: Any = 2, /, c: Any = 3) -> None: ...
def with_rest(a: Any, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> None: ...
def with_more(a: Any = 1, **more: Any) -> None: ...
def with_nothing() -> None: ...


@pytest.mark.parametrize("function", [by_keyword, by_position, with_rest, with_more, with_nothing])
def test_arguments_are_bound_as_inspect_does(function: Callable[..., Any]) -> None:
    from itertools import product

    from perkey.tools.once.arguments import _Binding

    signature = inspect.signature(function)
    binding = _Binding(signature, None)
    for count, names in product(range(5), product([False, True], repeat=4)):
        args = tuple(range(count))
        kwargs = {name: name for name, is_given in zip("abcd", names, strict=True) if is_given}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            with pytest.raises(TypeError, match=re.escape(str(error))):
                binding.of(args, kwargs)
        else:
            bound.apply_defaults()
            assert binding.of(args, kwargs) == bound.arguments
