"""What each process of a crew does."""

import random
import time
from collections import Counter
from typing import Any

from perkey.errors import OutcomeUnknownError
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from s3.places import Place

Mark = tuple[int, int]


def noise(seed: int, size: int) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def increment(worker: int, place: Place, rounds: int, ballast: int) -> None:
    """Add one to a counter, and leave a mark of each addition."""
    d = place.open()
    for number in range(rounds):
        d.transform_item("counter", transformer=_marking((worker, number), ballast))


def increment_on_bad_ways(worker: int, place: Place, rounds: int) -> tuple[list[Mark], list[Mark]]:
    """Do the same where replies get lost; return what was done, and what nobody knows of."""
    d, sure, unsure = place.open(), [], []
    for number in range(rounds):
        mark = (worker, number)
        try:
            d.transform_item("counter", transformer=_marking(mark, 0))
        except OutcomeUnknownError:
            unsure.append(mark)
        else:
            sure.append(mark)
    return sure, unsure


def _marking(mark: Mark, ballast: int) -> Any:
    def transform(old: Any) -> Any:
        count, marks, _ = (0, [], b"") if old is ITEM_NOT_AVAILABLE else old
        return count + 1, [*marks, mark], noise(mark[1], ballast)

    return transform


def create(worker: int, place: Place, keys: int, ballast: int) -> list[int]:
    """Insert under each key; return those where it was this one who did."""
    d = place.open()
    value = (worker, noise(worker, ballast))
    return [
        key
        for key in range(keys)
        if d.setdefault_if(
            str(key),
            default_value=value,
            condition=ETAG_IS_THE_SAME,
            expected_etag=ITEM_NOT_AVAILABLE,
        ).actual_etag
        is ITEM_NOT_AVAILABLE
    ]


def pop_all(worker: int, place: Place) -> list[int]:
    """Pop items until there are none; return the values."""
    d, found = place.open(), []
    while True:
        try:
            found.append(d.popitem()[1])
        except KeyError:
            return found


def delete_compared(worker: int, place: Place, rounds: int) -> Counter[str]:
    """Delete a counter at the version read, or increment it; count both, and what was lost with it."""
    d, done = place.open(), Counter[str]()
    for number in range(rounds):
        seen = d.get_with_etag("counter")
        if seen.actual_etag is ITEM_NOT_AVAILABLE or (number + worker) % 3:
            d.transform_item("counter", transformer=lambda old: 1 if old is ITEM_NOT_AVAILABLE else old + 1)
            done["incremented"] += 1
            continue
        result = d.discard_if("counter", condition=ETAG_IS_THE_SAME, expected_etag=seen.actual_etag)
        if result.condition_was_satisfied:
            done["deleted"] += 1
            done["taken"] += int(str(seen.new_value))
    return done


def rewrite(worker: int, place: Place, rounds: int) -> int:
    """Rewrite one key, or read it, with a value that shows if it was torn."""
    d, reads = place.open(), 0
    for number in range(rounds):
        if worker % 2:
            d["shared"] = (worker, number, noise(number, 200_000 + 1000 * worker))
        else:
            writer, mark, ballast = d["shared"]
            assert ballast == noise(mark, 200_000 + 1000 * writer)
            reads += 1
    return reads


def read_cached(worker: int, place: Place, folder: str, rounds: int) -> list[tuple[int, float]]:
    """One writes rising numbers, the others read them through one cache; they never fall."""
    d = place.open_cached(folder)
    last = -1
    for number in range(rounds):
        if worker == 0:
            d["rising"] = number
        else:
            found = d.get("rising", -1)
            assert found >= last, f"{found} after {last}"
            last = found
    return [(last, time.time())]


def fill_cache(worker: int, place: Place, folder: str, max_bytes: int, rounds: int) -> None:
    """Write and read values of many sizes through one bounded cache."""
    d = place.open_cached(folder, max_bytes=max_bytes)
    for number in range(rounds):
        value = noise(worker, 1 + (number * 7919 + worker * 104729) % (max_bytes // 6))
        key = f"{worker}-{number % 12}"
        d[key] = value
        assert d[key] == value


def add_to(worker: int, d: Any) -> int:
    """Add an item to a dictionary that came here; return another one."""
    d[str(worker)] = worker
    return int(d["a"])
