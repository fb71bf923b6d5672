"""Metadata that needs the address of the documentation site: the README's links, the project's addresses."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAGES = {
    "CHANGELOG.md": "changelog/",
    "CONTRIBUTING.md": "contributing/",
    "SECURITY.md": "security_policy/",
    "examples/": "examples/",
    "examples/README.md": "examples/",
}
LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


class SiteMetadata(MetadataHookInterface):
    """Fill in the fields `readme` and `urls`, which depend on `perkey.pages.ADDRESS`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the fields."""
        root = Path(self.root)
        address = runpy.run_path(str(root / "src/perkey/pages.py"))["ADDRESS"]
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_addresses(text, address)}
        metadata["urls"] = urls(address)


def urls(address: str) -> dict[str, str]:
    """Return the project's addresses; without the site's address the project has none."""
    if not address:
        return {}
    site = address.rstrip("/")
    return {"Homepage": f"{site}/", "Documentation": f"{site}/", "Changelog": f"{site}/changelog/"}


def with_addresses(readme: str, address: str) -> str:
    """Return the README with its relative links made absolute, or as it is if there is no address.

    >>> with_addresses("[S3](docs/s3.md#rights), ![a](docs/images/a.png)", "https://example.org/perkey")
    '[S3](https://example.org/perkey/s3/#rights), ![a](https://example.org/perkey/images/a.png)'
    """
    if not address:
        return readme

    def absolute(link: re.Match[str]) -> str:
        return f"]({address.rstrip('/')}/{site_path(link['target'])}{link['anchor'] or ''})"

    return LINK.sub(absolute, readme)


def site_path(source: str) -> str:
    """Return the path on the site of a file of the repository."""
    if source in PAGES:
        return PAGES[source]
    return re.sub(r"(/index)?\.(md|py)$", "/", source.removeprefix("docs/"))
