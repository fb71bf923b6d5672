"""Opening a dictionary by the path or address of its place, with the parameters that it was written with."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import SplitResult, parse_qsl, urlsplit

from perkey.arguments import check_kind
from perkey.dicts import FileDirDict, LocalDict
from perkey.errors import AmbiguousPlaceError
from perkey.files import SCRATCH, ProcessLock, folder_path
from perkey.keys import text_of
from perkey.mapping import PersiDict, digest_len_of, parameters_of
from perkey.naming import CLAIM_ENDING, DEFAULT_DIGEST_LEN, Name, naming
from perkey.stores import MemoryStore, PrefixStore, read_only

Mode: TypeAlias = Literal["r", "r+", "a"]
"""``"r"``: it must exist, and is only read. ``"r+"``: it must exist. ``"a"``: it is made if need be."""

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")
"""Of at least two letters: a single one before the colon is a drive of Windows."""
_SAMPLE: Final = 500
"""How many names are looked at; object services list 1,000 with a request."""
_BY_CHANCE: Final = 3
"""So many characters of digest, over all names, are right by chance once in 32,768 places."""
_EXTENSION: Final = re.compile(r"[A-Za-z0-9()_\-~.=]+\.([A-Za-z0-9()_\-~=]+)", re.ASCII)
_PROJECTS: Final = (os.path.join(".signac", "config"), "signac.rc")
"""What makes a folder a project of perkey.dataspace or signac."""

_memories: dict[str, MemoryStore] = {}
_making = ProcessLock()


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return known[text.lower()]


_KINDS_OF_PARAMETERS: Final[dict[str, Callable[[str], Any]]] = {
    "file_type": str,
    "digest_len": int,
    "immutable_items": _flag,
    "durability": str,
    "locking": str,
    "region": str,
    "endpoint_url": str,
    "engine": str,
    "unsigned": _flag,
    "requester_pays": _flag,
    "trust_service": _flag,
    "retry_for": float,
    "timeout": float,
    "cache": str,
    "max_bytes": int,
    "max_age": float,
}
"""What a parameter in an address is made of its text. Secrets have no place there."""

_IN_ADDRESS: Final = "it is part of the place"
_FROM_PLACE: Final = {
    "base_dir": f"{_IN_ADDRESS}; for s3:// pass cache, the folder of the local cache",
    "bucket_name": _IN_ADDRESS,
    "root_prefix": _IN_ADDRESS,
    "url": _IN_ADDRESS,
    "backend": f"{_IN_ADDRESS}, as in memory://name",
    "create": "pass mode instead, of which only 'a' makes a place",
}
"""Parameters of the classes that the place stands for, and what to pass instead."""


class _Place(NamedTuple):
    """A place, and how a dictionary in it is made.

    Attributes:
        shown: Its path or address without parameters.
        make: Makes a handle, given parameters.
        params: The parameters in the address.
        exists: Returns whether it exists; None if only a listing shows that.
    """

    shown: str
    make: Callable[..., PersiDict[Any]]
    params: dict[str, Any]
    exists: Callable[[], bool] | None = None


def open(place: str | os.PathLike[str], mode: Mode = "a", **params: Any) -> PersiDict[Any]:  # noqa: A001
    """Return the dictionary in a place.

    File type and digest length that are not given are read off the names that are there, from one page of a
    listing at most. A digest length is taken only if the digest of every name in the sample is right. For
    an empty place, the defaults of the class apply.

    Args:
        place: A path (a leading ``~`` is the user's own folder), ``file:///folder``, ``s3://bucket/prefix``,
            ``gs://bucket/prefix``, ``az://container/prefix``, or ``memory://name``, which is in this process
            until it ends. Behind a question mark, an address may have parameters, such as
            ``s3://bucket/prefix?region=eu-west-1&file_type=json``, but no secrets.
        mode: ``"r"``: the place must exist, and the handle refuses every write. ``"r+"``: it must exist.
            ``"a"``: a folder is made, and a bucket by the first write. A bucket exists as a place of a
            dictionary if there is an object below the prefix.
        **params: Parameters of the class: `FileDirDict` for a folder, `S3Dict` for ``s3://``,
            `ObjectStoreDict` for other services, `LocalDict` for memory. For ``s3://``, `cache` is the folder
            of the local cache (`base_dir` of `S3Dict`); without it, nothing is cached.

    Raises:
        FileNotFoundError: The place does not exist, and `mode` is not ``"a"``.
        AmbiguousPlaceError: Names fit several file types or digest lengths; the error lists them.
        ValueError: The address has a secret or an unknown parameter in it, the mode is not known, or the
            folder is a project, which `perkey.dataspace.get_project` opens.
        TypeError: An argument is of the wrong kind, or the class does not have such a parameter.
        AccessDeniedError, BackendError, OSError: The place cannot be listed. Pass `file_type` and
            `digest_len` where listing is not allowed.

    Cost: one page of a listing; none in mode ``"a"`` if `file_type` and `digest_len` are given.

    >>> from perkey.tools import places
    >>> d = places.open("memory://example", file_type="json")
    >>> d["a"] = 1
    >>> dict(places.open("memory://example", "r"))
    {('a',): 1}
    """
    check_kind("mode", mode, str, "'r', 'r+' or 'a'")
    if mode not in get_args(Mode):
        raise ValueError(
            f"mode must be 'r' (read only), 'r+' (must exist) or 'a' (made if missing), not {mode!r}; "
            "clear() empties a dictionary"
        )
    found = _place_of(place, create=mode == "a")
    twice = sorted(found.params.keys() & params.keys())
    if twice:
        raise ValueError(f"given twice, in the address and as an argument: {', '.join(twice)}")
    for name in sorted(params.keys() & _FROM_PLACE.keys()):
        raise TypeError(f"perkey.open does not take {name}: {_FROM_PLACE[name]}")
    given = {**found.params, **params}
    if mode != "a" and found.exists is not None and not found.exists():
        raise _absent(found.shown)
    d = found.make(**given)
    known = {name for name in ("file_type", "digest_len") if given.get(name) is not None}
    looks = mode != "a" and found.exists is None
    if looks or len(known) < 2:  # noqa: PLR2004 - the two parameters
        names = list(islice(read_only(d.store).scan(), _SAMPLE))
        if looks and not names:
            raise _absent(found.shown)
        detected = _detect(names, given.get("file_type"), given.get("digest_len"), found.shown)
        if any(getattr(d, name) != value for name, value in detected.items()):
            d = found.make(**{**given, **detected})
    return d.read_only() if mode == "r" else d


def _absent(place: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "the place does not exist; mode='a' makes it", place)


# --- Places -------------------------------------------------------------------------------------------------


def _place_of(place: str | os.PathLike[str], *, create: bool) -> _Place:
    if isinstance(place, str) and _ADDRESS.match(text_of(place)):
        return _at_address(text_of(place), create=create)
    return _in_folder(folder_path(place, "place"), {}, create=create)


def _at_address(address: str, *, create: bool) -> _Place:
    from perkey.stores.objects import kind_of

    parts = urlsplit(address)
    _check_secrets(parts)
    bare = address.partition("?")[0]
    if parts.scheme == "file":
        bare = bare.replace("file://localhost/", "file:///", 1)
    try:
        kind = kind_of(bare)
    except ValueError as error:
        raise ValueError(f"place: {error}") from None
    if kind == "file":
        from perkey.stores.objects import folder_of

        return _in_folder(folder_of(bare), _parameters(parts, FileDirDict), create=create)
    if kind == "memory":
        return _in_memory(parts)
    if kind == "s3":
        return _in_s3(parts, bare)
    from perkey.stores.objects import harmless

    options = harmless(dict(parse_qsl(parts.query, keep_blank_values=True)))
    return _in_service(parts, bare, options)


def _check_secrets(parts: SplitResult) -> None:
    """Refuse user names and passwords. The address is not shown: it may be a secret."""
    user, at, _ = parts.netloc.rpartition("@")
    if at and (":" in user or parts.scheme not in {"abfs", "abfss"}):
        raise ValueError(
            "place: an address must not have a user or a password before the @: it is shown in messages, and "
            "travels with pickles; credentials come from the environment or a profile of the service"
        )
    if parts.fragment:
        raise ValueError("place: an address must not have a fragment after #")


def _parameters(
    parts: SplitResult, made: type[PersiDict[Any]], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the parameters behind the question mark; values are not shown: they may be secrets.

    Args:
        parts: The address.
        made: The class whose parameters these are.
        options: Options of the service that are in the address, too.
    """
    named = set(signature(made).parameters)
    if "max_bytes" in named:
        named.add("cache")  # the folder of a local cache; it is the parameter base_dir of the class
    known = named & _KINDS_OF_PARAMETERS.keys()
    found: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if options and name in options:
            continue
        if name not in known:
            raise ValueError(
                f"place: the address has the parameter {name!r}, which it must not have; keys, tokens and "
                f"signatures come from the environment; parameters here are {', '.join(sorted(known))}"
            )
        if name in found:
            raise ValueError(f"place: the address has the parameter {name!r} twice")
        try:
            found[name] = _KINDS_OF_PARAMETERS[name](text)
        except (ValueError, KeyError):
            raise ValueError(f"place: the parameter {name!r} of the address has a wrong value") from None
    return found


def _in_folder(path: str, params: dict[str, Any], *, create: bool) -> _Place:
    for config in _PROJECTS:
        for project in (path, os.path.dirname(path) if os.path.basename(path) == "workspace" else path):
            if os.path.exists(os.path.join(project, config)):
                raise ValueError(
                    f"{path}: this is a project of data spaces, not a dictionary; "
                    f"perkey.dataspace.get_project({project!r}) opens it"
                )

    def make(**given: Any) -> PersiDict[Any]:
        return FileDirDict(path, **{"create": create, **_without_cache(given)})

    return _Place(path, make, params, lambda: os.path.lexists(path))


def _in_memory(parts: SplitResult) -> _Place:
    name, prefix = parts.netloc, tuple(filter(None, parts.path.split("/")))
    with _making:
        exists = name in _memories
        store = _memories.setdefault(name, MemoryStore())
    shown = "/".join(("memory:/", name, *prefix))

    def make(**given: Any) -> PersiDict[Any]:
        given = {key: value for key, value in _without_cache(given).items() if value is not None}
        if not prefix:
            return LocalDict(**given, backend=store)
        return PersiDict(PrefixStore(store, prefix), **{"digest_len": DEFAULT_DIGEST_LEN, **given})

    return _Place(shown, make, _parameters(parts, LocalDict), lambda: exists)


def _in_s3(parts: SplitResult, bare: str) -> _Place:
    from perkey.dicts.s3 import S3Dict

    def make(*, cache: Any = None, **given: Any) -> PersiDict[Any]:
        given = {name: value for name, value in given.items() if name != "digest_len" or value is not None}
        return S3Dict(
            parts.netloc,
            **{"root_prefix": parts.path.strip("/"), **given},
            base_dir=cache,
        )

    return _Place(bare, make, _parameters(parts, S3Dict))


def _in_service(parts: SplitResult, bare: str, options: dict[str, Any]) -> _Place:
    from perkey.dicts.object_store_dict import ObjectStoreDict

    def make(**given: Any) -> PersiDict[Any]:
        given = _without_cache(given)
        return ObjectStoreDict(bare, **{**given, "options": {**options, **(given.get("options") or {})}})

    return _Place(bare, make, _parameters(parts, ObjectStoreDict, options))


def _without_cache(given: dict[str, Any]) -> dict[str, Any]:
    if "cache" not in given:
        return given
    raise TypeError("cache is for s3:// places; CachedDict puts a cache in front of any dictionary")


# --- Parameters ---------------------------------------------------------------------------------------------


def _detect(
    names: Iterable[Name], file_type: str | None, digest_len: int | None, place: str
) -> dict[str, Any]:
    """Return the file type and the digest length of the items among names, as far as they were not given.

    Raises:
        AmbiguousPlaceError: The names have several file types, or right digests and wrong ones.
    """
    candidates = _by_type(names, file_type, digest_len)
    if not candidates:
        return {}
    if len(candidates) > 1:
        choices = [
            ({"file_type": each, "digest_len": _usual_length(of_type, each)}, len(of_type))
            for each, of_type in sorted(candidates.items(), key=lambda item: -len(item[1]))
        ]
        raise AmbiguousPlaceError(place, choices)
    ((found, of_type),) = candidates.items()
    if digest_len is not None:
        return {"file_type": found}
    length = _usual_length(of_type, found)
    fitting = naming(length, found)
    right = sum(fitting.key_of(name) is not None for name in of_type)
    if length and right < len(of_type):
        with_digest = {"file_type": found, "digest_len": length}
        without = {"file_type": found, "digest_len": 0}
        choices = [(with_digest, right), (without, len(of_type))]
        raise AmbiguousPlaceError(place, [choice for choice in choices if choice[1]])
    return {"file_type": found, "digest_len": length}


def _by_type(names: Iterable[Name], file_type: str | None, digest_len: int | None) -> dict[str, list[Name]]:
    """Return the names that could be items, by their file types.

    Types that a digest proves, and those that have a format, come first. Only without any of these, endings
    are taken for types of text.
    """
    strong: dict[str, list[Name]] = {}
    weak: dict[str, list[Name]] = {}
    for name in names:
        if name[0].startswith(SCRATCH):
            continue
        if file_type is not None:
            if name[-1].endswith(f".{file_type}"):
                strong.setdefault(file_type, []).append(name)
            continue
        found = parameters_of(name[-1])
        if found is not None and not found.file_type.endswith(CLAIM_ENDING):
            if digest_len is None or naming(digest_len, found.file_type).key_of(name) is not None:
                strong.setdefault(found.file_type, []).append(name)
        elif found is None and not digest_len:
            match = _EXTENSION.fullmatch(name[-1])
            if match is not None and not match[1].endswith(CLAIM_ENDING):
                weak.setdefault(match[1], []).append(name)
    return strong or weak


def _usual_length(names: list[Name], file_type: str) -> int:
    """Return the length of digest that most names end in, 0 if those that are right may be so by chance."""
    ending = f".{file_type}"
    counted = Counter(length for name in names if (length := digest_len_of(name[-1].removesuffix(ending))))
    for length, count in counted.most_common(1):
        if length * count >= _BY_CHANCE:
            return length
    return 0
