"""Clauses about a format whose own code raises: every verb raises exactly that, and nothing else happens."""

from __future__ import annotations

import builtins
import copy
import errno
from collections.abc import Callable, Iterator
from functools import partial, wraps
from itertools import chain
from typing import Any, BinaryIO, Final, Literal, ParamSpec, TypeAlias

import pytest

from contracts.dicts.suite import DictSuite
from perkey.content import STREAM_ABOVE, Content, Data
from perkey.errors import BulkOperationError, ConflictError
from perkey.formats import Format
from perkey.jokers import ALWAYS_RETRIEVE, ANY_ETAG, ETAG_HAS_CHANGED, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from perkey.mapping import Items, PersiDict, items_of
from perkey.testing.racing import elsewhere

Where: TypeAlias = Literal["encode", "write_to", "decode", "decode a stream"]
P = ParamSpec("P")
Verb: TypeAlias = Callable[[PersiDict[Any]], object]

_MARK: Final = b"perkey-testing: not to be decoded\n"


class OwnOSError(OSError):
    """An error of a user's own, whose constructor takes something else than a number and a text."""

    def __init__(self, job: str) -> None:
        super().__init__(f"{job} took too long")
        self.job = job


class OwnKeyError(KeyError):
    """An error of a user's own."""


def some_exceptions() -> Iterator[BaseException]:
    """Yield a few of `every_exception`, for slow places."""
    yield KeyError("planned")
    yield ConflictError(("a.pkl",), "v1", "v2")
    yield OwnOSError("job-7")
    yield FileNotFoundError(errno.ENOENT, "planned")
    yield KeyboardInterrupt("planned")


def every_exception() -> Iterator[BaseException]:
    """Yield an instance of each builtin exception, and of what perkey itself takes for answers."""
    special: dict[type[BaseException], tuple[Any, ...]] = {
        UnicodeDecodeError: ("ascii", b"\xff", 0, 1, "planned"),
        UnicodeEncodeError: ("ascii", "\xff", 0, 1, "planned"),
        UnicodeTranslateError: ("\xff", 0, 1, "planned"),
        ExceptionGroup: ("planned", [KeyError("planned")]),
        BaseExceptionGroup: ("planned", [KeyboardInterrupt("planned")]),
    }
    for name, cls in vars(builtins).items():
        # IOError is another name of OSError.
        if isinstance(cls, type) and issubclass(cls, BaseException) and cls.__name__ == name:
            yield cls(*special.get(cls, ("planned",)))
    for number in (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.ENOSPC, errno.EACCES, errno.ELOOP):
        yield OSError(number, "planned")
    yield OwnOSError("job-7")
    yield OwnKeyError("planned")
    yield ConflictError(("a.pkl",), "v1", "v2")


class Bad:
    """A value that the format refuses in its own way."""


