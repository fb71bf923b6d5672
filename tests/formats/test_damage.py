"""Damaged values are told as such at once, with key and path; what cannot be told is in docs/damage.md."""

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import joblib
import numpy as np
import pytest

from perkey import CorruptValueError, FileDirDict, PersiDict, UnloadableValueError
from perkey.content import STREAM_ABOVE, Content
from perkey.expectations import Version
from perkey.formats import PickleFormat
from perkey.formats.joblibs import load_joblib
from perkey.naming import Name
from perkey.stores import DirectoryStore

LONG = bool(os.environ.get("PERKEY_LONG"))
PKL = PickleFormat()
SMALL: Any = {"a": list(range(20)), "b": "x" * 30, "c": 1.5}


class CountingStore(DirectoryStore):
    """Counts reads."""

    reads = 0

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        self.reads += 1
        return super().read(name, unless=unless, limit=limit)

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        self.reads += 1
        return super().content(name, limit=limit)


class Damaged:
    """A dictionary with one sound value and one whose bytes can be replaced."""

    def __init__(self, folder: Path, value: Any, file_type: str = "pkl") -> None:
        self.store = CountingStore(folder, durability="none")
        self.d = PersiDict[Any](self.store, file_type=file_type)
        self.d["bad"] = value
        (self.path,) = folder.iterdir()
        self.sound = self.path.read_bytes()
        self.d["good"] = "unharmed"

    def expect_corrupt(self, content: bytes) -> None:
        """Put `content` in place of the value: reading must fail at once, saying what and where."""
        self.path.write_bytes(content)
        self.store.reads = 0
        with pytest.raises(CorruptValueError) as caught:
            self.d["bad"]
        error = caught.value
        assert (error.key, error.place, self.store.reads) == (("bad",), str(self.path), 1)
        assert str(error) == f"value of key ('bad',) at {self.path} is damaged: {error.reason}"

    def expect_rest_unaffected(self) -> None:
        assert self.d["good"] == "unharmed"
        assert sorted(self.d) == [("bad",), ("good",)]
        assert len(self.d) == 2
        assert self.path.exists()


@pytest.fixture(autouse=True)
def _nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seconds: float) -> NoReturn:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(time, "sleep", fail)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Damaged]:
    damaged = Damaged(tmp_path, SMALL)
    yield damaged
    damaged.expect_rest_unaffected()


@pytest.fixture(params=["incompressible", "compressible"])
def large(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Damaged]:
    rng = np.random.default_rng(0)
    # Blocks that do not shrink are stored as they are, which is another way through the decoder.
    array = rng.random(150_000) if request.param == "incompressible" else rng.integers(0, 1 << 18, 800_000)
    damaged = Damaged(tmp_path, {"array": array, "after": "text"})
    assert len(damaged.sound) > STREAM_ABOVE
    yield damaged
    damaged.expect_rest_unaffected()


def places(length: int, count: int) -> list[int]:
    """Return every position near the ends and some between, other ones for each run of the long form."""
    rng = np.random.default_rng(None if LONG else 0)
    edge = 200 if LONG else 40
    return [*range(edge), *rng.integers(edge, length - edge, count).tolist(), *range(length - edge, length)]


