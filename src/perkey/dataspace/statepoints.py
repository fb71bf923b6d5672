"""State points in one file: to keep them apart from the jobs, and to repair jobs that have lost theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from perkey.dataspace.errors import DestinationExistsError, JobsCorruptedError
from perkey.dataspace.handle import Handle
from perkey.dataspace.legacy import refuse_index
from perkey.dataspace.space import StatePoint, job_id, normalized, read_cache
from perkey.files import read_file, write_file


class StatePoints(Handle):
    """What a project does with all state points at once; see `Project`."""

    FN_STATEPOINTS: Final = "signac_statepoints.json"
    """The file that state points are written to and read from by default."""

    def dump_statepoints(self, statepoints: Iterable[Mapping[str, Any]]) -> dict[str, StatePoint]:
        """Return the state points by the ids of their jobs, which need not exist."""
        return {job_id(statepoint): statepoint for statepoint in map(normalized, statepoints)}

    def write_statepoints(
        self,
        statepoints: Iterable[Mapping[str, Any]] | None = None,
        fn: str | None = None,
        indent: int | None = 2,
    ) -> None:
        """Write state points into a file, beside those that it has.

        Args:
            statepoints: By default those of all jobs.
            fn: The file, by default `FN_STATEPOINTS` in the project's folder.
            indent: As for `json.dumps`.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        path = fn or self.fn(self.FN_STATEPOINTS)
        entries = self.read_statepoints(path) if os.path.exists(path) else {}
        found = self._index.all() if statepoints is None else self.dump_statepoints(statepoints)
        write_file(path, json.dumps({**entries, **found}, indent=indent).encode("ascii"))

    def read_statepoints(self, fn: str | None = None) -> dict[str, StatePoint]:
        """Return the state points in a file by the ids of their jobs.

        Args:
            fn: The file, by default `FN_STATEPOINTS` in the project's folder.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not JSON.
        """
        path = fn or self.fn(self.FN_STATEPOINTS)
        content = read_file(path)
        if content is None:
            raise FileNotFoundError(path)
        found: dict[str, StatePoint] = json.loads(content)
        return found

    def check(self) -> None:
        """Read the state point of every job, and finish what killed processes left half done.

        Raises:
            JobsCorruptedError: Some are missing or damaged, or belong to another id; it names them all.
        """
        corrupted = [job for job in self._jobs.ids() if not self._is_sound(job)]
        if corrupted:
            raise JobsCorruptedError(corrupted)

    def repair(
        self,
        fn_statepoints: str | None = None,
        index: None = None,
        job_ids: Iterable[str] | None = None,
    ) -> None:
        """Give jobs that have lost their state points or ids what they have lost.

        A state point is taken from a file, from the index, or from signac's cache. A folder of a wrong name,
        whose state point is sound, gets the right one. Also deletes what killed processes left behind.

        Args:
            fn_statepoints: A file of `write_statepoints`, by default `FN_STATEPOINTS` if it exists.
            index: Not supported: use `job_ids`.
            job_ids: The jobs to look at, by default all.

        Raises:
            JobsCorruptedError: Some could not be repaired; it names them all.
            FileNotFoundError: The file named does not exist.
        """
        refuse_index(index)
        jobs = self._jobs.ids() if job_ids is None else list(job_ids)
        corrupted = [job for job in jobs if not self._is_sound(job)]
        known = self._known_elsewhere(fn_statepoints) if corrupted else {}
        lost = [job for job in corrupted if not self._repair(job, known)]
        for job in jobs:
            self._jobs.tidy(job)
        self._index.forget()
        self._jobs.sweep()
        if lost:
            raise JobsCorruptedError(lost)

    def _is_sound(self, job: str) -> bool:
        try:
            self._jobs.statepoint(job)
        except KeyError:
            return True  # removed since it was listed
        except JobsCorruptedError:
            return False
        return True

    def _known_elsewhere(self, fn_statepoints: str | None) -> dict[str, StatePoint]:
        known = {**read_cache(self._cache_path), **self._index.sound()[0]}
        if fn_statepoints is not None or os.path.exists(self.fn(self.FN_STATEPOINTS)):
            known.update(self.read_statepoints(fn_statepoints))
        return known

    def _repair(self, job: str, known: Mapping[str, StatePoint]) -> bool:
        misplaced = self._jobs.foreign_statepoint(job)
        if misplaced is not None:
            try:
                return self._jobs.rename(job, job_id(misplaced), misplaced)
            except DestinationExistsError:
                pass  # so this folder is something else's
        if job not in known or job_id(known[job]) != job:
            return False
        self._jobs.create(job, known[job], force=True)
        return True