class _BadStream:
    """Writes a part, or the mark and what makes it large."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    def write_to(self, file: BinaryIO, /) -> None:
        file.write(_MARK)
        if self._error is not None:
            raise self._error
        file.write(bytes(2 * STREAM_ABOVE))


class RaisingFormat(Format):
    """A format that raises `error` for one value, and stores all others as `inner` does.

    Args:
        inner: The format of the other values.
        error: The exception.
        where: In which of its methods.
    """

    def __init__(self, inner: Format, error: BaseException, where: Where) -> None:
        self._inner = inner
        self._error = error
        self._where = where

    def encode(self, value: Any) -> Data:
        if not isinstance(value, Bad):
            return self._inner.encode(value)
        if self._where == "encode":
            raise self._error
        if self._where == "decode":
            return _MARK
        return _BadStream(self._error if self._where == "write_to" else None)

    def decode(self, content: Content) -> Any:
        if isinstance(content, bytes):
            head = content[: len(_MARK)]
        else:
            head = content.read(len(_MARK))
            content.seek(0)
        if head == _MARK:
            raise self._error
        return self._inner.decode(content)


def _transform(default: Any) -> Verb:
    return lambda d: d.transform_item("bad", transformer=lambda _: default)


READING: Final[dict[str, Verb]] = {
    "[]": lambda d: d["bad"],
    "get": lambda d: d.get("bad"),
    "setdefault": lambda d: d.setdefault("bad", None),
    "get_with_etag": lambda d: d.get_with_etag("bad"),
    "get_item_if": lambda d: d.get_item_if("bad", condition=ANY_ETAG, expected_etag="another"),
    "setdefault_if": lambda d: d.setdefault_if("bad", default_value=d["good"]),
    "set_item_if": lambda d: d.set_item_if(
        "bad",
        value=d["good"],
        condition=ETAG_IS_THE_SAME,
        expected_etag="another",
        retrieve_value=ALWAYS_RETRIEVE,
    ),
    "transform_item": lambda d: d.transform_item("bad", transformer=lambda value: value),
    "get_many": lambda d: d.get_many(["bad", "good"]),
    "newest_values": lambda d: d.newest_values(),
    "==": lambda d: d == {},
    "copy": lambda d: d.copy(),
    "items": lambda d: list(d.items()),
    "values": lambda d: list(d.values()),
    "in values": lambda d: object() in d.values(),
    "items_and_timestamps": lambda d: list(d.items_and_timestamps()),
}
"""Verbs that decode the item "bad"."""

TAKING: Final[dict[str, Verb]] = {
    "pop": lambda d: d.pop("bad"),
    "pop with a default": lambda d: d.pop("bad", None),
}
"""Those that would also delete it."""

_LAZY: Final = frozenset(
    ("newest_values", "==", "copy", "items", "values", "in values", "items_and_timestamps")
)
"""Those in which a StopIteration would end an iteration; Python makes a RuntimeError of it there."""

WRITING: Final[dict[str, Verb]] = {
    "[]=": lambda d: d.__setitem__("bad", Bad()),
    "setdefault": lambda d: d.setdefault("bad", Bad()),
    "setdefault_if": lambda d: d.setdefault_if("bad", default_value=Bad()),
    "set_item_if absent": lambda d: d.set_item_if(
        "bad", value=Bad(), condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "set_item_if any": lambda d: d.set_item_if(
        "bad", value=Bad(), condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "transform_item": _transform(Bad()),
    "update": lambda d: d.update(bad=Bad()),
}
"""Verbs that encode a value for the missing item "bad"."""

REPLACING: Final[dict[str, Verb]] = {
    "[]=": lambda d: d.__setitem__("good", Bad()),
    "set_item_if same": lambda d: d.set_item_if(
        "good", value=Bad(), condition=ETAG_IS_THE_SAME, expected_etag=d.etag("good")
    ),
    "set_item_if changed": lambda d: d.set_item_if(
        "good", value=Bad(), condition=ETAG_HAS_CHANGED, expected_etag="another"
    ),
    "transform_item": lambda d: d.transform_item("good", transformer=lambda _: Bad()),
    "set_many": lambda d: d.set_many([("good", Bad())]),
}
"""Verbs that encode a value for an item that is there."""


def in_time(clause: Callable[P, None]) -> Callable[P, None]:
    """Run a clause in another thread, so that an endless loop is a failure."""

    @wraps(clause)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        elsewhere(lambda: clause(*args, **kwargs))

    return run


class RaisingClauses(DictSuite):
    """A format's exceptions are the user's: never absence, a conflict or damage, and never lost."""

    def exceptions(self) -> Iterator[BaseException]:
        """Yield the exceptions that are tried; for slow places `some_exceptions`."""
        return every_exception()

    def raising(self, d: PersiDict[Any], error: BaseException, where: Where) -> PersiDict[Any]:
        """Return a handle on the same items whose format raises."""
        handle = copy.copy(d)
        items = items_of(d)
        encoding = RaisingFormat(items.format, error, where)
        vars(handle)["_items"] = Items[Any](items.store, items.naming, encoding, items_of(handle).policy)
        return handle

    @pytest.mark.parametrize("where", ["decode", "decode a stream"])
    @in_time
    def test_what_decoding_raises_is_raised_by_every_verb(self, d: PersiDict[Any], where: Where) -> None:
        d["good"] = self.values(1)
        self.raising(d, KeyError(), where)["bad"] = Bad()
        before = d.etag("bad"), d.etag("good")
        verbs = READING if d.immutable_items else {**READING, **TAKING}
        for error in self.exceptions():
            raising = self.raising(d, error, where)
            for verb, act in verbs.items():
                self.assert_raises(error, verb, partial(act, raising))
        assert (d.etag("bad"), d.etag("good")) == before, "something was changed"

    @pytest.mark.parametrize("where", ["encode", "write_to"])
    @in_time
    def test_what_encoding_raises_is_raised_by_every_verb(self, d: PersiDict[Any], where: Where) -> None:
        d["good"] = self.values(1)
        before = d.etag("good")
        for error in self.exceptions():
            raising = self.raising(d, error, where)
            # Where the first value stays, a stream for an item that is there is never begun.
            verbs = WRITING.items() if d.immutable_items else chain(WRITING.items(), REPLACING.items())
            for verb, act in verbs:
                self.assert_raises(error, verb, partial(act, raising))
        assert d.etag("good") == before
        self.assert_holds(d, {"good": self.values(1)})

    @pytest.mark.parametrize("where", ["encode", "write_to"])
    @in_time
    def test_a_value_that_raises_keeps_no_other_from_being_stored(
        self, d: PersiDict[Any], where: Where
    ) -> None:
        expected: dict[str, Any] = {}
        for number, error in enumerate(self.exceptions()):
            if not isinstance(error, Exception):
                continue
            raising = self.raising(d, error, where)
            pairs = [(f"a{number}", self.values(1)), ("bad", Bad()), (f"b{number}", self.values(2))]
            expected |= {f"a{number}": self.values(1), f"b{number}": self.values(2)}
            self.assert_raises(error, "set_many", partial(raising.set_many, pairs))
        self.assert_holds(d, expected)

    @in_time
    def test_all_values_that_raise_are_reported(self, d: PersiDict[Any]) -> None:
        raising = self.raising(d, KeyError("planned"), "encode")
        pairs = [("bad", Bad()), ("good", self.values(1)), ("worse", Bad())]
        with pytest.raises(BulkOperationError) as caught:
            raising.set_many(pairs)
        assert set(caught.value.failures) == {("bad",), ("worse",)}
        self.assert_holds(d, {"good": self.values(1)})

    @in_time
    def test_what_a_transformer_raises_is_raised(self, d: PersiDict[Any]) -> None:
        d["good"] = self.values(1)
        for error in self.exceptions():
            for key in ("good", "bad"):

                def fail(_: Any, error: BaseException = error) -> Any:
                    raise error

                self.assert_raises(
                    error,
                    key,
                    partial(d.transform_item, key, transformer=fail),
                    key=key,
                )
        self.assert_holds(d, {"good": self.values(1)})

    @in_time
    def test_what_an_iterator_raises_is_raised_after_what_came_before(self, d: PersiDict[Any]) -> None:
        expected = {}
        for number, error in enumerate(self.exceptions()):
            if not isinstance(error, Exception) or isinstance(error, StopIteration):
                continue  # an end of the iteration, or of the program
            expected[f"k{number}"] = self.values(number)

            def pairs(number: int = number, error: BaseException = error) -> Iterator[tuple[str, Any]]:
                yield f"k{number}", self.values(number)
                raise error

            def keys(error: BaseException = error) -> Iterator[str]:
                yield "absent"
                raise error

            for act in (d.set_many, d.update):
                self.assert_raises(error, "set_many", partial(act, pairs()), key=None)
            self.assert_raises(error, "get_many", partial(d.get_many, keys()), key=None)
        self.assert_holds(d, expected)

    @staticmethod
    def assert_raises(
        error: BaseException, verb: str, act: Callable[[], object], *, key: str | None = "'"
    ) -> None:
        """Assert that a verb raises this very exception, with the key in a note."""
        vars(error).pop("__notes__", None)
        raised: BaseException | None = None
        try:
            act()
        except BaseException as caught:  # noqa: BLE001 - that is what is looked at
            raised = caught
        if isinstance(error, StopIteration) and verb in _LAZY and isinstance(raised, RuntimeError):
            raised = raised.__cause__
        assert raised is error, f"{verb} raises {raised!r} in place of {error!r}"
        if key is not None and isinstance(error, Exception):
            assert any(key in note for note in error.__notes__), f"{verb}: no note with the key"
