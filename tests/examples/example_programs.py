"""Runs the examples as their users do, and makes their parts importable."""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"
OUTPUT = FOLDER / "output"
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


def assert_printed_as_kept(name: str, printed: str) -> None:
    """Compare what an example printed with `examples/output`; with PERKEY_RECORD=1 keep it there."""
    kept = OUTPUT / f"{name}.txt"
    if os.environ.get("PERKEY_RECORD"):
        kept.write_text(printed, encoding="utf-8")
    assert _comparable(printed) == _comparable(kept.read_text(encoding="utf-8"))


def _comparable(text: str) -> str:
    """Leave out what depends on chance, and digits of scores that depend on the version of scikit-learn."""
    text = re.sub(r"\d+ workers killed, \d+ attempts cut short", "some workers killed", text)
    return re.sub(r"\b(0\.\d\d)\d\d\b", r"\1", text)
