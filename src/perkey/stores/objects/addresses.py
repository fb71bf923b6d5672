"""Addresses of object services: which there are, and what of them may be shown to others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from perkey.arguments import without_secrets
from perkey.naming import Name

_KINDS: Final = {
    "memory": "memory",
    "file": "file",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
}

_BUCKET: Final = re.compile(r"[a-zA-Z0-9.\-_]{1,255}|arn:[^\s?#@]+")
_NOT_IN_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ENDPOINTS: Final = ("endpoint", "endpoint_url")

_HARMLESS: Final = frozenset(
    ("region", "default_region", "endpoint", "endpoint_url", "virtual_hosted_style_request", "skip_signature",
     "unsigned_payload", "checksum_algorithm", "request_payer", "disable_tagging", "disable_bulk_delete",
     "s3_express", "imdsv1_fallback", "account_name", "container_name", "use_emulator", "use_fabric_endpoint",
     "use_azure_cli", "bucket", "bucket_name")
)  # fmt: skip
"""Options that travel with a pickle and are shown; whatever else there is may be a secret."""

_SPELLINGS: Final = {"default_region": "region", "endpoint_url": "endpoint", "session_token": "token"}
"""Other spellings of options."""

_HARMLESS_TO_CLIENTS: Final = frozenset(
    ("allow_http", "connect_timeout", "read_timeout", "timeout", "http1_only", "http2_only",
     "pool_idle_timeout", "pool_max_idle_per_host", "user_agent", "default_content_type",
     "randomize_addresses")
)  # fmt: skip

_TO_CLIENTS: Final = _HARMLESS_TO_CLIENTS | {
    *("allow_invalid_certificates", "default_headers", "root_certificate"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes"),
    *("http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_keep_alive_while_idle"),
    "http2_max_frame_size",
}
"""Options of an HTTP client: among those of a service they would end obstore, and with it the program."""


def check_bucket(name: str) -> None:
    """Refuse what cannot be the name of a bucket, nor the ARN of an access point."""
    if not isinstance(name, str):
        raise TypeError(f"bucket_name must be a str, not {type(name).__name__}")
    if not _BUCKET.fullmatch(name) or name in {".", ".."}:
        raise ValueError(
            f"{without_secrets(name)!r} is not a valid bucket name: it must have only letters, digits, dots, "
            "hyphens and underscores; pass a prefix as root_prefix"
        )


def check_prefix(prefix: str) -> None:
    """Refuse what cannot be the beginning of the names of objects."""
    if not isinstance(prefix, str):
        raise TypeError(f"root_prefix must be a str, not {type(prefix).__name__}")
    if _NOT_IN_XML.search(prefix):
        raise ValueError(
            f"root_prefix {prefix!r} has characters in it that no request for a removal can name"
        )


def check_endpoint(url: str) -> None:
    """Refuse an invalid address of a service, and secrets in it: it is shown, and travels with pickles."""
    if not isinstance(url, str):
        raise TypeError(f"an endpoint must be a str, not {type(url).__name__}")
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an endpoint has no user, password, query or fragment; credentials go elsewhere")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(f"an endpoint begins with http:// or https:// and a host, not as {url!r}")


def endpoint_in(options: Mapping[str, Any]) -> str | None:
    """Return the endpoint that is among the options of a service.

    Raises:
        TypeError, ValueError: The endpoint is not valid, or an option is one of the HTTP client.
    """
    for name in options:
        if _bare(name) in _TO_CLIENTS:
            raise ValueError(f"{name} is an option of the HTTP client: pass it in client_options")
    for name, value in options.items():
        if _bare(name) in _ENDPOINTS:
            check_endpoint(value)
            return str(value)
    return None


def kind_of(url: str) -> str:
    """Return the kind of service: ``"memory"``, ``"file"``, ``"s3"``, ``"gs"`` or ``"az"``.

    Raises:
        TypeError: The address is not a str.
        ValueError: The address is of another kind, or has a part that looks like a secret.
    """
    if not isinstance(url, str):
        raise TypeError(f"an address must be a str, not {type(url).__name__}")
    parts = urlsplit(url)
    if parts.scheme not in _KINDS:
        raise ValueError(f"an address begins with one of {sorted(_KINDS)}, and ://, not {parts.scheme!r}")
    if parts.password is not None or parts.query or parts.fragment:
        raise ValueError("an address has no password, query or fragment; credentials go into the options")
    kind = _KINDS[parts.scheme]
    if kind == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("the address of a folder is file:// and its absolute path")
    if kind not in {"file", "memory"}:
        if not parts.netloc:
            raise ValueError("the address of a bucket has its name after ://")
        if ":" in parts.netloc:
            raise ValueError(
                "the name of a bucket must not have a colon; a port is part of the endpoint, and credentials "
                "come from the environment or go into the options"
            )
    return kind


def base_of(url: str) -> str:
    """Return the part of an address that object names are appended to; of memory its name without prefix."""
    parts = urlsplit(url)
    return f"memory://{parts.netloc}" if parts.scheme == "memory" else url.rstrip("/")


def folder_of(url: str) -> str:
    """Return the path that a ``file://`` address names."""
    return url2pathname(urlsplit(url).path)


def joined(url: str, parts: Name) -> str:
    """Return the address of what lies below an address."""
    scheme, _, place = url.partition("://")
    return f"{scheme}://{'/'.join((place.rstrip('/'), *parts))}" if parts else url


def harmless(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of a service that may be shown, and sent to other processes."""
    return {name: value for name, value in options.items() if _bare(name) in _HARMLESS and _is_open(value)}


def harmless_to_clients(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of an HTTP client that may be shown, and sent to other processes."""
    return {name: value for name, value in options.items() if name in _HARMLESS_TO_CLIENTS}


def option_names(options: Mapping[str, Any]) -> set[str]:
    """Return the names of options of a service, without the service's own and each in one spelling."""
    return {_SPELLINGS.get(name, name) for name in map(_bare, options)}


def _is_open(value: Any) -> bool:
    """Return whether a value cannot be an address with a password or a signature in it."""
    return not (isinstance(value, str) and ("@" in value or "?" in value))


def _bare(option: str) -> str:
    """Return the name of an option without the service's."""
    name = option.lower()
    for service in ("aws_", "azure_storage_", "azure_", "google_"):
        name = name.removeprefix(service)
    return name