class TestASmallValue:
    def test_cut_off_at_any_length(self, small: Damaged) -> None:
        for length in range(len(small.sound)):
            small.expect_corrupt(small.sound[:length])

    def test_with_any_byte_changed_to_any_other(self, small: Damaged) -> None:
        tried = 0
        for place, old in enumerate(small.sound):
            for new in set(range(256)) - {old}:
                with pytest.raises(CorruptValueError):
                    PKL.decode(small.sound[:place] + bytes([new]) + small.sound[place + 1 :])
                tried += 1
        assert tried == 255 * len(small.sound)

    def test_with_any_bit_flipped(self, small: Damaged) -> None:
        for place, old in enumerate(small.sound):
            for bit in range(8):
                small.expect_corrupt(small.sound[:place] + bytes([old ^ 1 << bit]) + small.sound[place + 1 :])

    def test_with_any_two_neighbours_swapped_or_any_byte_missing(self, small: Damaged) -> None:
        raw = small.sound
        for place in range(len(raw) - 1):
            if raw[place] != raw[place + 1]:
                small.expect_corrupt(raw[:place] + raw[place : place + 2][::-1] + raw[place + 2 :])
            small.expect_corrupt(raw[:place] + raw[place + 1 :])

    def test_with_any_part_zeroed(self, small: Damaged) -> None:
        raw = small.sound
        for start in range(0, len(raw), 7):
            for end in range(start + 1, len(raw) + 1, 5):
                if any(raw[start:end]):
                    small.expect_corrupt(raw[:start] + bytes(end - start) + raw[end:])

    def test_of_no_bytes_zeros_or_garbage(self, small: Damaged) -> None:
        rng = np.random.default_rng(0)
        zeros = [bytes(size) for size in (0, 1, 4, 512, 4096, 2 * STREAM_ABOVE)]
        # The first byte of a pickle is left out: what follows it would be code.
        garbage = [b"\x00" + rng.bytes(size) for size in (1, 10, 1000, 2 * STREAM_ABOVE)]
        for content in [*zeros, *garbage, b"hello", small.sound[::-1], b"\x04\x22M\x18" + rng.bytes(500)]:
            small.expect_corrupt(content)

    def test_with_foreign_bytes_before_or_behind_it(self, small: Damaged) -> None:
        for extra in (b"\0", b"garbage", small.sound, bytes(4096)):
            small.expect_corrupt(small.sound + extra)
        for extra in (b"\0", b"garbage"):
            small.expect_corrupt(extra + small.sound)

    def test_is_corrupt_in_every_way_of_reading(self, small: Damaged) -> None:
        small.path.write_bytes(small.sound[:-1])
        d = small.d
        ways: list[Callable[[], object]] = [
            lambda: d.get("bad"), lambda: d.pop("bad"), lambda: d.setdefault("bad", 1), d.copy,
            lambda: list(d.values()), lambda: d.get_with_etag("bad"), d.oldest_values, lambda: d == {},
            lambda: d.transform_item("bad", transformer=lambda _: 1), lambda: list(d.items_and_timestamps()),
        ]  # fmt: skip
        for way in ways:
            with pytest.raises(CorruptValueError, match=r"'bad'.*is damaged"):
                way()

    def test_can_be_overwritten_deleted_and_asked_for_its_time(self, small: Damaged) -> None:
        small.path.write_bytes(b"")
        assert small.d.timestamp("bad") > 0
        assert small.d.etag("bad")
        del small.d["bad"]
        small.path.write_bytes(b"")
        small.d["bad"] = "mended"
        assert small.d["bad"] == "mended"

    def test_with_an_empty_frame_appended_is_sound(self, small: Damaged) -> None:
        """A skippable frame belongs to the format of lz4 and disturbs no reader."""
        small.path.write_bytes(small.sound + b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc")
        assert small.d["bad"] == SMALL


class TestALargeValue:
    def test_cut_off_at_sampled_lengths(self, large: Damaged) -> None:
        for length in places(len(large.sound), 40):
            large.expect_corrupt(large.sound[:length])

    def test_with_bytes_changed_at_sampled_places(self, large: Damaged) -> None:
        """Whatever the unpickler would have made of it: it never sees bytes of a damaged block."""
        raw = large.sound
        for place in places(len(raw), 40):
            for flip in (0x01, 0x80, 0xFF):
                large.expect_corrupt(raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :])

    def test_with_the_kind_of_its_blocks_changed(self, large: Damaged) -> None:
        """The topmost bit of a block's length is in no block checksum, only that of the whole tells."""
        raw = large.sound
        place = 7
        while length := int.from_bytes(raw[place : place + 4], "little") & 0x7FFF_FFFF:
            large.expect_corrupt(raw[: place + 3] + bytes([raw[place + 3] ^ 0x80]) + raw[place + 4 :])
            place += 4 + length + 4
        assert place == len(raw) - 8

    def test_of_zeros_or_with_a_block_zeroed(self, large: Damaged) -> None:
        raw = large.sound
        for start, end in (
            (0, len(raw)),
            (4096, 8192),
            (len(raw) - 4096, len(raw)),
            (STREAM_ABOVE, len(raw)),
        ):
            large.expect_corrupt(raw[:start] + bytes(end - start) + raw[end:])

    def test_with_foreign_bytes_behind_it(self, large: Damaged) -> None:
        for extra in (b"\0", b"garbage", bytes(4096)):
            large.expect_corrupt(large.sound + extra)

    def test_leaves_no_file_open(self, large: Damaged) -> None:
        before = len(os.listdir("/dev/fd"))
        large.expect_corrupt(large.sound[:-1])
        assert len(os.listdir("/dev/fd")) == before


