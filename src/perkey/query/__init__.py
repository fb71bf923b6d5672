"""One filter language over values of dictionaries, documents and jobs.

A filter is a mapping of paths to what is expected there::

    {"a": 1, "b.c": {"$gt": 2.5}, "$or": [{"kind": "x"}, {"kind": {"$regex": "^y"}}]}

All conditions of a mapping must hold. A path names a key, and with dots (or nested mappings, which mean
the same) keys of keys. Operators are `$eq $ne $gt $gte $lt $lte $in $nin $regex $type $near $exists $where`;
filters are combined with `$and`, `$or` and `$not`. Nothing in a filter is ever run as code: `$where` takes a
function.

- Numbers are equal if Python says so: `1`, `1.0` and `True` are. `$type` tells them apart.
- What is not there meets no condition but `{"$exists": False}` and, through it, `$not`.
- Values that cannot be compared (`"x" > 1`) do not match; that is no error.
"""

from perkey.query.filters import Filter, Predicate, compile_filter, find, matches
from perkey.query.simple import parse_filter

__all__ = ["Filter", "Predicate", "compile_filter", "find", "matches", "parse_filter"]
