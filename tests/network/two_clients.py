"""Programs that race through a network file system from two machines, and what must hold afterwards.

    python two_clients.py A B [SERVER] [--keys N] [--only NAME] [--kill] [--cut COMMAND] [--histories N]
                          [--may-refuse]

A and B are the same folder as two clients see it, SERVER is that folder on the server's own file system. A
and B may be equal: that is the control, which shows whether a fault is due to the network. Two workers run
on each client, one on the server. A place may refuse what it cannot keep exact
(`UnsupportedConditionError`). Then everything that was acknowledged must be there all the same. The exit
status is the number of scenarios that failed, or were refused without --may-refuse.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from perkey import ITEM_NOT_AVAILABLE, FileDirDict, LockTimeoutError, UnsupportedConditionError
from perkey.dataspace import get_project, init_project
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY
from perkey.files.sharing import way_of
from perkey.stores.folder.store import DirectoryStore
from perkey.synced import JSONDict
from perkey.testing.histories import Event, Outcome, Recorder, find_order

LIMIT: Final = 900.0
"""Seconds after which a scenario is taken to hang."""
_FORK = get_context("fork")


@dataclass
class Places:
    """One folder as each machine sees it, and what is done to the workers on the way."""

    clients: list[str]
    server: str | None
    keys: int
    kill: bool = False
    cut: str | None = None

    def below(self, name: str) -> list[str]:
        """Make a folder in it and return its paths, one for each worker."""
        (Path(self.clients[0]) / name).mkdir()
        roots = [client for client in self.clients for _ in range(2)]
        if self.server:
            roots.append(self.server)
        paths = [str(Path(root) / name) for root in roots]
        for path in paths:
            while not Path(path).is_dir():  # a client may remember for a while that it was not there
                time.sleep(0.1)
        return paths


@dataclass
class Report:
    """What came of a scenario."""

    name: str
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    refused: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Worker = Callable[[int, str, "Say"], None]
Say = Callable[[Any], None]


def race(places: Places, paths: list[str], work: Worker, report: Report) -> list[list[Any]]:
    """Run a worker on each path and return what each has said; its errors are faults.

    With `kill`, the first worker is killed in the middle; with `cut`, the network of the first client is
    taken down for a while by a command.
    """
    start = _FORK.Event()
    pipes: list[Connection] = []
    processes = []
    for index, path in enumerate(paths):
        mine, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_run, args=(work, index, path, theirs, start))
        process.start()
        theirs.close()
        pipes.append(mine)
        processes.append(process)
    said: list[list[Any]] = [[] for _ in paths]
    spoke = [time.monotonic()] * len(paths)
    pauses = [0.0] * len(paths)
    start.set()
    disturbances = _disturb(places, processes, report)
    end = time.monotonic() + LIMIT
    open_pipes = set(pipes)
    while open_pipes and time.monotonic() < end:
        for pipe in wait(list(open_pipes), timeout=0.5):
            assert isinstance(pipe, Connection)
            index = pipes.index(pipe)
            try:
                said[index].append(pipe.recv())
            except EOFError:
                open_pipes.discard(pipe)
                continue
            pauses[index] = max(pauses[index], time.monotonic() - spoke[index])
            spoke[index] = time.monotonic()
        next(disturbances, None)
    if places.cut:
        report.facts["longest pause of each worker"] = [round(pause, 1) for pause in pauses]
    for process in processes:
        process.join(5)
        if process.is_alive():
            report.faults.append("a worker hangs")
            process.kill()
    for index, words in enumerate(said):
        for word in [word for word in words if isinstance(word, Exception)]:
            words.remove(word)
            if isinstance(word, UnsupportedConditionError):
                report.refused = str(word)
            else:
                report.faults.append(f"worker {index}: {word}")
    return said


def _run(work: Worker, index: int, path: str, pipe: Connection, start: Any) -> None:
    start.wait()
    try:
        work(index, path, pipe.send)
    except UnsupportedConditionError as error:
        pipe.send(error)
    except BaseException:  # noqa: BLE001 - reported as a fault
        pipe.send(RuntimeError(traceback.format_exc()))
    pipe.close()


def _disturb(places: Places, processes: list[Any], report: Report) -> Iterator[None]:
    """Kill a worker or cut a client off, a little later with each step."""
    for _ in range(random.randrange(4, 12)):
        yield
    if places.kill:
        os.kill(processes[0].pid, signal.SIGKILL)
        report.facts["killed"] = 1
    if places.cut:
        subprocess.run([places.cut, "down"], check=True)
        cut = time.monotonic()
        while time.monotonic() < cut + 40:
            yield
        subprocess.run([places.cut, "up"], check=True)
        report.facts["cut off for s"] = round(time.monotonic() - cut)


# --- Scenarios ----------------------------------------------------------------------------------------


def insert_once(places: Places, report: Report) -> None:
    """Of all that insert a key if it is absent, one wins."""
    paths = places.below("insert")
    # Client A's first write waits until the server's processes know of it. They would win all keys meanwhile.
    first = FileDirDict(paths[0], file_type="json", durability="none")
    first["first"] = 0
    del first["first"]
    keys = [f"key-{number}" for number in range(places.keys)]

    def work(index: int, path: str, say: Say) -> None:
        d = FileDirDict(path, file_type="json", durability="none")
        for key in random.Random(index).sample(keys, len(keys)) if index % 2 else keys:
            if d.setdefault_if(key, default_value=index).condition_was_satisfied:
                say(key)

    said = race(places, paths, work, report)
    winners: dict[str, list[int]] = {key: [] for key in keys}
    for index, words in enumerate(said):
        for key in words:
            winners[key].append(index)
    for path in {paths[0], paths[-1]}:
        stored = dict(FileDirDict(path, file_type="json", durability="none"))
        if set(stored) != {*FileDirDict(path, file_type="json").keys()} or len(stored) != len(keys):
            report.faults.append(f"{path} lists {len(stored)} of {len(keys)} keys")
        if len(FileDirDict(path, file_type="json")) != len(keys):
            report.faults.append(f"len is {len(FileDirDict(path, file_type='json'))}, not {len(keys)}")
        for key, value in stored.items():
            if winners[key[0]] != [value] and not (places.kill and value == 0):
                report.faults.append(f"{key} is of {value}, won by {winners[key[0]]}")
    report.facts["two winners"] = sum(len(won) > 1 for won in winners.values())
    report.facts["keys"] = len(keys)


def count_up(places: Places, report: Report) -> None:
    """Increments by several machines are exact."""
    paths = places.below("count")
    turns = max(2, places.keys * 6 // 5 // len(paths))

    def work(_: int, path: str, say: Say) -> None:
        d = FileDirDict(path, file_type="json", durability="none")
        for _turn in range(turns):
            d.transform_item("n", transformer=lambda n: 1 if n is ITEM_NOT_AVAILABLE else n + 1)
            say(1)

    acknowledged = sum(map(len, race(places, paths, work, report)))
    counted = FileDirDict(paths[-1], file_type="json")["n"]
    if not acknowledged <= counted <= acknowledged + places.kill:
        report.faults.append(f"{acknowledged} increments acknowledged, {counted} counted")
    report.facts |= {"acknowledged": acknowledged, "counted": counted}


def pop_once(places: Places, report: Report) -> None:
    """Each item is popped by one."""
    paths = places.below("pop")
    keys = [("folder", f"key-{number}") for number in range(places.keys * 3 // 5)]
    FileDirDict(paths[0], durability="none").update(dict.fromkeys(keys, "x" * 1000))

    def work(index: int, path: str, say: Say) -> None:
        d = FileDirDict(path, durability="none")
        for key in random.Random(index // 2).sample(keys, len(keys)):
            value = d.pop(key, None)
            if value is not None:
                say(key if value == "x" * 1000 else RuntimeError(f"torn: {value[:20]!r}"))

    popped = Counter(key for words in race(places, paths, work, report) for key in words)
    twice = [key for key, times in popped.items() if times > 1]
    left = len(FileDirDict(paths[0]))
    if twice or not len(keys) - places.kill <= len(popped) + left:
        report.faults.append(f"popped twice {twice}, popped {len(popped)} of {len(keys)}")
    if left and not report.refused:
        report.faults.append(f"{left} are left")
    report.facts["popped"] = len(popped)


def keep(places: Places, report: Report) -> None:
    """Plain writes and removals by several machines in one folder are kept."""
    paths = places.below("keep")

    def work(index: int, path: str, say: Say) -> None:
        d = FileDirDict(path, file_type="json", durability="none")
        for number in range(places.keys):
            key = f"{index}-{number}"
            d["folder", key] = "old"
            say(("old", key))
            if number % 3 == 0:
                del d["folder", key]
                say((None, key))
            else:
                d["folder", key] = number
                say((number, key))

    kept: dict[str, Any] = {}
    doubtful = set()
    for index, words in enumerate(race(places, paths, work, report)):
        kept |= {key: value for value, key in words}
        if places.kill and index == 0 and words:
            done = int(words[-1][1].split("-")[1])
            doubtful |= {("folder", f"0-{number}") for number in (done, done + 1)}
    expected = {("folder", key): value for key, value in kept.items() if value is not None}
    for path in {paths[0], paths[-1]}:
        d = FileDirDict(path, file_type="json", durability="none")
        for key in sorted({*expected, *map(tuple, d)} - doubtful):
            if d.get(key) != expected.get(key):
                report.faults.append(f"{path}: {key} is {d.get(key)}, written was {expected.get(key)}")
    report.facts["written"] = len(kept)


def edit_document(places: Places, report: Report) -> None:
    """No edit of a JSON document is lost."""
    paths = places.below("document")
    turns = max(2, places.keys * 4 // 5 // len(paths))

    def work(index: int, path: str, say: Say) -> None:
        document = JSONDict(f"{path}/document.json")
        for turn in range(turns):
            document[f"{index}-{turn}"] = {"by": index}
            say(f"{index}-{turn}")

    said = {key for words in race(places, paths, work, report) for key in words}
    for path in {paths[0], paths[-1]}:
        lost = said - set(JSONDict(f"{path}/document.json")())
        if lost:
            report.faults.append(f"{len(lost)} of {len(said)} edits lost")
    report.facts["edits"] = len(said)


def make_jobs(places: Places, report: Report) -> None:
    """Jobs that several machines make are all there, each once."""
    paths = places.below("space")
    for path in paths:
        init_project(path=path)
    jobs = max(4, places.keys * 3 // 10)

    def work(index: int, path: str, say: Say) -> None:
        project = get_project(path)
        for number in range(jobs):
            job = project.open_job({"n": number}).init()
            job.document[f"worker-{index}"] = number
            say(number)

    said = race(places, paths, work, report)
    project = get_project(paths[-1])
    found = Counter(job.statepoint()["n"] for job in project)
    if found != dict.fromkeys(range(jobs), 1):
        report.faults.append(f"jobs made {jobs}, found {dict(found)}")
    for index, words in enumerate(said):
        for number in words:
            job = project.open_job({"n": number})
            if job.document.get(f"worker-{index}") != number:
                report.faults.append(f"edit of worker {index} in job {number} is lost")
    report.facts["jobs"] = len(found)


def stopped_writer(places: Places, report: Report) -> None:
    """A writer that is stopped under the lock, as on a machine that is lost, is named to the others."""
    paths = places.below("stopped")
    if not way_of(paths[0]).shared:
        report.faults.append("a local lock is waited for without a limit")
        return
    other = FileDirDict(paths[2], file_type="json", durability="none")
    mine = FileDirDict(paths[0], file_type="json", durability="none")
    mine["a"] = other["warm"] = 1

    def stop_and_replace(*names: str, **folders: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        os.rename(*names, **folders)

    child = os.fork()
    if child == 0:
        os.replace = stop_and_replace  # type: ignore[assignment]
        mine["a"] = 2
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    os.environ["PERKEY_LOCK_SECONDS"] = "5"
    began = time.monotonic()
    try:
        other["a"] = 3
        report.faults.append("the lock was not held")
    except LockTimeoutError as error:
        report.facts |= {"error": str(error), "after s": round(time.monotonic() - began, 1)}
        if not re.fullmatch(rf"host \S+, process {child}", error.holder):
            report.faults.append(f"the holder is process {child}, not {error.holder}")
    if other["a"] != 1:
        report.faults.append(f"the item is {other['a']}")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    del os.environ["PERKEY_LOCK_SECONDS"]
    other["a"] = 4  # the lock of a process that has died is free
    if mine["a"] != 4:
        report.faults.append(f"the item is {mine['a']}, not 4")


class _Recorder(Recorder):
    """One that processes can share: its clock is the kernel's. It says what it is about to do."""

    def __init__(self, name: tuple[str, ...], say: Say) -> None:
        super().__init__(name)
        self._clock = map(float, iter(time.monotonic_ns, -1))  # type: ignore[assignment]
        self._say = say

    def _record(self, verb: Any, act: Any, expect: Any = ANY, content: bytes | None = None) -> Event:
        self._say(Event(verb, Outcome.UNKNOWN, next(self._clock), math.inf, expect, content))
        event = super()._record(verb, act, expect, content)
        self._say(event)
        return event


