"""The few exceptions of perkey.

Each is also the builtin that a caller would already catch; attributes hold the facts, `str()` makes
the sentence, and all of them survive pickling, so that a worker's error reaches its parent whole.
Errors of the operating system (no permission, disk full, read-only) are passed on as they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final


class PerkeyError(Exception):
    """Base of every exception that perkey defines."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the attributes, whatever the constructor's signature is."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[PerkeyError], args: tuple[Any, ...], attributes: dict[str, Any]) -> PerkeyError:
    # Not `cls.__new__`, which may be that of another builtin than the one that shapes the object.
    error: PerkeyError = cls.__base__.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class MutationPolicyError(PerkeyError, TypeError):
    """The items of the dictionary are immutable and cannot be changed or deleted; nothing was changed."""

    def __init__(self, policy: str, key: Any = None) -> None:
        super().__init__(policy, key)
        self.policy = policy
        self.key = key

    def __str__(self) -> str:
        """Name the key, where one is known."""
        where = "" if self.key is None else f" (key {tuple(self.key)})"
        return f"{self.policy}{where}"


class MissingItemError(PerkeyError, KeyError):
    """The key does not exist; ``args[0]`` is the key.

    The error looks for the reason, such as other keys that begin with this key, only when it is shown or
    pickled. So raising it costs no extra request.
    """

    find_reason: Callable[[], str] | None = None
    """Returns why the key may be missing, "" if that is not known."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Look it up: where the error goes, the place may be out of reach."""
        reason = self._reason()
        return _rebuild, (type(self), self.args, {**self.__dict__, "find_reason": _Known(reason)})

    def __str__(self) -> str:
        """Name the key, and why it may be missing."""
        key, reason = tuple(self.args[0]), self._reason()
        return f"{key!r}: this key does not exist, but {reason}" if reason else repr(key)

    def _reason(self) -> str:
        try:
            return "" if self.find_reason is None else self.find_reason()
        except Exception:  # noqa: BLE001 - the message is worth showing without it
            return ""


class _Known:
    """A function that returns what is known already; it can be pickled."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __call__(self) -> Any:
        return self.result


_MOST_CHOICES: Final = 8  # in a message


class AmbiguousPlaceError(PerkeyError, ValueError):
    """The names in a place fit several dictionaries; nothing was changed.

    Attributes:
        place: The path or address of the place.
        choices: The parameters of each possible dictionary, and how many names fit them.
    """

    def __init__(self, place: str, choices: list[tuple[dict[str, Any], int]]) -> None:
        super().__init__(place, choices)
        self.place = place
        self.choices = choices

    def __str__(self) -> str:
        """List the choices, one a line; a command prints them on one."""
        shown = ";\n".join(
            f"  {', '.join(f'{name}={value!r}' for name, value in chosen.items())} "
            f"fits {counted(count, 'name')}"
            for chosen, count in self.choices[:_MOST_CHOICES]
        )
        left_out = len(self.choices) - _MOST_CHOICES
        more = f";\n  {left_out} more are in the attribute choices" if left_out > 0 else ""
        return f"{self.place}: the names here fit several dictionaries; pass one of:\n{shown}{more}"


class UnknownFileSystemWarning(UserWarning):
    """perkey does not know the file system, so writers on several machines may not be safe."""


class WrongParametersWarning(UserWarning):
    """The items in the place were written with other parameters, so the dictionary sees none of them."""


class SharedNameWarning(UserWarning):
    """Two memoised functions of this process keep their results under one name, and read each other's."""


class ConflictError(PerkeyError, RuntimeError):
    """The item is not in the expected state; nothing was changed.

    Attributes:
        name: The stored name, a tuple of parts.
        expected: The version expected, or `ABSENT`.
        found: The version found, `ABSENT`, or None where the store does not know it.
    """

    def __init__(self, name: tuple[str, ...], expected: Any, found: Any = None) -> None:
        super().__init__(name, expected, found)
        self.name = name
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """Name the expected and the actual state."""
        found = "another state" if self.found is None else repr(self.found)
        return f"{'/'.join(self.name)}: expected {self.expected!r}, found {found}; nothing was changed"


class ConcurrencyConflictError(PerkeyError, RuntimeError):
    """An update met `attempts` conflicts with other writers and gave up; it changed nothing."""

    def __init__(self, key: Any, attempts: int) -> None:
        super().__init__(key, attempts)
        self.key = key
        self.attempts = attempts

    def __str__(self) -> str:
        """Name the key and the number of attempts."""
        return f"{tuple(self.key)}: {counted(self.attempts, 'attempt')}, each overtaken by another writer"


