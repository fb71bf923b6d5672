"""One filter language over values of dictionaries, documents and jobs.

A filter is a mapping of paths to expected values or conditions.

>>> wanted = {"a": 1, "b.c": {"$gt": 2.5}, "$or": [{"kind": "x"}, {"kind": {"$regex": "^y"}}]}
>>> matches({"a": 1, "b": {"c": 3}, "kind": "yes"}, wanted)
True

All conditions of a mapping must hold. A path names a key, and with dots (or nested mappings, which mean
the same) keys of keys. Operators are `$eq $ne $gt $gte $lt $lte $in $nin $regex $type $near $exists $where`;
filters are combined with `$and`, `$or` and `$not`. Nothing in a filter is ever run as code: `$where` takes a
function.

- Numbers are equal if `==` returns True: `1`, `1.0` and `True` are. `$type` distinguishes them.
- A path that does not exist satisfies `{"$exists": False}` and no other operator. `$not` negates that.
- Values that cannot be compared (`"x" > 1`) do not match. They do not raise.

Each search parses its filter once, into a `Node`. The functions for paths into nested values are here, too:
`split`, `joined`, `value_at`, `leaves` and `nested`.
"""

from perkey.arguments import MISSING
from perkey.query.filters import Filter, Node, all_of, compile_filter, find, matches, parse
from perkey.query.paths import Path, Predicate, joined, leaves, nested, split, value_at
from perkey.query.simple import is_json, parse_filter

__all__ = [
    "MISSING",
    "Filter",
    "Node",
    "Path",
    "Predicate",
    "all_of",
    "compile_filter",
    "find",
    "is_json",
    "joined",
    "leaves",
    "matches",
    "nested",
    "parse",
    "parse_filter",
    "split",
    "value_at",
]
