"""The values that are measured: of some sizes, and hard to compress."""

from __future__ import annotations

import random
import string
from typing import Any

SIZES = {"100 B": 100, "1 KiB": 1 << 10, "100 KiB": 100 << 10}


def small_dict(number: int, size: int = 1 << 10) -> dict[str, Any]:
    """Return a dict of `size` bytes, roughly, once pickled: a record as experiments have them."""
    dice = random.Random(number)
    record = {"id": number, "name": f"sample-{number}", "score": dice.random(), "done": True}
    if size > 512:
        record["rates"] = [dice.random() for _ in range(8)]
    text = "".join(dice.choices(string.ascii_letters, k=max(0, size - (220 if size > 512 else 90))))
    return {**record, "text": text}


def keys(count: int) -> list[str]:
    """Return the keys of `count` values."""
    return [f"key{number:07d}" for number in range(count)]
