"""Print which files of perkey a call enters: how many modules a reader of the code has to open.

python -m benchmarks.entered
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import FrameType
from typing import Any

import perkey
from perkey import FileDirDict
from perkey.dataspace import init_project

_PACKAGE = os.path.dirname(perkey.__file__) + os.sep

MOST = {
    "d[k] = v": 6,
    "d[k]": 5,
    "making a job": 6,
    "find_jobs": 8,
    "editing a job's document": 12,
}
"""How many files each operation may enter."""


class Entered:
    """The calls of Python functions that a block of code made.

    Attributes:
        files: Each file of perkey that was entered, in the order of the first call, with its functions.
        calls: How many Python functions were called, those of other packages included.
    """

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}
        self.calls = 0

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of an event, as a profiler."""
        del argument
        if event != "call":
            return
        self.calls += 1
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            functions = self.files.setdefault(code.co_filename.removeprefix(_PACKAGE), [])
            if code.co_qualname not in functions:
                functions.append(code.co_qualname)


def entered(act: Callable[[], object]) -> Entered:
    """Return the calls that a function makes, without the call of the function itself."""
    found = Entered()
    sys.setprofile(found.note)
    try:
        act()
    finally:
        sys.setprofile(None)
    found.calls -= 1
    return found


@contextmanager
def operations() -> Iterator[dict[str, Callable[[], Any]]]:
    """Yield the operations by what they are called; each has run before, on another key or job."""
    with tempfile.TemporaryDirectory() as folder:
        d = FileDirDict[int](os.path.join(folder, "dict"))
        project = init_project(path=os.path.join(folder, "project"))
        numbers = count()
        d["there"] = 1
        job = project.open_job({"a": -1}).init()
        yield {
            "d[k] = v": lambda: d.__setitem__(f"k{next(numbers)}", 1),
            "d[k]": lambda: d["there"],
            "making a job": lambda: project.open_job({"a": next(numbers)}).init(),
            "find_jobs": lambda: list(project.find_jobs({"a": -1})),
            "editing a job's document": lambda: job.document.__setitem__("n", next(numbers)),
        }


def main() -> None:
    """Print each operation with the files that it enters and the functions in them."""
    with operations() as named:
        for name, act in named.items():
            act()
            act()
            found = entered(act)
            print(f"{name}: {len(found.files)} files (at most {MOST[name]}), {found.calls} calls")
            for file, functions in found.files.items():
                print(f"    {file}: {', '.join(functions)}")


if __name__ == "__main__":
    main()
