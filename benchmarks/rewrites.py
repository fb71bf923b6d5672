"""What replaces most files; last of all, because of what ext4 makes of that.

For one to six minutes ext4 does not give out an inode that was freed, and whoever makes a file looks at all
of them, one by one (`recently_deleted` in fs/ext4/ialloc.c): after ten thousand files were replaced or
deleted, each new one takes several times as long, for every program. So the files of the other suites are
not deleted before the end of the command, either; and a run that follows another at once measures this.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import processes
from benchmarks.folders import Bench
from benchmarks.measuring import Outcome, Settings
from benchmarks.values import keys, small_dict


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure writing items that are there, and incrementing one of them."""
    names = keys(settings.pick(300, 1000))
    bench = Bench(f"{settings.folder}/rewrites", {key: small_dict(i) for i, key in enumerate(names)})
    try:
        for durable in (True, False):
            yield bench.set_old(settings.pick(3, 7), durable=durable).hold("1 KiB, rewritten")
    finally:
        bench.close()
    yield processes.increments(settings)
