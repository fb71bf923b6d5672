"""Stand-ins for what obstore gives of Google's and of Azure's storage, after what their documentation says.

They have the peculiarities that matter to us: what is compared, what a listing does not tell, which names
metadata may have, what the removal of an absent object says. The services themselves cannot run on a test
machine.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from obstore.exceptions import AlreadyExistsError, GenericError, NotModifiedError, PreconditionError


class Stored(NamedTuple):
    data: bytes
    attributes: dict[str, str]
    written: datetime
    generation: int


class Result:
    """What `get` returns."""

    def __init__(self, data: bytes, meta: dict[str, Any], attributes: dict[str, str]) -> None:
        self.meta = meta
        self.attributes = attributes
        self._data = data

    def stream(self, min_chunk_size: int) -> Iterator[bytes]:
        starts = range(0, len(self._data), min_chunk_size)
        return (self._data[start : start + min_chunk_size] for start in starts)

    def bytes(self) -> bytes:
        return self._data


class Cloud:
    """A bucket or container, with the methods of obstore that are used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, Stored] = {}
        self._written = 0

    def get(self, key: str, options: dict[str, Any]) -> Result:
        stored = self._stored(key)
        meta = self.about(key, stored, listed=False)
        if options.get("if_none_match") == meta["e_tag"]:
            raise NotModifiedError(f"Object at location {key} not modified")
        return Result(b"" if options.get("head") else stored.data, meta, stored.attributes)

    def put(
        self,
        key: str,
        body: Any,
        *,
        attributes: dict[str, str],
        mode: Any,
        use_multipart: bool,
        chunk_size: int,
        max_concurrency: int,
    ) -> dict[str, Any]:
        assert not (use_multipart and mode != "overwrite")
        assert chunk_size
        assert max_concurrency
        data = body if isinstance(body, bytes) else body.read()
        self.check_attributes(attributes)
        with self._lock:
            if mode != "overwrite":
                self.compare(key, self._objects.get(key), mode)
            self._written += 1
            now = datetime.now(UTC).replace(microsecond=0)
            self._objects[key] = Stored(data, attributes, now, 1_000 + self._written)
            return self.about(key, self._objects[key], listed=False)

    def delete(self, keys: str | Sequence[str]) -> None:
        """Of several, stop at the first that is absent."""
        for key in [keys] if isinstance(keys, str) else keys:
            with self._lock:
                self._stored(key)
                del self._objects[key]

    def list(self, prefix: str | None, *, offset: str | None, chunk_size: int) -> Iterator[list[Any]]:
        with self._lock:
            found = sorted(self._objects.items())
        told = [
            self.about(key, stored, listed=True)
            for key, stored in found
            if key.startswith(prefix or "") and key > (offset or "")
        ]
        return (told[start : start + chunk_size] for start in range(0, len(told), chunk_size))

    def list_with_delimiter(self, prefix: str | None) -> dict[str, Any]:
        start = prefix or ""
        below = [key[len(start) :] for key in list(self._objects) if key.startswith(start)]
        return {"common_prefixes": sorted({start + key.split("/")[0] for key in below if "/" in key})}

    def about(self, key: str, stored: Stored, *, listed: bool) -> dict[str, Any]:
        """Return what is told of an object."""
        raise NotImplementedError

    def compare(self, key: str, stored: Stored | None, mode: Any) -> None:
        """Raise what obstore does if the object is not as expected."""
        raise NotImplementedError

    def check_attributes(self, attributes: dict[str, str]) -> None:
        """Raise what obstore does if an object may not have these."""

    def _stored(self, key: str) -> Stored:
        try:
            return self._objects[key]
        except KeyError:
            raise FileNotFoundError(f"Object at location {key} not found") from None


class GoogleLike(Cloud):
    """Compares generations, which listings do not tell; ETags are those of the content."""

    def about(self, key: str, stored: Stored, *, listed: bool) -> dict[str, Any]:
        return {
            "path": key,
            "last_modified": stored.written,
            "size": len(stored.data),
            "e_tag": f'"{hashlib.md5(stored.data, usedforsecurity=False).hexdigest()}"',
            "version": None if listed else str(stored.generation),
        }

    def compare(self, key: str, stored: Stored | None, mode: Any) -> None:
        if mode == "create":
            if stored is not None:
                raise AlreadyExistsError(f"Object at location {key} already exists")
        elif not mode["version"]:
            raise GenericError("Generic GCS error: Version required for conditional update")
        elif stored is None or str(stored.generation) != mode["version"]:
            raise PreconditionError(f"Request precondition failure for path {key}")


class AzureLike(Cloud):
    """Compares ETags in quotes; names of metadata are identifiers; what exists is told by a 409."""

    def about(self, key: str, stored: Stored, *, listed: bool) -> dict[str, Any]:
        return {
            "path": key,
            "last_modified": stored.written,
            "size": len(stored.data),
            "e_tag": f'"0x8DE{stored.generation:X}"',
            "version": None,
        }

    def compare(self, key: str, stored: Stored | None, mode: Any) -> None:
        if mode == "create":
            if stored is not None:
                raise AlreadyExistsError(
                    f"Object at location {key} already exists: Error performing PUT in 1ms - Server returned "
                    "non-2xx status code: 409 Conflict: <Error><Code>BlobAlreadyExists</Code>"
                    "<Message>The specified blob already exists.</Message></Error>"
                )
        elif stored is None or self.about(key, stored, listed=False)["e_tag"] != mode["e_tag"]:
            raise PreconditionError(
                f"Request precondition failure for path {key}: Error performing PUT in 1ms - Server returned "
                "non-2xx status code: 412 The condition is not met.: "
                "<Error><Code>ConditionNotMet</Code><Message>...</Message></Error>"
            )

    def check_attributes(self, attributes: dict[str, str]) -> None:
        if not all(name.isidentifier() or name == "Content-Type" for name in attributes):
            raise GenericError("Generic MicrosoftAzure error: status code: 400 Bad Request: InvalidMetadata")
