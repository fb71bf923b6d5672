"""A random key where strangers have put files whose names only look like items."""

from collections import Counter
from pathlib import Path

from perkey import FileDirDict

DRAWS = 900


def put_lookalikes(folder: Path, count: int) -> None:
    """Put files named as items are, with digests of something else."""
    for number in range(count):
        (folder / f"key{number}_aaaaaaa{number % 5 + 2}.pkl").write_bytes(b"")


def test_each_key_is_drawn_equally_often_and_no_stranger(tmp_path: Path) -> None:
    d = FileDirDict[int](tmp_path, durability="none")
    d.update({"a": 1, "b": 2, ("c", "d"): 3})
    put_lookalikes(tmp_path, 6)
    drawn = Counter(d.random_key() for _ in range(DRAWS))
    assert set(drawn) == {("a",), ("b",), ("c", "d")}
    # By chance alone one in 10**9 runs would be further off.
    assert all(abs(count - DRAWS / 3) < DRAWS / 9 for count in drawn.values())


def test_of_strangers_alone_none_is_drawn(tmp_path: Path) -> None:
    put_lookalikes(tmp_path, 3)
    assert FileDirDict[int](tmp_path).random_key() is None
