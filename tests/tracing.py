"""What is asked of the operating system."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

MODULES = frozenset(("posix", "fcntl", "io", "_io"))


def system_calls(function: Callable[[], Any]) -> list[str]:
    """Return the names of the calls into the operating system that a function makes."""
    calls = []

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__module__ in MODULES:
            calls.append(called.__name__)

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls
