"""Distinguish the answer of a call from an exception of code that interrupted it.

A signal handler runs between any two bytecodes of the main thread, also within a system call. If it raises,
its exception comes out of the call that it interrupted. A handler's ``TimeoutError`` must not be taken for a
failure of the disk, nor its ``KeyError`` for a missing item. So every ``except`` clause of perkey that takes
an exception for an answer names its classes by `answer` or `system_answer`:

>>> import os
>>> try:
...     os.unlink("removed by another process")
... except system_answer(FileNotFoundError):
...     print("not there")
not there

The interpreter calls handlers (and trace functions) with the frame that they interrupt, which is how they
are recognised in a traceback.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final, NoReturn, TypeVar

E = TypeVar("E", bound=BaseException)

_VARARGS: Final = 0x04  # inspect.CO_VARARGS; the module is heavy
_HERE: Final = __file__.removesuffix("answers.py")


def answer(*kinds: type[E]) -> tuple[type[E], ...]:
    """Return the classes to catch: `kinds`, or nothing if the current exception interrupted the call.

    To be called in an ``except`` clause.
    """
    error = sys.exception()
    return () if error is None or interrupted(error) else kinds


def system_answer(*kinds: type[E]) -> tuple[type[E], ...]:
    """Return the classes to catch, as `answer`, for errors of system calls: these always have a number."""
    error = sys.exception()
    return () if getattr(error, "errno", None) is None or interrupted(error) else kinds


class ignore_system_answer:  # noqa: N801 - used as contextlib.suppress
    """Ignore errors of system calls, as `contextlib.suppress`, but not what a signal handler raises.

    Args:
        *kinds: Their classes.
    """

    def __init__(self, *kinds: type[OSError]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, self._kinds) and error.errno is not None and not interrupted(error)


def interrupted(error: BaseException | None) -> bool:
    """Return whether an exception was raised by a signal handler or a trace function."""
    step = None if error is None else error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if not frame.f_code.co_filename.startswith(_HERE) and _takes_frame(frame):
            return True
        step = step.tb_next
    return False


def interruption(error: BaseException) -> BaseException | None:
    """Return the exception of a handler that a library made `error` of, or None.

    Exceptions that the caller was handling when it made the call are in the same chain, and are passed over:
    their tracebacks begin in a frame that still runs.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        if interrupted(link):
            return None if _runs(link) else link
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return None


def raise_unchanged(error: BaseException) -> NoReturn:
    """Raise an exception while another one is handled, without making that its context."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


def _runs(error: BaseException) -> bool:
    """Return whether an exception was caught in a frame that called this one."""
    start = error.__traceback__
    frame = sys._getframe()  # noqa: SLF001 - its documented name
    while start is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame is start.tb_frame:
            return True
    return False


def _takes_frame(frame: FrameType) -> bool:
    """Return whether a function was called with a frame."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _VARARGS)
    values = frame.f_locals
    return any(_has_frame(values.get(name)) for name in code.co_varnames[:count])


def _has_frame(value: object) -> bool:
    if type(value) is tuple:
        return any(isinstance(each, FrameType) for each in value)
    return isinstance(value, FrameType)