class ReadOnlyError(PerkeyError, io.UnsupportedOperation, PermissionError):
    """The handle is read-only and refused a write; nothing was encoded, and nothing was changed.

    Files that are open for reading raise `io.UnsupportedOperation`, so this is one, and so an OSError and a
    ValueError as in h5py and zarr 3. It is a PermissionError, too, as in zarr 2.

    Attributes:
        place: The path or address of the place.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        """Name the place and the modes that allow writes."""
        return f'{self.place}: this handle only reads; open the place with mode="r+" or "a" to write to it'


class UnsupportedConditionError(PerkeyError, NotImplementedError):
    """The place does not support this kind of condition and refused the operation; nothing was changed."""


class UnsupportedPlatformError(PerkeyError, NotImplementedError):
    """This kind of dictionary does not work on this operating system; nothing was changed."""


class BackendError(PerkeyError, RuntimeError):
    """A storage service failed; errors of the operating system are raised as OSError instead.

    Attributes:
        backend: The kind of store, such as ``"s3"``.
        operation: The verb that failed.
        key: The key in question, or None.
    """

    def __init__(self, message: str, *, backend: str, operation: str, key: Any = None) -> None:
        super().__init__(message)
        self.backend = backend
        self.operation = operation
        self.key = key


class AccessDeniedError(BackendError, PermissionError):
    """The storage service denied access: rights or valid credentials are missing; nothing was changed."""


class OperationTimeoutError(BackendError, TimeoutError):
    """An operation on a storage service took longer than its `timeout`; a plain write may have happened."""


class OutcomeUnknownError(PerkeyError, RuntimeError):
    """A conditional write or removal may or may not have happened, and perkey cannot decide which.

    A reply was lost, or the request was repeated on its way, and the present state shows neither. It was not
    tried again: that could have applied it twice. Read the item and decide.

    Attributes:
        name: The stored name, a tuple of parts.
        place: Its address.
    """

    def __init__(self, name: tuple[str, ...], place: str) -> None:
        super().__init__(name, place)
        self.name = name
        self.place = place

    def __str__(self) -> str:
        """Return the message, with the next step for the caller."""
        return (
            f"{self.place}: the reply to a conditional write was lost, or the request was repeated on its "
            "way, and the present state does not show whether it took place; read the item and decide"
        )


class LockTimeoutError(PerkeyError, TimeoutError):
    """The lock of a folder on a shared file system was not released in time; nothing was changed.

    The holder may be a machine that was cut off. NFS 4 and SMB servers release its locks after a while. An
    NFS 3 server keeps them until that machine has started again, or its administrator removes them.

    Attributes:
        folder: The path of the folder.
        seconds: For how long the lock was waited for.
        holder: The host and process of the oldest unfinished write; empty if that is not known.
    """

    def __init__(self, folder: str, seconds: float, holder: str = "") -> None:
        super().__init__(folder, seconds, holder)
        self.folder = folder
        self.seconds = seconds
        self.holder = holder

    def __str__(self) -> str:
        """Name the holder and the next step for the caller."""
        holder = self.holder or "a process that is not known"
        return (
            f"{self.folder}: the lock was not released for {self.seconds:g} s; "
            f"the oldest unfinished write is of {holder}; end that process or restart its machine, "
            "or set PERKEY_LOCK_SECONDS to wait for longer"
        )


class MissingExtraError(PerkeyError, ImportError):
    """A part of perkey needs a package that is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str, package: str) -> None:
        super().__init__(what, extra, package)
        self.what = what
        self.extra = extra
        self.package = package

    def __str__(self) -> str:
        """Give the command."""
        return f"{self.what} needs {self.package}: pip install 'perkey[{self.extra}]'"


class BulkOperationError(PerkeyError, RuntimeError):
    """Several items of a bulk operation failed; all other items succeeded.

    If only one item fails, its own error is raised instead, with a note about how many were done.

    Attributes:
        failures: The error of each key that failed; invalid keys are listed as given.
        succeeded: How many items were done.
    """

    def __init__(self, failures: dict[Any, Exception], succeeded: int) -> None:
        super().__init__(failures, succeeded)
        self.failures = failures
        self.succeeded = succeeded

    def __str__(self) -> str:
        """Count, and show the first few."""
        shown = [f"{shown_key(key)}: {error}" for key, error in list(self.failures.items())[:3]]
        more = ["..."] if len(self.failures) > len(shown) else []
        lines = "\n  ".join([*shown, *more])
        return f"{counted(len(self.failures), 'item')} failed; done: {self.succeeded:,}:\n  {lines}"


