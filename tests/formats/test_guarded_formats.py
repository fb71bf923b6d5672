"""Signed values and allow-listed pickles keep out what they say, and nothing runs before they did."""

import functools
import io
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import lz4.frame
import numpy as np
import pytest

from perkey import CorruptValueError, FileDirDict, UnloadableValueError, register_format
from perkey.content import bytes_of
from perkey.formats import AllowListPickleFormat, Format, JsonFormat, PickleFormat, SignedFormat, TextFormat
from perkey.formats import base as registry
from perkey.formats.pickled import compress

SECRET = b"sixteen bytes or more"


@pytest.fixture(autouse=True)
def _registry_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_formats", dict(registry._formats))


class TestSigned:
    @pytest.mark.parametrize("inner", [PickleFormat(), JsonFormat()], ids=["pkl", "json"])
    @pytest.mark.parametrize("value", [{"a": [1, "x"]}, [], "t" * 2_000_000], ids=["dict", "empty", "large"])
    def test_values_come_back_from_bytes_and_files(self, inner: Format, value: Any) -> None:
        signed = SignedFormat(inner, secret=SECRET)
        stored = bytes_of(signed.encode(value))
        assert signed.decode(stored) == value
        assert signed.decode(io.BytesIO(stored)) == value

    def test_any_changed_bit_and_any_cut_is_seen(self) -> None:
        signed = SignedFormat(JsonFormat(), secret=SECRET)
        stored = bytes_of(signed.encode({"a": 1}))
        forged = [stored[:n] for n in range(len(stored))] + [stored + b" "]
        for place, byte in enumerate(stored):
            forged += [stored[:place] + bytes([byte ^ 1 << bit]) + stored[place + 1 :] for bit in range(8)]
        for content in forged:
            with pytest.raises(CorruptValueError, match="signature"):
                signed.decode(content)

    def test_a_value_signed_with_another_secret_or_not_at_all_is_refused(self) -> None:
        stored = bytes_of(SignedFormat(PickleFormat(), secret=b"another secret, long").encode(1))
        for content in (stored, bytes_of(PickleFormat().encode(1)), b"", bytes(1000)):
            with pytest.raises(CorruptValueError, match="signature"):
                SignedFormat(PickleFormat(), secret=SECRET).decode(content)

    def test_nothing_is_decoded_before_the_signature_was_checked(self, tmp_path: Path) -> None:
        signed = SignedFormat(PickleFormat(), secret=SECRET)
        stored = bytes_of(signed.encode(1))
        head = len(stored) - len(bytes_of(PickleFormat().encode(1)))
        for attack in attacks(tmp_path / "marker").values():
            with pytest.raises(CorruptValueError, match="signature"):
                signed.decode(stored[:head] + attack)
        assert not (tmp_path / "marker").exists()

    def test_the_secret_is_in_no_repr_and_no_pickled_handle(self, tmp_path: Path) -> None:
        register_format("signed", SignedFormat(PickleFormat(), secret=SECRET))
        d = FileDirDict[int](tmp_path, "signed")
        d["k"] = 1
        shown = repr(SignedFormat(PickleFormat(), secret=SECRET)) + repr(d) + str(d.get_params())
        assert "secret=..." in shown
        assert "sixteen" not in shown
        assert SECRET not in pickle.dumps(d)
        assert all(SECRET not in path.read_bytes() for path in tmp_path.iterdir())
        assert pickle.loads(pickle.dumps(d))["k"] == 1

    def test_a_forged_file_is_told_with_key_and_path(self, tmp_path: Path) -> None:
        register_format("signed", SignedFormat(JsonFormat(), secret=SECRET))
        d = FileDirDict[int](tmp_path, "signed")
        d["k"] = 1
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:-1] + b"2")
        with pytest.raises(CorruptValueError, match=f"'k'.*{path.name}"):
            d["k"]

    def test_a_short_secret_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 16 bytes"):
            SignedFormat(PickleFormat(), secret=b"short")

    def test_the_class_of_values_is_the_inner_ones(self) -> None:
        assert SignedFormat(PickleFormat(), secret=SECRET).value_class is None
        assert SignedFormat(TextFormat(), secret=SECRET).value_class is str


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path, padding: int = 0) -> None:
        self.marker = marker
        self.padding = padding

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"echo {'x' * self.padding} > '{self.marker}'",)


