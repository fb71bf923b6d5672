"""The workers of a run: some are killed at random, and others take their place."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

from perkey import PersiDict
from sweep.owners import Owner, note_alive
from sweep.study import Record

LOOK_EVERY = 0.05
"""Seconds between two looks at the workers."""


class Crew:
    """A number of worker processes, kept up until there is nothing more to do.

    They are given the dictionary and share nothing else: no queue, no lock and no pipe that a killed one
    could leave in disorder.

    Args:
        size: How many work at a time.
        start: Makes a process that has not been started yet.
        workers: Where it is written down that one was alive when it was killed.
    """

    def __init__(self, size: int, start: Callable[[], SpawnProcess], workers: PersiDict[Record]) -> None:
        self._start = start
        self._workers = workers
        self._alive: list[SpawnProcess] = [self._new() for _ in range(size)]
        self.kills = 0

    def _new(self) -> SpawnProcess:
        process = self._start()
        process.start()
        return process

    def kill_one(self, rng: random.Random) -> None:
        """Kill a worker without warning; whatever it was doing, it does no more."""
        victim = rng.choice(self._alive)
        if victim.is_alive() and victim.pid is not None:
            note_alive(self._workers, Owner.of(victim.pid), "killed")
            victim.kill()
            self.kills += 1
            print(f"  killed worker {victim.pid}")

    def replace_dead(self) -> None:
        """Start a worker for each one that was killed; forget those that found nothing more to do.

        Raises:
            RuntimeError: One failed by itself.
        """
        for process in [process for process in self._alive if process.exitcode is not None]:
            self._alive.remove(process)
            if process.exitcode and process.exitcode > 0:
                raise RuntimeError(f"a worker failed with exit code {process.exitcode}; its error is above")
            if process.exitcode:
                self._alive.append(self._new())

    def __len__(self) -> int:
        return len(self._alive)

    def stop(self) -> None:
        """Kill all that are left."""
        for process in self._alive:
            process.kill()
            process.join()


def run_crew(crew: Crew, done: Callable[[], int], kill_after: list[int], rng: random.Random) -> None:
    """Watch the workers until they have done everything; kill one after each number of results listed."""
    due = sorted(kill_after)
    try:
        while len(crew):
            if due and done() >= due[0]:
                due.pop(0)
                crew.kill_one(rng)
            time.sleep(LOOK_EVERY)
            crew.replace_dead()
    finally:
        crew.stop()


def spawner(work: Callable[..., None], *args: object) -> Callable[[], SpawnProcess]:
    """Return what makes a process that will do `work`; it begins afresh, as it would on another machine."""
    # Models are trained side by side, so each has one processor; inherited by the workers.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    return lambda: context.Process(target=work, args=args)