def histories(places: Places, report: Report, number: int) -> None:
    """Reads, writes and removals of one item can be explained by an order that each process saw.

    What a killed process was about to do may have happened, at any time later, or not. Where conditions are
    refused, readers may see old contents for a while.
    """
    paths = places.below("history")
    with suppress(ConflictError):
        DirectoryStore(paths[0], durability="none").write(("item.json",), b"", expect="no version of it")
    unexplained = interrupted = operations = 0
    for turn in range(number):
        paths = places.below(f"history-{turn}")

        def work(index: int, path: str, say: Say, turn: int = turn) -> None:
            store = DirectoryStore(path, durability="none")
            recorder = _Recorder(("item.json",), say)
            choices = random.Random(turn * 100 + index)
            known = None
            for step in range(_STEPS):
                content = f"{turn}-{index}-{step}".encode()
                verb = choices.choice(("read", "swap", "write", "remove", "insert"))
                if verb == "read" or (verb == "swap" and known is None):
                    event = recorder.read(store)
                elif verb == "remove":
                    event = recorder.remove(store)
                else:
                    expect = {"swap": known or ABSENT, "write": ANY, "insert": ABSENT}[verb]
                    event = recorder.write(store, content, expect=expect)
                known = event.version or known

        events: list[Event] = []
        for words in race(places, paths, work, report):
            # In turns: what the process was about to do, and what came of it.
            events += [*words[1::2], *words[len(words) & ~1 :]]
            interrupted += len(words) < 2 * _STEPS
        operations += len(events)
        if find_order(events) is None:
            unexplained += 1
            report.faults.append("\n".join(map(str, sorted(events, key=lambda event: event.called))))
    report.facts |= {"histories": number, "operations": operations, "unexplained": unexplained}
    if places.kill:
        report.facts["killed"] = interrupted


