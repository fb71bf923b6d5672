"""Processes on several machines that meet in a dictionary and go through the same steps together.

They share nothing but the dictionary, and compare no clocks. Each process writes one record, under names
that only it uses, and renews it while it waits. A machine is present if its record has changed while this one
watched: the records of killed processes do not change.
"""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from perkey.errors import PerkeyError
from perkey.files import persist
from perkey.mapping import PersiDict

LAST: Final = 1_000_000
"""The step after which machines leave."""

_RENEWING_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.05
_LOST_SECONDS: Final = 30.0
_FAREWELL_SECONDS: Final = 5.0


class MeetingError(PerkeyError, TimeoutError):
    """The other machines did not come, are too many, or left before the end."""


@dataclass(slots=True)
class _Seen:
    """What this machine has read about another one."""

    record: dict[str, Any]
    at: float
    changes: int = 0
    there: bool = True


class Meeting:
    """A meeting of several machines; use it in a ``with`` block.

    Args:
        records: Where machines leave their records: a dictionary that nothing else uses. Items are written
            without conditions.
        machines: How many machines take part, this one included.
        wait: Seconds for which the machines wait for each other.
        about: What this machine publishes about itself.
    """

    def __init__(
        self, records: PersiDict[Any], machines: int, *, wait: float, about: dict[str, Any] | None = None
    ) -> None:
        self.id = os.urandom(8).hex()
        self.group: list[str] = []
        self._about = about or {}
        self._records = records
        self._wait = wait
        self._own: dict[str, Any] = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "machines": machines,
            "beat": 0,
            "present": [],
            "group": [],
            "step": 0,
            "said": {},
            "gave_up": "",
            **self._about,
        }
        self._seen: dict[str, _Seen] = {}
        self._renewed = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Leave. If this machine gives up, it waits until the other machines can have read why."""
        if error is not None and self.group:
            with suppress(PerkeyError, OSError):
                self._renew(gave_up=str(error) or type(error).__name__)
                self._say_farewell()
        with suppress(PerkeyError, OSError):
            self._remove(self.id)

    # --- Coming together -----------------------------------------------------------------------------------

    def gather(self) -> list[str]:
        """Wait until all machines are there and agree on who takes part; return their ids.

        Raises:
            MeetingError: The other machines did not come in time, or fewer came than expected.
        """
        end = time.monotonic() + self._wait
        machines = self._own["machines"]
        while True:
            self._look()
            present = sorted((self.id, *self._unbound()))
            group = self._agreed(present) if len(present) == machines else self._invitation()
            if group:
                self.group = group
                self._renew(group=group, step=1)
                return group
            if time.monotonic() > end:
                raise MeetingError(self._why_alone(present))
            self._renew(present=present)
            time.sleep(0.1 + 0.1 * random.random())  # noqa: S311 - no secret

    def _unbound(self) -> list[str]:
        """Return the machines that are there and do not belong to another group."""
        return [
            machine
            for machine, seen in self._seen.items()
            if seen.there
            and seen.changes
            and time.monotonic() - seen.at < _LOST_SECONDS
            and (not seen.record["group"] or self.id in seen.record["group"])
        ]

    def _agreed(self, present: list[str]) -> list[str]:
        """Return the group if all machines see the same ones."""
        others = [self._seen[machine].record for machine in present if machine != self.id]
        same = all(
            other["machines"] == len(present) and present in (other["present"], other["group"])
            for other in others
        )
        return present if same else self._invitation()

    def _invitation(self) -> list[str]:
        """Return the group that another machine has already settled on, if this machine belongs to it."""
        groups = [seen.record["group"] for seen in self._seen.values() if seen.there and seen.changes]
        return next((group for group in groups if self.id in group), [])

    def _why_alone(self, present: list[str]) -> str:
        expected = self._own["machines"]
        others = [self._seen[machine].record for machine in present if machine != self.id]
        different = [other for other in others if other["machines"] != expected]
        if different:
            return (
                f"{_name(different[0])} was started for {different[0]['machines']} machines, this one for "
                f"{expected}; start all with the same number"
            )
        if len(present) > expected:
            return (
                f"{len(present)} machines came, but {expected} were expected; "
                f"start all with --with-others {len(present)}"
            )
        return (
            f"{len(present)} of {expected} machines came within {self._wait:g} s; "
            "start the same command on each machine, or wait longer (--wait)"
        )

    # --- Going on together ---------------------------------------------------------------------------------

    def arrive(self, step: int, **said: Any) -> None:
        """Reach a step, publish values for the other machines, and wait until all have reached it.

        Raises:
            MeetingError: A machine has given up or does not answer any more.
        """
        self._renew(step=step, said={**self._own["said"], **said})
        while not all(self._has_reached(machine, step) for machine in self.others):
            self.pause()
            self._look()
            self._require_others(step)

    def pause(self, seconds: float = _PAUSE_SECONDS) -> None:
        """Wait for a moment, and show the other machines that this one is there."""
        self.renew()
        time.sleep(seconds)

    def renew(self) -> None:
        """Show the other machines that this one is there, if it is time to, and stop if one has given up."""
        if time.monotonic() - self._renewed > _RENEWING_SECONDS:
            self._renew()
            self._look()
            self._require_willing()

    @property
    def others(self) -> list[str]:
        """The other machines of the group."""
        return [machine for machine in self.group if machine != self.id]

    def said(self, what: str) -> dict[str, Any]:
        """Return the value that each machine of the group has published under a name, by machine id."""
        records = {machine: self._record(machine) for machine in self.group}
        return {machine: record["said"].get(what) for machine, record in records.items()}

    def name(self, machine: str) -> str:
        """Return the host and the process of a machine."""
        return _name(self._record(machine))

    def about(self) -> list[dict[str, Any]]:
        """Return what the machines of the group publish about themselves."""
        shown = ("host", "process", *self._about)
        return [{name: self._record(machine)[name] for name in shown} for machine in self.group or [self.id]]

    def is_last(self) -> bool:
        """Return whether no other machine of the group is there any more."""
        self._look()
        return not any(self._seen[machine].there for machine in self.others)

    def remove_dead(self) -> None:
        """Remove the records that were not renewed for long."""
        for machine, seen in self._seen.items():
            if seen.there and not seen.changes and time.monotonic() - seen.at > _LOST_SECONDS:
                self._remove(machine)

    def _record(self, machine: str) -> dict[str, Any]:
        return self._own if machine == self.id else self._seen[machine].record

    def _has_reached(self, machine: str, step: int) -> bool:
        seen = self._seen[machine]
        # A machine leaves when all have reached the last step, so they have.
        return bool(seen.record["step"] >= step) or (step == LAST and not seen.there)

    def _require_others(self, step: int) -> None:
        self._require_willing()
        for machine in self.others:
            seen = self._seen[machine]
            lost = max(_LOST_SECONDS, self._wait) if seen.there else _FAREWELL_SECONDS
            if not self._has_reached(machine, step) and time.monotonic() - seen.at > lost:
                did = "has left before the end"
                if seen.there:
                    did = "does not answer any more: it has stopped, or this place does not show its writes"
                raise MeetingError(f"{_name(seen.record)} {did}")

    def _require_willing(self) -> None:
        for machine in self.others:
            record = self._seen[machine].record
            if record["gave_up"] and not self._own["gave_up"]:
                raise MeetingError(f"{_name(record)} gave up: {record['gave_up']}")

    def _say_farewell(self) -> None:
        """Wait until the other machines have left."""
        end = time.monotonic() + _FAREWELL_SECONDS
        while time.monotonic() < end and not self.is_last():
            self.pause()

    # --- Records -------------------------------------------------------------------------------------------

    def _renew(self, **changes: Any) -> None:
        """Write the record under a new name: clients may show old contents of a name for long."""
        self._own |= changes
        self._own["beat"] += 1
        persist(partial(self._records.__setitem__, f"{self.id}-{self._own['beat']}", self._own))
        # The one before stays, for readers that have listed its name already.
        self._records.discard(f"{self.id}-{self._own['beat'] - 2}")
        self._renewed = time.monotonic()

    def _remove(self, machine: str) -> None:
        for name in [key[0] for key in self._records]:
            if name.startswith(f"{machine}-"):
                self._records.discard(name)

    def _look(self) -> None:
        """Read the new records of the other machines.

        Where the caller has chosen the way, the dictionary itself does not retry stale files (ESTALE).
        """
        persist(self._look_once)

    def _look_once(self) -> None:
        newest: dict[str, int] = {}
        for key in self._records:
            machine, _, number = key[0].rpartition("-")
            newest[machine] = max(int(number), newest.get(machine, 0))
        newest.pop(self.id, None)
        for machine, beat in newest.items():
            seen = self._seen.get(machine)
            new = seen is None or beat > seen.record["beat"]
            record = self._records.get(f"{machine}-{beat}") if new else None
            if record is not None:
                self._note(machine, record)
        for machine, seen in self._seen.items():
            if seen.there != (machine in newest):
                seen.there, seen.at = machine in newest, time.monotonic()

    def _note(self, machine: str, record: dict[str, Any]) -> None:
        seen = self._seen.get(machine)
        if seen is None:
            self._seen[machine] = _Seen(record, time.monotonic())
        else:
            seen.record, seen.at = record, time.monotonic()
            seen.changes += 1


def _name(record: dict[str, Any]) -> str:
    return f"host {record['host']}, process {record['process']}"
