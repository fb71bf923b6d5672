"""Items as objects in a bucket: one object per name, one request per operation.

Conditions are those of S3, and only on writes and removals: `If-Match` and `If-None-Match: *`. Three things
are taken care of that a bare client leaves open:

- An endpoint that ignores a condition would break every promise without a word. So each kind is tried once
  per bucket, before it is first relied upon, on an object of no key; what is ignored is refused from then on.
- After a lost reply a repeated conditional write may meet its own first success. So each write leaves a
  mark in the object's metadata, and a conflict after a repetition is looked at before it is believed.
- Where neither the mark nor the expected version is found, somebody else has written since, and it cannot be
  told whether that was after our write or instead of it: `OutcomeUnknownError`, never a second application.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from perkey.content import Content, Data
from perkey.errors import AccessDeniedError, BackendError, ConflictError, OutcomeUnknownError
from perkey.naming import Name, Shape
from perkey.stores.addresses import check_prefix
from perkey.stores.base import (
    ABSENT,
    ANY,
    ConditionKind,
    Expectation,
    Stat,
    Store,
    Verb,
    Version,
    refuse,
)
from perkey.stores.objects import (
    PROBE,
    Body,
    Engine,
    Head,
    NoSuchBucket,
    NoSuchObject,
    NotHonoured,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    Upload,
    again,
    pause,
    size_of,
)
from perkey.stores.probes import Probes

_ATTEMPTS: Final = 6
_BATCH: Final = 1000
_IN_MEMORY: Final = 8 << 20
_LOOK_ABOVE: Final = 16 << 20
"""Bodies of more bytes than this go up under a condition only after a look at the object."""
_STALE_SECONDS: Final = 86_400.0
_PART: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9()_\-~.=]+")
"""What a part of the name of an item looks like; see `perkey.naming`."""


class ObjectStore(Store):
    """Items as objects whose names begin with a root prefix.

    Requests: read 1 (304 and no body if `unless` is current), stat 1, write 1, remove of ANY 2, under a
    version 1, scan 1 for 1,000 objects below the prefix, exists 1. The first conditional operation of a
    kind on a bucket costs up to 4 more, once per process. The bucket is made by the first write that finds it
    missing.

    Versions are ETags: equal contents of a name may have equal versions.

    Args:
        engine: The bucket.
        root_prefix: The beginning of all object names; a slash is added to one that has none.
        trust_service: Whether conditions are relied upon without a test of the endpoint.
    """

    def __init__(self, engine: Engine, root_prefix: str = "", *, trust_service: bool = False) -> None:
        check_prefix(root_prefix)
        self.engine = engine
        self.root_prefix = root_prefix if root_prefix.endswith("/") or not root_prefix else root_prefix + "/"
        self.workers = engine.connections
        self.trust_service = trust_service
        self._probes = Probes(engine, self.root_prefix, trust_service=trust_service)

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        key = self._key(name)
        try:
            return again(lambda: self.engine.get(key, unless=unless, limit=limit), NoSuchObject, NoSuchBucket)
        except (NoSuchObject, NoSuchBucket):
            raise KeyError(name) from None

    def stat(self, name: Name) -> Stat:
        head = self._head(name)
        if head is None:
            raise KeyError(name)
        return Stat(head.version, head.mtime, head.size)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        self._require("write", expect)
        if isinstance(data, bytes):
            return self._write(name, data, expect)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            data.write_to(file)  # type: ignore[arg-type] # it is a binary file in all but its declared type
            return self._write(name, file, expect)  # type: ignore[arg-type] # the same

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        if expect is ANY:
            self._remove_any(name)
            return
        if expect is ABSENT:
            raise ValueError("what is expected to be absent cannot be removed")
        self._require("remove", expect)
        self._remove_version(name, str(expect))

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return (name for name, _ in self._list(prefix))

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        # Listings of some services have times to the millisecond; `stat` has whole seconds from all of them.
        return (
            (name, Stat(head.version, float(int(head.mtime)), head.size)) for name, head in self._list(prefix)
        )

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        with contextlib.suppress(NoSuchBucket):
            yield from again(lambda: list(self.engine.list_folders(self._below(prefix))), NoSuchBucket)

    def remove_many(self, names: Iterable[Name]) -> Iterator[tuple[Name, Exception | None]]:
        """Remove many items, 1,000 with a request; that one was absent is not told."""
        source = iter(names)
        while batch := {self._key(name): name for name in islice(source, _BATCH)}:
            failed = self._remove_batch(list(batch))
            for key, name in batch.items():
                yield name, failed.get(key)

    def sweep(self, prefix: Name = (), *, min_age: float | None = None, shape: Shape | None = None) -> int:
        """Abort the uploads in parts that writers which died left, and return how many there were.

        Their parts are paid for and appear in no listing of objects. An upload is left alone if it is not
        below `prefix`, if its name cannot be one of ours, or if it began less than a day ago.

        Cost: 1 request for 1,000 uploads, and 1 for each that is aborted.

        Args:
            prefix: Where to look.
            min_age: Seconds since an upload began; None means a day. A living writer whose upload is aborted
                gets an error.
            shape: What the names of the items look like; None means any name that a key could have.

        Raises:
            BackendError: The service refuses, or obstore is the only client library: it has no such request.
        """
        until = time.time() - (_STALE_SECONDS if min_age is None else min_age)
        uploads: list[Upload] = []
        with contextlib.suppress(NoSuchBucket):
            uploads = again(lambda: list(self.engine.uploads(self._below(prefix))), NoSuchBucket)
        left = [it for it in uploads if it.started <= until and self._is_ours(it.key, shape)]
        for upload in left:
            again(partial(self.engine.abort, upload))
        return len(left)

    def _is_ours(self, key: str, shape: Shape | None) -> bool:
        name = tuple(key[len(self.root_prefix) :].split("/"))
        if name[-1].startswith(PROBE):
            return True
        return all(map(_PART.fullmatch, name)) and (shape is None or shape.fits(name))

    def describe(self, name: Name = ()) -> str:
        return self.engine.describe(self._key(name))

    def honours(self, verb: Verb, kind: ConditionKind) -> bool:
        """Tell whether the endpoint honours a kind of condition; asks it, once per bucket and process."""
        return self._probes.ask(verb, kind)

    # --- Writing ------------------------------------------------------------------------------------

    def _write(self, name: Name, body: Body, expect: Expectation) -> Version:
        key, write_id = self._key(name), os.urandom(12).hex()
        failure: Exception = _vanishing(self.engine)
        in_doubt = False
        self._look_first(name, body, expect)
        parts = self._in_parts(body, expect)
        for attempt in range(_ATTEMPTS):
            try:
                return self.engine.put(key, body, expect=expect, write_id=write_id, parts=parts)
            except NoSuchBucket:
                if isinstance(expect, str):
                    raise ConflictError(name, expect, ABSENT) from None
                again(self.engine.create_bucket)
            except (NotHonoured, PreconditionFailed, NoSuchObject) as signal:
                if expect is ANY or isinstance(signal, NotHonoured):
                    raise signal.cause from signal.__cause__
                if signal.repeated or in_doubt:
                    return self._mine(name, write_id)
                found = ABSENT if isinstance(signal, NoSuchObject) else None
                raise ConflictError(name, expect, found) from None
            except (TryAgain, Unclear) as signal:
                failure = signal.cause
                pause(attempt)
                if isinstance(signal, Unclear):
                    done = self._settle(name, expect, write_id, lost_race=signal.lost_race and not in_doubt)
                    # Even if it did not happen so far, it may be on its way still.
                    in_doubt = True
                    if done is not None:
                        return done
        raise failure

    def _look_first(self, name: Name, body: Body, expect: Expectation) -> None:
        """Refuse a large write under a condition that does not hold, before anything of it is uploaded."""
        if expect is ANY or size_of(body) <= min(_LOOK_ABOVE, self.engine.multipart_above):
            return
        try:
            head = self._head(name)
        except AccessDeniedError:
            return  # a writer need not have the right to look
        found = ABSENT if head is None else head.version
        if found != expect:
            raise ConflictError(name, expect, found)

    def _in_parts(self, body: Body, expect: Expectation) -> bool:
        """Tell whether to upload in parts: what is large, but where conditions of that are ignored."""
        if size_of(body) <= self.engine.multipart_above:
            return False
        kind: ConditionKind = "absent" if expect is ABSENT else "version"
        return expect is ANY or self._probes.ask("write", kind, parts=True)

    def _settle(self, name: Name, expect: Expectation, write_id: str, *, lost_race: bool) -> Version | None:
        """Return the version of a write whose reply was lost, None if it is to be sent again.

        Raises:
            OutcomeUnknownError: That cannot be told.
            ConflictError: It can: another one was faster.
        """
        try:
            head = self._head(name)
        except BackendError:
            if expect is not ANY:
                raise
            return None  # whoever may not look may still write
        if head is not None and head.write_id == write_id:
            return head.version
        if expect is ANY:
            return None
        if lost_race:
            raise ConflictError(name, expect)
        if head is not None and head.version == expect:
            return None
        # Absent where absence was expected proves nothing: it may have been inserted and removed.
        raise OutcomeUnknownError(name, self.describe(name))

    def _mine(self, name: Name, write_id: str) -> Version:
        """Return the version of a write that met a conflict when it was repeated."""
        head = self._head(name)
        if head is None or head.write_id != write_id:
            raise OutcomeUnknownError(name, self.describe(name))
        return head.version

    # --- Removing -----------------------------------------------------------------------------------

    def _remove_any(self, name: Name) -> None:
        """Remove an item; where the endpoint compares, only one of several that remove it succeeds."""
        for _ in range(_ATTEMPTS):
            head = self._head(name)
            if head is None:
                raise KeyError(name)
            if not self._compares_on_removal():
                break
            try:
                self._remove_version(name, head.version)
            except ConflictError:
                continue
            return
        with contextlib.suppress(NoSuchObject, NoSuchBucket):
            again(lambda: self.engine.delete(self._key(name)), NoSuchObject, NoSuchBucket)

    def _compares_on_removal(self) -> bool:
        try:
            return self._probes.ask("remove", "version")
        except BackendError:
            return False  # whoever may not ask may still remove

    def _remove_batch(self, keys: list[str]) -> dict[str, Exception]:
        """Remove up to 1,000 objects, those again that were put off; return what went wrong, by key."""
        failed: dict[str, Exception] = {}
        for attempt in range(_ATTEMPTS):
            try:
                told = again(partial(self.engine.delete_many, keys), NoSuchBucket)
            except NoSuchBucket:
                break
            except BackendError as error:
                failed.update(dict.fromkeys(keys, error))
                break
            failed = {key: why for key, why in failed.items() if key not in keys}
            for key, why in told.items():
                if not isinstance(why, NoSuchObject):
                    failed[key] = why.cause if isinstance(why, Signal) else why
            keys = [key for key, why in told.items() if isinstance(why, (TryAgain, Unclear))]
            if not keys:
                break
            pause(attempt)
        return failed

    def _remove_version(self, name: Name, version: Version) -> None:
        failure: Exception = _vanishing(self.engine)
        in_doubt = False
        for attempt in range(_ATTEMPTS):
            try:
                self.engine.delete(self._key(name), version=version)
            except NotHonoured as signal:
                raise signal.cause from signal.__cause__
            except (PreconditionFailed, NoSuchObject, NoSuchBucket) as signal:
                if signal.repeated or in_doubt:
                    raise OutcomeUnknownError(name, self.describe(name)) from None
                found = None if isinstance(signal, PreconditionFailed) else ABSENT
                raise ConflictError(name, version, found) from None
            except (TryAgain, Unclear) as signal:
                failure = signal.cause
                pause(attempt)
                if isinstance(signal, Unclear):
                    in_doubt = True
                    head = self._head(name)
                    if head is None or head.version != version:
                        raise OutcomeUnknownError(name, self.describe(name)) from signal.cause
            else:
                return
        raise failure

    # --- Parts --------------------------------------------------------------------------------------

    def _require(self, verb: Verb, expect: Expectation) -> None:
        """Refuse a condition that the endpoint would ignore."""
        if expect is ANY:
            return
        kind: ConditionKind = "absent" if expect is ABSENT else "version"
        if not self.engine.supports(verb, kind):
            raise refuse(self.engine.describe(), verb, kind, "the client library cannot express it")
        if not self._probes.ask(verb, kind):
            ignored = f"the endpoint {self.engine.endpoint} ignores such conditions"
            raise refuse(self.engine.describe(), verb, kind, ignored)

    def _head(self, name: Name) -> Head | None:
        key = self._key(name)
        try:
            return again(lambda: self.engine.head(key), NoSuchObject, NoSuchBucket)
        except (NoSuchObject, NoSuchBucket):
            return None

    def _list(self, prefix: Name) -> Iterator[tuple[Name, Head]]:
        cut = len(self.root_prefix)
        with contextlib.suppress(NoSuchBucket):
            for key, head in self._objects(self._below(prefix)):
                name = tuple(key[cut:].split("/"))
                if "" not in name and not name[-1].startswith(PROBE):
                    yield name, head

    def _objects(self, prefix: str) -> Iterator[tuple[str, Head]]:
        """Yield all objects below a prefix; after a failure go on where the listing was."""
        last, attempt = "", 0
        while True:
            try:
                for key, head in self.engine.list(prefix, start_after=last):
                    last, attempt = key, 0
                    yield key, head
            except (TryAgain, Unclear) as signal:
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise signal.cause from signal.__cause__
                pause(attempt - 1)
            except NoSuchBucket:
                raise
            except Signal as signal:
                raise signal.cause from signal.__cause__
            else:
                return

    def _key(self, name: Name) -> str:
        return self.root_prefix + "/".join(name)

    def _below(self, prefix: Name) -> str:
        return self._key((*prefix, "")) if prefix else self.root_prefix


def _vanishing(engine: Engine) -> BackendError:
    return BackendError(
        f"{engine.describe()}: the bucket vanishes as soon as it is made", backend="s3", operation="write"
    )
