"""Clients of boto3 as this project wants them: no retries of their own, and no needless work."""

from __future__ import annotations

import email.utils
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from perkey.answers import answer
from perkey.content import STREAM_ABOVE
from perkey.errors import MissingExtraError

try:
    import boto3
    import botocore.session
    import botocore.utils
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import BotoCoreError, InvalidConfigError
except ImportError as error:
    raise MissingExtraError("S3", "aws", "boto3") from error

_NOT_MODIFIED: Final = 304
_READ: Final = frozenset(("Body", "ContentLength", "ETag", "LastModified", "Metadata"))
"""The members of a reply about an object that the engine reads."""
_LISTED: Final = frozenset(("Key", "ETag", "LastModified", "Size"))
"""The members of an object in a listing that it reads."""
REGION_HEADER: Final = "x-amz-bucket-region"
"""The header that names the region of a bucket."""
_CONNECTIONS: Final = 64
_CONNECT_SECONDS: Final = 10.0
# Botocore renews its credentials ten minutes before they expire at the latest.
_ASK_AGAIN: Final = timedelta(minutes=9)
_LENGTH_OF_DATE: Final = 10
_STATIC: Final = frozenset(("env", "shared-credentials-file", "config-file"))
"""What botocore calls credentials that it reads once, and that may be rotated meanwhile."""


def new_client(
    session: Any, *, region: str | None, endpoint_url: str | None, idle: float, unsigned: bool = False
) -> Any:
    """Make a client for S3.

    Retries are the engine's, not botocore's: after a lost reply it would repeat a conditional write and take
    its own first success for a conflict.

    Args:
        session: A user's session of boto3, or None.
        region: Name of the region; None leaves it to the configuration.
        endpoint_url: Address of a service other than AWS.
        idle: Seconds without a byte after which a request ends.
        unsigned: Whether requests are sent without a signature, for public data.

    Raises:
        botocore.exceptions.BotoCoreError: The settings cannot be used; nothing was sent.
    """
    config = Config(
        **({"signature_version": UNSIGNED} if unsigned else {}),
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        connect_timeout=min(_CONNECT_SECONDS, idle),
        read_timeout=idle,
        parameter_validation=False,  # all parameters are the engine's
        # Given whole, it need not be put together from twenty pieces for each request: a tenth of its time.
        user_agent=f"perkey Boto3/{boto3.__version__}",
    )
    try:
        maker = session or _own_session()
        client = maker.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
    except answer(ValueError) as error:
        if isinstance(error, BotoCoreError):
            raise
        # An endpoint in the environment or in a profile that is not an address, for example.
        raise InvalidConfigError(error_msg=str(error)) from error
    if session is None:
        _read_little(client)
    # Under the name of all calls: handlers for a single one would run before botocore's.
    client.meta.events.register_last("before-call.s3", _send_at_once, unique_id="perkey-at-once")
    mend(client)
    return client


def mend(client: Any) -> None:
    """Let a client understand 304 from services that send a checksum with it (rclone): it has no body.

    And let it ask only once for the region of a bucket: botocore answers a redirection by a request, which
    the service redirects, too, if all its addresses have changed.
    """
    client.meta.events.register("before-parse.s3.GetObject", _drop_body, unique_id="perkey-304")
    client.meta.events.register_first("needs-retry.s3.HeadBucket", _ask_once, unique_id="perkey-redirected")


def is_unsigned(client: Any) -> bool:
    """Return whether a client sends its requests without a signature."""
    return client.meta.config.signature_version is UNSIGNED


def sends_unsigned(session: Any) -> bool:
    """Return whether the clients of a session send their requests without a signature."""
    default = session._session.get_default_client_config()
    return default is not None and default.signature_version is UNSIGNED


def has_old_credentials(client: Any, session: Any) -> bool:
    """Return whether a new client, of a user's session or our own, would have other credentials than this."""
    old = client._request_signer._credentials
    if old is None or isinstance(old, RefreshableCredentials):
        return False  # the latter look for new ones by themselves
    try:
        new = _looked_up(session) if session is not None else _own_session().get_credentials()
    except BotoCoreError:
        return False
    return new is not None and new.get_frozen_credentials() != old.get_frozen_credentials()


def look_up_again(session: Any) -> None:
    """Let a user's session look again for credentials that it found in the environment or in a file.

    A session reads them once. Credentials that were given to it, or that it renews by itself, stay.
    """
    if (found := _looked_up(session)) is not None:
        session._session._credentials = found


def _looked_up(session: Any) -> Any:
    held = session.get_credentials()
    if held is None or held.method not in _STATIC:
        return held
    return session._session.get_component("credential_provider").load_credentials()


def credentials_of_profile() -> Any:
    """Return the credentials that boto3 finds in the environment and the profile, None if it finds none.

    Raises:
        botocore.exceptions.BotoCoreError: They cannot be had.
    """
    return _own_session().get_credentials()


def provider_of(credentials: Any) -> Callable[[], Any]:
    """Return what gives obstore credentials of boto3, renewed where they expire."""

    def provide() -> Any:
        frozen = credentials.get_frozen_credentials()
        renewed = isinstance(credentials, RefreshableCredentials)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASK_AGAIN if renewed else None,
        }

    return provide


def _own_session() -> Any:
    """Return a session like any new one, whose clients read times quickly."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)
    return boto3.session.Session(botocore_session=core)


@cache
def _loader() -> Any:
    """Return what reads the descriptions of services: once for all, as it is most of the work of a client."""
    return botocore.session.get_session().get_component("data_loader")


def _read_little(client: Any) -> None:
    """Let a client read only what the engine needs, and not look for 35 other headers.

    That is a tenth of a request's processor time, and a sixth of a listing's. A user's session may have hooks
    that want more.
    """
    replies = {
        verb: client.meta.service_model.operation_model(verb).output_shape.members
        for verb in ("GetObject", "HeadObject", "PutObject", "ListObjectsV2")
    }
    listed = replies.pop("ListObjectsV2")["Contents"].member.members
    for members, wanted in [*((reply, _READ) for reply in replies.values()), (listed, _LISTED)]:
        for name in members.keys() - wanted:
            del members[name]


def _parse_time(said: Any) -> datetime:
    """Return the moment in a reply; botocore's own way takes three quarters of a listing's time."""
    try:
        if said[_LENGTH_OF_DATE] == "T":  # 2026-11-21T14:10:07.000Z
            parsed = datetime.fromisoformat(said)
        else:  # Sat, 21 Nov 2026 14:10:07 GMT
            parsed = email.utils.parsedate_to_datetime(said)
        if parsed.tzinfo is not None:
            return parsed
    except (ValueError, TypeError, LookupError):
        pass
    slowly: datetime = botocore.utils.parse_timestamp(said)
    return slowly


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send a value that is in memory with its request, without a round trip for permission.

    botocore asks first ("Expect: 100-continue") for each body, however short.
    """
    body = params.get("body")
    if isinstance(body, io.BytesIO) and body.getbuffer().nbytes <= STREAM_ABOVE:
        params["headers"].pop("Expect", None)


def _ask_once(request_dict: dict[str, Any], response: Any, **_: Any) -> None:
    about = request_dict["context"].get("s3_redirect")
    headers = {} if response is None else response[1].get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if about is not None and REGION_HEADER not in headers:
        about["redirected"] = True  # as far as botocore knows


def _drop_body(response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == _NOT_MODIFIED:
        response_dict["body"] = b""
