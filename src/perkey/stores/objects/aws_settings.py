"""The settings that AWS programs share, read without boto3: the environment, and a profile in two files.

obstore reads the environment only. This module reads the profile too, in boto3's order, so that both ways
to a bucket ask the same service with the same credentials. boto3 fetches the credentials that a profile only
describes, such as those of a role or of a single sign-on. Without boto3 an error names the extra.
"""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from perkey.answers import answer, system_answer
from perkey.errors import MissingExtraError
from perkey.stores.objects.addresses import check_endpoint

try:
    from obstore.exceptions import UnauthenticatedError
except ImportError as error:
    raise MissingExtraError("object stores through obstore", "obstore", "obstore") from error

_STATIC: Final = (
    ("access_key_id", "aws_access_key_id"),
    ("secret_access_key", "aws_secret_access_key"),
    ("token", "aws_session_token"),
)
_DESCRIBED: Final = ("role_arn", "web_identity_token_file", "sso_start_url", "sso_session")
"""What describes credentials, and wins over keys in the same profile."""
_DESCRIBED_OTHERWISE: Final = ("login_session", "credential_process")
"""What describes credentials, where a profile has no keys in the file of credentials."""
_ELSEWHERE: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Names of what leads obstore to credentials that are in no file."""

_OF_AWS: Final = "https://s3.{region}.amazonaws.com"


class Settings(NamedTuple):
    """The settings in the environment and the profile.

    Attributes:
        options: In obstore's words: region, endpoint, credentials, checksum_algorithm, as far as known.
        by_boto: Whether the credentials are to be fetched by boto3.
    """

    options: dict[str, Any]
    by_boto: bool = False


def read_settings(*, credentials: bool) -> Settings:
    """Return the settings in the environment and the profile; nothing is sent.

    Args:
        credentials: Whether credentials are looked for.

    Raises:
        UnauthenticatedError: No credentials can be found; the text has the reason and the remedy.
        ValueError: A file cannot be read.
    """
    name, profile, services = _profile(required=credentials)
    region = _env("AWS_DEFAULT_REGION") or profile.get("region") or _env("AWS_REGION")
    found = {
        "region": region,
        "endpoint": _endpoint(profile, services, region or "us-east-1"),
        "checksum_algorithm": _checksum(profile),
    }
    options = {option: value for option, value in found.items() if value}
    if not credentials:
        return Settings(options)
    keys = _keys_of_environment() or _keys_of_profile(name, profile)
    if keys is None:
        return Settings(options, by_boto=True)
    if not keys and _env("AWS_EC2_METADATA_DISABLED").lower() == "true" and not any(map(_env, _ELSEWHERE)):
        raise UnauthenticatedError(
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "public data can be read with options={'skip_signature': True}"
        )
    return Settings({**options, **keys})


# --- Credentials ------------------------------------------------------------------------------------


def _keys_of_environment() -> dict[str, str]:
    names = {option: name.upper() for option, name in _STATIC}
    keys = {option: _env(name) for option, name in names.items() if _env(name)}
    if "access_key_id" in keys and "secret_access_key" not in keys:
        raise UnauthenticatedError(
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; set both, or neither"
        )
    return keys if "access_key_id" in keys else {}


def _keys_of_profile(name: str, profile: Mapping[str, str]) -> dict[str, str] | None:
    """Return the keys in a profile, none if it has not any, None if it describes how to get them."""
    keys = {option: profile[theirs] for option, theirs in _STATIC if theirs in profile}
    how = [it for it in _DESCRIBED if it in profile]
    how = how or [it for it in _DESCRIBED_OTHERWISE if it in profile and "access_key_id" not in keys]
    if how:
        _require_boto(name, how[0])
        return None
    if keys and not {"access_key_id", "secret_access_key"} <= keys.keys():
        raise UnauthenticatedError(
            f"the profile {name!r} has only one of aws_access_key_id and aws_secret_access_key; it needs both"
        )
    return keys


def _require_boto(name: str, how: str) -> None:
    try:
        import boto3  # noqa: F401 - whether it is there
    except ImportError:
        raise UnauthenticatedError(
            f"the profile {name!r} describes its credentials by {how!r}, which needs boto3: "
            "pip install 'perkey[aws]'"
        ) from None


# --- Places -----------------------------------------------------------------------------------------


def _endpoint(profile: Mapping[str, str], services: Mapping[str, str], region: str) -> str:
    ignored = _env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or profile.get(
        "ignore_configured_endpoint_urls", ""
    )
    by_environment = _env("AWS_ENDPOINT_URL_S3") or _env("AWS_ENDPOINT_URL")
    if ignored.lower() == "true":
        # Obstore would take that of the environment all the same.
        return _OF_AWS.format(region=region) if by_environment else ""
    found = by_environment or services.get("endpoint_url", "") or profile.get("endpoint_url", "")
    if found:
        check_endpoint(found)
    return found


def _checksum(profile: Mapping[str, str]) -> str:
    """Return what writes are to be sent with: buckets with Object Lock refuse them without a checksum."""
    when = _env("AWS_REQUEST_CHECKSUM_CALCULATION") or profile.get("request_checksum_calculation", "")
    return "" if when.lower() == "when_required" else "sha256"


# --- Files ------------------------------------------------------------------------------------------


def _profile(*, required: bool) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    """Return the name of the profile, its content, and the settings of its services for S3.

    Args:
        required: Whether a profile that is named has to exist.
    """
    asked = _env("AWS_DEFAULT_PROFILE") or _env("AWS_PROFILE")  # boto3's order
    name = asked or "default"
    config = _sections("AWS_CONFIG_FILE", "~/.aws/config")
    profiles = {_name_in_config(section): about for section, about in config.items()}
    keys = _sections("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    if required and asked and name not in profiles and name not in keys:
        raise UnauthenticatedError(
            f"The config profile ({name}) could not be found: it is named by AWS_PROFILE or "
            "AWS_DEFAULT_PROFILE, and looked for in the files of AWS_CONFIG_FILE and "
            "AWS_SHARED_CREDENTIALS_FILE (~/.aws/config and ~/.aws/credentials)"
        )
    profile = {**profiles.get(name, {}), **keys.get(name, {})}
    services = config.get(f"services {profile.get('services', '')}", {})
    return name, profile, _nested(services.get("s3", ""))


def _name_in_config(section: str) -> str | None:
    """Return the name of the profile that a section of the configuration is, None if it is not one."""
    if section == "default":
        return section
    try:
        words = shlex.split(section)
    except answer(ValueError):
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004 - "profile NAME"


def _sections(variable: str, usual: str) -> dict[str, dict[str, str]]:
    path = Path(_env(variable) or usual).expanduser()
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text("utf-8"))
    except system_answer(OSError):
        return {}  # as for boto3, a file that is not there has no profiles
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ValueError(f"the file {str(path)!r} of AWS settings cannot be read: {error}") from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _nested(value: str) -> dict[str, str]:
    """Return the settings in the indented lines of another one."""
    pairs = (line.partition("=") for line in value.splitlines() if "=" in line)
    return {name.strip(): said.strip() for name, _, said in pairs}


def _env(name: str) -> str:
    return os.environ.get(name, "")
