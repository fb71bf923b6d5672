"""Buckets of services that lack something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from perkey.expectations import ConditionKind, Verb
from perkey.stores.objects.probes import Probes

_ASK = Probes.ask


@contextmanager
def refuse_conditional_removals() -> Iterator[None]:
    """Let endpoints be found not to compare removals."""

    def ask(self: Probes, verb: Verb, kind: ConditionKind, **more: Any) -> bool:
        return verb != "remove" and _ASK(self, verb, kind, **more)

    with mock.patch.object(Probes, "ask", ask):
        yield
