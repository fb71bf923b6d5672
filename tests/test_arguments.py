"""Each public entrance refuses an argument of the wrong kind at once, and names it."""

import inspect
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import perkey
from perkey import FileDirDict, LocalDict, PersiDict, formats, keys, stores
from perkey.formats import JsonFormat
from perkey.stores import MemoryStore, Store

THING = object()
NOT_TEXT: list[Any] = [5, None, b"a", ["a"], THING]
NOT_TEXT_OR_NONE = [wrong for wrong in NOT_TEXT if wrong is not None]
NOT_A_COUNT: list[Any] = ["3", 1.5, True, [1], THING]
NOT_A_FLAG: list[Any] = ["no", 0, 1, None, THING]
NOT_A_KEY: list[Any] = [5, None, b"a", {"a"}, {"a": 1}, iter("a"), THING]
NOT_KEYS: list[Any] = [5, None, "abc", b"ab", THING]
NOT_A_MAPPING: list[Any] = [5, "abc", ["a"], THING]

# What each parameter of this name must be: a right argument, and wrong ones. No other parameter is public.
PARAMETERS: dict[str, tuple[Any, list[Any]]] = {
    "allowed": (["builtins.int"], [5, None, "abc", THING]),
    "backend": (MemoryStore(), [5, "a", {}, LocalDict(), THING]),
    "base": ("", [5, None, b"a", THING]),
    "base_class_for_values": (int, [5, "int", int | str, THING]),
    "base_dir": ("", [5, b"a", ["a"], THING]),
    "bucket_name": ("bucket", NOT_TEXT),
    "cache": (MemoryStore(), [5, None, "a", {}, THING]),
    "cache_dict": (LocalDict(), [5, None, "a", {}, THING]),
    "by": ("write", [5, None, True, ["use"], THING]),
    "check": (True, NOT_A_FLAG),
    "checksum": (False, NOT_A_FLAG),
    "client_options": ({}, NOT_A_MAPPING),
    "columns": (["a"], [5, "abc", THING]),
    "compression": (None, [5, True, ["lz4"], THING]),
    "condition": (perkey.ANY_ETAG, [5, None, "any", perkey.ITEM_NOT_AVAILABLE, THING]),
    "create": (True, NOT_A_FLAG),
    "credential_provider": (lambda: None, [5, "a", THING]),
    "d": (LocalDict(), [5, None, "a", {}, THING]),
    "dict_type": (FileDirDict, [5, None, dict, "FileDirDict", LocalDict(), THING]),
    "decode": (False, NOT_A_FLAG),
    "delete": (False, NOT_A_FLAG),
    "depth": (1, NOT_A_COUNT),
    "digest_len": (8, ["8", 8.0, True, THING]),
    "dry_run": (True, NOT_A_FLAG),
    "dst": (LocalDict(), [5, None, "a", {}, THING]),
    "durability": ("none", [5, None, True, ["sync"], THING]),
    "early": (0, ["3", None, True, [1], THING]),
    "endpoint_url": (None, NOT_TEXT_OR_NONE),
    "engine": ("boto3", NOT_TEXT),
    "expected_etag": (perkey.ITEM_NOT_AVAILABLE, [5, None, perkey.ANY_ETAG, THING]),
    "file_type": ("json", NOT_TEXT),
    "filter": ({}, NOT_A_MAPPING),
    "force": (False, NOT_A_FLAG),
    "free": (False, NOT_A_FLAG),
    "function": (int, [5, None, "a", THING]),
    "ignore": ((), [5, None, "abc", THING]),
    "immutable_items": (False, NOT_A_FLAG),
    "inner": (MemoryStore(), [5, None, "a", {}, THING]),
    "interval": (1, ["3", None, True, [1], THING]),
    "items": ({}, [5, None, "abc", THING]),
    "key": ("a", NOT_A_KEY),
    "keys": (["a"], NOT_KEYS),
    "kind": ("auto", [5, None, True, ["auto"], THING]),
    "lease": (60, ["3", None, True, [1], THING]),
    "locking": ("auto", [5, None, True, ["shared"], THING]),
    "main": (MemoryStore(), [5, None, "a", {}, THING]),
    "main_dict": (LocalDict(), [5, None, "a", {}, THING]),
    "max_age": (None, ["1h", True, [1], THING]),
    "max_attempts": (1, NOT_A_COUNT),
    "max_bytes": (1, NOT_A_COUNT),
    "max_items": (1, NOT_A_COUNT),
    "max_n": (1, NOT_A_COUNT),
    "mode": ("a", [5, None, True, ["r"], THING]),
    "min_age": (0, ["3", None, THING]),
    "n_retries": (1, NOT_A_COUNT),
    "name": ("a", NOT_TEXT_OR_NONE),
    "new": (JsonFormat(), [5, None, "pkl", JsonFormat, THING]),
    "older_than": (None, ["1h", True, [1], THING]),
    "on_error": ("raise", [5, None, True, ["collect"], THING]),
    "on_fault": (None, [5, "a", THING]),
    "on_item": (None, [5, "a", THING]),
    "options": ({}, NOT_A_MAPPING),
    "overwrite": (True, NOT_A_FLAG),
    "other": ({}, [5, None, "abc", THING]),
    "p_consistency_checks": (0.5, ["0.5", [1], THING]),
    "place": ("memory://x", [5, None, b"a", ["a"], THING]),
    "prefix": (("a",), [5, None, "a", ["a"], (1,), THING]),
    "prefix_key": ("a", NOT_A_KEY),
    "progress": (False, NOT_A_FLAG),
    "quarantine": (None, NOT_TEXT_OR_NONE),
    "region": (None, NOT_TEXT_OR_NONE),
    "repair": (None, [5, True, ["quarantine"], THING]),
    "renewal": ("thread", NOT_TEXT),
    "replace": (False, NOT_A_FLAG),
    "replace_with": ("-", NOT_TEXT),
    "requester_pays": (False, NOT_A_FLAG),
    "retrieve_value": (perkey.ALWAYS_RETRIEVE, [5, None, True, "always", THING]),
    "retry_failed": (False, NOT_A_FLAG),
    "retry_for": (1.0, ["3", True, None, [1], THING]),
    "root_prefix": ("", NOT_TEXT),
    "secret": (b"x" * 32, [5, None, "x" * 32, THING]),
    "since": (b"", [5, "abc", ["a"], THING]),
    "shared_subdicts_params": ({}, [5, None, ["a"], "abc", THING]),
    "shorten": (False, NOT_A_FLAG),
    "source": ({}, [5, None, b"a", THING]),
    "src": (LocalDict(), [5, None, "a", {}, THING]),
    "store": (MemoryStore(), [5, None, "a", {}, LocalDict(), THING]),
    "tasks": ({}, [5, None, "abc", b"a", THING]),
    "text": ("a", NOT_TEXT),
    "timeout": (None, ["3", True, [1], THING]),
    "transformer": (lambda _: 1, [5, None, "a", THING]),
    "trust_service": (False, NOT_A_FLAG),
    "trusting": (False, NOT_A_FLAG),
    "unconditional": (False, NOT_A_FLAG),
    "unsigned": (False, NOT_A_FLAG),
    "url": ("memory://x", NOT_TEXT),
    "workers": (None, NOT_A_COUNT),
    "version": ("1", [1.5, b"a", ["a"], THING]),
    "wait": (False, ["3", None, [1], THING]),
    "when_busy": ("wait", NOT_TEXT),
    "wrapped_dict": (LocalDict(), [5, "a", {}, THING]),
}
# What may be anything, or is an object of another library.
ANYTHING = frozenset(
    ("client", "default", "default_value", "parameters", "session", "value", "parts", "args", "kwargs")
)
# Arguments of some entrances only.
SPECIAL: dict[tuple[str, str], tuple[Any, list[Any]]] = {
    ("memoize", "key"): (str, [5, "a", ["a"], THING]),
    ("SignedFormat", "inner"): (JsonFormat(), [5, None, "pkl", THING]),
    ("DirectoryStore", "base"): ("", [5, None, b"a", THING]),
    ("usage", "prefix"): ("a", NOT_A_KEY),
    ("prune", "prefix"): ("a", NOT_A_KEY),
    ("prune", "max_items"): (5, NOT_A_COUNT),
    ("convert", "dst"): (LocalDict(), [5, b"a", {}, THING]),
    ("convert", "file_type"): (None, NOT_TEXT_OR_NONE),
    ("convert", "digest_len"): (None, ["8", 8.0, True, THING]),
    ("convert", "key"): (str, [5, "a", ["a"], THING]),
    ("copy", "prefix"): ("a", NOT_A_KEY),
    ("sync", "prefix"): ("a", NOT_A_KEY),
    ("watch", "prefix"): ("a", NOT_A_KEY),
    ("set_many", "items"): ({}, [5, None, "abc", [5], THING]),
}
# Required arguments that may also be given under another name.
TWO_NAMES = frozenset((("setdefault_if", "default"),))
# They take the parameters of other entrances by name.
OPEN = frozenset(("more", "params", "service", "individual_subdicts_params"))
# Called by stores and formats with what these have, not by users.
INNER = frozenset(("Naming", "Shape", "Stat", "Streamable", "differences", "find_format", "read_all"))
INNER |= {"Glimpse", "Leftover", "bytes_of", "can_check", "refuse", "settled", "settled_at_once"}
# The vocabulary of results and errors is made by the library itself.
MADE_HERE = ("Error", "Warning", "Result", "Flag", "Joker", "Key", "Tuple", "Function", "ETag")