_STEPS: Final = 5
"""The operations of each process in a history."""

SCENARIOS: Final = {
    "insert": insert_once,
    "count": count_up,
    "pop": pop_once,
    "keep": keep,
    "document": edit_document,
    "jobs": make_jobs,
}


ON_DEMAND: Final = {"stopped": stopped_writer}
"""Scenarios for --only: they show what is due where locks have no leases."""


def main(arguments: list[str]) -> int:
    """Run the scenarios, print a line for each, and return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs=2)
    parser.add_argument("server", nargs="?")
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS, *ON_DEMAND])
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--cut")
    parser.add_argument("--histories", type=int, default=0)
    parser.add_argument("--may-refuse", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args(arguments)
    mark = f"run-{os.getpid()}-{next(_runs)}"
    Path(given.clients[0], mark).mkdir()
    roots = [f"{client}/{mark}" for client in given.clients]
    server = given.server and f"{given.server}/{mark}"
    while not all(map(os.path.isdir, roots)):
        time.sleep(0.1)
    places = Places(roots, server, given.keys, given.kill, given.cut)
    scenarios = {
        name: act for name, act in {**SCENARIOS, **ON_DEMAND}.items() if name in (given.only or SCENARIOS)
    }
    if given.histories:
        scenarios["histories"] = lambda places, report: histories(places, report, given.histories)
    unwanted = 0
    for name, scenario in scenarios.items():
        report = _timed(name, scenario, places)
        _show(report, as_json=given.json, verbose=given.verbose)
        unwanted += bool(report.faults or (report.refused and not given.may_refuse))
    return unwanted


def _show(report: Report, *, as_json: bool, verbose: bool) -> None:
    """Print a report at once: a time limit may end the program before its next scenario has ended."""
    if as_json:
        print(json.dumps(vars(report)), flush=True)
        return
    result = "FAILED" if report.faults else "refused" if report.refused else "ok"
    print(f"{report.name:10} {result:7} {report.seconds:5.1f} s {report.facts}")
    if report.refused:
        print(f"    refused: {report.refused}")
    for fault, times in Counter(fault.strip().rsplit("\n", 1)[-1] for fault in report.faults).items():
        print(f"    {times} times: {fault}")
    if verbose:
        print("\n".join(report.faults[:6]))
    sys.stdout.flush()


_runs = itertools.count()


def _timed(name: str, scenario: Callable[[Places, Report], None], places: Places) -> Report:
    report = Report(name)
    begun = time.monotonic()
    try:
        scenario(places, report)
    except UnsupportedConditionError as error:
        report.refused = str(error)
    except Exception:  # noqa: BLE001 - a fault of this scenario
        report.faults.append(traceback.format_exc())
    report.seconds = time.monotonic() - begun
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
