"""Documents as keys of Redis: JSON text under a key, as any client reads it.

The version is the SHA-1 of the text, computed by the server; so changes by other programs are seen, and
asking whether something changed transfers nothing. Compare-and-swap is one script, which the server runs
atomically.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, cast

from perkey.errors import ConflictError, CorruptValueError, OutcomeUnknownError
from perkey.expectations import Expectation, Version
from perkey.synced.buffers import Buffer
from perkey.synced.collection import SyncedCollection, pair, resource_of
from perkey.synced.document import BytesResource
from perkey.synced.errors import WrongKindError
from perkey.synced.synced_dict import SyncedDict
from perkey.synced.synced_list import SyncedList

_WRONG_TYPE: Final = "WRONGTYPE"

_READ: Final = """
local text = redis.call('GET', KEYS[1])
if text and redis.sha1hex(text) == ARGV[1] then return 1 end
return text
"""

_WRITE: Final = """
local text = redis.call('GET', KEYS[1])
local version = text and redis.sha1hex(text) or ''
if version ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisKey(BytesResource):
    """One key of Redis (2.6 or later, or what speaks its protocol, with Lua).

    Requests: one for each look, one for each attempt at an edit. An expiry of the key is lost by an edit.

    Args:
        client: A ``redis.Redis``; its retries, if any, apply to looks only.
        key: The key.
    """

    def __init__(self, client: Any, key: str | bytes) -> None:
        super().__init__()
        self.client: Final = client
        self.key: Final = key

    def read_bytes(self, known: Version | None) -> tuple[bytes, Version] | None:
        with self._typed():
            found = self.client.eval(_READ, 1, self.key, known or "")
        if found == 1:
            return None
        if found is None:
            raise KeyError(self.key)
        content = found.encode() if isinstance(found, str) else found
        return content, _version_of(content)

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        expected = expect if isinstance(expect, str) else ""
        with self._typed():
            written = self._once("EVAL", _WRITE, 1, self.key, expected, content)
        if not written:
            raise ConflictError((str(self.key),), expect)
        return _version_of(content)

    def describe(self) -> str:
        return f"redis:{self.key!r}"

    @property
    def identity(self) -> Hashable:
        return id(self.client.connection_pool), self.key

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """Raise WrongKindError in the place of the client's error for a key whose value is not text."""
        from redis.exceptions import ResponseError

        try:
            yield
        except ResponseError as error:
            if _WRONG_TYPE not in str(error):
                raise
            kind = self.client.type(self.key)
            kind = kind.decode() if isinstance(kind, bytes) else kind
            raise WrongKindError(
                f"{self.describe()} is a Redis {kind}; expected a Redis string with JSON text"
            ) from error
        except UnicodeDecodeError as error:
            raise CorruptValueError(f"not text: {error}", place=self.describe()) from error

    def _once(self, *command: Any) -> Any:
        """Send a command, and never again: a client that repeats it would meet its own first success."""
        from redis.exceptions import ConnectionError as NoConnection
        from redis.exceptions import TimeoutError as NoReply

        pool = self.client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command(*command)
            return connection.read_response()
        except (NoConnection, NoReply) as error:
            raise OutcomeUnknownError((str(self.key),), self.describe()) from error
        finally:
            pool.release(connection)


def _version_of(content: bytes) -> Version:
    from hashlib import sha1  # loads OpenSSL

    return sha1(content, usedforsecurity=False).hexdigest()


class RedisCollection(SyncedCollection):
    """What the collections in Redis have in common.

    Args:
        client: A ``redis.Redis``. It cannot be pickled, and so neither can the collection.
        key: The key that holds the JSON text.
        data: The content of the document as long as the key does not exist; see `SyncedCollection`.
        allow_nan: Whether NaN and infinities may be put in.

    Raises:
        WrongKindError: (by all operations) The key holds a list, a hash or another type of Redis.
        OutcomeUnknownError: (by edits) The connection was lost before the reply came.
        redis.RedisError: (by all operations) The server, or the way to it, failed.
    """

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")

    def __init__(self, client: Any, key: str | bytes, data: Any = None, *, allow_nan: bool = True) -> None:
        super().__init__(RedisKey(client, key), data, allow_nan=allow_nan)

    @property
    def client(self) -> Any:
        """The client."""
        return cast("RedisKey", resource_of(self)).client

    @property
    def key(self) -> str | bytes:
        """The key."""
        return cast("RedisKey", resource_of(self)).key


class RedisDict(RedisCollection, SyncedDict):
    """A dict under a key of Redis."""


class RedisList(RedisCollection, SyncedList):
    """A list under a key of Redis."""


pair(RedisDict, RedisList)
