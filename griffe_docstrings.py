"""An extension of griffe: examples in docstrings are code, and the pages that they name are links."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n *\S.*)*", re.MULTILINE)
PAGE = re.compile(r"\bpage\s+`(?P<name>\w+)`")


class Docstrings(griffe.Extension):
    """Put a fence around each example of doctest, and make the names of pages links."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object once, when it is loaded."""
        if obj.docstring is not None:
            linked = PAGE.sub(r"page [\g<name>](../\g<name>.md)", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(_fenced, linked)


def _fenced(example: re.Match[str]) -> str:
    indent = example["indent"]
    return f"{indent}```python\n{example[0]}\n{indent}```"
