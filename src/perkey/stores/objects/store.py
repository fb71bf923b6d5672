"""Items as objects in a bucket: one object per name, one request per operation.

Conditions are those of S3, and only on writes and removals: `If-Match` and `If-None-Match: *`. Three things
are taken care of that a bare client leaves open:

- An endpoint that ignores a condition would break every promise without a word. So each kind is tried once
  per bucket, before it is first relied upon, on an object of no key; what is ignored is refused from then on.
- A request may be sent twice: by a proxy, by a client library, or here after a lost reply. A conditional
  write then meets its own success as a conflict. So each write leaves marks in the object's metadata
  (`lineage`), and each conflict is compared with those of the present version.
- Where they do not show whether a write took place, `OutcomeUnknownError`, never a second application.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from perkey.content import Content, Data
from perkey.errors import AccessDeniedError, BackendError, ConflictError, OutcomeUnknownError
from perkey.expectations import (
    ABSENT,
    ANY,
    ConditionKind,
    Expectation,
    Expectations,
    Verb,
    Version,
    refuse,
)
from perkey.naming import Name, Shape
from perkey.retrying import Attempts
from perkey.stores.base import GLIMPSE, Glimpse, Leftover, Stat, Store, UnsettledConflict
from perkey.stores.objects.addresses import check_prefix
from perkey.stores.objects.engine import (
    PROBE,
    Body,
    Engine,
    Head,
    NoSuchBucket,
    NoSuchObject,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
    Unsupported,
    Upload,
    again,
    pause,
    size_of,
)
from perkey.stores.objects.lineage import (
    Lineage,
    Lineages,
    Verdict,
    judge,
    lineage_of,
    new_mark,
    read_lineage,
    was_kept,
)
from perkey.stores.objects.probes import Probes

_OVERTAKEN: Final = 6
"""How often the removal of an item is overtaken by other writers before it is removed without a condition."""
_REFUSALS: Final = 16
"""After so many refusals of one expected version, the item is looked at."""
_REMEMBERED: Final = 1000
"""Of how many items refusals are counted."""
_BUCKETS: Final = 5
"""How often a bucket is made for one write."""
_BATCH: Final = 1000
_IN_MEMORY: Final = 8 << 20
_LOOK_ABOVE: Final = 16 << 20
"""Bodies of more bytes than this go up under a condition only after a look at the object."""
_STALE_SECONDS: Final = 86_400.0
_PART: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9()_\-~.=]+")
"""What a part of the name of an item looks like; see `perkey.naming`."""

_repeating: set[str] = set()
"""Endpoints to which requests were seen to be repeated on their way."""


@dataclass
class _Write:
    """A write under way.

    Attributes:
        predecessor: The lineage of the version that it expects, if it expects one.
        lineage: Its own.
        condition: What is sent as the condition; of an unconditional write that is repeated, what was seen.
        parts: Whether the body is uploaded in parts.
        tries: Its attempts.
        deferred: Whether the caller reads the item after a conflict.
        repeated: Whether it is known that it was sent more than once, or that a reply was lost.
        buckets: How often the bucket was made for it.
    """

    name: Name
    body: Body
    expect: Expectation
    predecessor: Lineage | None
    lineage: Lineage
    condition: Expectation
    parts: bool
    tries: Attempts
    deferred: bool
    repeated: bool = False
    buckets: int = 0


def kind_of(expect: Expectation) -> ConditionKind:
    """Return the kind of condition that an expectation is; ANY is taken for a version."""
    return "absent" if expect is ABSENT else "version"


class ObjectStore(Store):
    """Items as objects whose names begin with a root prefix.

    Requests: read 1 (304 and no body if `unless` is current), stat 1, write 1, remove of ANY 2, under a
    version 1, scan 1 for 1,000 objects below the prefix, exists 1. The first conditional operation of a
    kind on a bucket costs up to 4 more, once per process. The bucket is made by the first write that finds it
    missing.

    Versions are ETags: equal contents of a name may have equal versions.

    Args:
        engine: The bucket.
        root_prefix: The beginning of all object names; a slash is added if it is missing.
        trust_service: Whether to rely on conditions without a test of the endpoint.
    """

    def __init__(self, engine: Engine, root_prefix: str = "", *, trust_service: bool = False) -> None:
        check_prefix(root_prefix)
        self.engine = engine
        self.root_prefix = root_prefix if root_prefix.endswith("/") or not root_prefix else root_prefix + "/"
        self.workers = engine.connections
        self.trust_service = trust_service
        self._probes = Probes(engine, self.root_prefix, trust_service=trust_service)
        self._lineages = Lineages()
        self._refused: dict[str, tuple[Version, int]] = {}  # how often an expected version was refused

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        key = self._key(name)
        try:
            found = again(
                lambda: self.engine.get(key, unless=unless, limit=limit),
                NoSuchObject,
                NoSuchBucket,
                retry=self.engine.retry,
            )
        except (NoSuchObject, NoSuchBucket):
            raise KeyError(name) from None
        if found is None:
            return None
        content, marked = found
        version = str(marked)
        self._lineages.remember(key, version, getattr(marked, "write_id", None))
        return content, version

    def stat(self, name: Name) -> Stat:
        head = self._head(name)
        if head is None:
            raise KeyError(name)
        return Stat(head.version, head.mtime, head.size)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return self._write_data(name, data, expect, deferred=False)

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self._write_data(name, data, expect, deferred=True)

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        self.try_write(name, data, expect=expect)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        if expect is ANY:
            self._remove_any(name)
            return
        if expect is ABSENT:
            raise ValueError("an item that is expected to be absent cannot be removed")
        tries = self.engine.retry.attempts()
        self._require("remove", expect, tries)
        self._remove_version(name, str(expect), tries)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return (name for name, _ in self._list(prefix))

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        # Listings of some services have times to the millisecond; `stat` has whole seconds from all of them.
        return (
            (name, Stat(head.version, float(int(head.mtime)), head.size)) for name, head in self._list(prefix)
        )

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        """Return as `Store.glimpse`, by one request for a listing."""
        cut, found = len(prefix), 0
        items: list[tuple[Name, Stat]] = []
        looked: list[tuple[str, Head]] = []
        with contextlib.suppress(NoSuchBucket):
            looked += islice(self._objects(self._below(prefix)), GLIMPSE)
        for name, head in self._named(looked):
            if shape.fits(name[cut:]):
                found += 1
                if len(items) < most:
                    items.append((name, Stat("", float(int(head.mtime)), head.size)))
        return Glimpse(items, found, len(looked) < GLIMPSE)

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        with contextlib.suppress(NoSuchBucket):
            yield from again(
                lambda: list(self.engine.list_folders(self._below(prefix))),
                NoSuchBucket,
                retry=self.engine.retry,
            )

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        """Remove many items, 1,000 with a request; absent items are not reported.

        Under an expectation each is removed, and reported, by itself.
        """
        if expect is not ANY:
            yield from super().remove_many(names, expect=expect)
            return
        source = iter(names)
        while batch := {self._key(name): name for name in islice(source, _BATCH)}:
            failed = self._remove_batch(list(batch))
            for key, name in batch.items():
                yield name, failed.get(key)

    def sweep(self, prefix: Name = (), *, min_age: float | None = None, shape: Shape | None = None) -> int:
        """Abort the uploads in parts that dead writers left, and return how many were aborted.

        Their parts are paid for and appear in no listing of objects. An upload is left alone if it is not
        below `prefix`, if its name cannot be that of an item, or if it began less than a day ago.

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
            uploads = again(
                lambda: list(self.engine.uploads(self._below(prefix))), NoSuchBucket, retry=self.engine.retry
            )
        left = [it for it in uploads if it.started <= until and self._is_ours(it.key, shape)]
        for upload in left:
            again(partial(self.engine.abort, upload), retry=self.engine.retry)
        return len(left)

    def _is_ours(self, key: str, shape: Shape | None) -> bool:
        name = tuple(key[len(self.root_prefix) :].split("/"))
        if name[-1].startswith(PROBE):
            return True
        return all(map(_PART.fullmatch, name)) and (shape is None or shape.fits(name))

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        """Yield uploads in parts that have not ended, probes, and the objects that stand for empty folders.

        Uploads are left out where the client library or the service cannot list them.
        """
        now = time.time()
        with contextlib.suppress(NoSuchBucket):
            for key, head in self._objects(self._below(prefix)):
                place, age = self.engine.describe(key), max(0.0, now - head.mtime)
                leaf = key.rpartition("/")[2]
                if leaf.startswith(PROBE):
                    what = "a question to the service about its conditions"
                    yield Leftover("leftover", place, what, age, age >= _STALE_SECONDS)
                elif not leaf and key != self.root_prefix:
                    yield Leftover("empty_folder", place, "an object that stands for a folder", age)
        try:
            uploads = again(
                lambda: list(self.engine.uploads(self._below(prefix))), NoSuchBucket, retry=self.engine.retry
            )
        except (NoSuchBucket, BackendError):
            return
        for upload in filter(lambda upload: self._is_ours(upload.key, None), uploads):
            age = max(0.0, now - upload.started)
            place = self.engine.describe(upload.key)
            yield Leftover("leftover", place, "an upload in parts", age, age >= _STALE_SECONDS)

    def now(self) -> float | None:
        """Return the service's time, to the second, by an object that is written, looked at and deleted."""
        key = f"{self.root_prefix}{PROBE}-{os.urandom(9).hex()}"
        try:
            again(
                lambda: self.engine.put(key, b"?", expect=ANY, write_id="probe"),
                NoSuchBucket,
                retry=self.engine.retry,
            )
            head = again(lambda: self.engine.head(key), NoSuchObject, NoSuchBucket, retry=self.engine.retry)
        except (NoSuchBucket, NoSuchObject):
            return None  # the place is empty
        finally:
            with contextlib.suppress(BackendError, NoSuchBucket):
                again(lambda: self.engine.erase(key), NoSuchBucket, retry=self.engine.retry)
        return head.mtime

    def describe(self, name: Name = ()) -> str:
        return self.engine.describe(self._key(name))

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return whether the endpoint supports a kind of condition; asks it, once per bucket and process."""
        return self._probes.ask(verb, kind)

    # --- Writing ------------------------------------------------------------------------------------

    def _write_data(self, name: Name, data: Data, expect: Expectation, *, deferred: bool) -> Version:
        self._require("write", expect, self.engine.retry.attempts())
        if isinstance(data, bytes):
            return self._write(name, data, expect, deferred=deferred)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            data.write_to(file)  # type: ignore[arg-type] # it is a binary file in all but its declared type
            return self._write(name, file, expect, deferred=deferred)  # type: ignore[arg-type] # the same

    def _write(self, name: Name, body: Body, expect: Expectation, *, deferred: bool) -> Version:
        tries = self.engine.retry.attempts()
        self._look_first(name, body, expect, tries)
        predecessor = self._lineage_of(name, expect, tries)
        write = _Write(
            name,
            body,
            expect,
            predecessor=predecessor,
            lineage=lineage_of(new_mark(), expect, predecessor),
            condition=expect,
            parts=self._in_parts(body, expect, tries),
            tries=tries,
            deferred=deferred,
        )
        while True:
            try:
                return self._send(write)
            except NoSuchBucket as signal:
                self._make_bucket(write, signal)
            except (Unsupported, PreconditionFailed, NoSuchObject) as signal:
                done = self._settle_refusal(write, signal)
                if done is not None:
                    return done
            except TryAgain as signal:
                pause(tries, signal)
            except Unclear as signal:
                done = self._look_for(write) if expect is ANY else self._settle_loss(write, signal)
                if done is not None:
                    return done
                # Even if it did not happen so far, it may still be on its way.
                write.repeated = True
                pause(tries, signal)

    def _send(self, write: _Write) -> Version:
        key, metadata = self._key(write.name), str(write.lineage)
        with write.tries.shared() if write.parts else contextlib.nullcontext():
            version = self.engine.put(
                key, write.body, expect=write.condition, write_id=metadata, parts=write.parts
            )
        self._lineages.remember(key, version, metadata)
        return version

    def _make_bucket(self, write: _Write, signal: NoSuchBucket) -> None:
        if isinstance(write.expect, str):
            raise ConflictError(write.name, write.expect, ABSENT) from None
        write.buckets += 1
        if write.buckets > _BUCKETS:
            raise _vanishing(self.engine) from signal.cause
        again(self.engine.create_bucket, attempts=write.tries)

    def _look_first(self, name: Name, body: Body, expect: Expectation, tries: Attempts) -> None:
        """Refuse a large write under a condition that does not hold, before anything of it is uploaded."""
        if expect is ANY or size_of(body) <= min(_LOOK_ABOVE, self.engine.multipart_above):
            return
        try:
            head = self._head(name, tries)
        except AccessDeniedError:
            return  # a writer need not have the right to look
        found = ABSENT if head is None else head.version
        if found != expect:
            raise ConflictError(name, expect, found)

    def _in_parts(self, body: Body, expect: Expectation, tries: Attempts) -> bool:
        """Return whether to upload in parts: what is large, but where conditions of that are ignored."""
        if size_of(body) <= self.engine.multipart_above:
            return False
        return expect is ANY or self._probes.ask("write", kind_of(expect), parts=True, attempts=tries)

    def _lineage_of(self, name: Name, expect: Expectation, tries: Attempts) -> Lineage | None:
        """Return the lineage of the version that a write expects, if it expects one.

        It was read with that version, by this process in nearly all cases. Where it was not, one request
        brings it, which also spares the upload if the item is at another version.
        """
        if not isinstance(expect, str):
            return None
        known = self._lineages.of(self._key(name), expect)
        if known is not None:
            return known
        try:
            head = self._head(name, tries)
        except BackendError:
            return read_lineage(None, expect)  # a caller without the right to read may still write
        if head is None or head.version != expect:
            raise ConflictError(name, expect, ABSENT if head is None else head.version)
        return read_lineage(head.write_id, head.version)

    # --- Writes that may have happened --------------------------------------------------------------

    def _settle_refusal(
        self, write: _Write, signal: Unsupported | PreconditionFailed | NoSuchObject
    ) -> Version | None:
        """Return the version of a write that was refused, if that was its own success; None to send it again.

        Raises:
            ConflictError: The item is not as expected; unsettled if the caller is going to read it anyway.
            OutcomeUnknownError: It is unknown whether the write took place.
        """
        if isinstance(signal, Unsupported) or write.condition is ANY:
            raise signal.cause from signal.__cause__
        write.repeated = write.repeated or signal.repeated
        if write.expect is ANY:
            done = self._look_for(write)
            if done is None and write.tries.over:
                raise signal.cause from signal.__cause__
            return done
        self._check_refusal(write.name, write.expect, write.tries)
        if write.deferred:
            raise UnsettledConflict(
                write.name,
                write.expect,
                partial(self._outcome_by_version, write),
                partial(self._outcome_by_service, write),
            )
        head = self._head(write.name, write.tries)
        done = self._outcome_by_head(write, head)
        if done is None:
            raise ConflictError(write.name, write.expect, ABSENT if head is None else head.version)
        return done

    def _outcome_by_version(self, write: _Write, found: Version | None) -> Version | None:
        """Return the version of a write if it took place, by the version that was read after a conflict."""
        if found is None or found == write.expect:
            return self._outcome(write, found, None)
        lineage = self._lineages.of(self._key(write.name), found)
        # It is unknown if the version came from a cache that another process has filled.
        return self._outcome_by_service(write) if lineage is None else self._outcome(write, found, lineage)

    def _outcome_by_service(self, write: _Write) -> Version | None:
        return self._outcome_by_head(write, self._head(write.name))

    def _outcome_by_head(self, write: _Write, head: Head | None) -> Version | None:
        if head is None:
            return self._outcome(write, None, None)
        return self._outcome(write, str(head.version), read_lineage(head.write_id, head.version))

    def _outcome(self, write: _Write, found: Version | None, lineage: Lineage | None) -> Version | None:
        """Return the version of a conditional write if it took place, None if it did not.

        Args:
            write: The write; it met a conflict, or its reply was lost.
            found: The version that is there; None if the item is absent.
            lineage: Its lineage, if it is known.

        Raises:
            OutcomeUnknownError: That is unknown.
        """
        suspected = self.engine.endpoint in _repeating
        verdict = judge(
            write.lineage, write.predecessor, lineage, repeated=write.repeated, suspected=suspected
        )
        if found is not None and verdict is Verdict.DONE and lineage is not None:
            if not write.repeated:
                _repeating.add(self.engine.endpoint)
            return self._version_of(write, found, lineage)
        if verdict is Verdict.UNKNOWN and found != write.expect:
            raise OutcomeUnknownError(write.name, self.describe(write.name)) from None
        return None

    def _version_of(self, write: _Write, found: Version, lineage: Lineage) -> Version:
        """Return the version that a write left; one that no item has if it was built on since."""
        mark = write.lineage.marks[0]
        version = found if lineage.marks[0] == mark else f"1/superseded-{mark}"
        self._lineages.remember(self._key(write.name), version, str(write.lineage))
        return version

    def _settle_loss(self, write: _Write, signal: Unclear) -> Version | None:
        """Return the version of a conditional write whose reply was lost, None if it is to be sent again.

        Raises:
            OutcomeUnknownError: That is unknown.
            ConflictError: Another writer was faster.
        """
        lost_race = signal.lost_race and not write.repeated
        write.repeated = not lost_race
        try:
            head = self._head(write.name, write.tries)
        except BackendError as error:
            raise OutcomeUnknownError(write.name, self.describe(write.name)) from error
        done = self._outcome_by_head(write, head)
        if done is not None:
            return done
        if lost_race or head is None or head.version != write.expect:
            raise ConflictError(write.name, write.expect, ABSENT if head is None else head.version)
        return None

    def _look_for(self, write: _Write) -> Version | None:
        """Return the version of an unconditional write that may have happened, None if it is to be repeated.

        It is repeated on the condition that the item is still as it was seen, where that is compared: so it
        overwrites nothing that was built on it, if the first request arrives late.
        """
        write.condition = ANY
        try:
            head = self._head(write.name, write.tries)
            seen = ABSENT if head is None else str(head.version)
            found = None if head is None else read_lineage(head.write_id, head.version)
            if found is not None and write.lineage.marks[0] in found.marks:
                return self._version_of(write, str(seen), found)
            if not write.parts and self._probes.ask("write", kind_of(seen), attempts=write.tries):
                write.condition = seen
                write.lineage = lineage_of(write.lineage.marks[0], seen, found)
        except BackendError:
            pass  # a caller without the right to read may still write
        return None

    # --- Removing -----------------------------------------------------------------------------------

    def _remove_any(self, name: Name) -> None:
        """Remove an item; where the endpoint compares, only one of several that remove it succeeds."""
        tries = self.engine.retry.attempts()
        for _ in range(_OVERTAKEN):
            head = self._head(name, tries)
            if head is None:
                raise KeyError(name)
            if not self._compares_on_removal(tries):
                break
            try:
                self._remove_version(name, str(head.version), tries)
            except ConflictError:
                continue
            return
        with contextlib.suppress(NoSuchObject, NoSuchBucket):
            again(lambda: self.engine.delete(self._key(name)), NoSuchObject, NoSuchBucket, attempts=tries)

    def _compares_on_removal(self, tries: Attempts) -> bool:
        try:
            return self._probes.ask("remove", "version", attempts=tries)
        except BackendError:
            return False  # a caller without the right to ask may still remove

    def _remove_batch(self, keys: list[str]) -> dict[str, Exception]:
        """Remove up to 1,000 objects, those again that were put off; return what went wrong, by key."""
        failed: dict[str, Exception] = {}
        tries = self.engine.retry.attempts()
        while keys:
            try:
                told = again(partial(self.engine.delete_many, keys), NoSuchBucket, attempts=tries)
            except NoSuchBucket:
                break
            except BackendError as error:
                failed.update(dict.fromkeys(keys, error))
                break
            failed = {key: why for key, why in failed.items() if key not in keys}
            for key, why in told.items():
                if not isinstance(why, NoSuchObject):
                    failed[key] = why.cause if isinstance(why, Signal) else why
            later = {key: why for key, why in told.items() if isinstance(why, (TryAgain, Unclear))}
            keys = list(later)
            if keys and not tries.pause(later[keys[0]].cause):
                break
        return failed

    def _remove_version(self, name: Name, version: Version, tries: Attempts) -> None:
        repeated = False
        while True:
            try:
                self.engine.delete(self._key(name), version=version)
            except Unsupported as signal:
                raise signal.cause from signal.__cause__
            except (PreconditionFailed, NoSuchObject, NoSuchBucket) as signal:
                # The removal of an absent item may have met its own success, or another process was faster.
                # It is taken for the latter unless requests are known to be repeated here.
                if repeated or signal.repeated or self.engine.endpoint in _repeating:
                    self._check_kept(name, version, self._head(name, tries))
                self._check_refusal(name, version, tries)
                found = None if isinstance(signal, PreconditionFailed) else ABSENT
                raise ConflictError(name, version, found) from None
            except (TryAgain, Unclear) as signal:
                if isinstance(signal, Unclear):
                    repeated = True
                    try:
                        head = self._head(name, tries)
                    except BackendError as error:
                        raise OutcomeUnknownError(name, self.describe(name)) from error
                    self._check_kept(name, version, head)
                    if head is not None and head.version != version:
                        raise ConflictError(name, version, head.version) from None
                pause(tries, signal)
            else:
                return

    def _check_kept(self, name: Name, version: Version, head: Head | None) -> None:
        """Raise OutcomeUnknownError if a removal may have happened, by the present version."""
        if head is not None:
            found = read_lineage(head.write_id, head.version)
            if head.version == version or was_kept(self._lineages.of(self._key(name), version), found):
                return
        raise OutcomeUnknownError(name, self.describe(name)) from None

    def _check_refusal(self, name: Name, expect: Expectation, tries: Attempts) -> None:
        """Raise BackendError if the service refuses again and again what is expected although it is there.

        Callers read and try again after a conflict, and would do so for ever. A proxy in between may have
        changed the version in a request or a reply. One request after so many refusals shows it.
        """
        if not isinstance(expect, str):
            return
        key = self._key(name)
        version, count = self._refused.get(key, ("", 0))
        count = count + 1 if version == expect else 1
        if len(self._refused) >= _REMEMBERED:
            self._refused.clear()
        self._refused[key] = expect, count
        if count % _REFUSALS:
            return
        head = self._head(name, tries)
        if head is not None and head.version == expect:
            raise BackendError(
                f"{self.describe(name)} is at version {expect!r}, but the service refused {count} times to "
                "change it on that condition; a proxy in between may change ETags or remove conditions",
                backend="s3",
                operation="write",
                key=key,
            )

    # --- Parts --------------------------------------------------------------------------------------

    def _require(self, verb: Verb, expect: Expectation, tries: Attempts) -> None:
        """Refuse a condition that the endpoint would ignore."""
        if expect is ANY:
            return
        kind = kind_of(expect)
        if not self.engine.supports(verb, kind):
            raise refuse(self.engine.describe(), verb, kind, "the client library cannot express it")
        if not self._probes.ask(verb, kind, attempts=tries):
            ignored = f"the endpoint {self.engine.endpoint} ignores such conditions"
            raise refuse(self.engine.describe(), verb, kind, ignored)

    def _head(self, name: Name, tries: Attempts | None = None) -> Head | None:
        key = self._key(name)
        try:
            head = again(
                lambda: self.engine.head(key),
                NoSuchObject,
                NoSuchBucket,
                retry=self.engine.retry,
                attempts=tries,
            )
        except (NoSuchObject, NoSuchBucket):
            return None
        self._lineages.remember(key, head.version, head.write_id)
        return head

    def _list(self, prefix: Name) -> Iterator[tuple[Name, Head]]:
        with contextlib.suppress(NoSuchBucket):
            yield from self._named(self._objects(self._below(prefix)))

    def _named(self, objects: Iterable[tuple[str, Head]]) -> Iterator[tuple[Name, Head]]:
        """Yield name and `Head` of those objects that are items."""
        cut = len(self.root_prefix)
        for key, head in objects:
            name = tuple(key[cut:].split("/"))
            if "" not in name and not name[-1].startswith(PROBE):
                yield name, head

    def _objects(self, prefix: str) -> Iterator[tuple[str, Head]]:
        """Yield all objects below a prefix; after a failure go on where the listing was."""
        last = ""
        tries: Attempts | None = None
        while True:
            try:
                for key, head in self.engine.list(prefix, start_after=last):
                    last, tries = key, None
                    yield key, head
            except (TryAgain, Unclear) as signal:
                # Of each page by itself: in between, the consumer may take all the time in the world.
                tries = tries or self.engine.retry.attempts()
                pause(tries, signal)
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
