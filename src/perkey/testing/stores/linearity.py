"""Clauses about order: whatever several threads do to one item, they could have done one after another."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import ClassVar

from perkey.expectations import ABSENT, ANY, Expectation
from perkey.stores import Store
from perkey.testing.histories import Event, Recorder, assert_linearisable
from perkey.testing.stores.races import RacingSuite

_STEPS = 6


class HistoryClauses(RacingSuite):
    """Reads, writes and removals, with the conditions that the suite has, in random order."""

    verbs: ClassVar[tuple[str, ...]] = ("read", "read", "write", "write", "remove")
    """What is chosen from; without removals where several may succeed in removing one item."""

    def test_every_recorded_history_has_an_explanation(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            recorder = Recorder((f"{turn % 4}.pkl",))
            seeds = random.Random(turn)  # noqa: S311 - a choice, not a secret
            plans = [random.Random(seeds.random()) for _ in handles]  # noqa: S311 - the same
            initial = None
            if store.exists(recorder.name):
                store.remove(recorder.name)
            if turn % 2:
                initial = (b"first", store.write(recorder.name, b"first"))
                initial = initial if self.versions_are_told_once else (b"first", "first")

            results = self.race(
                handles,
                lambda number, handle, r=recorder, p=plans: self._act(handle, r, p[number], number),  # type: ignore[misc]
            )
            assert results == [None] * self.threads
            assert len(recorder.events) == self.threads * _STEPS
            events = recorder.events if self.versions_are_told_once else _by_content(recorder.events)
            assert_linearisable(events, initial)

    def _act(self, store: Store, recorder: Recorder, plan: random.Random, number: int) -> None:
        known: Expectation = ANY
        for step in range(_STEPS):
            verb = plan.choice(self.verbs)
            if verb == "read":
                event = recorder.read(store)
            elif verb == "write":
                event = recorder.write(
                    store, b"%d.%d" % (number, step), expect=self._choose("write", known, plan)
                )
            else:
                event = recorder.remove(store, expect=self._choose("remove", known, plan))
            known = event.version or ABSENT

    def _choose(self, verb: str, known: Expectation, plan: random.Random) -> Expectation:
        """Choose an expectation of a kind that the store supports."""
        kinds = {kind for of, kind in self.conditions() if of == verb}
        if known is ABSENT and verb == "remove":
            return ANY
        wanted = "absent" if known is ABSENT else "version"
        return known if wanted in kinds and plan.random() < 0.7 else ANY


def _by_content(events: list[Event]) -> list[Event]:
    """Return the events with contents in place of versions; contents are unique here."""
    contents = {
        event.version: event.content.decode()
        for event in events
        if event.version is not None and event.content is not None
    }
    return [
        replace(
            event,
            expect=contents.get(event.expect, event.expect)
            if isinstance(event.expect, str)
            else event.expect,
            version=event.version if event.content is None else event.content.decode(),
        )
        for event in events
    ]
