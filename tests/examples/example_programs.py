"""Runs the examples as their users do, and makes their parts importable."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(FOLDER))


def run_example(name: str, *options: str, cwd: Path) -> str:
    """Run an example with warnings as errors, and return what it printed; it must succeed in silence."""
    temporary = cwd / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / f"{name}.py", *options],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert list(temporary.iterdir()) == [], "it left something behind"
    temporary.rmdir()
    return done.stdout
