"""Azurite, Microsoft's own stand-in for Azure's storage: its address, its well-known key, a new container."""

import base64
import hashlib
import hmac
import os
import secrets
import urllib.request
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

ENDPOINT: Final = os.environ.get("PERKEY_AZURITE_ENDPOINT", "")
"""Address of an Azurite with its usual account; `azurite_up.sh` starts one. Without it it is not tested."""

ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of every Azurite; Microsoft publishes it."""

_VERSION: Final = "2021-12-02"


def options(key: str = KEY) -> dict[str, Any]:
    """Return the options of a dictionary at this Azurite."""
    return {"account_name": ACCOUNT, "account_key": key, "endpoint": f"{ENDPOINT}/{ACCOUNT}"}


def new_container(*, public: bool = False) -> str:
    """Make a container, of which all may read if it is public, and return its name."""
    name = f"perkey-{secrets.token_hex(8)}"
    headers = {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": _VERSION}
    if public:
        headers["x-ms-blob-public-access"] = "container"
    signed = [
        *("PUT", *[""] * 11),  # none of the standard headers
        *(f"{header}:{value}" for header, value in sorted(headers.items())),
        f"/{ACCOUNT}/{ACCOUNT}/{name}",
        "restype:container",
    ]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(signed).encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{ENDPOINT}/{ACCOUNT}/{name}?restype=container"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, method="PUT", headers=headers)).close()
    return name
