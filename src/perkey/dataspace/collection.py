"""A collection of JSON documents, in memory or in a file, with the query language and indexes.

`Collection` is the public class. `_Table` has the documents in memory, with an `_Index` for each path that a
search asked for. `_File` is the file.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self, TextIO, TypeAlias, overload

from perkey.dataspace.search import frozen
from perkey.dataspace.space import normalized
from perkey.errors import CorruptValueError
from perkey.files import read_file, write_file
from perkey.query import MISSING, Filter, Node, joined, parse, parse_filter, split, value_at
from perkey.synced import InvalidKeyError, copy_of

MEMORY: Final = ":memory:"

Doc: TypeAlias = dict[str, Any]
"""A document: plain JSON values under text keys."""

_MODE: Final = re.compile(r"[rwax](?:b\+?|t\+?|\+[bt]?)?")
_GZIP: Final = b"\x1f\x8b"
_DEFAULT_LEVEL: Final = 9


class Results(Sequence[Doc]):
    """The documents that a search found, which can be counted and iterated over several times."""

    def __init__(self, collection: Collection, ids: list[str]) -> None:
        self._collection = collection
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, position: int) -> Doc: ...

    @overload
    def __getitem__(self, position: slice) -> list[Doc]: ...

    def __getitem__(self, position: int | slice) -> Doc | list[Doc]:
        if isinstance(position, slice):
            return [self._collection[each] for each in self._ids[position]]
        return self._collection[self._ids[position]]

    def count(self, value: Any = MISSING) -> int:
        """Return the number of documents, or of those that equal a value."""
        return len(self) if value is MISSING else super().count(value)


class Collection:
    """Documents (mappings of JSON values), each with a primary key, which is text.

    In memory, unless it was opened with `open`; then `flush`, `close` or the end of a ``with`` block write it
    to its file. What is taken out is a copy. For one thread and, as to its file, one writer at a time.

    Args:
        docs: Documents to begin with; of several with one primary key the last one counts.
        primary_key: The name of the primary key.
        compresslevel: Without meaning in memory; there for programs written for signac.
        _trust: Without meaning; the same.

    Raises:
        ValueError: `docs` is text: use `open`.
    """

    def __init__(
        self,
        docs: Iterable[Mapping[str, Any]] | None = None,
        primary_key: str = "_id",
        compresslevel: int = 0,
        _trust: bool = False,
    ) -> None:
        if isinstance(docs, str):
            raise ValueError("documents are mappings; to open a file use Collection.open()")
        del compresslevel, _trust
        self._table = _Table(primary_key)
        self._file: _File | None = None
        self._dirty = False
        self._closed = False
        self._take(docs or ())

    # --- Files --------------------------------------------------------------------------------------

    @classmethod
    def open(cls, filename: str, mode: str | None = None, compresslevel: int | None = None) -> Self:
        """Open the collection in a file, which is made if it does not exist.

        Args:
            filename: The file; ``:memory:`` opens no file.
            mode: As for the function `open`, by default ``a+``; compressed files need a binary mode.
            compresslevel: As for gzip; by default files that end in ``.gz`` are compressed.

        Raises:
            RuntimeError: The mode is for text, but the file is compressed; or there is a mode, but no file.
            CorruptValueError: The file is damaged.
        """
        if filename == MEMORY:
            if mode is not None:
                raise RuntimeError("a collection in memory has no mode")
            return cls()
        file = _File(os.fspath(filename), mode or "ab+", compresslevel)
        collection = cls()
        try:
            collection._take(file.read())
        except (TypeError, ValueError) as error:
            if isinstance(error, CorruptValueError):
                raise
            raise CorruptValueError(str(error), place=file.path) from error
        collection._file, collection._dirty = file, False
        return collection

    @classmethod
    def read_json(cls, file: str | os.PathLike[str] | TextIO | None = None) -> Self:
        """Return the collection in a JSON file, which holds a list of documents.

        Args:
            file: A path or an open file.

        Raises:
            TypeError, ValueError: There is something else in it.
        """
        if file is None:
            raise TypeError("read_json() needs a file")
        if isinstance(file, str | os.PathLike):
            with open(file, encoding="utf-8") as opened:
                return cls.read_json(opened)
        found = json.load(file)
        if not isinstance(found, list):
            raise TypeError(f"a list of documents is needed, not a {type(found).__name__}")
        return cls(found)

    def to_json(self, file: str | os.PathLike[str] | TextIO | None = None) -> str | None:
        """Write a list of all documents as JSON into a file; without one, return it.

        Args:
            file: A path or an open file.
        """
        text = json.dumps(list(self._open_docs().values()))
        if file is None:
            return text
        if isinstance(file, str | os.PathLike):
            with open(file, "w", encoding="utf-8") as opened:
                opened.write(text)
        else:
            file.write(text)
        return None

    def dump(self, file: TextIO | None = None) -> None:
        """Write all documents into an open file, by default the standard output, one a line."""
        for document in self._open_docs().values():
            print(json.dumps(document), file=file or sys.stdout)

    def flush(self) -> None:
        """Write all changes to the file, atomically; does nothing in memory."""
        self._open_docs()
        if self._file is not None and self._dirty:
            self._file.write(self._table.docs.values())
            self._dirty = False

    def close(self) -> None:
        """Write all changes to the file; the collection cannot be used any more."""
        if not self._closed:
            self.flush()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Documents ----------------------------------------------------------------------------------

    @property
    def primary_key(self) -> str:
        """The name of the primary key."""
        return self._table.primary_key

    @property
    def ids(self) -> Iterator[str]:
        """The primary keys of all documents."""
        return iter(list(self._open_docs()))

    def __getitem__(self, _id: str) -> Doc:
        """Return a copy of a document; raises KeyError."""
        found: Doc = copy_of(self._open_docs()[_id])
        return found

    def __setitem__(self, _id: str, doc: Mapping[str, Any]) -> None:
        """Put in a document, or replace one.

        Raises:
            TypeError: The key is not text, or JSON has no form for something in the document.
            ValueError: The document has another primary key, or a key with a dot in it.
        """
        key = _text_key(_id)
        document = _plain(doc)
        if document.setdefault(self.primary_key, key) != key:
            raise ValueError(f"the document has the primary key {document[self.primary_key]!r}, not {key!r}")
        self._put(key, document)

    def __delitem__(self, _id: str) -> None:
        """Remove a document; raises KeyError."""
        self._remove(_id)

    def __contains__(self, _id: object) -> bool:
        return _id in self._open_docs()

    def __iter__(self) -> Iterator[Doc]:
        return (copy_of(document) for document in list(self._open_docs().values()))

    def __len__(self) -> int:
        return len(self._open_docs())

    def __repr__(self) -> str:
        place = MEMORY if self._file is None else self._file.path
        return f"<{type(self).__name__} file={place}>"

    def insert_one(self, doc: MutableMapping[str, Any]) -> str:
        """Insert a document, and return its primary key, which is added to the document if missing.

        Raises:
            KeyError: A document with that key exists already.
            TypeError: The key is not text, or JSON has no form for something in the document.
            ValueError: A key of the document has a dot in it.
        """
        document = _plain(doc)
        key = self._table.key_of(document)
        if key in self._open_docs():
            raise KeyError(f"there is a document with the primary key {key!r}")
        if self.primary_key not in doc:
            doc[self.primary_key] = key
        self._put(key, document)
        return key

    def update(self, docs: Iterable[Mapping[str, Any]]) -> None:
        """Put in documents; those of the same primary keys are replaced.

        Raises:
            TypeError, ValueError: `insert_one` would refuse one of the documents; nothing was inserted.
        """
        self._take(docs)

    def replace_one(self, filter: Filter, replacement: Mapping[str, Any], upsert: bool = False) -> str | None:
        """Replace the first document that matches; return its primary key, or None if nothing matches.

        Args:
            filter: The filter.
            replacement: The new document, which gets the primary key of the old one.
            upsert: Whether to insert it if nothing matches.

        Raises:
            KeyError: Nothing matches, and there is another document of the replacement's primary key.
            TypeError, ValueError: ``collection[key] = replacement`` would raise it.
        """
        for key in self._matching(filter):
            self[key] = replacement
            return key
        if not upsert:
            return None
        document = _plain(replacement)
        wanted = (filter or {}).get(self.primary_key)
        if isinstance(wanted, str):
            document.setdefault(self.primary_key, _text_key(wanted))
        return self.insert_one(document)

    def delete_one(self, filter: Filter) -> None:
        """Remove the first document that matches, if any."""
        for key in self._matching(filter):
            self._remove(key)
            break

    def delete_many(self, filter: Filter) -> None:
        """Remove all documents that match."""
        for key in list(self._matching(filter)):
            self._remove(key)

    def clear(self) -> None:
        """Remove all documents."""
        self.delete_many({})

    # --- Search -------------------------------------------------------------------------------------

    def find(self, filter: Filter | None = None, limit: int = 0) -> Results:
        """Return the documents that match; `perkey.query` describes the language.

        Args:
            filter: The filter; without one, all documents.
            limit: The most documents to return; 0 returns all.

        Raises:
            TypeError, ValueError: The filter is not valid, or the limit is negative.
        """
        if limit < 0:
            raise ValueError("a limit is 0 or more")
        found = list(self._matching(filter))
        return Results(self, found[:limit] if limit else found)

    def find_one(self, filter: Filter | None = None) -> Doc | None:
        """Return the first document that matches, None if nothing matches; raises as `find`."""
        return next((self[key] for key in self._matching(filter)), None)

    def index(self, key: str, build: bool = False) -> Mapping[Any, set[str]]:
        """Return a mapping from the values of a key to the primary keys of documents; it stays current.

        Searches for one value of a key make such an index and use it.

        Args:
            key: A path.
            build: Whether to make it if it does not exist.

        Raises:
            KeyError: The index does not exist; or `key` is the primary key, which needs no index.
        """
        table = self._open_table()
        if key == self.primary_key:
            raise KeyError("the primary key has no index: use collection[key]")
        if not build and not table.has_index(key):
            raise KeyError(f"no index for {key!r}: make it by index({key!r}, build=True)")
        return table.index(key).values

    def main(self) -> None:
        """Search with the words of the command line; ``--help`` describes them.

        Raises:
            ValueError: Both ``--id`` and ``--indent`` are given.
        """
        _search(self, sys.argv[1:])

    def _matching(self, filter: Filter | None) -> Iterator[str]:
        parsed = parse(filter)
        docs = self._open_docs()
        return (key for key in self._table.candidates(parsed) if parsed.matches(docs[key]))

    # --- Changes ------------------------------------------------------------------------------------

    def _take(self, docs: Iterable[Mapping[str, Any]]) -> None:
        documents = [_plain(doc) for doc in docs]
        # No document gets the key that a later one brings along.
        brought = {_text_key(each[self.primary_key]) for each in documents if self.primary_key in each}
        for document in documents:
            self._put(self._table.key_of(document, brought), document)

    def _put(self, key: str, document: Doc) -> None:
        self._change()
        self._table.put(key, document)

    def _remove(self, key: str) -> None:
        self._change()
        self._table.remove(key)

    def _change(self) -> None:
        self._open_table()
        if self._file is not None and not self._file.is_writable:
            self._file.write(())  # raises the error
        self._dirty = True

    def _open_table(self) -> _Table:
        if self._closed:
            raise RuntimeError("the collection is closed")
        return self._table

    def _open_docs(self) -> dict[str, Doc]:
        return self._open_table().docs


class _Table:
    """Documents by primary key, in the order of insertion.

    Args:
        primary_key: The name of the primary key.

    Raises:
        TypeError, ValueError: No document can have such a key.

    Attributes:
        docs: The documents, to be changed by `put` and `remove` only.
    """

    def __init__(self, primary_key: str) -> None:
        if not isinstance(primary_key, str):
            raise TypeError(f"the name of a primary key is text, not {primary_key!r}")
        if "." in primary_key:
            raise InvalidKeyError(f"the name of a primary key has no dot in it: {primary_key!r}")
        self.primary_key: Final = str.__str__(primary_key)
        self.docs: dict[str, Doc] = {}
        self._indexes: dict[str, _Index] = {}
        self._next = 0

    def key_of(self, document: Doc, reserved: Container[str] = ()) -> str:
        """Return the primary key of a document, which gets one if it is missing; raises TypeError.

        Args:
            document: The document.
            reserved: Keys that it does not get, besides those of other documents.
        """
        if self.primary_key not in document:
            document[self.primary_key] = self._new_key(reserved)
        return _text_key(document[self.primary_key])

    def put(self, key: str, document: Doc) -> None:
        """Put in a document, or replace one."""
        old = self.docs.get(key)
        self.docs[key] = document
        for index in self._indexes.values():
            index.replace(key, old, document)

    def remove(self, key: str) -> None:
        """Remove a document; raises KeyError."""
        old = self.docs.pop(key)
        for index in self._indexes.values():
            index.replace(key, old, None)

    def has_index(self, path: str) -> bool:
        """Return whether an index over a path was made."""
        return path in self._indexes

    def index(self, path: str) -> _Index:
        """Return the index over a path, which is made if need be."""
        if path not in self._indexes:
            self._indexes[path] = _Index(path, self.docs)
        return self._indexes[path]

    def candidates(self, filter: Node) -> Iterable[str]:
        """Return the primary keys among which are all documents that match, in the order of insertion."""
        for path, expected in filter.equalities():
            if path and isinstance(expected, str | int | float):
                if path == (self.primary_key,):
                    return [expected] if isinstance(expected, str) and expected in self.docs else []
                index = self.index(joined(path))
                return sorted(index.values.get(expected, ()), key=index.order.__getitem__)
        return list(self.docs)

    def _new_key(self, reserved: Container[str]) -> str:
        while (key := f"{self._next:032x}") in self.docs or key in reserved:
            self._next += 1
        return key


class _Index:
    """An index over one path; each change must be passed to `replace`.

    Args:
        path: The path.
        documents: The documents by primary key.

    Attributes:
        values: The primary keys by value; lists are tuples, and mappings are not indexed.
        order: A number for each primary key, in the order of insertion.
    """

    def __init__(self, path: str, documents: Mapping[str, Any]) -> None:
        self.values: dict[Any, set[str]] = {}
        self.order: dict[str, int] = {}
        self._path = split(path)
        self._next = 0
        for key, document in documents.items():
            self.replace(key, None, document)

    def replace(self, key: str, old: Any, new: Any) -> None:
        """Note that a document was replaced by another, added (`old` is None) or removed (`new` is None)."""
        if old is not None:
            self._drop(key, self._value(old))
        if new is None:
            self.order.pop(key, None)
            return
        if key not in self.order:
            self.order[key] = self._next
            self._next += 1
        value = self._value(new)
        if value is not MISSING:
            self.values.setdefault(value, set()).add(key)

    def _drop(self, key: str, value: Any) -> None:
        keys = self.values.get(value)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self.values[value]

    def _value(self, document: Any) -> Any:
        value = value_at(document, self._path)
        return MISSING if isinstance(value, Mapping) else frozen(value)


class _File:
    """One file, opened in one of the modes of `open`, of which only the purpose matters.

    Writing replaces the file atomically, so a process that is killed leaves the old file or the new one.

    Args:
        path: The file.
        mode: ``r`` reads only, ``r+`` and ``a`` read and write, ``w`` begins empty, ``x`` makes a new file.
        compresslevel: As for gzip; 0 is not compressed; None follows from the name.

    Raises:
        ValueError: The mode or the level of compression does not exist.
        RuntimeError: A compressed file is to be opened as text.
        FileNotFoundError, FileExistsError: The mode requires or forbids that the file exists.
    """

    def __init__(self, path: str, mode: str, compresslevel: int | None) -> None:
        if _MODE.fullmatch(mode) is None:
            raise ValueError(f"invalid mode: {mode!r}")
        if compresslevel is None:
            compresslevel = _DEFAULT_LEVEL if path.endswith(".gz") else 0
        if compresslevel not in range(_DEFAULT_LEVEL + 1):
            raise ValueError(f"a level of compression is 0 to {_DEFAULT_LEVEL}, not {compresslevel!r}")
        if compresslevel and "b" not in mode:
            raise RuntimeError("compressed collections are opened in binary mode, for example 'ab+'")
        self.path: Final = os.path.abspath(path)
        self.is_writable: Final = mode[0] != "r" or "+" in mode
        self._level = compresslevel
        if mode[0] == "r" and not os.path.exists(self.path):
            raise FileNotFoundError(self.path)
        if mode[0] == "w":
            self.write([])
        elif mode[0] in "ax":
            with suppress(*([FileExistsError] if mode[0] == "a" else [])):
                write_file(self.path, self._encode([]), new=True)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the documents.

        Raises:
            CorruptValueError: The file is damaged, or a line is not a JSON document; it names the line.
        """
        content = read_file(self.path) or b""
        if content.startswith(_GZIP):
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, ValueError) as error:
                raise CorruptValueError(f"not gzip: {error}", place=self.path) from error
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                yield self._parse(line, number)

    def write(self, documents: Iterable[dict[str, Any]]) -> None:
        """Replace the file by one with these documents; on disk when it returns."""
        if not self.is_writable:
            raise io.UnsupportedOperation(f"{self.path} was opened for reading only")
        write_file(self.path, self._encode(documents))

    def _encode(self, documents: Iterable[dict[str, Any]]) -> bytes:
        content = "".join(f"{json.dumps(document)}\n" for document in documents).encode("ascii")
        return gzip.compress(content, self._level, mtime=0) if self._level else content

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise CorruptValueError(f"line {number} is not JSON: {error}", place=self.path) from error
        if not isinstance(found, dict):
            raise CorruptValueError(f"line {number} is not a document: {line[:40]!r}", place=self.path)
        return found


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a document as it will be stored; raises TypeError or InvalidKeyError."""
    return normalized(document, kind="a document")


def _text_key(key: object) -> str:
    """Return a primary key as plain text; raises TypeError if it is not text."""
    if not isinstance(key, str):
        raise TypeError(f"a primary key is text, not {key!r}")
    return str.__str__(key)


def _search(collection: Collection, words: Sequence[str]) -> None:
    """Print the documents that match the filter on a command line.

    Raises:
        ValueError: Both ``--id`` and ``--indent`` are given.
    """
    parser = argparse.ArgumentParser(description="Search the documents of a collection.")
    parser.add_argument(
        "filter", nargs="*", help="a filter in JSON, or keys and values in turn; by default all"
    )
    parser.add_argument("-l", "--limit", type=int, default=0, help="the most documents to print; 0 is all")
    parser.add_argument("--id", action="store_true", help="print primary keys instead of documents")
    parser.add_argument("-i", "--indent", action="store_true", help="print documents on several lines")
    options = parser.parse_args(words)
    if options.id and options.indent:
        raise ValueError("--id and --indent exclude each other")
    indent = 2 if options.indent else None
    for document in collection.find(parse_filter(options.filter), limit=options.limit):
        line = document[collection.primary_key] if options.id else json.dumps(document, indent=indent)
        sys.stdout.write(f"{line}\n")
