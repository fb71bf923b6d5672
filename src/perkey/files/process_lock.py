"""A lock for the threads of one process that neither a fork nor an interrupt can leave locked."""

from __future__ import annotations

import os
from _thread import RLock


class ProcessLock(RLock):  # type: ignore[misc] # final for type checkers only
    """A lock that a forked child gets anew: the thread that held it does not exist there.

    For locks that live as long as their module: each is renewed in every child from then on. Entering and
    leaving a ``with`` block are C functions, in which no signal handler runs. A signal handler or a finaliser
    that wants the lock that its own thread holds gets it; the
    module that uses the lock decides what such a nested caller may do.
    """

    def __init__(self) -> None:
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._at_fork_reinit)  # type: ignore[attr-defined] # as threading does
