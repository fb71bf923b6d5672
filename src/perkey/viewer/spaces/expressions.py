"""Regular expressions that a user types, matched in a process of their own.

A short expression can need years for a short text (``(a+)+$``). Python's `re` cannot be interrupted, and
while it matches, no other thread runs: neither the one that answers requests, nor the one that handles a
signal. So the texts of all jobs go to another process at once, which ends itself after `SECONDS`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

SECONDS: Final = 3
_MOST_KNOWN: Final = 200_000
_PROGRAM: Final = f"""
import faulthandler, json, re, sys
faulthandler.dump_traceback_later({SECONDS}, exit=True)
asked = json.load(sys.stdin).items()
found = {{each: [bool(re.search(each, text)) for text in texts] for each, texts in asked}}
json.dump(found, sys.stdout)
"""
_LISTS: Final = frozenset(("$and", "$or"))
_REGEX: Final = "$regex"


class Expressions:
    """Outcomes of expressions, as far as they are known.

    A filter is tried with the outcomes that are known. Until a text's outcome is known, the expression does
    not match it, and notes it. Then `learn` matches the noted texts, and the filter is tried again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}
        self._asked: dict[str, dict[str, None]] = {}

    def replaced(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return a valid filter whose regular expressions are functions that ask this object."""
        return dict(self._pair(name, each) for name, each in wanted.items())

    def learn(self) -> bool:
        """Match what was asked for since the last call; return whether there was anything.

        Raises:
            ValueError: It takes too long.
        """
        asked, self._asked = self._asked, {}
        if not asked:
            return False
        outcomes = _matched({pattern: list(texts) for pattern, texts in asked.items()})
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        for pattern, texts in asked.items():
            self._known.update(zip(((pattern, text) for text in texts), outcomes[pattern], strict=True))
        return True

    def _pair(self, name: str, each: Any) -> tuple[str, Any]:
        if name == _REGEX or name.endswith(f".{_REGEX}"):
            return f"{name.removesuffix(_REGEX)}$where", self._asking(each)
        if name in _LISTS:
            return name, [self.replaced(one) for one in each]
        if isinstance(each, Mapping) and (name == "$not" or not name.startswith("$")):
            return name, self.replaced(each)
        return name, each

    def _asking(self, pattern: str) -> Callable[[Any], bool]:
        def matches(value: Any) -> bool:
            if not isinstance(value, str):
                return False
            outcome = self._known.get((pattern, value))
            if outcome is None:
                self._asked.setdefault(pattern, {})[value] = None
            return bool(outcome)

        return matches


def _matched(asked: Mapping[str, list[str]]) -> dict[str, list[bool]]:
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
    texts = json.dumps(asked)
    done = subprocess.run(command, input=texts, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        named = ", ".join(map(repr, asked))
        raise ValueError(
            f"matching {named} takes more than {SECONDS} s. Write a regular expression without nested "
            "repetitions such as (a+)+, or look for a part of the text"
        )
    found: dict[str, list[bool]] = json.loads(done.stdout)
    return found
