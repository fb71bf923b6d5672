"""Where memory is limited a sound value is MemoryError and nothing else, in every format, both ways."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from combinations import mostly_slow

from perkey import CorruptValueError, FileDirDict, UnloadableValueError
from perkey.content import bytes_of
from perkey.formats import AllowListPickleFormat, JsonFormat, PickleFormat, SignedFormat, TextFormat
from perkey.formats.failures import raise_if_out_of_memory
from perkey.formats.pickled import compress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")

MIB = 1 << 20

# Registers the formats of the tests, warms up what is imported lazily, then limits its own memory again and
# again, and prints the name of each outcome: a line for reading, a line for writing.
CHILD = """
import importlib, resource, sys, warnings
place, file_type, modules = sys.argv[1:]
for name in ["pickletools", *modules.split()]:
    importlib.import_module(name)
from perkey import FileDirDict, register_format
from perkey.formats import AllowListPickleFormat, PickleFormat, SignedFormat
warnings.simplefilter("ignore")
register_format("plain", PickleFormat(compression=None))
register_format("signed", SignedFormat(PickleFormat(), secret=b"sixteen bytes or more"))
register_format("allow", AllowListPickleFormat([]))
d = FileDirDict(place, file_type, digest_len=0, durability="none")
if "jsonpickle" in modules:
    import numpy
    d["warm"] = {"a": numpy.arange(3), "f": sys.modules["pandas"].DataFrame({"a": [1]})}
    d["warm"]

def under_limits(action):
    for mib in (1, 2, 3, 5, 7, 9, 11, 13, 15, 18, 22, 28, 36, 50, 70, 100, 200, 400, 800):
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (mib << 20), resource.RLIM_INFINITY))
        try:
            action()
            outcome = "done"
        except MemoryError:
            outcome = "MemoryError"
        except BaseException as error:
            outcome = type(error).__name__
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        yield outcome
        if outcome == "done":
            break

print(*under_limits(lambda: d["big"]))
value = None if place.endswith("damaged") else d["big"]
print(*under_limits(lambda: d.__setitem__("other", value)))
"""


def text() -> Any:
    return "z" * (12 * MIB)


def noise() -> Any:
    return np.random.default_rng(0).random(MIB)


def zeros() -> Any:
    return {"a": np.zeros(MIB), "b": np.zeros(MIB)}


def many() -> Any:
    return [str(number) for number in range(150_000)]


def frame() -> Any:
    return pd.DataFrame({"a": np.zeros(100_000), "b": np.arange(100_000)})


def write(file_type: str, value: Any) -> Callable[[Path], None]:
    formats = {
        "pkl": PickleFormat(),
        "plain": PickleFormat(compression=None),
        "json": JsonFormat(check=False),
        "txt": TextFormat(),
        "signed": SignedFormat(PickleFormat(), secret=b"sixteen bytes or more"),
        "allow": AllowListPickleFormat([]),
    }
    return lambda path: void(path.write_bytes(bytes_of(formats[file_type].encode(value()))))


def by_joblib(method: str | None, value: Any) -> Callable[[Path], None]:
    return lambda path: void(joblib.dump(value(), path, compress=(method, 1) if method else 0))


def void(_: object) -> None:
    return None


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pkl of text": ("pkl", write("pkl", text)),
    "pkl streamed": ("pkl", write("pkl", noise)),
    "pkl of compressible arrays": ("pkl", write("pkl", zeros)),
    "pkl of many": ("pkl", write("pkl", many)),
    "plain pickle": ("plain", write("plain", text)),
    "plain pickle of arrays": ("plain", write("plain", noise)),
    "signed": ("signed", write("signed", text)),
    "allowed": ("allow", write("allow", text)),
    "text": ("txt", write("txt", text)),
    "json of text": ("json", write("json", text)),
    "json of many": ("json", write("json", many)),
    "json of arrays": ("json", write("json", zeros)),
    "json of a frame": ("json", write("json", frame)),
    **{
        f"joblib {method} of {value.__name__}": ("pkl", by_joblib(method, value))
        for method in (None, "zlib", "gzip", "bz2", "xz", "lzma", "lz4")
        for value in (text, zeros)
    },
}


def outcomes(folder: Path, file_type: str, modules: str) -> tuple[list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, folder, file_type, modules],
        check=True,
        capture_output=True,
        text=True,
    )
    reading, writing = done.stdout.splitlines()
    return reading.split(), writing.split()


ALWAYS = [
    "pkl streamed",
    "pkl of many",
    "plain pickle",
    "signed",
    "text",
    "json of arrays",
    "joblib lz4 of zeros",
    "joblib xz of text",
]


@pytest.mark.parametrize("kind", mostly_slow(FILES, *ALWAYS))
def test_too_little_memory_is_a_memory_error_and_nothing_else(tmp_path: Path, kind: str) -> None:
    file_type, create = FILES[kind]
    create(tmp_path / f"big.{file_type}")
    numpy = "" if "text" in kind or "many" in kind else " numpy"
    modules = "joblib lzma bz2" if "joblib" in kind else "jsonpickle pandas" if "json of" in kind else ""
    reading, writing = outcomes(tmp_path, file_type, modules + numpy)
    assert set(reading[:-1]) == {"MemoryError"}
    assert set(writing[:-1]) <= {"MemoryError"}
    assert reading[-1] == writing[-1] == "done"


def test_damage_is_seen_in_little_memory(tmp_path: Path) -> None:
    """The value would need more memory than there is, its checksums do not."""
    place = tmp_path / "damaged"
    FileDirDict[str](place, digest_len=0)["big"] = "z" * (60 * MIB)
    path = place / "big.pkl"
    path.write_bytes(path.read_bytes()[:-8] + bytes(4))
    found, _ = outcomes(place, "pkl", "")
    assert set(found) <= {"CorruptValueError", "MemoryError"}
    assert set(found[-12:]) == {"CorruptValueError"}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to resize buffer"),
        RuntimeError("LZ4F_decompress failed with code: ERROR_allocation_failed"),
        OSError(12, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        ValueError("Error tokenizing data. C error: out of memory"),
    ],
    ids=str,
)
def test_other_names_of_it_are_known(error: Exception) -> None:
    with pytest.raises(MemoryError) as caught:
        raise_if_out_of_memory(error, None)
    assert caught.value.__cause__ is error


def test_it_is_found_behind_what_a_library_made_of_it() -> None:
    original = MemoryError("original")

    def library() -> None:
        try:
            raise original
        except MemoryError as error:
            try:
                raise ValueError("wrapped") from error  # noqa: TRY301 - as above
            except ValueError:
                raise KeyError("replaced")  # noqa: B904 - as libraries do

    try:
        library()
    except KeyError as error:
        with pytest.raises(MemoryError) as caught:
            raise_if_out_of_memory(error, None)
        assert caught.value is original


def test_one_that_is_being_handled_already_is_not_blamed() -> None:
    try:
        raise MemoryError  # noqa: TRY301 - it is the one that is being handled
    except MemoryError:
        for damaged in (compress(b"x" * 100)[:-1], b"{", b"\x80\x05"):
            with pytest.raises(CorruptValueError):
                (JsonFormat() if damaged == b"{" else PickleFormat()).decode(damaged)
        with pytest.raises(UnloadableValueError):
            PickleFormat().decode(compress(b"garbage"))
