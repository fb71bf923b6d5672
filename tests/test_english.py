"""Sentences that must be read twice: a search for the idioms that make them, in all that people read."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import perkey

ROOT = Path(perkey.__file__).parents[2]

IDIOMS = {
    "a program, process or user that is not named": (
        "who(so)?ever", "whomever", "whatsoever", "(some|no|any|every)body", "(some|any|every)one", "no one",
        "strangers?", "others (see|read|find|get|wait|go|have|do|are|use|write|may|can)",
    ),
    "'is no X', 'is none'": (
        "(is|are|was|were|be|has|have|had|if|and|or|but) (?-i:none)", "(?-i:none) (is|was|are)",
        "(is|are|was|were|be) no (?!longer)[a-z]+", "(is|are|was|were|be) nothing",
        "if not an? [a-z]+ (comes|is)",
    ),
    "a thing that speaks": (
        "tells?", "told", "says?", "said", "finds? out", "found out", "promises? to", "knows? (of|nothing)",
        "hears?", "listens? to",
    ),
    "a metaphor or private history": (
        "houses?", "rooms?", "at home", "crowds?", "enem(y|ies)", "tenants?", "guests?", "the seeds?",
        "as first planned", "goes without saying", "dressed", "at hand", "of old", "ours", "theirs",
    ),
    "an inversion or a clause as a noun": (
        "what(ever)? (follows|comes|goes|there is)",
        "what(ever)? (it|they|is|was|are|were) (is|was|are|were|there|found)",
        "nor (is|are|do|does|can|may)", "not a (single )?byte", "(is|are|not) to be had",
        "lest", "hence", "thus", "there(in|of)", "wherein",
    ),
}  # fmt: skip

EACH = "|".join(each for group in IDIOMS.values() for each in group)
PATTERN = re.compile(rf"\b(?:{EACH})\b", re.IGNORECASE)

TEXT = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}

ALLOWED: dict[str, str] = {
    '"OURS"': "the name of a constant",
    '"said"': "a field of the records that machines of several versions exchange",
}
"""Right uses: the text around an idiom, and why it stays."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment, docstring and message of a module, or of a whole page."""
    content = path.read_text()
    if path.suffix != ".py":
        yield 1, re.sub(r"```.*?```", lambda code: "\n" * code[0].count("\n"), content, flags=re.DOTALL)
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} or token.type == getattr(
            tokenize, "FSTRING_MIDDLE", -1
        ):
            yield token.start[0], token.string


def idioms(path: Path) -> Iterator[str]:
    for first, text in texts(path):
        for match in PATTERN.finditer(text):
            around = " ".join(text[max(0, match.start() - 40) : match.end() + 40].split())
            if not any(allowed in around for allowed in ALLOWED):
                line = first + text.count("\n", 0, match.start())
                yield f"{path.relative_to(ROOT)}:{line}: {match[0]!r} in: {around}"


def pages() -> list[Path]:
    return [
        *sorted((ROOT / "src").rglob("*.py")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.py")),
        ROOT / "README.md",
    ]


def test_nothing_that_people_read_has_idioms_that_must_be_read_twice() -> None:
    found = [each for path in pages() for each in idioms(path)]
    assert found == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Whoever wrote an archive may be an enemy",
        "there is nobody to answer",
        "is no name of a bucket",
        "Insert a value if there is none",
        "a store tells whether it is so",
        "what is said of it",
    ],
)
def test_the_search_finds_them(sentence: str) -> None:
    assert PATTERN.search(sentence)
