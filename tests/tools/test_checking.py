"""Every fault is reported with its kind, nothing sound is, nothing is run, and nothing is lost."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

import perkey
from perkey import (
    CachedDict,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    PersiDict,
    UnsupportedConditionError,
    register_format,
    usage,
    verify,
)
from perkey.content import Content, Data
from perkey.dataspace import init_project
from perkey.formats import Format, JsonFormat, PickleFormat, SignedFormat, TextFormat
from perkey.naming import naming
from perkey.stores import DirectoryStore
from perkey.testing import FaultyStore
from perkey.tools.checking import Fault

# --- A thousand faults --------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(raw)


def misname(path: Path) -> None:
    path.rename(path.with_name(f"{path.name[:-12]}aaaaaaaa.pkl"))


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def make_folder(path: Path) -> None:
    path.unlink()
    path.with_suffix("").mkdir()


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut": ("damaged", lambda path: path.write_bytes(path.read_bytes()[:-7])),
    "flipped": ("damaged", flip),
    "emptied": ("damaged", lambda path: path.write_bytes(b"")),
    "zeroed": ("damaged", lambda path: path.write_bytes(bytes(len(path.read_bytes())))),
    "overlong": ("damaged", lambda path: path.write_bytes(path.read_bytes() + b"more")),
    "a page of HTML": ("unloadable", lambda path: path.write_bytes(b"<!doctype html><p>Not found")),
    "a pointer": (
        "unloadable",
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    ),
    "misnamed": ("wrong_digest", misname),
    "foreign": ("foreign", lambda path: path.rename(path.with_suffix(".txt.bak"))),
    "unfinished": ("leftover", lambda path: path.rename(path.with_name(f".@perkey-tmp-{path.name}"))),
    "a link": ("not_a_file", link),
    "an empty folder": ("empty_folder", make_folder),
}


def test_a_thousand_faults_are_told_and_no_other(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, durability="none")
    chosen = random.Random(1)
    d.update(
        {(f"f{n % 7}", f"k{n}"): [chosen.random() for _ in range(chosen.randrange(60))] for n in range(2000)}
    )
    FileDirDict[Any](tmp_path, "json", durability="none").update({("f1", f"j{n}"): n for n in range(20)})
    (tmp_path / "held_by.pkl-claim").write_text("x")
    planted: dict[str, str] = {}
    sound = {d.path(key): key for key in d}
    for number, path in enumerate(chosen.sample(sorted(sound), 1000)):
        name, (kind, plant) = list(FAULTS.items())[number % len(FAULTS)]
        before = set(path.parent.iterdir())
        plant(path)
        new = set(path.parent.iterdir()) - before
        planted[str(next(iter(new)) if new and name != "a link" else path)] = kind
        for each in new:
            os.utime(each, (1, 1), follow_symlinks=False)
        del sound[path]
    seen: list[Fault] = []
    report = verify(d, on_fault=seen.append)
    assert {fault.place: fault.kind for fault in report.faults} == planted
    assert seen == report.faults
    assert len(report.faults) == 1000
    assert report.counts == dict(Counter(planted.values()))
    damaged = sum(kind in {"damaged", "unloadable"} for kind in planted.values())
    assert (report.items, report.others, report.unchecked) == (len(sound) + damaged, 20, 0)
    assert (report.ok, report.exit_code) == (False, 1)
    assert json.loads(report.to_json()) == report.as_dict()
    for fault in report.faults:
        assert (fault.key is not None) == (fault.kind in {"damaged", "unloadable"})

    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    moved = verify(d, "quarantine")
    assert {fault.place for fault in moved.faults if fault.moved_to} == {
        place for place, kind in planted.items() if kind == "damaged"
    }
    assert moved.quarantine is not None
    for fault in moved.faults:
        if fault.moved_to is not None:
            assert fault.moved_to.startswith(moved.quarantine)
            assert Path(fault.moved_to).read_bytes() == files.pop(Path(fault.place))
            assert not Path(fault.place).exists()
    assert all(path.read_bytes() == content for path, content in files.items())
    assert "damaged" not in verify(d).counts
    assert usage(d.read_only()).items == len(sound) + sum(kind == "unloadable" for kind in planted.values())

    back = perkey.unquarantine(d, moved.quarantine)
    assert len(back.restored) == sum(kind == "damaged" for kind in planted.values())
    assert (back.kept, back.exit_code) == ([], 0)
    assert {fault.place: fault.kind for fault in verify(d).faults} == planted
    assert not (tmp_path / ".@perkey-quarantine").exists()


@pytest.mark.parametrize("file_type", ["pkl", "json", "txt"])
@pytest.mark.parametrize("digest_len", [0, 8])
def test_a_sound_place_has_no_faults(file_type: str, digest_len: int, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type, digest_len=digest_len, durability="none")
    d.update({f"k{n}": "text" * n for n in range(50)} | {("x", "y"): "large" * 500_000})
    del d["k1"]
    for handle in (d, d.read_only(), d.get_subdict(), CachedDict(d, LocalDict()), d.get_subdict("none")):
        report = verify(handle, decode=handle is d)
        assert (report.ok, report.exit_code, report.faults) == (True, 0, [])
    assert verify(d).items == 50
    assert verify(d).bytes == usage(d).bytes


def test_what_no_living_writer_has_left_and_what_one_may_be_writing(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d["x", "y"] = 1
    del d["x", "y"]  # leaves the folder, for the next write
    (tmp_path / ".@perkey-tmp-alive").write_text("x")
    report = verify(d)
    assert sorted(report.counts) == ["empty_folder", "leftover"]
    assert (report.ok, report.exit_code) == (True, 0)
    os.utime(tmp_path / ".@perkey-tmp-alive", (1, 1))
    assert verify(d).exit_code == 1
    assert (tmp_path / ".@perkey-tmp-alive").exists()


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_names_that_collide_without_case(place: str, tmp_path: Path) -> None:
    make: dict[str, Callable[[int], PersiDict[Any]]] = {
        "folder": lambda length: FileDirDict(tmp_path / str(length), digest_len=length),
        "memory": lambda length: LocalDict(digest_len=length),
    }
    for length in (0, 8):
        d = make[place](length)
        d.update({"a": 1, "A": 2, "b": 3, ("x", "y"): 4, ("X", "y"): 5, ("x", "z"): 6})
        found = {fault.key for fault in verify(d).faults if fault.kind == "collision"}
        assert found == (set() if length else {("a",), ("A",), ("x", "y"), ("X", "y")})


# --- Nothing is run -----------------------------------------------------------------------------------------


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "run")


def hostile_files(trace: Path) -> Iterator[tuple[str, bytes]]:
    value = Hostile(trace)
    yield "pkl", bytes(PickleFormat().encode(value))  # type: ignore[arg-type] # it is small
    yield "pkl", bytes(PickleFormat(compression=None).encode(value))  # type: ignore[arg-type]
    for protocol in range(6):
        yield "pkl", pickle.dumps(value, protocol)
    for compress in (0, 3, "gzip", "bz2", "xz", "lz4"):
        file = trace.with_suffix(".joblib")
        joblib.dump(value, file, compress=compress)
        yield "pkl", file.read_bytes()
    reduced = {"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": [str(trace)]}]}
    yield "json", json.dumps(reduced).encode()
    yield "json", json.dumps({"py/object": "pathlib.Path", "py/newargs": [str(trace)]}).encode()


def test_nothing_of_a_place_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for number, (file_type, content) in enumerate(hostile_files(trace)):
        d = FileDirDict[Any](tmp_path / str(number), file_type)
        d.store.write(naming(d.digest_len, d.file_type).name_of("a"), content)
        report = verify(d, "quarantine")
        assert not trace.exists()
        if not content.startswith((b"c", b"(")):  # protocols 0 and 1 are told as foreign
            assert report.ok
    d = FileDirDict[Any](tmp_path / "0")
    assert verify(d, decode=True).items == 1
    assert trace.read_text() == "run"


def test_decoding_finds_what_cannot_be_built(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d["a"] = {1}
    d.store.write(naming(d.digest_len, d.file_type).name_of("b"), bytes(PickleFormat().encode(Gone())))  # type: ignore[arg-type]
    assert verify(d).ok
    assert [(fault.kind, fault.key) for fault in verify(d, decode=True).faults] == [("unloadable", ("b",))]
    of_class = FileDirDict[Any](tmp_path, base_class_for_values=list)
    assert verify(of_class, decode=True).counts == {"unloadable": 2}
    assert [fault.moved_to for fault in verify(d, "quarantine", decode=True).faults] == [None]


class Gone:
    """A value of a module that is not there."""

    def __reduce__(self) -> Any:
        return _raise, ()


def _raise() -> None:
    raise ImportError("no such module")


# --- Formats ------------------------------------------------------------------------------------------------

SECRET = b"s" * 32
VALUES: list[Any] = [None, "text", [1, 2.5, {"a": [None] * 9}], {"k": "v" * 3000}, list(range(400_000))]
FORMATS: dict[str, Format] = {
    "pkl": PickleFormat(),
    "plain": PickleFormat(compression=None),
    "json": JsonFormat(),
    "signed": SignedFormat(PickleFormat(), secret=SECRET),
    "text": TextFormat(),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("number", range(len(VALUES)))
def test_a_check_agrees_with_decoding(name: str, number: int, tmp_path: Path) -> None:
    """What decoding takes for damage the check does, too, where there are checksums or a grammar."""
    from perkey.content import bytes_of
    from perkey.errors import CorruptValueError

    codec = FORMATS[name]
    content = bytes_of(codec.encode(str(VALUES[number]) if name == "text" else VALUES[number]))
    file = tmp_path / "value"

    def told(act: Callable[[Content], object], raw: bytes) -> bool:
        """Return whether bytes are told as damage; as bytes and as an open file alike."""
        results = []
        file.write_bytes(raw)
        for open_it in (lambda: raw, lambda: file.open("rb")):
            opened: Any = open_it()
            try:
                act(opened)
                results.append(False)
            except CorruptValueError:
                results.append(True)
            except Exception as error:  # noqa: BLE001 - such as UnloadableValueError
                results.append(not isinstance(error, ImportError))
            finally:
                if not isinstance(opened, bytes):
                    opened.close()
        assert results[0] == results[1]
        return results[0]

    assert codec.check(content)
    assert not told(codec.check, content)
    chosen = random.Random(number)
    for _ in range(40 if len(content) < 10_000 else 4):
        at = chosen.randrange(len(content))
        for raw in (content[:at], content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]):
            if told(codec.decode, raw):
                assert told(codec.check, raw) or name == "plain"  # whose strings are not looked at


class Upper(Format):
    """A format that cannot tell damage."""

    def encode(self, value: Any) -> Data:
        return str(value).upper().encode()

    def decode(self, content: Content) -> Any:
        assert isinstance(content, bytes)
        if content == b"BAD":
            raise ZeroDivisionError("bad")
        return content.decode().lower()


class Encrypted(PickleFormat):
    """A subclass whose bytes are not those of its base."""

    def encode(self, value: Any) -> Data:
        data = super().encode(value)
        assert isinstance(data, bytes)
        return bytes(each ^ 0x55 for each in data)

    def decode(self, content: Content) -> Any:
        assert isinstance(content, bytes)
        return super().decode(bytes(each ^ 0x55 for each in content))


def test_formats_of_others_count_as_unchecked(tmp_path: Path) -> None:
    register_format("upper", Upper(), replace=True)
    register_format("secret", Encrypted(), replace=True)
    for file_type in ("upper", "secret"):
        d = FileDirDict[Any](tmp_path, file_type)
        d["a"] = "value"
        report = verify(d)
        assert (report.ok, report.items, report.unchecked) == (True, 1, 1)
        assert (verify(d, decode=True).ok, verify(d, decode=True).unchecked) == (True, 0)
    d = FileDirDict[Any](tmp_path, "upper")
    d["a"] = "bad"
    assert verify(d, decode=True).faults[0].detail == "ZeroDivisionError: bad"


# --- Places and writers -------------------------------------------------------------------------------------


def test_a_place_that_does_not_give_a_value_is_told(tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore(tmp_path))
    d = PersiDict[Any](store)
    d.update({f"k{n}": n for n in range(5)})

    def fail() -> None:
        raise OSError(5, "Input/output error")

    store.on("read", fail, nth=3)
    report = verify(d, "quarantine")
    assert [(fault.kind, fault.moved_to) for fault in report.faults] == [("unreadable", None)]
    assert report.items == 5


def test_what_is_written_again_before_it_is_moved_stays(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d["a"] = [1]
    d.path("a").write_bytes(b"damaged \0")

    class Late(DirectoryStore):
        def move(self, name: Any, target: Any, *, expect: Any = None) -> None:
            d["a"] = [2]
            super().move(name, target, expect=expect)

    report = verify(PersiDict[Any](Late(tmp_path)), "quarantine")
    assert report.faults == []
    assert d["a"] == [2]


def test_what_has_a_newer_value_stays_in_quarantine(tmp_path: Path) -> None:
    for d in (FileDirDict[Any](tmp_path), LocalDict[Any]()):
        d.update({"a": 1, ("x", "b"): 2})
        for key in (("a",), ("x", "b")):
            d.store.write(naming(d.digest_len, d.file_type).name_of(key), b"damaged \0")
        part = verify(d.get_subdict("x"), "quarantine")
        assert [fault.key for fault in part.faults] == [("b",)]
        whole = verify(d, "quarantine")
        assert [fault.key for fault in whole.faults] == [("a",)]
        d["a"] = "newer"
        back = perkey.unquarantine(d)
        assert (back.restored, len(back.kept), back.exit_code) == ([("x", "b")], 1, 1)
        assert d["a"] == "newer"
        assert list(d.get_subdict("x")) == [("b",)]
        del d["a"]
        with pytest.raises(FileNotFoundError, match="in quarantine"):
            perkey.unquarantine(d, "elsewhere")
        assert perkey.unquarantine(d, whole.quarantine).restored == [("a",)]


def test_the_main_place_is_read_and_not_its_cache(tmp_path: Path) -> None:
    main = FileDirDict[Any](tmp_path, immutable_items=True)
    d = CachedDict(main, LocalDict())
    d["a"] = 1
    main.path("a").write_bytes(b"damaged \0")
    assert d["a"] == 1
    assert verify(d).counts == {"damaged": 1}
    with pytest.raises(MutationPolicyError):
        verify(d, "quarantine")


def test_where_versions_are_not_compared_nothing_is_moved(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, locking="none")
    if d.store.supports("remove", "version"):
        pytest.skip("this file system compares all the same")
    d["a"] = 1
    d.path("a").write_bytes(b"damaged \0")
    with pytest.raises(UnsupportedConditionError):
        verify(d, "quarantine")
    assert verify(d).counts == {"damaged": 1}
    assert d.path("a").exists()


def test_arguments_are_checked(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    with pytest.raises(ValueError, match="repair must be None or 'quarantine'"):
        verify(d, "delete")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a PersiDict or a project"):
        verify(str(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers"):
        verify(d, workers=0)


def test_a_project_is_checked_and_repaired_by_itself(tmp_path: Path) -> None:
    project = init_project(path=tmp_path)
    jobs = [project.open_job({"a": n}).init() for n in range(3)]
    assert (verify(project).ok, verify(project).items) == (True, 3)
    project.update_cache()
    statepoint = next(Path(jobs[0].path).glob("*statepoint*"))
    statepoint.write_text("damaged")
    report = verify(project)
    assert [(fault.kind, fault.key) for fault in report.faults] == [("damaged", (jobs[0].id,))]
    assert report.exit_code == 1
    assert verify(project, "quarantine").ok
    assert verify(project).ok


def test_other_programs_do_not_see_what_is_in_quarantine(tmp_path: Path) -> None:
    persidict = pytest.importorskip("persidict")
    d = FileDirDict[Any](tmp_path)
    d.update({"a": 1, "b": 2})
    d.path("a").write_bytes(b"damaged \0")
    verify(d, "quarantine")
    assert len(d) == len(list(d)) == 1
    theirs = persidict.FileDirDict(base_dir=str(tmp_path), serialization_format="pkl", digest_len=8)
    assert [tuple(key) for key in theirs] == [("b",)]
