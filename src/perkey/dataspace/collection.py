"""A collection of JSON documents, in memory or in a file, with the query language and indexes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, Self, TextIO, overload

from perkey.dataspace.collection_file import CollectionFile
from perkey.dataspace.collection_table import Doc, Table, text_key
from perkey.dataspace.space import normalized
from perkey.errors import CorruptValueError
from perkey.query import MISSING, Filter, parse
from perkey.synced import copy_of

MEMORY: Final = ":memory:"


class Results(Sequence[Doc]):
    """Documents that a search has found: counted, and iterated over as often as one likes."""

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
        self._table = Table(primary_key)
        self._file: CollectionFile | None = None
        self._dirty = False
        self._closed = False
        self._take(docs or ())

    # --- Files --------------------------------------------------------------------------------------

    @classmethod
    def open(cls, filename: str, mode: str | None = None, compresslevel: int | None = None) -> Self:
        """Open the collection in a file, which is made if it does not exist.

        Args:
            filename: The file; ``:memory:`` is none.
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
        file = CollectionFile(os.fspath(filename), mode or "ab+", compresslevel)
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
        key = text_key(_id)
        document = normalized(doc)
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
        """Insert a document, and return its primary key, which is put into it if it has none.

        Raises:
            KeyError: There is a document of that key.
            TypeError: The key is not text, or JSON has no form for something in the document.
            ValueError: A key of the document has a dot in it.
        """
        document = normalized(doc)
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
            TypeError, ValueError: As `insert_one`, for any of them; nothing was put in then.
        """
        self._take(docs)

    def replace_one(self, filter: Filter, replacement: Mapping[str, Any], upsert: bool = False) -> str | None:
        """Replace the first document that matches; return its primary key, None if there is none.

        Args:
            filter: The filter.
            replacement: The new document, which gets the primary key of the old one.
            upsert: Whether to insert it if nothing matches.

        Raises:
            KeyError: Nothing matches, and there is another document of the replacement's primary key.
            TypeError, ValueError: As for ``collection[key] = replacement``.
        """
        for key in self._matching(filter):
            self[key] = replacement
            return key
        if not upsert:
            return None
        document = normalized(replacement)
        wanted = (filter or {}).get(self.primary_key)
        if isinstance(wanted, str):
            document.setdefault(self.primary_key, text_key(wanted))
        return self.insert_one(document)

    def delete_one(self, filter: Filter) -> None:
        """Remove the first document that matches, if there is one."""
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
            filter: The filter; None is all.
            limit: The most documents to return; 0 is no limit.

        Raises:
            TypeError, ValueError: It is no filter, or the limit is negative.
        """
        if limit < 0:
            raise ValueError("a limit is 0 or more")
        found = list(self._matching(filter))
        return Results(self, found[:limit] if limit else found)

    def find_one(self, filter: Filter | None = None) -> Doc | None:
        """Return the first document that matches, None if there is none; raises as `find`."""
        return next((self[key] for key in self._matching(filter)), None)

    def index(self, key: str, build: bool = False) -> Mapping[Any, set[str]]:
        """Return a mapping from the values of a key to the primary keys of documents; it stays current.

        Searches for one value of a key make such an index and use it.

        Args:
            key: A path.
            build: Whether to make it if it does not exist.

        Raises:
            KeyError: It does not exist; or the primary key is asked for, which is no index.
        """
        table = self._open_table()
        if key == self.primary_key:
            raise KeyError("the primary key is no index: use collection[key]")
        if not build and not table.has_index(key):
            raise KeyError(f"there is no index for {key!r}")
        return table.index(key).values

    def main(self) -> None:
        """Search with the words of the command line; ``--help`` describes them.

        Raises:
            ValueError: Both ``--id`` and ``--indent`` are given.
        """
        from perkey.dataspace.collection_cli import search  # noqa: PLC0415 - for programs only

        search(self, sys.argv[1:])

    def _matching(self, filter: Filter | None) -> Iterator[str]:
        parsed = parse(filter)
        docs = self._open_docs()
        return (key for key in self._table.candidates(parsed) if parsed.matches(docs[key]))

    # --- Changes ------------------------------------------------------------------------------------

    def _take(self, docs: Iterable[Mapping[str, Any]]) -> None:
        documents = [normalized(doc) for doc in docs]
        # No document gets the key that a later one brings along.
        brought = {text_key(each[self.primary_key]) for each in documents if self.primary_key in each}
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
            self._file.write(())  # says why not
        self._dirty = True

    def _open_table(self) -> Table:
        if self._closed:
            raise RuntimeError("the collection is closed")
        return self._table

    def _open_docs(self) -> dict[str, Doc]:
        return self._open_table().docs
