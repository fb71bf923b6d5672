"""What is shown of a value: telling, bounded, and without running anything of it."""

from __future__ import annotations

import json
import pickle
import struct
import sys
import zlib
from base64 import b64decode
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey.viewer import images, values
from perkey.viewer.values import Node, Part, parts_of, parts_of_bytes

RNG = np.random.default_rng(1)


def kinds(parts: list[Part]) -> list[str]:
    return [part.kind for part in parts]


def stored(raw: bytes, file_type: str, **options: Any) -> list[Part]:
    return parts_of_bytes(raw, len(raw), file_type, **{"unpickle": False, **options})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, ["tree"]),
        ([1, 2.5, 3], ["plot", "tree"]),
        ([1, float("nan"), 3], ["plot", "tree"]),
        ([{"a": 1}, {"b": 2}], ["table", "tree"]),
        ([[1, 2], [3, 4]], ["table", "tree"]),
        ({"x": [1, 2], "y": [3, 4]}, ["table", "tree"]),
        (["a", "b"], ["tree"]),
        ([True, False, True], ["tree"]),
        ([1e308, -1e308, 1], ["tree"]),
        ("text", ["text"]),
        (b"\x00\x01", ["text"]),
        (None, ["tree"]),
        (np.arange(20.0), ["note", "plot", "table"]),
        (RNG.random((50, 2)), ["note", "plot", "table"]),
        (RNG.random((30, 30)), ["note", "image", "table"]),
        (RNG.integers(0, 255, (30, 30, 3), dtype=np.uint8), ["note", "image"]),
        (np.zeros((3, 3, 3)), ["note"]),
        (np.array([]), ["note", "table"]),
        (np.array(["a"]), ["note", "table"]),
        (np.float64(1), ["text"]),
        (pd.DataFrame({"a": [1]}), ["table"]),
        (pd.Series([1, 2]), ["table"]),
        (pl.DataFrame({"a": [1]}), ["table"]),
        (pl.Series([1]), ["table"]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_value_is_shown_as_what_it_is(value: Any, expected: list[str]) -> None:
    assert kinds(parts_of(value)) == expected


def test_tables_have_the_cells_of_the_value() -> None:
    (part, _) = parts_of([{"a": 1, "b": "x"}, {"a": 2, "c": None}])
    assert part.data == (["a", "b", "c"], [["1", "x", ""], ["2", "", ""]], 2, 3)
    frame = pd.DataFrame({"n": range(500)})
    (part,) = parts_of(frame)
    assert (part.data.height, len(part.data.rows)) == (500, 200)
    assert part.data.rows[1] == ["1", "1"]
    (part, _) = stored(b"a,b\n1,2\n", "csv")
    assert part.data == (["a", "b"], [["1", "2"]], 1, 2)


def test_tags_of_jsonpickle_are_text_and_their_arrays_and_frames_are_shown() -> None:
    tagged = {"py/object": "os.system", "py/reduce": [{"py/function": "os.system"}, ["echo"]]}
    (part,) = stored(json.dumps(tagged).encode(), "json")
    assert part.data.children[0] == Node("py/object", '"os.system"', [], kind="text")
    array = {"py/object": "numpy.ndarray", "dtype": "float64", "values": [0.5, 1.5, 2.5]}
    assert kinds(stored(json.dumps(array).encode(), "json")) == ["plot", "tree"]
    frame = {"py/object": "pandas.DataFrame", "values": '{"a": [1, 2], "b": ["x", "y"]}', "txt": True}
    table, _ = stored(json.dumps(frame).encode(), "json")
    assert table.data == (["a", "b"], [["1", "x"], ["2", "y"]], 2, 2)


def test_pickles_are_loaded_only_when_asked() -> None:
    raw = pickle.dumps(Witness())
    note, tree = stored(raw, "pkl")
    assert "not loaded" in note.data
    assert tree.data.text.endswith("make_witness")
    assert Witness.loaded == 0
    (tree,) = stored(raw, "pkl", unpickle=True)
    assert "Witness" in tree.data.text
    assert Witness.loaded == 1


class Witness:
    loaded = 0

    def __reduce__(self) -> Any:
        return make_witness, ()


def make_witness() -> Witness:
    Witness.loaded += 1
    return Witness()


@pytest.mark.parametrize("file_type", ["json", "pkl", "txt", "csv", "png"])
@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"[" * 100_000, b"{" * 100_000, b"\0" * 1000, b"1" * 10_000, b'"\\ud800"', b"\x80\x05",
     b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", "ä".encode() * 70_000, b"NaN",
     b'{"a":' * 3000 + b"1" + b"}" * 3000],
    ids=lambda raw: f"{raw[:8]!r}-{len(raw)}",
)  # fmt: skip
def test_every_content_is_shown_somehow(raw: bytes, file_type: str) -> None:
    parts = stored(raw, file_type)
    assert parts
    assert sum(len(str(part.data)) for part in parts) < 400_000