class TestOtherFormats:
    @pytest.mark.parametrize("value", [{"a": [1, 2, {"b": None}]}, [1, 2, 3], "text", [], {}])
    def test_json_cut_off_is_corrupt_unless_it_is_a_number(self, tmp_path: Path, value: Any) -> None:
        damaged = Damaged(tmp_path, value, "json")
        for length in range(len(damaged.sound)):
            damaged.expect_corrupt(damaged.sound[:length])
        damaged.expect_rest_unaffected()

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 10, b"{", b"\xff", b'{"a": 1}x', b"nul", b'"\xc3"', b"[1,]"]
    )
    def test_what_is_not_json_is_corrupt(self, tmp_path: Path, content: bytes) -> None:
        damaged = Damaged(tmp_path, 1, "json")
        damaged.expect_corrupt(content)
        damaged.expect_rest_unaffected()

    def test_a_changed_character_of_json_or_text_may_go_unseen(self, tmp_path: Path) -> None:
        """As docs/damage.md says: there is no checksum."""
        damaged = Damaged(tmp_path / "json", {"a": 1}, "json")
        damaged.path.write_bytes(damaged.sound.replace(b"1", b"7"))
        assert damaged.d["bad"] == {"a": 7}
        damaged = Damaged(tmp_path / "txt", "abc", "txt")
        damaged.path.write_bytes(b"ab")
        assert damaged.d["bad"] == "ab"

    @pytest.mark.parametrize("content", [b"\xff", b"\xc3", b"a\x80b", "é".encode()[:1], b"\xed\xa0\x80"])
    def test_text_that_is_not_utf_8_is_corrupt(self, tmp_path: Path, content: bytes) -> None:
        damaged = Damaged(tmp_path, "é", "txt")
        damaged.expect_corrupt(content)
        damaged.expect_rest_unaffected()


def joblib_file(method: str, *, arrays: bool = True) -> bytes:
    file = io.BytesIO()
    value = {"x": np.arange(100), "y": "s"} if arrays else {"x": list(range(20)), "y": "s"}
    joblib.dump(value, file, compress=(method, 3))
    return file.getvalue()


class TestFilesOfJoblib:
    # zlib and gzip do not miss the last bytes, which are the checksum: joblib stops reading before.
    @pytest.mark.parametrize(
        ("method", "unseen"), [("lz4", 0), ("bz2", 0), ("xz", 0), ("lzma", 0), ("zlib", 5), ("gzip", 9)]
    )
    @pytest.mark.parametrize("arrays", [True, False])
    def test_cut_off_are_corrupt(self, tmp_path: Path, method: str, unseen: int, arrays: bool) -> None:
        raw = joblib_file(method, arrays=arrays)
        damaged = Damaged(tmp_path, 1)
        for length in range(len(raw) - unseen):
            damaged.expect_corrupt(raw[:length])
        damaged.expect_rest_unaffected()

    def test_of_xz_with_any_byte_changed_are_corrupt(self) -> None:
        raw = joblib_file("xz")
        for place in range(len(raw)):
            with pytest.raises(CorruptValueError):
                load_joblib(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])

    @pytest.mark.parametrize("method", ["gzip", "bz2", "zlib", "lzma"])
    def test_damaged_in_the_middle_are_corrupt_whatever_the_library_raises(self, method: str) -> None:
        """Some of these libraries raise OSError for damage, which is not the operating system's."""
        raw = joblib_file(method)
        middle = len(raw) // 2
        with pytest.raises(CorruptValueError):
            load_joblib(raw[:middle] + bytes(20) + raw[middle + 20 :])


class TestErrorsOfTheSystem:
    def test_are_not_taken_for_damage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that fails while a large value is streamed is no reason to give the value up."""
        d = FileDirDict[Any](tmp_path, durability="none")
        joblib.dump(np.random.default_rng(0).random(200_000), tmp_path / "a_btaxlooa.pkl", compress="lz4")
        d["b"] = np.random.default_rng(0).random(200_000)

        class Failing(io.FileIO):
            def readinto(self, buffer: Any, /) -> NoReturn:
                raise OSError(5, "Input/output error")

            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() > 100_000:
                    raise OSError(5, "Input/output error")
                return super().read(size) or b""

        monkeypatch.setattr("perkey.stores.folder.store.open", Failing, raising=False)
        for key in ("a", "b"):
            with pytest.raises(OSError, match="Input/output error") as caught:
                d[key]
            assert not isinstance(caught.value, (CorruptValueError, UnloadableValueError))
