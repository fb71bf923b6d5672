"""Formats for shared places: signed values, and pickles that may only name listed classes.

Neither is registered by default: both need a decision of yours. The page
`security` of the documentation describes what each does and does not protect.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import pickle
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

from perkey.arguments import check_iterable, check_kind
from perkey.content import Content, Data, bytes_of, read_all
from perkey.errors import CorruptValueError, UnloadableValueError
from perkey.formats.base import Format, can_check
from perkey.formats.frames import FrameReader
from perkey.formats.joblibs import as_joblib_file
from perkey.formats.pickled import PickleFormat, RefusedError

_MARK = b"perkey-hmac-sha256\n"
_MAC_BYTES = hashlib.sha256().digest_size
_LEAST_SECRET = 16


class SignedFormat(Format):
    """Wraps a format: values carry an HMAC-SHA256, and one with a wrong HMAC is never decoded.

    Protects against values forged or changed by a writer without the secret. It does not hide them,
    and does not notice when a signed value is put under another key or an older one is put back.

    Args:
        inner: The format of the values proper.
        secret: Key of the HMAC, at least 16 bytes. It is not part of a pickled dictionary handle.

    Raises:
        ValueError: `secret` is too short.
    """

    def __init__(self, inner: Format, *, secret: bytes) -> None:
        check_kind("inner", inner, Format, "a Format")
        check_kind("secret", secret, bytes, "bytes")
        if len(secret) < _LEAST_SECRET:
            raise ValueError(f"secret must have at least {_LEAST_SECRET} bytes")
        self._inner = inner
        self._secret = secret
        self.value_class = inner.value_class

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inner!r}, secret=...)"

    def encode(self, value: Any) -> Data:
        body = bytes_of(self._inner.encode(value))
        return _MARK + self._mac(body) + body

    def decode(self, content: Content) -> Any:
        return self._inner.decode(self._body(content))

    def check(self, content: Content) -> bool:
        body = self._body(content)
        if can_check(self._inner):
            self._inner.check(body)
        return True  # the signature is right

    def _body(self, content: Content) -> bytes:
        signed = read_all(content)
        mac, body = signed[len(_MARK) : len(_MARK) + _MAC_BYTES], signed[len(_MARK) + _MAC_BYTES :]
        if not signed.startswith(_MARK) or not hmac.compare_digest(mac, self._mac(body)):
            raise CorruptValueError("its signature is missing or wrong")
        return body

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")


class AllowListPickleFormat(PickleFormat):
    """A `PickleFormat` that builds only objects of listed classes, and calls only listed functions.

    Containers, strings, bytes, numbers, booleans and None need no listing.

    Args:
        allowed: Classes and functions, or their names as ``"module.qualified_name"``.

    A value that names anything else is not loaded: `UnloadableValueError` names it.
    """

    def __init__(self, allowed: Iterable[Any]) -> None:
        super().__init__()
        check_iterable("allowed", allowed, "classes and names")
        self._allowed = frozenset(
            name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}" for name in allowed
        )
        self._load = self._load_allowed
        self._loads = lambda raw: self._load_allowed(io.BytesIO(raw))

    def _load_allowed(self, file: FrameReader | BinaryIO) -> Any:
        return _AllowListUnpickler(file, self._allowed).load()

    def _load_foreign(self, content: Content) -> NoReturn:
        as_joblib_file(content)  # damage is reported as damage
        raise UnloadableValueError("not written by perkey, so the list of allowed classes cannot be applied")


class _AllowListUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, allowed: frozenset[str]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in self._allowed:
            raise RefusedError(f"it names {name}, which is not in the list of allowed classes")
        return super().find_class(module_name, global_name)
