"""`joblib.Memory` over any dictionary."""

import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import joblib
import pytest
from joblib.hashing import hash as joblib_hash
from s3.places import Place
from s3.servers import Server

import perkey.integrations.joblib as integration
from perkey import FileDirDict, LocalDict, ObjectStoreDict, PersiDict

calls: list[Any] = []


def square(number: int) -> int:
    calls.append(number)
    return number * number


def pair(*, left: Any, right: Any = 1) -> tuple[Any, Any]:
    calls.append((left, right))
    return left, right


def unstorable(number: int) -> Any:
    calls.append(number)
    return lambda: number


def read_first(d: PersiDict[int]) -> int:
    calls.append("read")
    return d["a"]


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture(params=["folder", "memory", "object_store", "s3"])
def d(request: pytest.FixtureRequest, tmp_path: Path, bucket: str) -> PersiDict[Any]:
    match request.param:
        case "folder":
            return FileDirDict(tmp_path / "items", durability="none")
        case "memory":
            return LocalDict()
        case "object_store":
            return ObjectStoreDict(f"memory://{bucket}")
        case _:
            server: Server = request.getfixturevalue("ministack")
            return Place(server.endpoint, bucket, "obstore").open()


def memory_over(d: PersiDict[Any], location: str = "cache", **params: Any) -> joblib.Memory:
    return joblib.Memory(location, backend="perkey", backend_options={"dict": d}, verbose=0, **params)


def test_a_result_is_computed_once_and_kept_in_the_dictionary(d: PersiDict[Any]) -> None:
    for _ in range(3):
        assert memory_over(d).cache(square)(7) == 49
    assert calls == [7]
    assert any(key[-1] == "output" and "square" in key for key in d)
    assert 49 in d.values()


def test_arguments_are_told_apart_and_some_ignored(d: PersiDict[Any]) -> None:
    cached = memory_over(d).cache(pair, ignore=["right"])
    assert cached(left=1, right=2) == (1, 2)
    assert cached(left=1, right=3) == (1, 2)
    assert cached(left=2) == (2, 1)
    assert calls == [(1, 2), (2, 1)]
    assert cached.check_call_in_cache(left=2)
    assert not cached.check_call_in_cache(left=3)


def test_results_can_be_shelved_and_cleared(d: PersiDict[Any]) -> None:
    memory = memory_over(d)
    cached = memory.cache(square)
    shelved = cached.call_and_shelve(3)
    assert shelved.get() == 9
    shelved.clear()
    with pytest.raises(KeyError):
        shelved.get()
    assert cached(3) == 9
    assert calls == [3, 3]
    cached.clear(warn=False)
    assert cached(3) == 9
    assert calls == [3, 3, 3]
    memory.clear(warn=False)
    assert len(d) == 0


def test_what_else_is_in_the_dictionary_is_left_alone(d: PersiDict[Any]) -> None:
    d["mine"] = 1
    one, two = memory_over(d, "one"), memory_over(d, "two")
    one.cache(square)(2)
    two.cache(square)(2)
    assert calls == [2, 2]
    one.clear(warn=False)
    assert {key[0] for key in d if len(key) > 1} == {"two"}
    assert d["mine"] == 1


def test_the_size_and_the_age_can_be_limited(d: PersiDict[Any]) -> None:
    memory = memory_over(d)
    cached = memory.cache(square)
    for number in range(4):
        cached(number)
    memory.reduce_size(items_limit=2)
    assert sum(cached.check_call_in_cache(number) for number in range(4)) == 2
    memory.reduce_size(age_limit=timedelta(hours=1))
    assert sum(cached.check_call_in_cache(number) for number in range(4)) == 2
    memory.reduce_size(bytes_limit=0)
    assert sum(cached.check_call_in_cache(number) for number in range(4)) == 0


def test_a_validation_sees_the_metadata(d: PersiDict[Any]) -> None:
    seen = []

    def is_valid(metadata: dict[str, Any]) -> bool:
        seen.append(metadata)
        return len(seen) > 1

    cached = memory_over(d).cache(square, cache_validation_callback=is_valid)
    for _ in range(3):
        assert cached(5) == 25
    assert calls == [5, 5]
    assert seen[0]["input_args"] == {"number": "5"}
    assert seen[0]["duration"] >= 0


def test_a_changed_function_is_computed_again(tmp_path: Path) -> None:
    program = """
import sys, joblib, perkey.integrations.joblib
from perkey import FileDirDict
from changing import work
d = FileDirDict(sys.argv[1], durability="none")
print(joblib.Memory("cache", backend="perkey", backend_options={"dict": d}, verbose=0).cache(work)(1))
"""
    printed = []
    for factor in (2, 2, 3):
        (tmp_path / "changing.py").write_text(
            f"def work(n):\n    print('computed')\n    return n * {factor}\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "items")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path)},
        )
        printed.append(done.stdout.split())
    assert printed == [["computed", "2"], ["2"], ["computed", "3"]]


def test_a_result_that_cannot_be_stored_is_returned_with_a_warning(d: PersiDict[Any]) -> None:
    with pytest.warns(match="not cached"):
        assert memory_over(d).cache(unstorable)(4)() == 4
    assert not any(key[-1] == "output" for key in d)


def test_a_handle_as_an_argument_is_never_the_same_as_before(d: PersiDict[Any]) -> None:
    """What was read from it is no longer right after a change."""
    results = LocalDict[Any]()
    cached = memory_over(results).cache(read_first)
    for value in (1, 2):
        d["a"] = value
        assert cached(d) == value
    assert calls == ["read", "read"]
    assert joblib_hash(d) != joblib_hash(d)


def test_a_cached_function_travels_to_other_processes(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, durability="none")
    cached = pickle.loads(pickle.dumps(memory_over(d).cache(square)))
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(cached)(n) for n in range(6)) == [0, 1, 4, 9, 16, 25]
    assert [cached(n) for n in range(6)] == [0, 1, 4, 9, 16, 25]
    assert calls == []


def test_any_name_of_a_function_and_any_location_is_a_key(d: PersiDict[Any]) -> None:
    cached = memory_over(d, "a place/with ü").cache(lambda n: n + 1)
    assert cached(1) == 2
    assert len(d) == 3


def test_wrong_options_are_refused() -> None:
    options: list[dict[str, Any]] = [{}, {"dict": {}}, {"dict": None}]
    for wrong in options:
        with pytest.raises(TypeError, match=r"backend_options=\{'dict': d\}"):
            joblib.Memory("cache", backend="perkey", backend_options=wrong, verbose=0)
    with pytest.raises(ValueError, match="mmap_mode"):
        memory_over(LocalDict(), mmap_mode="r")
    assert integration.BACKEND == "perkey"


@pytest.mark.parametrize("part", ["output", "metadata", "func_code"])
def test_damaged_items_are_computed_anew(part: str, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, durability="none")
    damaged = 0
    memory_over(d).clear(warn=False)  # joblib forgets which sources it has stored, here or elsewhere
    assert memory_over(d).cache(square)(7) == 49
    for path in tmp_path.rglob(f"{part}*"):
        path.write_bytes(b"\x80damaged")
        damaged += 1
    assert damaged == 1
    assert memory_over(d).cache(square)(7) == 49
    memory_over(d).cache(square, cache_validation_callback=joblib.expires_after(days=1))(7)
    assert memory_over(d).cache(square)(7) == 49
