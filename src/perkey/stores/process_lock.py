"""A lock for the threads of one process that a fork cannot leave locked."""

from __future__ import annotations

import os
import threading
from types import TracebackType


class ProcessLock:
    """A `threading.Lock` that a forked child gets anew: the thread that held it does not exist there.

    For locks that live as long as their module: each is renewed in every child from then on.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
