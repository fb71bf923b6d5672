"""What boto3's exceptions mean: the one place where its errors become signals, or errors of this project."""

from __future__ import annotations

import email.utils
from typing import Any, Final

from perkey.answers import interruption
from perkey.errors import AccessDeniedError, BackendError, MissingExtraError
from perkey.stores.objects.engine import (
    NoSuchBucket,
    NoSuchObject,
    NoSuchUpload,
    NotHonoured,
    PreconditionFailed,
    Signal,
    TryAgain,
    Unclear,
)

try:
    import botocore.exceptions as foreign
except ImportError as error:
    raise MissingExtraError("S3", "aws", "boto3") from error

FOREIGN: Final = (foreign.BotoCoreError, foreign.ClientError)
"""What boto3 raises."""

_NEVER_SENT = (foreign.EndpointConnectionError, foreign.ConnectTimeoutError)
_LOST = (
    foreign.ReadTimeoutError,
    foreign.ConnectionClosedError,
    foreign.ResponseStreamingError,
    foreign.IncompleteReadError,
    foreign.HTTPClientError,
)
_NO_CREDENTIALS = (
    foreign.NoCredentialsError,
    foreign.PartialCredentialsError,
    foreign.CredentialRetrievalError,
    foreign.TokenRetrievalError,
    foreign.ProfileNotFound,
    foreign.SSOError,
    foreign.UnknownCredentialError,
    foreign.InfiniteLoopConfigError,
    foreign.RefreshWithMFAUnsupportedError,
    foreign.UnauthorizedSSOTokenError,
)
NOT_MODIFIED = 304
_BAD_REQUEST = 400
_REGION_HEADER = "x-amz-bucket-region"
_FORBIDDEN = 403
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_READS = ("read", "stat")

