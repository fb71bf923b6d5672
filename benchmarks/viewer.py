"""Time to the first page and memory of the viewer: ``python -m benchmarks.viewer FOLDER [KEYS [JOBS]]``.

Makes a dictionary and a data space in FOLDER unless they are there, and asks ``perkey view`` for their pages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from perkey import FileDirDict
from perkey.dataspace import init_project

KEYS, JOBS = 100_000, 20_000


def make(folder: Path, keys: int, jobs: int) -> tuple[Path, Path]:
    """Return a dictionary and a data space, made unless they are there."""
    d, study = folder / f"keys-{keys}", folder / f"jobs-{jobs}"
    if not d.exists():
        values = FileDirDict(d, file_type="json", durability="none")
        values.update({(f"group{n % 100}", f"item{n}"): {"number": n} for n in range(keys)})
    if not study.exists():
        project = init_project("study", study, durability="none")
        for n in range(jobs):
            job = project.open_job({"n": n, "kernel": f"k{n % 4}", "deep": {"x": n % 7}}).init()
            Path(job.fn(job.FN_DOCUMENT)).write_text(json.dumps({"score": n / jobs, "steps": n % 100}))
    return d, study


class Viewed:
    """A viewer of a place, in a process of its own."""

    def __init__(self, place: Path) -> None:
        command = [sys.executable, "-m", "perkey.cli", "view", "--no-browser", str(place)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self._address = self._process.stdout.readline().strip()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        self._opener.open(self._address.replace("/?", "/static/style.css?")).close()

    def page(self, path: str) -> str:
        """Return a page, and print how long it took."""
        began = time.perf_counter()
        with self._opener.open(self._address.partition("/?")[0] + path) as response:
            text: str = response.read().decode()
        print(f"  {path:<50} {time.perf_counter() - began:7.3f} s  {len(text):8,} bytes  {self._memory()}")
        return text

    def until(self, path: str, condition: Callable[[str], bool]) -> None:
        """Print how long it takes until a page fulfils a condition."""
        began = time.perf_counter()
        with open(os.devnull, "w") as nothing:
            shown, sys.stdout = sys.stdout, nothing
            try:
                while not condition(self.page(path)):
                    time.sleep(0.1)
            finally:
                sys.stdout = shown
        print(f"  all is known after {time.perf_counter() - began:.1f} s  {self._memory()}")

    def close(self) -> None:
        """End it, and print how long that takes."""
        began = time.perf_counter()
        self._process.terminate()
        self._process.wait()
        print(f"  ended in {time.perf_counter() - began:.2f} s")

    def _memory(self) -> str:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        found = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
        return f"{found['VmRSS:'] >> 10} MiB, at most {found['VmHWM:'] >> 10} MiB"


@contextmanager
def viewed(place: Path) -> Iterator[Viewed]:
    """Return a viewer that ends with the block."""
    viewer = Viewed(place)
    try:
        yield viewer
    finally:
        viewer.close()


def main(folder: str, keys: str = str(KEYS), jobs: str = str(JOBS)) -> None:
    """Print the figures."""
    d, study = make(Path(folder), int(keys), int(jobs))
    print(f"{int(keys):,} keys")
    with viewed(d) as pages:
        pages.page("/d/0/")
        pages.until("/d/0/", lambda text: "goes on" not in text)
        for query in ("", "?sort=size&dir=desc", "?q=item999", "?q=*9*9", "tree", "charts"):
            pages.page(f"/d/0/{query}")
    print(f"{int(jobs):,} jobs")
    with viewed(study) as pages:
        pages.page("/s/0/")
        pages.until("/s/0/?sort=n", lambda text: "<progress" not in text)
        for query in ("", "?sort=doc.score&order=desc", "?q=doc.score.$gt 0.9", "?q=kernel /k[12]/", "plot"):
            pages.page(f"/s/0/{quote(query, safe='?=&')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