def spec(entrance: str, parameter: str) -> tuple[Any, list[Any]]:
    return SPECIAL.get((entrance.rpartition(".")[2], parameter), PARAMETERS.get(parameter, (None, [])))


def entrances() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield each public constructor, function, and method of a dictionary with the name that it has."""
    for module in (perkey, stores, formats):
        for name in module.__all__:
            thing = getattr(module, name)
            built = inspect.isclass(thing) and not inspect.isabstract(thing)
            made_here = name in INNER or any(word in name for word in MADE_HERE)
            if (
                (built or inspect.isfunction(thing))
                and thing.__module__.startswith("perkey")
                and not made_here
            ):
                yield name, thing
    for kind in (PersiDict, FileDirDict):
        for name, method in inspect.getmembers(kind, callable):
            if not name.startswith("_") and inspect.isfunction(method):
                yield f"{kind.__name__}.{name}", method


def named(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in {"self", *OPEN, *ANYTHING}
    }


ENTRANCES = dict(entrances())
CASES = [
    pytest.param(entrance, parameter, wrong, id=f"{entrance}({parameter}={type(wrong).__name__}-{number})")
    for entrance, function in ENTRANCES.items()
    for parameter in named(function)
    for number, wrong in enumerate(spec(entrance, parameter)[1])
]


def test_the_table_knows_each_parameter() -> None:
    unknown = {
        f"{entrance}({parameter})"
        for entrance, function in ENTRANCES.items()
        for parameter in named(function)
        if not spec(entrance, parameter)[1]
    }
    assert unknown == set()
    assert {"quote", "FileDirDict", "S3Dict", "PersiDict.set_many", "register_format"} <= set(ENTRANCES)


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as path:
        yield path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some constructors make their default folder in the working directory."""
    monkeypatch.chdir(tmp_path)


