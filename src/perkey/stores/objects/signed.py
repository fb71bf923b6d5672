"""Requests that obstore has no verb for, sent by the standard library to addresses that obstore signs.

They are rare: the removal of a certain version, and making a bucket. So nothing keeps a connection for them.
"""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any, Final, Literal, NoReturn, TypeAlias
from urllib.error import HTTPError, URLError

from perkey.answers import answer, interruption, raise_unchanged
from perkey.errors import MissingExtraError
from perkey.stores.objects.responses import REFUSED_BY_PROXY, Rejected, Response, read_body

try:
    import obstore
except ImportError as error:
    raise MissingExtraError("object stores through obstore", "obstore", "obstore") from error

Method: TypeAlias = Literal["DELETE", "HEAD", "PUT"]

_VALID: Final = timedelta(minutes=15)
_NEVER_SENT: Final = (ConnectionRefusedError, socket.gaierror)
_REFUSED_TUNNEL: Final = "Tunnel connection failed"
"""The beginning of `http.client`'s error for a proxy that does not make a connection."""


def send(
    store: Any,
    *,
    method: Method,
    key: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> None:
    """Send a request to an address in a bucket.

    Args:
        store: The bucket, as obstore's store.
        method: The method of HTTP.
        key: The object; "" for the bucket itself.
        seconds: After how many seconds without a byte the request ends.
        headers: Headers beside those that obstore signs.
        body: What is sent.

    Raises:
        obstore.exceptions.BaseError: The address cannot be signed.
        Rejected: The service refused the request, or no reply came.
    """
    address = obstore.sign(store, method, key, _VALID)
    request = urllib.request.Request(address, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - the scheme is the endpoint's
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:  # noqa: S310 - the same
            reply.read()
    except answer(OSError, HTTPException) as error:
        _reject(error)


def _reject(error: Exception) -> NoReturn:
    """Raise what an error of the standard library means."""
    stopped = interruption(error)
    if isinstance(stopped, Exception):
        raise_unchanged(stopped)  # urllib took the exception of a signal handler for one of the connection
    if isinstance(error, HTTPError):
        with error:
            code, message = read_body(error.read().decode(errors="replace"))
        response = Response(
            error.code, code, message or str(error), trouble="", redirected=False, unsigned=False
        )
    else:
        reason = error.reason if isinstance(error, URLError) else error
        trouble = _trouble(reason)
        response = Response(
            0, "", f"{type(error).__name__}: {error}", trouble, redirected=False, unsigned=False
        )
    raise Rejected(response) from error


def _trouble(reason: object) -> str:
    if str(reason).startswith(_REFUSED_TUNNEL):
        return REFUSED_BY_PROXY
    return "Connect" if isinstance(reason, _NEVER_SENT) else "Interrupted"
