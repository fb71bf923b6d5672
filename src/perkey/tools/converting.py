"""Another format, digest length or place: of dictionaries of perkey, and of what other programs keep.

In place, an item is under its old or under both names at any time, with the same value: all are written under
their new names first. An old name is removed only after what is under the new one was compared with it.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from operator import getitem
from typing import Any, Final, Literal, TypeAlias, get_args

from perkey.answers import answer
from perkey.arguments import (
    check_callable,
    check_count,
    check_flag,
    check_kind,
    without_secrets,
    wrong_kind,
)
from perkey.content import STREAM_ABOVE, Data, as_data, close
from perkey.errors import ConflictError, MissingExtraError
from perkey.expectations import ABSENT, ANY, Expectation, refuse
from perkey.files import SCRATCH
from perkey.formats import format_of
from perkey.keys import NonEmptyPersiDictKey, SafeStrTuple, quote
from perkey.mapping import Items, PersiDict, Policy, items_of, read_many
from perkey.naming import Name, naming
from perkey.stores import DirectoryStore, read_only, settled_at_once
from perkey.tools.copying import Copied, Copying, CopyReport, Options, begin, digest_of
from perkey.tools.locating import bare_store, innermost, lies_within, stat_or_none

SourceKind: TypeAlias = Literal[
    "auto", "perkey", "shelve", "diskcache", "sqlitedict", "zict", "joblib", "files"
]
"""What a path is the place of."""

Pair: TypeAlias = tuple[Any, Callable[[], Any]]
"""A key of a source, and what loads its value: if that raises, other items are converted all the same."""

_GONE: Final[Any] = object()
"""In place of a value: the item is not there any more."""

_ROUNDS: Final = 4
"""After so many rounds items are still written by other programs, and old names stay."""
_TELLING: Final = 5
"""With so many characters of digest, old and new names can be distinguished."""
_SQLITE: Final = b"SQLite format 3\0"
_CALL: Final = re.compile("[0-9a-f]{32}")
"""The folder of a result of joblib.Memory."""
_SHARD: Final = re.compile("[0-9]{3,}")
_REMOVED_AT_ONCE: Final = 1000


def convert(
    source: Any,
    dst: PersiDict[Any] | str | os.PathLike[str] | None = None,
    *,
    kind: SourceKind = "auto",
    file_type: str | None = None,
    digest_len: int | None = None,
    key: Callable[[Any], NonEmptyPersiDictKey] | None = None,
    on_error: Literal["raise", "collect"] = "raise",
    dry_run: bool = False,
    on_item: Callable[[Copied], object] | None = None,
) -> CopyReport:
    """Write the items of a dictionary, or of another program's place, in another format.

    Without `dst`, a dictionary is converted in place: all items are written under their new names, then
    compared, then removed under their old names, each only if it is still as it was compared. A call that
    ended early is taken up by another one. Programs that use the old parameters should not write meanwhile.

    Values of shelves, of diskcache, sqlitedict and joblib are unpickled, **which runs what they name**:
    convert only what you trust.

    Args:
        source: A dictionary; its path or address; the path of a shelf, of a folder of diskcache, zict.File,
            joblib.Memory or plain files, or of a file of sqlitedict; or any mapping, such as an open shelf.
        dst: The destination, or its path or address; None means in place. Bytes of plain files and of zict
            become text where it keeps text, and JSON is parsed where it is JSON.
        kind: What a path is; ``"auto"`` looks. A folder of zict must be named: it looks like plain files.
            A folder is a dictionary if a name in it has a digest, or all have a known file type.
        file_type: The new file type; None means that of `dst` or of the source, and ``"pkl"`` for other
            programs' places.
        digest_len: The new digest length; None means that of `dst` or of the source.
        key: Is given each key, and returns the new one; not in place. By default, keys stay as they are; text
            of other programs is quoted by `perkey.quote`; a tuple has a part for each of its parts.
        on_error: ``"raise"``: the first error ends it. ``"collect"``: errors are in the report.
        dry_run: Whether to write nothing, and report what would be done.
        on_item: Is called with each item that was dealt with, or would be.

    Returns:
        The report: `copied` items were written, and in place `deleted` under their old names.

    Raises:
        ValueError: A path is not one of these places; or it cannot be done in place.
        MissingExtraError: The library that wrote a place is not installed.
        ReadOnlyError, MutationPolicyError, UnsupportedConditionError: The destination does not let it.

    Cost: as `copy`. In place, three listings or more, and in a bucket two reads of each item.

    >>> from perkey import LocalDict
    >>> dst = LocalDict("json")
    >>> convert({"a b": 1, 7: 2}, dst).copied, sorted(dst)
    (2, [('7',), ('a=20b',)])
    """
    _check(kind, key, on_error, dry_run, on_item, file_type, digest_len, dst)
    wanted = dst.file_type if isinstance(dst, PersiDict) else file_type or "pkl"
    opened = _open(source, kind, wanted, in_place=dst is None)
    if dst is None:
        if not isinstance(opened, PersiDict):
            raise ValueError(
                "convert needs a destination: only dictionaries of perkey are converted in place"
            )
        if key is not None:
            raise ValueError("key must be None in place; give a destination to change keys")
        return _in_place(opened, file_type, digest_len, on_error, on_item, dry_run=dry_run)
    if not isinstance(opened, PersiDict):
        _check_apart(source, dst)
    target = _destination(opened, dst, file_type, digest_len, create=not dry_run)
    if isinstance(opened, PersiDict) and key is None:
        work = begin(opened, target, (), True, on_error, dry_run, False, False, None, on_item)
        work.check_places()
        return work.run(progress=False)
    options = Options(True, on_error == "collect", dry_run, False, False, on_item)
    if isinstance(opened, PersiDict):
        pairs: Callable[[], Iterator[Pair]] = partial(_of_dict, items_of(opened))
        shown = opened.store.describe()
    else:
        pairs, shown = opened, _shown(source)
    return _Pouring(items_of(target), key or key_for, options, shown).run(pairs)


def _check(  # noqa: PLR0917 - those of `convert`
    kind: object,
    key: object,
    on_error: object,
    dry_run: object,
    on_item: object,
    file_type: object,
    digest_len: object,
    dst: object,
) -> None:
    check_kind("kind", kind, str, "a kind of places")
    if kind not in get_args(SourceKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(SourceKind))}, not {kind!r}")
    for name, function in (("key", key), ("on_item", on_item)):
        if function is not None:
            check_callable(name, function)
    check_kind("on_error", on_error, str, "'raise' or 'collect'")
    if on_error not in {"raise", "collect"}:
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    check_flag("dry_run", dry_run)
    if file_type is not None:
        check_kind("file_type", file_type, str, "a string or None")
    check_count("digest_len", digest_len, or_none=True)
    if dst is not None and not isinstance(dst, PersiDict):
        check_kind("dst", dst, (str, os.PathLike), "a PersiDict, a path or an address, or None")


def _shown(source: object) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__


def _check_apart(source: object, dst: PersiDict[Any] | str | os.PathLike[str]) -> None:
    """Raise ValueError if a destination is the folder of another program, or lies in it."""
    path = _folder_of(source)
    target = dst.store if isinstance(dst, PersiDict) else _folder_of(dst)
    if path is not None and target is not None and lies_within(target, path):
        raise ValueError(f"the destination lies in the source {path}; choose a place outside of it")


def _folder_of(place: object) -> str | None:
    """Return the path of a folder, which may not exist; None for all else."""
    text = os.fspath(place) if isinstance(place, str | os.PathLike) else None
    return None if text is None or "://" in text else os.path.expanduser(text)


def _destination(
    source: object,
    dst: PersiDict[Any] | str | os.PathLike[str],
    file_type: str | None,
    digest_len: int | None,
    *,
    create: bool,
) -> PersiDict[Any]:
    """Return the dictionary to write to."""
    if isinstance(dst, PersiDict):
        for name, wanted in (("file_type", file_type), ("digest_len", digest_len)):
            if wanted not in {None, getattr(dst, name)}:
                raise ValueError(f"{name}={wanted!r}, but that of the destination is {getattr(dst, name)!r}")
        return dst
    from perkey.tools.places import open as open_place

    if file_type is None:
        file_type = source.file_type if isinstance(source, PersiDict) else "pkl"
    params: dict[str, Any] = {"file_type": file_type}
    if digest_len is not None:
        params["digest_len"] = digest_len
    elif isinstance(source, PersiDict):
        params["digest_len"] = source.digest_len
    if not create and not os.path.lexists(dst) and "://" not in os.fspath(dst):
        from perkey.dicts import LocalDict

        return LocalDict(**params)  # it would be empty, too
    return open_place(dst, "a", **params)


# --- In place -----------------------------------------------------------------------------------------------


def _in_place(
    d: PersiDict[Any],
    file_type: str | None,
    digest_len: int | None,
    on_error: str,
    on_item: Callable[[Copied], object] | None,
    *,
    dry_run: bool,
) -> CopyReport:
    old = items_of(d)
    names = naming(
        old.naming.digest_len if digest_len is None else digest_len,
        old.naming.file_type if file_type is None else file_type,
    )
    if (names.digest_len, names.file_type) == (old.naming.digest_len, old.naming.file_type):
        raise ValueError(f"{d.store.describe()}: file_type and digest_len have these values already")
    same_type = names.file_type == old.naming.file_type
    if same_type and not old.naming.digest_len and names.digest_len < _TELLING:
        raise ValueError(
            f"{d.store.describe()}: from digest_len=0 to {names.digest_len}, old and new names could not be "
            "distinguished in the same place; give a destination"
        )
    if not dry_run:
        old.check_deletable()
        if not d.store.supports("remove", "version"):
            reason = "values that other programs write meanwhile could be lost; give a destination instead"
            raise refuse(d.store.describe(), "remove", "version", reason)
    policy = Policy(base_class=old.policy.base_class, shares_place=True)
    new = Items[Any](d.store, names, format_of(names.file_type), policy)
    return _Converting(old, new, on_error == "collect", on_item, dry_run=dry_run).run()


class _Converting:
    """One conversion in place.

    Args:
        old: The items under their old names.
        new: The same items under their new ones.
        collects: Whether errors are collected.
        on_item: Is called with each item.
        dry_run: Whether nothing is written.
    """

    def __init__(
        self,
        old: Items[Any],
        new: Items[Any],
        collects: bool,
        on_item: Callable[[Copied], object] | None,
        *,
        dry_run: bool,
    ) -> None:
        self._old = old
        self._new = new
        self._dry_run = dry_run
        self._collects = collects
        self._on_item = on_item
        self._total = CopyReport(old.store.describe(), new.store.describe(), dry_run)

    def run(self) -> CopyReport:
        """Write all under the new names, then remove what is equal under both."""
        began = time.monotonic()
        work = self._round(self._on_item)
        report = work.run(progress=False)
        total = self._total
        for name in ("copied", "skipped", "bytes", "conflicts", "failed", "vanished", "errors"):
            setattr(total, name, getattr(report, name))
        if self._dry_run:
            total.deleted = total.copied + total.skipped
        else:
            left = True
            for _ in range(_ROUNDS):
                left = self._remove_equal()
                if not left:
                    break
            if left and not total.failed:
                total.delete_refused = True
        total.seconds = time.monotonic() - began
        return total

    def _round(self, on_item: Callable[[Copied], object] | None) -> Copying:
        # Times prove in folders that an item is converted. Elsewhere contents are compared.
        has_times = isinstance(innermost(self._old.store), DirectoryStore)
        options = Options(True, self._collects, self._dry_run, not has_times, False, on_item)
        source = self._old.over(read_only(bare_store(self._old.store)))
        work = Copying(source, self._new, (), (), options)
        if self._old.naming.file_type == self._new.naming.file_type and not self._old.naming.digest_len:
            work.passes_over = lambda name: self._new.naming.key_of(name) is not None
        return work

    def _remove_equal(self) -> bool:
        """Remove the old names of items that are equal under both; return whether some are left."""
        work = self._round(None)
        equal: list[Name] = []
        versions: dict[Name, Any] = {}

        def note(name: Name, seen: Any) -> None:
            equal.append(name)
            versions[name] = seen
            if len(equal) >= _REMOVED_AT_ONCE:
                self._remove(equal, versions)

        work.on_equal = note
        report = work.run(progress=False)
        self._remove(equal, versions)
        self._total.failed = report.failed
        self._total.errors = report.errors
        return bool(report.copied or report.conflicts or report.failed)

    def _remove(self, equal: list[Name], versions: dict[Name, Any]) -> None:
        store = self._old.store
        for _, error in store.remove_many(list(equal), expect=lambda name: versions[name].version):
            if error is None:
                self._total.deleted += 1
            elif not isinstance(error, ConflictError | KeyError):
                raise error
        equal.clear()
        versions.clear()


# --- What other programs keep -------------------------------------------------------------------------------


class _Pouring:
    """Writes pairs of key and value that are not in a store.

    Args:
        items: The items of the destination.
        key_of: Returns the new key of a key.
        options: What was asked for.
        shown: What the source is, for the report.
    """

    def __init__(
        self, items: Items[Any], key_of: Callable[[Any], NonEmptyPersiDictKey], options: Options, shown: str
    ) -> None:
        self._items = items
        self._key_of = key_of
        self._options = options
        self._there = bare_store(items.store)
        self._expected: dict[Name, tuple[Expectation, int]] = {}
        self._seen: set[int] = set()
        self.report = CopyReport(shown, items.store.describe(), options.dry_run)
        if not options.dry_run:
            items.check_writable()

    def run(self, pairs: Callable[[], Iterator[Pair]]) -> CopyReport:
        """Write all that is not there."""
        began = time.monotonic()
        prepared = self._prepared(pairs)
        with closing(prepared):
            if self._options.dry_run:
                for name, data in prepared:
                    self._written(name, data)
            else:
                store = self._items.store
                for name, result in store.write_many(prepared, expect=lambda name: self._expected[name][0]):
                    if isinstance(result, ConflictError) and settled_at_once(result) is None:
                        self._expected.pop(name)
                        self.report.conflicts += 1
                    elif isinstance(result, Exception) and not isinstance(result, ConflictError):
                        self._expected.pop(name)
                        self._fail(tuple(self._items.key_of(name)), getattr(result, "error", result))
                    else:
                        self._written(name)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _prepared(self, pairs: Callable[[], Iterator[Pair]]) -> Any:
        """Yield name and data of what is to be written."""
        for key, load in pairs():
            try:
                if (value := load()) is _GONE:
                    continue
                name = self._items.name_of(self._key_of(key))
                self._check_single(name, key)
                data = self._items.encode(name, value)
                expect = self._expectation(name, data)
            except answer(Exception) as error:
                self._fail(tuple(map(str, key)) if isinstance(key, tuple) else (str(key),), error)
                continue
            if expect is not None:
                self._expected[name] = expect, len(data) if isinstance(data, bytes) else 0
                yield name, data
            else:
                self.report.skipped += 1

    def _check_single(self, name: Name, key: object) -> None:
        """Raise ValueError if another key of the source has the same name here."""
        mark = hash(name)
        if mark in self._seen:
            raise ValueError(
                f"the key {key!r} and another one of the source would be the same here; pass key=, a "
                "function that distinguishes them"
            )
        self._seen.add(mark)

    def _expectation(self, name: Name, data: Data) -> Expectation | None:
        """Return the state of a name in the destination, None if it is equal to what is to be written."""
        there = stat_or_none(self._there, name)
        if there is None:
            return ABSENT
        if there.version.strip('"') == digest_of(data):
            return None
        content = self._there.content(name, limit=STREAM_ABOVE)
        try:
            is_equal = digest_of(as_data(content)) == digest_of(data)
        finally:
            close(content)
        if is_equal:
            return None
        if self._items.policy.immutable:
            return ABSENT
        return there.version if self._items.store.supports("write", "version") else ANY

    def _written(self, name: Name, data: object = None) -> None:
        del data
        expect, size = self._expected.pop(name)
        self.report.copied += 1
        self.report.bytes += size
        if self._options.on_item is not None:
            action: Literal["copy", "replace"] = "copy" if expect is ABSENT else "replace"
            self._options.on_item(Copied(tuple(self._items.key_of(name)), action, size))

    def _fail(self, key: tuple[str, ...], error: Exception) -> None:
        if not self._options.collects:
            error.add_note(f"raised while converting the value of key {'/'.join(key)!r}")
            raise error
        self.report.fail(key, error)


def key_for(key: Any) -> NonEmptyPersiDictKey:
    """Return the key that stands for a key of another program.

    Text is quoted. A tuple has a part for each of its parts. Other objects are the text of themselves.

    >>> key_for("a b"), key_for(("x", 1)), key_for(b"raw")
    (('a=20b',), ('x', '1'), ('raw',))
    """
    if isinstance(key, SafeStrTuple):
        return key
    if isinstance(key, tuple) and key:
        return tuple(part for each in key for part in _quoted(each))
    return tuple(_quoted(key))


def _quoted(part: Any) -> SafeStrTuple:
    if isinstance(part, bytes):
        part = part.decode("utf-8", "surrogateescape")
    return quote(part if isinstance(part, str) else str(part))


def _open(
    source: Any, kind: str, file_type: str, *, in_place: bool
) -> PersiDict[Any] | Callable[[], Iterator[Pair]]:
    """Return a dictionary, or a function that yields the pairs of a source."""
    if isinstance(source, PersiDict):
        return source
    # The type is asked: a FanoutCache of diskcache raises AssertionError for attributes that it lacks.
    if all(hasattr(type(source), name) for name in ("__iter__", "get", "memoize")):
        return lambda: _of_cache(source)
    if isinstance(source, Mapping) or (hasattr(source, "keys") and hasattr(source, "__getitem__")):
        return lambda: _of_mapping(source)
    if not isinstance(source, str | os.PathLike):
        raise wrong_kind("source", "a PersiDict, a path or an address, or a mapping", source)
    return _open_path(os.fspath(source), kind, file_type, in_place=in_place)


def _of_mapping(source: Any) -> Iterator[Pair]:
    return ((key, partial(getitem, source, key)) for key in source.keys())  # noqa: SIM118 - not only mappings


def _of_dict(items: Items[Any]) -> Iterator[Pair]:
    with closing(read_many(items, items.names())) as found:
        for name, value, error in found:
            yield items.key_of(name), partial(_value_or_error, value, error)


def _value_or_error(value: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return value


def _open_path(
    path: str, kind: str, file_type: str, *, in_place: bool
) -> PersiDict[Any] | Callable[[], Iterator[Pair]]:
    if "://" in path and kind not in {"auto", "perkey"}:
        # It must not be taken for a dictionary instead, whose values may be pickles, and would be loaded.
        raise ValueError(
            f"{without_secrets(path)}: kind={kind!r} is for paths, not for addresses; pass a path"
        )
    if kind == "perkey" or "://" in path:
        return _open_perkey(path, in_place=in_place)
    path = os.path.expanduser(path)
    if not os.path.exists(path) and _shelf_of(path) is None:  # libraries would make it
        raise FileNotFoundError(f"{path}: the path does not exist; pass the path of the place to convert")
    found = kind_of(path) if kind == "auto" else kind
    if found == "perkey":
        return _open_perkey(path, in_place=in_place)
    if not _IS_KIND[found](path):
        raise ValueError(f"{path}: this is not {_KINDS[found]}; pass another kind, or leave it out")
    if found in {"files", "zict"}:
        return lambda: _as_values(_READERS[found](path), file_type)
    return lambda: _READERS[found](path)


def _open_perkey(place: str, *, in_place: bool) -> PersiDict[Any]:
    from perkey.tools.places import open as open_place

    return open_place(place, "r+" if in_place else "r")


def kind_of(path: str) -> str:
    """Return what wrote a path; raises ValueError for an unknown place."""
    if os.path.isdir(path):
        return _kind_of_folder(path)
    if _is_sqlite(path):
        return "shelve" if "Dict" in _tables(path) else "sqlitedict"
    if _shelf_of(path) is not None:
        return "shelve"
    raise ValueError(
        f"{path}: this is neither a dictionary of perkey nor a shelf, a file of sqlitedict, or a folder; "
        "pass kind= if it is one of these"
    )


def _kind_of_folder(path: str) -> str:
    if _caches(path):
        return "diskcache"
    if _memories(path):
        return "joblib"
    from perkey.mapping import parameters_of

    all_fit = True
    for _, _, files in os.walk(path):
        for leaf in files:
            if not leaf.startswith(SCRATCH):
                found = parameters_of(leaf)
                if found is not None and found.digest_len:
                    return "perkey"
                all_fit = all_fit and found is not None
    return "perkey" if all_fit else "files"


def _is_sqlite(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _tables(path: str) -> set[str]:
    import sqlite3

    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _shelf_of(path: str) -> str | None:
    """Return the name by which `shelve` opens a path: some kinds of shelves have several files."""
    import dbm

    for name in (path, os.path.splitext(path)[0]):
        if dbm.whichdb(name):
            return name
    return None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"converting what {name} wrote", "convert", name) from error


def _read_shelf(path: str) -> Iterator[Pair]:
    import shelve

    with shelve.open(_shelf_of(path) or path, "r") as shelf:
        yield from _of_mapping(shelf)


def _caches(path: str) -> list[str]:
    """Return the folders of the caches in a folder of diskcache: a FanoutCache has several."""
    folders = (
        path,
        *(os.path.join(path, leaf) for leaf in sorted(os.listdir(path)) if _SHARD.fullmatch(leaf)),
    )
    return [folder for folder in folders if os.path.isfile(os.path.join(folder, "cache.db"))]


def _read_diskcache(path: str) -> Iterator[Pair]:
    kind = _library("diskcache").Cache
    for folder in _caches(path):
        with kind(folder) as cache:
            yield from _of_cache(cache)


def _of_cache(cache: Any) -> Iterator[Pair]:
    """Yield the items of a cache of diskcache; those that have expired are gone."""
    return ((key, partial(cache.get, key, _GONE)) for key in cache)


def _read_sqlitedict(path: str) -> Iterator[Pair]:
    kind = _library("sqlitedict").SqliteDict
    tables = kind.get_tablenames(path)
    for table in tables:
        with kind(path, tablename=table, flag="r") as found:
            for key, load in _of_mapping(found):
                yield (key if len(tables) == 1 else (table, key)), load


def _read_zict(path: str) -> Iterator[Pair]:
    found = _library("zict").File(path)
    yield from ((key, partial(_bytes_of, load)) for key, load in _of_mapping(found))


def _bytes_of(load: Callable[[], Any]) -> bytes:
    return bytes(load())


def _memories(path: str) -> list[str]:
    """Return the folders of functions in a folder of joblib.Memory."""
    base = os.path.join(path, "joblib")
    top = base if os.path.isdir(base) else path
    found = set()
    for folder, _, files in os.walk(top):
        if "func_code.py" in files:
            found.add(folder)
        elif "output.pkl" in files and _CALL.fullmatch(os.path.basename(folder)):
            # A process writes the code of a function to the first of its memories only.
            found.add(os.path.dirname(folder))
    return sorted(found)


def _read_joblib(path: str) -> Iterator[Pair]:
    """Yield results by module, function and hash of the arguments."""
    load = _library("joblib").load
    base = os.path.join(path, "joblib")
    top = base if os.path.isdir(base) else path
    for function in _memories(path):
        parts = tuple(os.path.relpath(function, top).split(os.sep))
        for call in sorted(os.listdir(function)):
            output = os.path.join(function, call, "output.pkl")
            if os.path.isfile(output):
                yield (*parts, call), partial(load, output)


def _read_files(path: str) -> Iterator[Pair]:
    for folder, _, files in os.walk(path):
        for leaf in sorted(files):
            file = os.path.join(folder, leaf)
            if os.path.isfile(file) and not os.path.islink(file):
                yield tuple(os.path.relpath(file, path).split(os.sep)), partial(_content_of, file)


def _content_of(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()


def _as_values(pairs: Iterator[Pair], file_type: str) -> Iterator[Pair]:
    """Turn the bytes of files into values of a format: text, parsed JSON, or bytes as they are."""
    of_text = format_of(file_type).value_class is str
    for key, load in pairs:
        if of_text:
            yield key, partial(_text_of, load)
        elif file_type == "json" and (leaf := key if isinstance(key, str) else key[-1]).endswith(".json"):
            plain = leaf.removesuffix(".json")
            yield plain if isinstance(key, str) else (*key[:-1], plain), partial(_json_of, load)
        else:
            yield key, load


def _text_of(load: Callable[[], bytes]) -> str:
    try:
        return load().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not text in UTF-8 ({error}); choose the file type 'pkl'") from error


def _json_of(load: Callable[[], bytes]) -> Any:
    try:
        return json.loads(load())
    except ValueError as error:
        raise ValueError(f"the file is not JSON ({error}); choose another file type") from error


_KINDS: Final = {
    "shelve": "a shelf",
    "diskcache": "a folder of diskcache",
    "sqlitedict": "a file of sqlitedict",
    "zict": "a folder",
    "joblib": "a folder of joblib.Memory",
    "files": "a folder",
}
_IS_KIND: Final[dict[str, Callable[[str], object]]] = {
    "shelve": _shelf_of,
    "diskcache": lambda path: os.path.isdir(path) and _caches(path),
    "sqlitedict": _is_sqlite,
    "zict": os.path.isdir,
    "joblib": lambda path: os.path.isdir(os.path.join(path, "joblib")) or _memories(path),
    "files": os.path.isdir,
}
_READERS: Final[dict[str, Callable[[str], Iterator[Pair]]]] = {
    "shelve": _read_shelf,
    "diskcache": _read_diskcache,
    "sqlitedict": _read_sqlitedict,
    "zict": _read_zict,
    "joblib": _read_joblib,
    "files": _read_files,
}
