"""Persistent dictionaries, one file per key, safe for many writers."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from perkey.dicts import (
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    OverlappingMultiDict,
    WriteOnceDict,
)
from perkey.errors import (
    AccessDeniedError,
    AmbiguousPlaceError,
    BackendError,
    BulkOperationError,
    BusyError,
    ClaimLostError,
    ComputationFailedError,
    ConcurrencyConflictError,
    ConflictError,
    ConsistencyCheckError,
    CorruptValueError,
    LockTimeoutError,
    MissingExtraError,
    MissingItemError,
    MutationPolicyError,
    NestedWriteError,
    OperationTimeoutError,
    OutcomeUnknownError,
    PerkeyError,
    ReadOnlyError,
    SharedNameWarning,
    UnknownFileSystemWarning,
    UnloadableValueError,
    UnstorableValueError,
    UnsupportedConditionError,
    UnsupportedPlatformError,
    WrongParametersWarning,
)
from perkey.formats import register_format
from perkey.jokers import (
    ALWAYS_RETRIEVE,
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
    VALUE_NOT_RETRIEVED,
    ConditionalOperationResult,
    ETagConditionFlag,
    ETagIfExists,
    ETagValue,
    Joker,
    OperationResult,
    RetrieveValueFlag,
)
from perkey.keys import (
    NonEmptyPersiDictKey,
    NonEmptySafeStrTuple,
    PersiDictKey,
    SafeStrTuple,
    get_safe_chars,
    key_of,
    quote,
    replace_unsafe_chars,
    unquote,
)
from perkey.mapping import PersiDict, TransformingFunction

if TYPE_CHECKING:
    from perkey.dicts.object_store_dict import ObjectStoreDict
    from perkey.dicts.s3 import BasicS3Dict, S3Dict
    from perkey.query import find
    from perkey.tools.checking import unquarantine, verify
    from perkey.tools.converting import convert
    from perkey.tools.copying import copy
    from perkey.tools.mirroring import sync
    from perkey.tools.once import break_claim, claim, claims, compute_once, memoize, run_all
    from perkey.tools.places import open  # noqa: A004 - as gzip.open
    from perkey.tools.pruning import prune
    from perkey.tools.tables import to_dataframe
    from perkey.tools.usage import usage
    from perkey.tools.watching import watch

_ON_DEMAND = {
    "BasicS3Dict": "perkey.dicts.s3",
    "ObjectStoreDict": "perkey.dicts.object_store_dict",
    "S3Dict": "perkey.dicts.s3",
    "find": "perkey.query",
    "open": "perkey.tools.places",
    "convert": "perkey.tools.converting",
    "copy": "perkey.tools.copying",
    "prune": "perkey.tools.pruning",
    "sync": "perkey.tools.mirroring",
    "to_dataframe": "perkey.tools.tables",
    "unquarantine": "perkey.tools.checking",
    "usage": "perkey.tools.usage",
    "verify": "perkey.tools.checking",
    "watch": "perkey.tools.watching",
    "break_claim": "perkey.tools.once",
    "claim": "perkey.tools.once",
    "claims": "perkey.tools.once",
    "compute_once": "perkey.tools.once",
    "memoize": "perkey.tools.once",
    "run_all": "perkey.tools.once",
}


def __getattr__(name: str) -> Any:
    """Load dictionaries of object services, filters and tools when one of these names is first used."""
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_ON_DEMAND[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


__version__ = "0.1.0"

__all__ = [
    "ALWAYS_RETRIEVE",
    "ANY_ETAG",
    "DELETE_CURRENT",
    "ETAG_HAS_CHANGED",
    "ETAG_IS_THE_SAME",
    "IF_ETAG_CHANGED",
    "ITEM_NOT_AVAILABLE",
    "KEEP_CURRENT",
    "NEVER_RETRIEVE",
    "VALUE_NOT_RETRIEVED",
    "AccessDeniedError",
    "AmbiguousPlaceError",
    "BackendError",
    "BasicS3Dict",
    "BulkOperationError",
    "BusyError",
    "CachedDict",
    "ClaimLostError",
    "ComputationFailedError",
    "ConcurrencyConflictError",
    "ConditionalOperationResult",
    "ConflictError",
    "ConsistencyCheckError",
    "CorruptValueError",
    "ETagConditionFlag",
    "ETagIfExists",
    "ETagValue",
    "EmptyDict",
    "FileDirDict",
    "Joker",
    "LocalDict",
    "LockTimeoutError",
    "MissingExtraError",
    "MissingItemError",
    "MutationPolicyError",
    "NestedWriteError",
    "NonEmptyPersiDictKey",
    "NonEmptySafeStrTuple",
    "ObjectStoreDict",
    "OperationResult",
    "OperationTimeoutError",
    "OutcomeUnknownError",
    "OverlappingMultiDict",
    "PerkeyError",
    "PersiDict",
    "PersiDictKey",
    "ReadOnlyError",
    "RetrieveValueFlag",
    "S3Dict",
    "SafeStrTuple",
    "SharedNameWarning",
    "TransformingFunction",
    "UnknownFileSystemWarning",
    "UnloadableValueError",
    "UnstorableValueError",
    "UnsupportedConditionError",
    "UnsupportedPlatformError",
    "WriteOnceDict",
    "WrongParametersWarning",
    "break_claim",
    "claim",
    "claims",
    "compute_once",
    "convert",
    "copy",
    "find",
    "get_safe_chars",
    "key_of",
    "memoize",
    "open",
    "prune",
    "quote",
    "register_format",
    "replace_unsafe_chars",
    "run_all",
    "sync",
    "to_dataframe",
    "unquarantine",
    "unquote",
    "usage",
    "verify",
    "watch",
]