class _ValueAtPlaceError(PerkeyError):
    """A value and the place where it lies; formats raise it bare, dictionaries add key and place."""

    def __init__(self, reason: str, *, key: Any = None, place: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key
        self.place = place

    def __str__(self) -> str:
        """Name reason, key and place."""
        key = "the value " if self.key is None else f"value of key {tuple(self.key)} "
        place = "" if self.place is None else f"at {self.place} "
        return f"{key}{place}{self._verdict}: {self.reason}"

    _verdict = ""


class CorruptValueError(_ValueAtPlaceError, ValueError):
    """The stored bytes are damaged and cannot be decoded; nothing was changed.

    Attributes:
        reason: The fault.
        key: The key of the value.
        place: Path or address of the bytes.
    """

    _verdict = "is damaged"


class UnloadableValueError(_ValueAtPlaceError, ImportError):
    """The stored bytes are not damaged, but this program cannot build the value.

    Usually this program cannot import a class or module that the value uses. Another program may be able to
    load the value, so do not delete it.
    """

    _verdict = "cannot be loaded here"


class UnstorableValueError(_ValueAtPlaceError, TypeError):
    """The value cannot be encoded in this format; nothing was stored, the old value is untouched."""

    _verdict = "cannot be stored"


class NestedWriteError(PerkeyError, RuntimeError):
    """A signal handler or finaliser wrote while it interrupted another write; its write changed nothing.

    Only buffers and Zarr raise this. Keep the data and write it after the handler has returned.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        """Name the place and the next step for the caller."""
        return (
            f"{self.place}: a signal handler or finaliser began a write within another write of its thread; "
            "the inner write changed nothing. Write after the handler has returned."
        )


class ConsistencyCheckError(MutationPolicyError, ValueError):
    """A later value differs from the first one of a write-once dictionary; the first one stays.

    Attributes:
        key: The key in question.
        differences: One line for each difference, path first.
    """

    def __init__(self, key: Any, differences: list[str]) -> None:
        super().__init__("write-once", key)
        self.args = (key, differences)  # what a pickle makes it anew of
        self.differences = differences

    def __str__(self) -> str:
        """List the differences, one a line."""
        lines = "\n  ".join(self.differences)
        return f"{tuple(self.key)}: the new value differs from the one written first:\n  {lines}"


class BusyError(PerkeyError, TimeoutError):
    """Another process or thread works on the item and did not finish in time.

    Attributes:
        key: The key of the item.
        holder: The process that works on it, as text; None if that is not known.
        waited: Seconds for which this call waited.
    """

    def __init__(self, key: Any, holder: str | None, waited: float) -> None:
        super().__init__(key, holder, waited)
        self.key = key
        self.holder = holder
        self.waited = waited

    def __str__(self) -> str:
        """Name the holder."""
        holder = self.holder or "another process"
        return (
            f"{shown_key(self.key)}: {holder} works on it and did not finish within {self.waited:g} s; "
            "try again later, or wait for longer"
        )


class ClaimLostError(PerkeyError, RuntimeError):
    """The claim is not held, or no longer held: another process may work on the item now.

    Attributes:
        key: The key of the item.
        reason: What is known about it.
    """

    def __init__(self, key: Any, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        """Name the reason."""
        return f"{shown_key(self.key)}: the claim is not held: {self.reason}"


class ComputationFailedError(PerkeyError, RuntimeError):
    """The computation that this call waited for failed in another process or thread; call again to retry.

    Attributes:
        key: The key of the item.
        type: The class of the exception, with its module, as text.
        text: The text of the exception.
        traceback: Its traceback as text.
        count: How many attempts have failed so far.
        holder: The process in which it failed, as text.
    """

    def __init__(
        self,
        key: Any,
        *,
        type: str,  # noqa: A002 - as it is called in the claim
        text: str,
        traceback: str,
        count: int,
        holder: str,
    ) -> None:
        super().__init__(key, type, text)
        self.key = key
        self.type = type
        self.text = text
        self.traceback = traceback
        self.count = count
        self.holder = holder

    def __str__(self) -> str:
        """Show the error as it was there."""
        attempts = "1 attempt has" if self.count == 1 else f"{self.count} attempts have"
        return (
            f"{shown_key(self.key)}: the computation failed in {self.holder}, {attempts} failed so far; "
            f"call again to retry. It raised {self.type}: {self.text}\n{self.traceback}"
        )


def counted(number: int, thing: str) -> str:
    """Return how many things there are, in words for people.

    >>> counted(1, "item"), counted(2000, "item"), counted(0, "entry")
    ('1 item', '2,000 items', '0 entries')
    """
    if number != 1:
        thing = f"{thing.removesuffix('y')}ies" if thing.endswith("ry") else f"{thing}s"
    return f"{number:,} {thing}"


def shown_key(key: Any) -> str:
    """Return how messages show a key, or what was to be one."""
    return repr(tuple(key) if isinstance(key, tuple) else key)
