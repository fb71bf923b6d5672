"""Where the documentation is: one address, which messages, the package's metadata and the site itself use."""

from __future__ import annotations

from typing import Final

ADDRESS: Final[str] = ""
"""The address of the documentation site, such as ``https://example.org/perkey``; empty before publication."""


def page(name: str) -> str:
    """Return where a page of the documentation is: its address, or its name if the site has no address.

    >>> page("s3")
    "the page 's3' of the documentation"
    """
    return f"{ADDRESS.rstrip('/')}/{name}/" if ADDRESS else f"the page {name!r} of the documentation"
