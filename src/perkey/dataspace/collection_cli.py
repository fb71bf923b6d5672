"""Searching a collection from the command line, for programs that call `Collection.main`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perkey.query import parse_filter

if TYPE_CHECKING:
    from perkey.dataspace.collection import Collection


def search(collection: Collection, words: Sequence[str]) -> None:
    """Print the documents that match the filter on a command line.

    Raises:
        ValueError: Both ``--id`` and ``--indent`` are given.
    """
    parser = argparse.ArgumentParser(description="Search the documents of a collection.")
    parser.add_argument("filter", nargs="*", help="a filter in JSON, or keys and values in turn; none is all")
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