def right_for(entrance: str, function: Callable[..., Any], folder: str) -> dict[str, Any]:
    """Return arguments that an entrance takes: the required ones, and the folder."""
    chosen = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in {"self", *OPEN} or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if name in {"base_dir", "base"}:
            chosen[name] = folder
        elif parameter.default is parameter.empty or (entrance.rpartition(".")[2], name) in {
            *TWO_NAMES,
            ("prune", "max_items"),
            ("convert", "dst"),
        }:
            chosen[name] = "value" if name in ANYTHING else spec(entrance, name)[0]
    return chosen


@pytest.mark.parametrize(("entrance", "parameter", "wrong"), CASES)
def test_a_wrong_kind_is_a_type_error_that_names_the_argument(
    entrance: str, parameter: str, wrong: Any, folder: str
) -> None:
    function = ENTRANCES[entrance]
    arguments = {**right_for(entrance, function, folder), parameter: wrong}
    kinds = inspect.signature(function).parameters
    by_position = [
        arguments.pop(name)
        for name in list(arguments)
        if kinds[name].kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    handle = [FileDirDict(folder)] if "." in entrance else []
    is_prefix = (entrance in {"usage", "prune", "copy", "sync", "watch"}) and parameter == "prefix"
    is_key = (parameter in {"key", "prefix_key"} and (entrance, parameter) not in SPECIAL) or is_prefix
    name = "a key" if is_key else parameter
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        function(*handle, *by_position, **arguments)
    assert list(FileDirDict(folder)) == []


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_right_arguments_of_the_table_are_right(entrance: str, folder: str) -> None:
    """Otherwise the errors above could be due to another argument."""
    function = ENTRANCES[entrance]
    if entrance in {"register_format", "EmptyDict"}:
        return  # the one has a format of that name already
    handle: list[PersiDict[Any]] = [LocalDict()] if "." in entrance else []
    arguments = right_for(entrance, function, folder)
    kinds = inspect.signature(function).parameters
    by_position = [
        arguments.pop(name)
        for name in list(arguments)
        if kinds[name].kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if entrance.startswith("FileDirDict."):
        handle = [FileDirDict(folder)]
    try:
        function(*handle, *by_position, **arguments)
    except KeyError:
        assert handle, entrance  # there is no such item
    except io.UnsupportedOperation:
        assert entrance == "PersiDict.path"  # in memory there are no files
    finally:
        FileDirDict[Any](folder).clear()


def test_pairs_that_are_not_pairs_are_refused_as_by_a_dict() -> None:
    d = LocalDict[Any]()
    with pytest.raises(TypeError, match="items must be pairs"):
        d.set_many([5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="other must be pairs"):
        d.update([("a", 1, 2)])
    assert d == {}


@pytest.mark.parametrize("verb", ["get_many", "delete_many"])
def test_one_key_is_not_taken_for_several_of_one_letter(verb: str) -> None:
    d = LocalDict[int]()
    d["a"] = 1
    with pytest.raises(TypeError, match="keys must be an iterable of keys, not a str"):
        getattr(d, verb)("abc")
    assert list(d) == [("a",)]


def test_the_numbers_and_flags_of_numpy_are_numbers_and_flags() -> None:
    numpy = pytest.importorskip("numpy")
    d = LocalDict[int](immutable_items=numpy.bool_(True))
    d["a"] = 1
    assert d.immutable_items is True
    assert d.oldest_keys(numpy.int64(1)) == [("a",)]


def test_every_kind_of_store_has_its_constructor_in_the_table() -> None:
    public = {name for name in stores.__all__ if inspect.isclass(getattr(stores, name))}
    concrete = {name for name in public if issubclass(getattr(stores, name), Store) and name != "Store"}
    assert concrete <= set(ENTRANCES)
    assert keys.quote is ENTRANCES["quote"]
