"""Which parameters would fit the names in a place, for dictionaries that find nothing where something is.

A file type or digest length that differs from the writer's makes every item invisible, without any error.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from perkey.errors import WrongParametersWarning
from perkey.formats import find_format
from perkey.naming import CLAIM_ENDING, MAX_DIGEST_LEN, Name, Naming, digest
from perkey.stores import Store

S = TypeVar("S")
T = TypeVar("T", bound=tuple[Any, ...])

_SAMPLE: Final = 1000
_SHOWN: Final = 3
_BY_CHANCE: Final = 3
"""So many characters of digest, over all names, are right by chance once in 32,768 places."""
_SUFFIXED = re.compile(rf"(.+)_([a-z2-7]{{1,{MAX_DIGEST_LEN}}})", re.ASCII)
_STORED = re.compile(r"[A-Za-z0-9()_\-~.=]+", re.ASCII)

_warned: set[str] = set()
_asked: Counter[str] = Counter()


class Parameters(NamedTuple):
    """What decides which names a dictionary sees."""

    file_type: str
    digest_len: int

    def __str__(self) -> str:
        return f"file_type={self.file_type!r}, digest_len={self.digest_len}"


def digest_len_of(part: str) -> int:
    """Return the length of the digest that a stored part ends in, 0 if it does not end in its digest."""
    match = _SUFFIXED.fullmatch(part)
    if match is None:
        return 0
    text, suffix = match.groups()
    return len(suffix) if text.isascii() and suffix == digest(text, len(suffix)) else 0


def parameters_of(leaf: str) -> Parameters | None:
    """Return the parameters under which the last part of a name is that of an item, None if that is unlikely.

    Without a digest, any file could be an item, so the file type must be that of a registered format.
    """
    if _STORED.fullmatch(leaf) is None or leaf.endswith(CLAIM_ENDING):
        return None
    dots = [at for at, char in enumerate(leaf) if char == "." and 0 < at < len(leaf) - 1]
    suffixed = [Parameters(leaf[dot + 1 :], length) for dot in dots if (length := digest_len_of(leaf[:dot]))]
    if suffixed:
        return max(suffixed, key=attrgetter("digest_len"))  # a short one may be right by chance
    stem, _, file_type = leaf.rpartition(".")
    return Parameters(file_type, 0) if stem and find_format(file_type) is not None else None


def fitting(names: Iterable[Name]) -> list[tuple[Parameters, int]]:
    """Return the parameters that fit names, the most frequent first, each with how many names they fit."""
    counted = Counter(found for name in names if (found := parameters_of(name[-1])) is not None)
    return [
        (found, count)
        for found, count in counted.most_common()
        if not found.digest_len or found.digest_len * count >= _BY_CHANCE
    ]


def watched(
    scanned: Iterator[S], pick: Callable[[Iterator[S]], Iterator[T]], store: Store, naming: Naming
) -> Iterator[T]:
    """Return what `pick` finds among what was scanned; warn if these names have other parameters.

    Args:
        scanned: A listing of `store`.
        pick: Takes a listing, and returns the names or keys in it that are the dictionary's.
        store: Where the items are.
        naming: The parameters of the dictionary.

    Cost: nothing for each item. Another listing of up to 1,000 names, where there are only foreign ones.
    """
    return chain.from_iterable(_in_turn(scanned, pick, store, naming))


def _in_turn(
    scanned: Iterator[S], pick: Callable[[Iterator[S]], Iterator[T]], store: Store, naming: Naming
) -> Iterator[Iterable[T]]:
    for first in scanned:
        found = pick(chain((first,), scanned))
        for first_found in found:
            if not naming.digest_len and digest_len_of(
                _last_part(first_found).removesuffix(naming.shape.ending)
            ):
                warn_of_others(store, naming)
            yield (first_found,)
            yield found
            return
        warn_of_others(store, naming)


def _last_part(found: tuple[Any, ...]) -> str:
    """Return the last part of a key or name, also where that comes with something else."""
    part: str = found[-1] if isinstance(found[-1], str) else found[0][-1]
    return part


def count_watched(counted: int, store: Store, naming: Naming) -> int:
    """Return a count of items; warn if these names have other parameters.

    Cost: another listing of up to 1,000 names at the first, second, fourth, eighth, ... count of nothing.
        Where a listing costs no request, another one at the first count without digests.
    """
    if counted and (naming.digest_len or store.workers > 1):
        return counted
    place = store.describe()
    _asked[place] += 1
    asked = _asked[place]
    if asked & (asked - 1) == 0 if not counted else asked == 1:
        warn_of_others(store, naming)
    return counted


def warn_of_others(store: Store, naming: Naming) -> None:
    """Warn, once per place, if the names in it are those of items under other parameters only."""
    place = store.describe()
    others = "" if place in _warned else others_in(store, naming)
    if others:
        _warned.add(place)
        warnings.warn(
            f"{place}: {others}. Pass the parameters that the items were written with.",
            WrongParametersWarning,
            stacklevel=_level_of_caller(),
        )


def others_in(store: Store, naming: Naming) -> str:
    """Return which parameters fit the names in a place, "" if the dictionary's own are among them.

    Cost: a listing that ends at the first name that fits, of up to 1,000 names.
    """
    own = Parameters(naming.file_type, naming.digest_len)
    names: list[Name] = []
    for name in islice(store.scan(), _SAMPLE):
        if parameters_of(name[-1]) == own:
            return ""
        # A name of the right shape with a wrong digest is foreign under any parameters.
        if naming.key_of(name) or not naming.shape.fits(name):
            names.append(name)
    found = fitting(names)
    if not found:
        return ""
    fits = "; ".join(f"{each} (as {count} of them)" for each, count in found[:_SHOWN])
    return f"no name here is that of an item with {own}, but these parameters would fit: {fits}"


def _level_of_caller() -> int:
    """Return how many frames lie between `warn_of_others` and the first one outside of this package.

    Those of the standard library's mixins for mappings belong to it.
    """
    level, inside = 1, (__name__.partition(".")[0], "_collections_abc", "collections")
    frame = sys._getframe(1)  # noqa: SLF001 - what the warnings module itself uses
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        level += 1
        frame = frame.f_back
    return level