_TRY_AGAIN: Final = frozenset(
    ("SlowDown", "ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "503", "429", "409")
)  # fmt: skip
# Ceph says so, with 500, to those that lost a race without being compared (ECANCELED); the others get 412.
_LOST_RACE: Final = "UnknownError"
_UNCLEAR: Final = frozenset(("InternalError", "RequestTimeout", "500", "502", "504"))
_NO_OBJECT: Final = frozenset(("NoSuchKey", "NoSuchVersion", "404", "NotFound"))
_CREDENTIALS: Final = frozenset(
    ("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
     "TokenRefreshRequired")
)  # fmt: skip
_WRONG_TIME: Final = "RequestTimeTooSkewed"
_DENIED: Final = frozenset(("AccessDenied", "403", "Forbidden"))
_NOT_A_MATTER_OF_RIGHTS: Final = frozenset(("InvalidObjectState",))  # it is in an archive
_WRONG_REGION: Final = frozenset(
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")
)


def translate(
    error: Exception, operation: str, key: str, *, place: str, region: str | None, unsigned: bool = False
) -> Exception:
    """Return the signal or error that a foreign exception means.

    Args:
        error: One of `FOREIGN`.
        operation: What was to be done, as a verb.
        key: The object, or "".
        place: Its address.
        region: Where the client looks for it.
        unsigned: Whether the request had no signature.
    """
    stopped = interruption(error)
    if isinstance(stopped, Exception):
        return stopped  # botocore took the exception of a signal handler for a failure of the connection
    code, status = code_of(error), status_of(error)
    about: dict[str, Any] = {"backend": "s3", "operation": operation, "key": key or None}
    why_elsewhere = _misplacement(error, code, status, region)
    failure = BackendError(f"cannot {operation} {place}: {why_elsewhere or _sentence(error)}", **about)
    signal = _signal(code, status)
    if signal is not None:
        return signal(failure, repeated=_retries(error) > 0)
    why_denied = _denial(error, code, status, reading=operation in _READS)
    if why_denied and unsigned:
        why_denied += "; the request was sent without a signature (unsigned=True)"
    if why_denied and not why_elsewhere:
        return AccessDeniedError(f"cannot {operation} {place}: {why_denied}", **about)
    if why_elsewhere:
        return failure
    if code in _TRY_AGAIN or isinstance(error, _NEVER_SENT):
        return TryAgain(failure, retry_after=_retry_after(error))
    if code in _UNCLEAR or status >= _SERVER_ERROR or isinstance(error, _LOST):
        return Unclear(failure, lost_race=code == _LOST_RACE, retry_after=_retry_after(error))
    return failure


def _signal(code: str, status: int) -> type[Signal] | None:
    """Return what the service says of the object, if that is what it says."""
    if code == "NoSuchBucket":
        return NoSuchBucket
    if code == "NoSuchUpload":
        return NoSuchUpload
    if code in _NO_OBJECT:
        return NoSuchObject
    if code in {"PreconditionFailed", "412"}:
        return PreconditionFailed
    if code == "NotImplemented" or status == _NOT_IMPLEMENTED:
        return NotHonoured
    return None


def _denial(error: Exception, code: str, status: int, *, reading: bool) -> str:
    """Say why this caller may not do it; nothing if that is not the reason."""
    if isinstance(error, _NO_CREDENTIALS):
        return _lack(error)
    if rejects_credentials(error):
        return f"the credentials are expired or not valid ({code})"
    if code == _WRONG_TIME:
        return f"the clocks of this machine and of the service differ too much ({code})"
    if code in _DENIED:
        of_absent = " (without the right s3:ListBucket, S3 also says this of absent objects)"
        return f"access denied{of_absent if reading else ''}"
    if status == _FORBIDDEN and code not in _NOT_A_MATTER_OF_RIGHTS:
        return f"access denied: {_sentence(error)}"
    return ""


def rejects_credentials(error: Exception) -> bool:
    """Return whether the service says that the credentials are expired or not valid.

    A reply to HEAD has no words, and so only its status.
    """
    code = code_of(error)
    return code in _CREDENTIALS or (status_of(error) == _BAD_REQUEST and code == "400")


def denies_without_a_word(error: Exception) -> bool:
    """Return whether a reply is a refusal that does not say why: one to HEAD, which has no body."""
    return code_of(error) == "403"


def _lack(error: Exception) -> str:
    """Say why no credentials could be had."""
    if isinstance(error, foreign.NoCredentialsError):
        return (
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "public data can be read with unsigned=True"
        )
    if isinstance(error, foreign.ProfileNotFound):
        return (
            f"{error}: it is named by AWS_PROFILE, AWS_DEFAULT_PROFILE or the session, and looked for in the "
            "files of AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE (~/.aws/config and ~/.aws/credentials)"
        )
    return f"no usable AWS credentials were found: {error}"


def _misplacement(error: Exception, code: str, status: int, here: str | None) -> str:
    """Say where the bucket is, if it is not where the client looks for it."""
    there = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(_REGION_HEADER)
    if code not in _WRONG_REGION and (status != _BAD_REQUEST or there in {None, here}):
        return ""
    hint = f", {there!r}" if there else ""
    return f"the bucket is in another region than {here!r}; pass its region{hint} ({code})"


def _response(error: Exception) -> dict[str, Any]:
    # Errors of the connection have the attribute, too, and it is None.
    return getattr(error, "response", None) or {}


def error_of(told: dict[str, Any], operation: str) -> Exception:
    """Return the error that boto3 would have raised for what a service says of one of many objects."""
    return foreign.ClientError({"Error": told}, operation)  # type: ignore[typeddict-item]


def code_of(error: Exception) -> str:
    """Return the service's word for an error, or ""."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the status of HTTP, or 0 where no reply came."""
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retries(error: Exception) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _retry_after(error: Exception) -> float | None:
    """Return how many seconds the service asks to wait, by its own clock if it names a moment."""
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    said = str(headers.get("retry-after", "")).strip()
    if said.isdecimal():
        return float(said)
    try:
        until, now = (email.utils.parsedate_to_datetime(at) for at in (said, headers["date"]))
        return max(0.0, (until - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def _sentence(error: Exception) -> str:
    said = _response(error).get("Error", {})
    return f"{said.get('Code')}: {said.get('Message')}" if said else f"{type(error).__name__}: {error}"
