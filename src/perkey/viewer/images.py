"""Images: which bytes are one, and arrays as one."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from typing import Any, Final, NamedTuple

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_MOST_PIXELS: Final = 40_000_000
"""A browser needs four bytes of memory for each pixel, however small the file is."""
_MOST_BYTES: Final = 8 << 20
_WIDEST: Final = 1024
"""Arrays with more rows or columns are shown by every second, third, ... of them."""
_SMALLEST: Final = 8
_STARTS: Final = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
"""Markers of JPEG that the size of the image follows."""


class Image(NamedTuple):
    """An image for a page.

    Attributes:
        source: A ``data:`` address of a PNG or JPEG.
        width: Its width in pixels.
        height: Its height.
        text: What it shows, in words.
    """

    source: str
    width: int
    height: int
    text: str


def from_bytes(data: bytes) -> Image | None:
    """Return bytes as an image; None if they are neither PNG nor JPEG, or too large."""
    kind = "png" if data.startswith(_PNG) else "jpeg" if data.startswith(_JPEG) else None
    size = size_of(data)
    if kind is None or size is None or len(data) > _MOST_BYTES or is_too_large(size):
        return None
    text = f"{kind.upper()} image, {size[0]} x {size[1]} pixels"
    return Image(f"data:image/{kind};base64,{b64encode(data).decode()}", *size, text)


def size_of(head: bytes) -> tuple[int, int] | None:
    """Return width and height by the beginning of a PNG, JPEG, GIF, BMP or WebP; None if it is not one."""
    for read in (_png_size, _jpeg_size, _gif_size, _bmp_size, _webp_size):
        size = read(head)
        if size is not None:
            return size
    return None


def is_too_large(size: tuple[int, int]) -> bool:
    """Return whether a browser would need too much memory for an image, or whether it is empty."""
    return not 0 < size[0] * size[1] <= _MOST_PIXELS


def _png_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or len(data) < 24:  # noqa: PLR2004 - the header
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if data[at + 1] in _STARTS:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def _gif_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith((b"GIF87a", b"GIF89a")) or len(data) < 10:  # noqa: PLR2004 - the header
        return None
    width, height = struct.unpack("<HH", data[6:10])
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"BM") or len(data) < 26:  # noqa: PLR2004 - the header
        return None
    width, height = struct.unpack("<ii", data[18:26])
    return abs(width), abs(height)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:  # noqa: PLR2004 - the header
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


def looks_like_one(array: Any) -> bool:
    """Return whether an array has the shape and the numbers of an image."""
    if array.dtype.kind not in "buif" or array.ndim not in {2, 3}:
        return False
    if array.ndim == 3 and array.shape[2] not in {3, 4}:  # noqa: PLR2004 - colours
        return False
    low, high = sorted(array.shape[:2])
    return bool(low >= _SMALLEST and high <= 64 * low)


def from_array(array: Any) -> Image:
    """Return an array as an image: colours as they are, other numbers from black (least) to white."""
    import numpy as np  # noqa: PLC0415 - there is an array

    step = max(1, -(-max(array.shape[:2]) // _WIDEST))
    small = array[::step, ::step]
    if small.ndim == 3 and small.dtype == np.uint8:  # noqa: PLR2004 - colours
        pixels, low, high = small, 0.0, 255.0
    else:
        numbers = small.astype(float)
        finite = numbers[np.isfinite(numbers)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        with np.errstate(all="ignore"):
            spread = (numbers / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)  # halves do not overflow
        pixels = (np.clip(np.nan_to_num(spread), 0, 1) * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    shape = " x ".join(str(n) for n in array.shape)
    every = f", one of {step} rows and columns" if step > 1 else ""
    text = f"Image of an array of {shape} {array.dtype}, from {low:g} (black) to {high:g} (white){every}"
    return Image(
        f"data:image/png;base64,{b64encode(png(width, height, pixels.tobytes())).decode()}",
        width,
        height,
        text,
    )


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG.

    Args:
        width: Its width.
        height: Its height.
        pixels: Rows of pixels, each of one byte (grey), three (colours) or four (and opacity).
    """
    each = len(pixels) // (width * height)
    colour = {1: 0, 3: 2, 4: 6}[each]
    row = width * each
    rows = b"".join(b"\0" + pixels[at : at + row] for at in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _PNG + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
