"""What an endpoint really supports: asked once per bucket and kind of condition, in each process.

Some S3 servers ignore conditions and answer 200. The questions are put to objects of no key, which are
removed again; this does not detect an endpoint that fails only in a race.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

from perkey.errors import BackendError
from perkey.expectations import ABSENT, ConditionKind, Expectation, Verb
from perkey.files import ProcessLock
from perkey.retrying import Attempts
from perkey.stores.objects.engine import (
    PROBE,
    Engine,
    NoSuchBucket,
    NoSuchObject,
    PreconditionFailed,
    Signal,
    Unsupported,
    again,
)
from perkey.waiting import blocking

_Question: TypeAlias = tuple[str, str, Verb, ConditionKind, bool]

_NO_VERSION: Final = "0" * 32
_BODY: Final = b"?"  # an upload in parts has at least one, of at least a byte
_answers: dict[_Question, bool] = {}
_turns: dict[_Question, ProcessLock] = {}
_making = ProcessLock()


def _turn_for(question: _Question) -> ProcessLock:
    """Return the lock of those threads that would all ask the same at once."""
    with _making:
        if question not in _turns:
            _turns[question] = ProcessLock()
        return _turns[question]


class Probes:
    """Asks the endpoint of one bucket.

    Args:
        engine: The bucket.
        root_prefix: Where the dictionary may write, and so where the questions are put.
        trust_service: Whether the answer is taken to be yes, and nothing is sent.
    """

    def __init__(self, engine: Engine, root_prefix: str, *, trust_service: bool = False) -> None:
        self._engine = engine
        self._trusts = trust_service
        self._root = root_prefix

    def ask(
        self,
        verb: Verb,
        kind: ConditionKind,
        *,
        parts: bool = False,
        attempts: Attempts | None = None,
    ) -> bool:
        """Return whether a kind of condition is supported; 1 to 4 requests the first time, then none.

        Args:
            verb: Of which verb.
            kind: Which kind.
            parts: Whether of uploads in parts, which takes three requests for each of one.
            attempts: Those of the operation that needs the answer, and whose time is not to be exceeded.

        Raises:
            BackendError: The service could not be asked, for example for lack of rights.
        """
        if not self._engine.supports(verb, kind):
            return False
        if self._trusts:
            return True
        question = (self._engine.endpoint, self._engine.describe(), verb, kind, parts)
        if question not in _answers:
            # In a thread that may wait for the lock: a task of an event loop would wait for its own thread.
            blocking(partial(self._ask_once, question, attempts))
        return _answers[question]

    def _ask_once(self, question: _Question, attempts: Attempts | None) -> None:
        with _turn_for(question):
            if question not in _answers:  # no other thread was faster
                with (attempts or self._engine.retry.attempts()).shared():
                    _answers[question] = self._find_out(*question[2:])

    def _find_out(self, verb: Verb, kind: ConditionKind, parts: bool) -> bool:
        try:
            if verb == "remove":
                return self._compares_on_removal()
            return self._compares_versions(parts) if kind == "version" else self._refuses_second(parts)
        except Unsupported:
            return False
        except NoSuchBucket:
            again(self._engine.create_bucket, retry=self._engine.retry)
            return self._find_out(verb, kind, parts)

    def _refuses_second(self, parts: bool) -> bool:
        # Under its fixed name one probe at most stays where nothing may be deleted, and it answers at once.
        # Another process that removes it between our two requests makes it look as if it were
        # overwritten; so that answer is believed only under a name of our own.
        return self._refuses_second_of(self._root + PROBE, parts) or self._refuses_second_of(
            self._own(), parts
        )

    def _refuses_second_of(self, key: str, parts: bool) -> bool:
        with self._removed(key):
            return not (self._puts(key, ABSENT, parts) and self._puts(key, ABSENT, parts))

    def _compares_versions(self, parts: bool) -> bool:
        key = self._own()
        with self._removed(key):
            return not self._puts(key, _NO_VERSION, parts)

    def _compares_on_removal(self) -> bool:
        key = self._own()
        with self._removed(key):
            with contextlib.suppress(PreconditionFailed):  # it is there: a reply was lost
                self._again(lambda: self._engine.put(key, b"", expect=ABSENT, write_id="probe"))
            try:
                self._again(lambda: self._engine.delete(key, version=_NO_VERSION))
            except PreconditionFailed:
                return True
            return False

    def _puts(self, key: str, expect: Expectation, parts: bool) -> bool:
        """Return whether a conditional write happens."""
        try:
            self._again(lambda: self._engine.put(key, _BODY, expect=expect, write_id="probe", parts=parts))
        except (PreconditionFailed, NoSuchObject):
            return False
        return True

    @contextlib.contextmanager
    def _removed(self, key: str) -> Iterator[None]:
        """Remove the object afterwards, as far as that is allowed."""
        try:
            yield
        finally:
            with contextlib.suppress(BackendError):
                again(lambda: self._engine.erase(key), retry=self._engine.retry)

    def _again(self, request: Callable[[], object]) -> None:
        again(request, Signal, retry=self._engine.retry)

    def _own(self) -> str:
        return f"{self._root}{PROBE}-{os.urandom(9).hex()}"
