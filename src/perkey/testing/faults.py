"""A store that is slow, fails, or stops at a chosen moment: so that interleavings do not depend on luck."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.content import Content, Data
from perkey.expectations import ANY, Expectation, Expectations, Version
from perkey.naming import Name, Shape
from perkey.stores import Glimpse, Stat, Store, WrapperStore

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

Call: TypeAlias = Literal["read", "stat", "write", "remove", "scan", "scan_stats", "folders", "exists"]
"""The verbs that can be disturbed."""

Moment: TypeAlias = Literal["before", "after"]
"""Before the inner store is asked, or after it has acted and before the caller knows."""

# One lock for all, so that handles can be pickled; it is held for counting only.
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Plan:
    """Something to do at some calls of a verb.

    Attributes:
        call: The verb.
        act: What to do; an exception that it raises is the fault.
        nth: At which call, counted from 1; None means at each.
        when: Before or after the inner store acts.
    """

    call: Call
    act: Callable[[], object]
    nth: int | None
    when: Moment


class FaultyStore(WrapperStore):
    """Another store, with what was planned for its calls. Without plans it keeps all its promises.

    Verbs that follow from others count as those: `content` as a read, `put`, `try_write` and `try_put` as a
    write, `mtime` as a stat, `count` as a scan. Of many items at once each counts by itself, when the inner
    store draws it. Listings count as called when their first item is asked for, and are over after their last
    one.

    Args:
        inner: The store.
        latency: Seconds that each call waits before it acts.
    """

    def __init__(self, inner: Store, *, latency: float = 0.0) -> None:
        super().__init__(inner)
        self.latency = latency
        self.calls: Counter[Call] = Counter()
        self._plans: list[Plan] = []

    def on(
        self, call: Call, act: Callable[[], object], *, nth: int | None = None, when: Moment = "before"
    ) -> None:
        """Plan to do something at the `nth` call of a verb from now on, or at each."""
        with _lock:
            due = None if nth is None else nth + self.calls[call]
            self._plans.append(Plan(call, act, due, when))

    def fail(self, call: Call, error: BaseException, *, nth: int | None = 1, when: Moment = "before") -> None:
        """Plan that the `nth` call of a verb from now on fails, or each; ``"after"``: once it took effect."""
        self.on(call, lambda: _raise(error), nth=nth, when=when)

    def heal(self) -> None:
        """Forget all plans."""
        with _lock:
            self._plans.clear()

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return self._call("read", lambda: self.inner.read(name, unless=unless, limit=limit))

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return self._call("read", lambda: self.inner.content(name, limit=limit))

    def stat(self, name: Name) -> Stat:
        return self._call("stat", lambda: self.inner.stat(name))

    def mtime(self, name: Name) -> float:
        return self._call("stat", lambda: self.inner.mtime(name))

    def exists(self, name: Name) -> bool:
        return self._call("exists", lambda: self.inner.exists(name))

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return self._call("write", lambda: self.inner.write(name, data, expect=expect))

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        self._call("write", lambda: self.inner.put(name, data, expect=expect))

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self._call("write", lambda: self.inner.try_write(name, data, expect=expect))

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        self._call("write", lambda: self.inner.try_put(name, data, expect=expect))

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._call("remove", lambda: self.inner.remove(name, expect=expect))

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        return self._each_call("read", names, _itself, lambda due: self.inner.read_many(due, limit=limit))

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        return self._each_call(
            "write", items, itemgetter(0), lambda due: self.inner.write_many(due, expect=expect)
        )

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        return self._each_call(
            "remove", names, _itself, lambda due: self.inner.remove_many(due, expect=expect)
        )

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        self._call("remove", lambda: self.inner.move(name, target, expect=expect))

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return self._list("scan", lambda: self.inner.scan(prefix))

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self._list("scan_stats", lambda: self.inner.scan_stats(prefix))

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        return self._list("scan_stats", lambda: self.inner.scan_mtimes(prefix))

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self._list("scan_stats", lambda: self.inner.scan_sizes(prefix))

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        return self._call("scan_stats", lambda: self.inner.glimpse(shape, most, prefix))

    def size_of(self, name: Name) -> int:
        return self._call("stat", lambda: self.inner.size_of(name))

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        return self._call("scan", lambda: self.inner.count(shape, prefix))

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        return self._list("folders", lambda: self.inner.folders(prefix))

    def _call(self, call: Call, act: Callable[[], T]) -> T:
        number = self._begin(call)
        result = act()
        try:
            self._run(call, number, "after")
        except BaseException:
            _release(result)
            raise
        return result

    def _each_call(
        self,
        call: Call,
        arguments: Iterable[A],
        name_of: Callable[[A], Name],
        act: Callable[[Iterator[A]], Iterator[tuple[Name, R]]],
    ) -> Iterator[tuple[Name, R | Exception]]:
        """Let the inner store do many things at once; each counts as a call of the verb for one.

        It begins when the inner store draws the argument, and is over when its result arrives.
        """
        numbers: defaultdict[Name, deque[int]] = defaultdict(deque)
        failed: deque[tuple[Name, Exception]] = deque()

        def due() -> Iterator[A]:
            for argument in arguments:
                name = name_of(argument)
                try:
                    number = self._begin(call)
                except answer(Exception) as error:
                    failed.append((name, error))
                    continue
                numbers[name].append(number)
                yield argument

        for name, result in act(due()):
            while failed:
                yield failed.popleft()
            yield name, self._end_one(call, numbers[name].popleft(), result)
        while failed:
            yield failed.popleft()

    def _end_one(self, call: Call, number: int, result: R) -> R | Exception:
        """Return the result of one of many things, or the error planned for after it."""
        try:
            self._run(call, number, "after")
        except answer(Exception) as error:
            _release(result)
            return error
        return result

    def _list(self, call: Call, act: Callable[[], Iterator[T]]) -> Iterator[T]:
        number = self._begin(call)
        yield from act()
        self._run(call, number, "after")

    def _begin(self, call: Call) -> int:
        with _lock:
            self.calls[call] += 1
            number = self.calls[call]
        if self.latency:
            time.sleep(self.latency)
        self._run(call, number, "before")
        return number

    def _run(self, call: Call, number: int, when: Moment) -> None:
        with _lock:
            due = [
                plan.act
                for plan in self._plans
                if plan.call == call and plan.when == when and plan.nth in (None, number)
            ]
        for act in due:
            act()


def _raise(error: BaseException) -> None:
    raise error


def _itself(name: Name) -> Name:
    return name


def _release(result: Any) -> None:
    """Close the file of a read whose caller gets an error instead."""
    if isinstance(result, tuple) and hasattr(result[0], "close"):
        result[0].close()
