"""Functions whose results are kept in a dictionary, each computed once."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import NoneType
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from perkey.answers import answer
from perkey.arguments import check_callable, check_iterable, check_kind, is_coroutine_function
from perkey.errors import MutationPolicyError
from perkey.jokers import ITEM_NOT_AVAILABLE, ETagIfExists
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple, SafeStrTuple, quote
from perkey.mapping import PersiDict
from perkey.tools.once.arguments import ArgumentKeys, name_of, source_of
from perkey.tools.once.claims import LEASE, Renewal, check_seconds
from perkey.tools.once.compute import ABSENT, Computation, Look, Policy, WhenBusy
from perkey.tools.once.holders import CLOCK, Clock
from perkey.tools.once.names import take

P = ParamSpec("P")
R = TypeVar("R")

_SOURCE: Final = "source"
_COROUTINES: Final = "perkey.tools.once.coroutines"
"""The module that drives coroutine functions, loaded by the first call of one."""


def memoize(
    d: PersiDict[Any],
    *,
    version: str | int | None = None,
    ignore: Iterable[str] = (),
    max_age: float | None = None,
    early: float = 0.0,
    key: Callable[..., NonEmptyPersiDictKey] | None = None,
    name: str | None = None,
    when_busy: WhenBusy = "wait",
    timeout: float | None = None,
    default: Any = None,
    lease: float = LEASE,
    renewal: Renewal = "thread",
) -> Decorator:
    """Return a decorator that keeps the results of a function in a dictionary, each computed once.

    Of any number of calls with equal arguments, in any number of threads, processes and machines, one
    computes (see `compute_once`). It decorates functions, methods (``self`` is an argument like the others,
    unless ignored) and coroutine functions. The decorated function has ``f.key(...)``, ``f.cached(...)``,
    ``f.forget(...)``, ``f.recompute(...)`` and ``f.results``; see `Memoized`.

    A result is kept under ``module.function``, the version if there is one, and a digest of the arguments as
    the signature sees them: defaults are filled in, and the order of keywords does not matter. JSON-like
    arguments give the same key on every machine and in every version of Python. Arrays are keyed by type,
    shape and content, bytes by content. Other arguments are hashed as joblib does; their keys name the
    versions of joblib and Python, on which that depends. Tuples and lists are the same argument; ``1``,
    ``1.0`` and ``True`` are three.

    Args:
        d: The dictionary.
        version: A part of the keys: another version computes anew. ``"source"`` stands for a digest of the
            function's own source, without decorators and without the functions that it calls.
        ignore: Names of parameters that do not matter for the result.
        max_age: Seconds after which a result is computed anew, by the time that the dictionary's place gives
            to its items and the date of this machine; None means never.
        early: Seconds before that age at which one caller computes the result anew, while all other
            callers still get the old one; 0 means not to. A failure of it is logged, and the old result is
            returned.
        key: Takes the arguments of a call and returns its key, in place of name and digest.
        name: In place of ``module.function``; required for functions of a local scope or of a program's main
            module, unless `key` is given. Functions with the same name read each other's results, also those
            of two programs. With `key`, the beginning of all keys.
        when_busy: As for `compute_once`.
        timeout: As for `compute_once`.
        default: As for `compute_once`.
        lease: As for `compute_once`.
        renewal: As for `compute_once`.

    Raises:
        TypeError, ValueError: An argument is of the wrong kind or out of bounds; the function has no name of
            its own, or is a generator function.

    Warns:
        SharedNameWarning: Another function of this process keeps its results under the same name and version
            in the same dictionary.

    Cost: a hit is one read, and the hash of the arguments; with `max_age` also a stat.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> @memoize(d, name="square")
    ... def square(x, *, scale=1):
    ...     print("computing")
    ...     return x * x * scale
    >>> square(3), square(x=3, scale=1)
    computing
    (9, 9)
    >>> square.cached(3), square.forget(3), square.cached(3)
    (True, True, False)
    """
    check_kind("d", d, PersiDict, "a PersiDict, as in @memoize(results)")
    check_kind("version", version, (str, int, NoneType), "a string, an int or None")
    check_iterable("ignore", ignore, "names of parameters")
    check_kind("name", name, (str, NoneType), "a string or None")
    if name == "":
        raise ValueError("name must not be empty; leave it out for module.function")
    if key is not None:
        check_callable("key", key)
    policy = Policy.checked(
        lease=lease, timeout=timeout, when_busy=when_busy, default=default, renewal=renewal
    )
    age = Age.checked(d, max_age, early)
    ignored = tuple(ignore)
    for each in ignored:
        check_kind("each of ignore", each, str, "a string")

    def decorate(function: Any) -> Any:
        kind = _kind_for(function)
        keys = Keys.of(function, version, ignored, key, name)
        if key is None:
            take(d, keys.prefix, function)
        return kind(function, d, keys, policy, age)

    return decorate


def _kind_for(function: Any) -> type[Memoized[Any, Any]]:
    if isinstance(function, (staticmethod, classmethod, property, functools.cached_property)):
        raise TypeError(f"put @{type(function).__name__} above @memoize, so that it is applied last")
    check_callable("function", function)
    called = (function, inspect.getattr_static(type(function), "__call__"))
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in called):
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise TypeError(f"{name} is a generator function, whose results cannot be stored; return a list")
    return MemoizedCoroutine if is_coroutine_function(function) else Memoized


@dataclass(frozen=True)
class Keys:
    """The keys of a function's results.

    Attributes:
        prefix: The beginning of all of them.
        part: Makes the end of one from the arguments of a call.
    """

    prefix: SafeStrTuple
    part: Callable[[tuple[Any, ...], dict[str, Any]], NonEmptyPersiDictKey]

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        version: str | int | None,
        ignore: tuple[str, ...],
        key: Callable[..., NonEmptyPersiDictKey] | None,
        name: str | None,
    ) -> Self:
        """Return the keys of a function; raises ValueError."""
        if key is None:
            prefix = quote(name or name_of(function), shorten=True)
            part: Callable[..., Any] = ArgumentKeys(function, ignore).of
        else:
            prefix = quote(name, shorten=True) if name else SafeStrTuple()
            if ignore:
                raise ValueError("ignore has no use with key=, which decides which arguments matter")
            own = key

            def part(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                return own(*args, **kwargs)

        if version is not None:
            chosen = source_of(function) if version == _SOURCE else version
            prefix += quote(f"version-{chosen}", shorten=True)
        return cls(prefix, part)

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NonEmptyPersiDictKey:
        """Return the key of a call."""
        part = self.part(args, kwargs)
        return (*self.prefix, part) if isinstance(part, str) else NonEmptySafeStrTuple(self.prefix, part)


@dataclass(frozen=True)
class Age:
    """How old results may become.

    Attributes:
        most: Seconds; None for any age.
        early: Seconds before that at which one caller computes anew.
        clock: The clocks.
    """

    most: float | None
    early: float
    clock: Clock = CLOCK

    @classmethod
    def checked(cls, d: PersiDict[Any], max_age: Any, early: Any) -> Self:
        """Return the age for a dictionary; raises TypeError or ValueError."""
        before = check_seconds("early", early)
        if max_age is None:
            if before:
                raise ValueError("early needs max_age: without it no result becomes too old")
            return cls(None, 0.0)
        most = check_seconds("max_age", max_age, positive=True)
        if before >= most:
            raise ValueError(f"early must be less than max_age={max_age!r}, not {early!r}")
        if d.immutable_items:
            raise ValueError("max_age needs a dictionary of items that may change, not immutable_items=True")
        return cls(most, before)

    def left(self, d: PersiDict[Any], key: NonEmptyPersiDictKey) -> float | None:
        """Return for how many seconds a result is still good; None if it does not exist."""
        try:
            written = d.timestamp(key)
        except answer(KeyError):
            return None
        return (self.most or 0.0) - (self.clock.wall() - written)

    def look(self, d: PersiDict[Any], key: NonEmptyPersiDictKey, least: float) -> Look:
        """Look at a result that must be good for more than `least` seconds."""
        etag: ETagIfExists = ITEM_NOT_AVAILABLE
        while True:
            left = self.left(d, key)
            if left is None:
                return Look(ABSENT)
            if left > least:
                return Look(d.get(key, ABSENT))
            # The etag must be that of a result that was seen to be too old.
            before, etag = etag, _etag(d, key)
            if etag is ITEM_NOT_AVAILABLE or etag == before:
                return Look(ABSENT, etag)


def _etag(d: PersiDict[Any], key: NonEmptyPersiDictKey) -> ETagIfExists:
    try:
        return d.etag(key)
    except answer(KeyError):
        return ITEM_NOT_AVAILABLE


class Memoized(Generic[P, R]):
    """A function whose results are kept; `memoize` makes it.

    Args:
        function: The function.
        d: Where its results are.
        keys: Their keys.
        policy: How a call behaves while another one computes.
        age: How old a result may become.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __init__(
        self, function: Callable[P, R], d: PersiDict[Any], keys: Keys, policy: Policy, age: Age
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._d = d
        self._keys = keys
        self._policy = policy
        self._age = age
        self._first: tuple[Any, ...] = ()
        self._plain = self

    @property
    def results(self) -> PersiDict[Any]:
        """The dictionary of all results of this function and version."""
        return self._d.get_subdict(self._keys.prefix)

    def key(self, /, *args: P.args, **kwargs: P.kwargs) -> NonEmptySafeStrTuple:
        """Return the key of a call's result in the dictionary that was given to `memoize`."""
        return NonEmptySafeStrTuple(self._key(args, kwargs))

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result, loaded or computed."""
        key = self._key(args, kwargs)
        found: Any = self._good(key)
        if found is not ABSENT:
            return found  # type: ignore[no-any-return] # of the dictionary
        call = partial(self._function, *self._first, *args, **kwargs)
        with self._computation(key, self._due(key)) as computation:
            return computation.run(call)

    def cached(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Return whether a result exists and is not too old. Cost: one stat."""
        return self._has(self._key(args, kwargs))

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove a result, so that the next call computes; return whether it existed."""
        return self._d.discard(self._key(args, kwargs))

    def recompute(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute a result anew, replace the old one, and return it.

        Of several calls at a time one computes. The old result is loaded by other calls until then.

        Raises:
            MutationPolicyError: Items of the dictionary are immutable.
        """
        key = self._key(args, kwargs)
        with self._recomputation(key) as computation:
            return computation.run(partial(self._function, *self._first, *args, **kwargs))

    # --- Parts --------------------------------------------------------------------------------------

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NonEmptyPersiDictKey:
        return self._keys.key((*self._first, *args), kwargs)

    def _good(self, key: NonEmptyPersiDictKey) -> Any:
        """Return a result that is there and needs no computation, or ABSENT."""
        if self._age.most is None:
            return self._d.get(key, ABSENT)
        left = self._age.left(self._d, key)
        return ABSENT if left is None or left <= self._age.early else self._d.get(key, ABSENT)

    def _has(self, key: NonEmptyPersiDictKey) -> bool:
        if self._age.most is None:
            return key in self._d
        left = self._age.left(self._d, key)
        return left is not None and left > 0

    def _due(self, key: NonEmptyPersiDictKey) -> Any:
        """Return a result that is still good, but is to be computed anew by one caller; else ABSENT."""
        return self._age.look(self._d, key, 0.0).value if self._age.early else ABSENT

    def _computation(self, key: NonEmptyPersiDictKey, old: Any) -> Computation[R]:
        d, age = self._d, self._age
        if old is not ABSENT:
            policy = Policy(self._policy.lease, None, "default", old, self._policy.renewal)
            look = partial(age.look, d, key, age.early)
            return Computation(d, key, policy, look=look, old=old, clock=age.clock)
        good = None if age.most is None else partial(age.look, d, key, 0.0)
        return Computation(d, key, self._policy, look=good, clock=age.clock)

    def _recomputation(self, key: NonEmptyPersiDictKey) -> Computation[R]:
        d = self._d
        if d.immutable_items:
            raise MutationPolicyError("immutable_items=True: a result cannot be replaced", key)
        old = _etag(d, key)

        def look() -> Look:
            etag = _etag(d, key)
            return Look(ABSENT, etag) if etag == old else Look(d.get(key, ABSENT))

        return Computation(d, key, self._policy, look=look, clock=self._age.clock)

    # --- As a function ------------------------------------------------------------------------------

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return it as a method of an instance."""
        if instance is None:
            return self
        method = copy.copy(self)
        method._first = (*self._first, instance)  # noqa: SLF001 - of its own kind
        return method

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle by name where that leads here, as functions do; else by parts."""
        if self._first:
            return _method_of, (self._plain, self._first)
        name: str = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        return type(self), (self._function, self._d, self._keys, self._policy, self._age)

    def __repr__(self) -> str:
        return f"<memoized {getattr(self, '__qualname__', self._function)!s} in {self._d.store.describe()}>"


class MemoizedCoroutine(Memoized[P, Any], Generic[P, R]):
    """A coroutine function whose results are kept; `memoize` makes it.

    Calls, `cached`, `forget` and `recompute` are awaited; `key` and `results` are as for functions. A call
    that is cancelled gives its claim back, and one of those that wait computes.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result, loaded or computed."""

        def begin() -> Any:
            key = self._key(args, kwargs)
            found = self._good(key)
            return found, (partial(self._computation, key, self._due(key)) if found is ABSENT else None)

        driver = import_module(_COROUTINES)
        found, make = await driver.in_thread(begin)
        if make is not None:
            found = await driver.driven(make, partial(self._function, *self._first, *args, **kwargs))
        result: R = found
        return result

    async def cached(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:  # type: ignore[override] # awaited
        return bool(await import_module(_COROUTINES).in_thread(lambda: self._has(self._key(args, kwargs))))

    async def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:  # type: ignore[override] # awaited
        def forget() -> bool:
            return self._d.discard(self._key(args, kwargs))

        return bool(await import_module(_COROUTINES).in_thread(forget))

    async def recompute(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        driver = import_module(_COROUTINES)
        key = await driver.in_thread(lambda: self._key(args, kwargs))
        make = partial(self._recomputation, key)
        result: R = await driver.driven(make, partial(self._function, *self._first, *args, **kwargs))
        return result


class Decorator(Protocol):
    """What `memoize` returns."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> MemoizedCoroutine[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Memoized[P, R]: ...


def _method_of(memoized: Memoized[Any, Any], first: tuple[Any, ...]) -> Memoized[Any, Any]:
    for instance in first:
        memoized = memoized.__get__(instance)
    return memoized