@given(st.binary(max_size=300), st.sampled_from(["json", "pkl", "txt", "csv"]))
def test_bytes_of_any_kind_are_shown(raw: bytes, file_type: str) -> None:
    assert stored(raw, file_type)


def test_of_a_large_value_the_first_bytes_are_shown() -> None:
    note, text = parts_of_bytes(b'["a",' * 100_000, 100 << 20, "json", unpickle=False)
    assert "100.0 MiB" in note.data
    assert len(text.data) < 70_000


def size_of(node: Node) -> int:
    return 1 + sum(map(size_of, node.children))


@pytest.mark.parametrize(
    "value",
    [
        list(range(100_000)),
        {str(n): {str(m): m for m in range(50)} for n in range(1000)},
        [[[list(range(100))] * 100] * 100] * 100,
        "x" * 10_000_000,
        {"x" * 1_000_000: 1},
        10**100_000,
        [b"x" * 10_000_000],
    ],
    ids=range(7),
)
def test_trees_are_bounded(value: Any) -> None:
    node = values.tree(value)
    assert size_of(node) < 4000
    assert len(str(node)) < 500_000


def test_deep_values_and_cycles_end() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert size_of(values.tree(deep)) < 100
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    assert size_of(values.tree(cycle)) < 100
    while deep:  # or its end would be a deep recursion
        (deep,) = deep


def test_a_class_whose_repr_raises_is_shown() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in values.tree([Silent()]).children[0].text


# --- Images -------------------------------------------------------------------------------------------------


def decoded(image: images.Image) -> bytes:
    return b64decode(image.source.partition(",")[2])


def pixels_of(png: bytes) -> bytes:
    """Return the rows of a PNG without filters."""
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        data += body if name == b"IDAT" else b""
        at += 12 + length
    width, height = struct.unpack(">II", png[16:24])
    rows = zlib.decompress(data)
    step = len(rows) // height
    assert all(rows[n * step] == 0 for n in range(height))
    del width
    return b"".join(rows[n * step + 1 : (n + 1) * step] for n in range(height))


def test_an_array_becomes_an_image_from_black_to_white() -> None:
    array = np.zeros((8, 9))
    array[0, 0], array[7, 8], array[3, 3] = -5, 5, np.nan
    image = images.from_array(array)
    pixels = pixels_of(decoded(image))
    assert (image.width, image.height, len(pixels)) == (9, 8, 72)
    assert (pixels[0], pixels[1], pixels[71]) == (0, 127, 255)
    assert "from -5 (black) to 5 (white)" in image.text


def test_colours_stay_and_large_arrays_are_thinned() -> None:
    colours = RNG.integers(0, 255, (10, 12, 3), dtype=np.uint8)
    assert pixels_of(decoded(images.from_array(colours))) == colours.tobytes()
    large = images.from_array(np.zeros((5000, 100)))
    assert (large.width, large.height) == (20, 1000)
    extremes = np.full((8, 8), sys.float_info.max)
    extremes[0, 0] = -sys.float_info.max
    assert pixels_of(decoded(images.from_array(extremes)))[:2] == b"\x00\xff"


def test_png_and_jpeg_bytes_are_images_unless_they_are_too_large() -> None:
    png = images.png(3, 2, bytes(6))
    assert kinds(stored(png, "pkl")) == ["image"]
    assert kinds(parts_of(png)) == ["image"]
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00"
    image = images.from_bytes(jpeg)
    assert image is not None
    assert (image.width, image.height) == (32, 16)
    bomb = png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:]
    assert images.from_bytes(bomb) is None
    assert images.from_bytes(png[:20]) is None
    assert images.from_bytes(b"<svg onload=alert(1)>") is None
