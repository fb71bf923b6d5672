"""How long an import takes, beyond the interpreter's own start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks import peers
from benchmarks.measuring import Act, Contest, Outcome, Settings


def run(settings: Settings) -> Iterator[Outcome]:
    """Import in a new interpreter, compiled before; the time of one that imports nothing is taken off."""
    modules = ["perkey", *(name for name in ("persidict", "diskcache", "joblib") if _is_there(name))]
    acts: dict[str, Act] = {name: partial(_start, f"import {name}") for name in modules}
    acts["nothing"] = partial(_start, "pass")
    measured = Contest("import", 1, acts, rounds=settings.pick(5, 15)).hold("import")
    nothing = measured.seconds.pop("nothing")
    yield Outcome("import", "import", {name: taken - nothing for name, taken in measured.seconds.items()})


def _is_there(name: str) -> bool:
    return name in peers.installed(peers.PEERS)


def _start(code: str) -> None:
    # Without -B and PYTHONDONTWRITEBYTECODE, which would make every import compile anew.
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
