"""Exceptions of a value's own code, of the file, and of the format are told apart, whatever their class."""

import builtins
import functools
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import joblib
import numpy as np
import pytest

from perkey import CorruptValueError, UnloadableValueError, UnstorableValueError
from perkey.content import STREAM_ABOVE, Data, bytes_of
from perkey.errors import BackendError, ConflictError
from perkey.formats import AllowListPickleFormat, Format, JsonFormat, PickleFormat, SignedFormat


def exceptions() -> list[BaseException]:
    """Return one exception of each class that is built in, and of perkey's own."""
    made: list[BaseException] = [
        CorruptValueError("of another value", key=("other",), place="elsewhere"),
        UnloadableValueError("of another value", key=("other",), place="elsewhere"),
        UnstorableValueError("of another value", key=("other",), place="elsewhere"),
        ConflictError(("n",), "v"),
        BackendError("of a service", backend="s3", operation="read"),
        pickle.UnpicklingError("of a nested pickle"),
        pickle.PicklingError("of a nested pickle"),
        FileNotFoundError(2, "No such file or directory"),
    ]
    for cls in vars(builtins).values():
        if isinstance(cls, type) and issubclass(cls, BaseException):
            for arguments in (("told",), ("utf-8", b"x", 0, 1, "told"), ("utf-8", "x", 0, 1, "told")):
                try:
                    made.append(cls(*arguments))
                    break
                except TypeError:
                    continue
    return [error for error in made if not isinstance(error, BaseExceptionGroup)]


ERRORS = exceptions()
LARGE = np.random.default_rng(0).random(STREAM_ABOVE // 8 + 1)


class Failing:
    """Raises what it is told to when it is pickled, or when it is restored."""

    error: BaseException = ValueError()

    def __init__(self, *, store: bool = False, load: bool = False, large: bool = False) -> None:
        self.fails = store, load
        self.large = LARGE if large else None

    def __getstate__(self) -> Any:
        if self.fails[0]:
            raise Failing.error
        return {"fails": self.fails, "large": self.large}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)
        if self.fails[1]:
            raise Failing.error


class FailingReduce(Failing):
    def __reduce__(self) -> Any:
        if self.fails[0]:
            raise Failing.error
        return restore, (self.fails, self.large)


def restore(fails: Any, large: Any) -> FailingReduce:
    if fails[1]:
        raise Failing.error
    return FailingReduce(store=fails[0], large=large is not None)


PKL, PLAIN, JSON = PickleFormat(), PickleFormat(compression=None), JsonFormat(check=False)
ALLOW = AllowListPickleFormat(
    [Failing, FailingReduce, restore, np.ndarray, np.dtype, "numpy._core.numeric._frombuffer"]
)
FORMATS: dict[str, Format] = {
    "pkl": PKL,
    "plain": PLAIN,
    "allow": ALLOW,
    "signed": SignedFormat(PKL, secret=bytes(16)),
    "json": JSON,
}


@pytest.fixture(autouse=True)
def _without_frames() -> Iterator[None]:
    """The errors are those of the module; their frames would keep all values of these tests."""
    yield
    for error in ERRORS:
        error.__traceback__ = error.__context__ = error.__cause__ = None


def passes(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or not isinstance(error, Exception)


def expect(error: BaseException, stated: type[Exception], action: Callable[[], object]) -> None:
    """MemoryError and what is no Exception pass; all else is the cause of what is `stated`."""
    Failing.error = error
    with pytest.raises(BaseException) as caught:
        action()
    if passes(error):
        assert caught.value is error
    else:
        assert type(caught.value) is stated, repr(caught.value)
        assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("cls", [Failing, FailingReduce])
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_the_code_of_a_value_is_its_own_cause(kind: str, cls: type[Failing], large: bool) -> None:
    form = FORMATS[kind]
    content = bytes_of(form.encode(cls(load=True, large=large)))
    for error in ERRORS:
        expect(error, UnstorableValueError, lambda: bytes_of(form.encode(cls(store=True, large=large))))
        for given in (content, io.BytesIO(content)):
            expect(error, UnloadableValueError, functools.partial(form.decode, given))


@pytest.mark.parametrize("method", [None, "zlib", "gzip", "bz2", "xz", "lzma", "lz4"])
def test_so_it_is_in_files_of_joblib(method: str | None) -> None:
    for cls in (Failing, FailingReduce):
        file = io.BytesIO()
        joblib.dump([np.arange(3), cls(load=True)], file, compress=(method, 1) if method else 0)
        for error in ERRORS:
            expect(error, UnloadableValueError, functools.partial(PKL.decode, file.getvalue()))


def test_the_check_of_json_passes_on_what_it_must() -> None:
    for error in ERRORS:
        expect(error, UnstorableValueError, lambda: JsonFormat().encode(Failing(load=True)))


class Broken(io.BytesIO):
    """A file that fails after so many bytes."""

    def __init__(self, content: bytes, limit: int, error: Exception) -> None:
        super().__init__(content)
        self._limit = limit
        self._error = error

    def _check(self) -> None:
        if self.tell() > self._limit:
            raise self._error

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._check()
        return data

    def readinto(self, target: Any, /) -> int:
        size = super().readinto(target)
        self._check()
        return size

    def write(self, data: Any, /) -> int:
        size = super().write(data)
        self._check()
        return size


def by_perkey(form: Format, value: Any) -> tuple[Format, bytes]:
    return form, bytes_of(form.encode(value))


def by_joblib(value: Any, method: str | None) -> tuple[Format, bytes]:
    file = io.BytesIO()
    joblib.dump(value, file, compress=(method, 1) if method else 0)
    return PKL, file.getvalue()


CONTENTS: dict[str, Callable[[], tuple[Format, bytes]]] = {
    **{kind: functools.partial(by_perkey, form, {"a": LARGE, "b": 1}) for kind, form in FORMATS.items()},
    **{
        f"joblib {method}": functools.partial(by_joblib, {"a": LARGE}, method)
        for method in (None, "zlib", "gzip", "bz2", "xz", "lz4")
    },
}
# joblib tries again, for ever, when a file would block; files of stores do not.
OF_FILES = [e for e in ERRORS if isinstance(e, Exception) and not isinstance(e, BlockingIOError)]


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_the_file_raises_while_it_is_read_passes_unchanged(kind: str) -> None:
    """A disk or a service that fails says nothing about the value, by whatever class it says so."""
    form, content = CONTENTS[kind]()
    for error in OF_FILES:
        with pytest.raises(type(error)) as caught:
            form.decode(Broken(content, STREAM_ABOVE // 2, error))
        assert caught.value is error


@pytest.mark.parametrize("form", [PKL, PLAIN], ids=["pkl", "plain"])
def test_what_the_file_raises_while_it_is_written_passes_unchanged(form: Format) -> None:
    for value in ({"a": LARGE}, [str(number) for number in range(300_000)]):
        data: Data = form.encode(value)
        assert not isinstance(data, bytes) or form is PLAIN
        for error in OF_FILES if not isinstance(data, bytes) else ():
            file: BinaryIO = Broken(b"", 10, error)
            with pytest.raises(type(error)) as caught:
                write(data, file)
            assert caught.value is error


def write(data: Data, file: BinaryIO) -> None:
    assert not isinstance(data, bytes)
    data.write_to(file)
