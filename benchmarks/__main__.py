"""python -m benchmarks: measure, print a table of ratios, write JSON and a picture.

python -m benchmarks                     # all suites; takes about half an hour on 2 cores
python -m benchmarks items s3            # some
python -m benchmarks --quick --check     # seconds; fails if a ratio collapsed
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from benchmarks import peers, report
from benchmarks.measuring import FLOOR, Outcome, Settings

SUITES = {
    "items": "folders",
    "processes": "processes",
    "arrays": "arrays",
    "imports": "imports",
    "s3": "s3",
    "aio": "aio",
    "scale": "scale",
    "once": "once",
    "copying": "copying",
    "synced": "synced",
    "rewrites": "rewrites",
}
"""Name on the command line to module, whose `run` yields outcomes. They run in this order."""

RECORDED = Path(__file__).with_name("recorded.json")
COLLAPSE = 3.0
"""So many times worse than recorded is a collapse; less may be the machine."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a rough answer, within seconds")
    parser.add_argument("--full", action="store_true", help="with a million keys")
    parser.add_argument("--folder", help="where to measure (its file system is what is measured)")
    parser.add_argument("--output", type=Path, help="folder for results.json and results.png")
    parser.add_argument("--check", action="store_true", help="fail if a ratio collapsed against the record")
    parser.add_argument("--record", action="store_true", help="make this run the record for --check")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.suites) - set(SUITES))
    if unknown:
        parser.error(f"no suite is called {unknown[0]!r}; there are: {', '.join(SUITES)}")
    if peers.missing():
        print(f"Left out, because not installed: {', '.join(peers.missing())} (pip install 'perkey[bench]')")
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="perkey-bench-", dir=options.folder) as folder:
        about = report.conditions(folder)
        for outcome in _measure(
            options.suites or list(SUITES), Settings(folder, options.quick, options.full)
        ):
            outcomes.append(outcome)
            print(f"{outcome.suite}: {outcome.name}: {_line(outcome)}", flush=True)
    print(f"\n{json.dumps(about, indent=1)}\n\n{report.table(outcomes)}")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        report.write_json(options.output / "results.json", outcomes, about)
        report.draw(options.output / "results.png", outcomes)
    if options.record:
        RECORDED.write_text(json.dumps(dict(_guarded(outcomes)), indent=1) + "\n")
    return _check(outcomes) if options.check else 0


def _measure(names: list[str], settings: Settings) -> Iterator[Outcome]:
    for name in sorted(set(names), key=list(SUITES).index):
        run: Callable[[Settings], Iterator[Outcome]] = import_module(f"benchmarks.{SUITES[name]}").run
        yield from run(settings)


def _line(outcome: Outcome) -> str:
    return ", ".join(f"{name} {report.duration(seconds)}" for name, seconds in outcome.seconds.items())


def _guarded(outcomes: list[Outcome]) -> Iterator[tuple[str, float]]:
    """Yield the ratios to the floor and to the direct peer by a name, but none that hangs on syncs."""
    for outcome in outcomes:
        if "update" in outcome.name or "durable" in outcome.name:
            continue
        for other, ratio in outcome.ratios():
            if other == FLOOR or (
                other == "persidict" and "set" not in outcome.name
            ):  # it syncs what it sets
                yield f"{outcome.suite}: {outcome.name}: {other}", round(ratio, 3)


def _check(outcomes: list[Outcome]) -> int:
    """Compare with the record; only a collapse fails, because machines differ and are disturbed."""
    recorded: dict[str, float] = json.loads(RECORDED.read_text())
    measured = dict(_guarded(outcomes))
    compared = recorded.keys() & measured.keys()
    if not compared:
        print("Nothing of what was measured is in the record.")
        return 1
    collapsed = [
        f"{name}: {measured[name]:.3g} instead of {recorded[name]:.3g}"
        for name in sorted(compared)
        if measured[name] * COLLAPSE < recorded[name]
    ]
    print(
        f"\n{len(compared)} ratios compared with the record, {len(collapsed)} collapsed.",
        *collapsed,
        sep="\n",
    )
    return 1 if collapsed else 0


if __name__ == "__main__":
    sys.exit(main())