def attacks(marker: Path) -> dict[str, bytes]:
    """Return pickles that run a command, in every wrapping that is read."""
    plain = pickle.dumps(Attack(marker))
    by_joblib = io.BytesIO()
    joblib.dump([np.zeros(10), Attack(marker)], by_joblib, compress="lz4")
    return {
        "small": compress(plain),
        "streamed": bytes_of(PickleFormat().encode([np.zeros(400_000), Attack(marker)])),
        "attack first": bytes_of(PickleFormat().encode([Attack(marker), np.zeros(400_000)])),
        "bare": plain,
        "foreign frame": lz4.frame.compress(plain),
        "by joblib": by_joblib.getvalue(),
        "eval": compress(b"cbuiltins\neval\n(S'open(%r, \"w\")'\ntR." % str(marker).encode()),
        "by a longer way": compress(b"\x80\x04\x8c\x0bcollections\x8c\x0cabc.sys.exit\x93."),
    }


KINDS = ["small", "streamed", "attack first", "bare", "foreign frame", "by joblib", "eval", "by a longer way"]


class TestAllowList:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("as_file", [False, True])
    def test_what_is_not_listed_does_not_run(self, tmp_path: Path, kind: str, as_file: bool) -> None:
        marker = tmp_path / "marker"
        guarded = AllowListPickleFormat([np.ndarray, "numpy.dtype", "numpy._core.numeric._frombuffer"])
        content = attacks(marker)[kind]
        with pytest.raises(UnloadableValueError, match="list of allowed"):
            guarded.decode(io.BytesIO(content) if as_file else content)
        assert not marker.exists()

    @pytest.mark.parametrize("kind", ["small", "streamed", "bare", "foreign frame", "by joblib"])
    def test_which_would_have_run_without_the_list(self, tmp_path: Path, kind: str) -> None:
        """Else the test above would prove nothing."""
        marker = tmp_path / "marker"
        PickleFormat().decode(attacks(marker)[kind])
        assert marker.exists()

    @pytest.mark.parametrize(
        "value",
        [None, True, 5, 1.5, "x", b"x", [1, (2,)], {"a": {1, 2}}, frozenset([1]), bytearray(b"x"), 10**100],
    )
    def test_plain_values_need_no_listing(self, value: Any) -> None:
        guarded = AllowListPickleFormat([])
        assert guarded.decode(bytes_of(guarded.encode(value))) == value

    def test_listed_classes_and_functions_are_built_small_and_streamed(self) -> None:
        guarded = AllowListPickleFormat(
            [functools.partial, len, "numpy.ndarray", "numpy.dtype", "numpy._core.numeric._frombuffer"]
        )
        assert guarded.decode(bytes_of(guarded.encode(functools.partial(len, "abc"))))() == 3
        array = np.random.default_rng(0).random(200_000)
        for content in (bytes_of(guarded.encode(array)), io.BytesIO(bytes_of(guarded.encode(array)))):
            np.testing.assert_array_equal(guarded.decode(content), array)

    def test_a_refusal_names_what_was_asked_for_and_the_file_stays(self, tmp_path: Path) -> None:
        register_format("safe", AllowListPickleFormat([]))
        d = FileDirDict[Any](tmp_path, "safe")
        d["k"] = functools.partial(len, "abc")
        (path,) = tmp_path.iterdir()
        with pytest.raises(UnloadableValueError, match=r"'k'.*names functools.partial"):
            d["k"]
        assert path.exists()

    def test_damage_is_told_as_damage(self) -> None:
        guarded = AllowListPickleFormat([])
        for raw in (bytes_of(guarded.encode([1, "x"])), bytes_of(guarded.encode("x" * 3_000_000))):
            for content in (b"", b"\0" * 100, raw[:-1], raw + b"x", raw[:20] + b"\x55" + raw[21:]):
                for given in (content, io.BytesIO(content)):
                    with pytest.raises(CorruptValueError):
                        guarded.decode(given)

    def test_a_pickle_that_makes_no_sense_is_unloadable(self) -> None:
        guarded = AllowListPickleFormat([])
        for raw in (b"\x80\x05.", b"garbage", b"\x80\x05\x8c\xff", b"P1\n."):
            with pytest.raises(UnloadableValueError):
                guarded.decode(compress(raw))
