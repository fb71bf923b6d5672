"""Edits of a signal handler within an edit of the same thread, at every bytecode: none is lost silently."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import pytest
from crews import sample
from tracing import at_opcode

from perkey.errors import NestedWriteError
from perkey.synced import BufferedJSONDict, JSONDict, MemoryBufferedJSONDict

KINDS: Final[dict[str, type[JSONDict]]] = {
    "file": JSONDict,
    "buffer of bytes": BufferedJSONDict,
    "buffer of documents": MemoryBufferedJSONDict,
}
YES_OR_NO: Final = (False, True)


def edit_twice(document: Any) -> None:
    document["outer"] = 1
    document["outer"] = document["outer"] + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("buffered", YES_OR_NO)
def test_each_edit_that_returned_is_there(tmp_path: Path, kind: str, buffered: bool) -> None:
    path = tmp_path / "d.json"
    refused = 0
    for number in sample(13, (KINDS, kind), (YES_OR_NO, buffered)):
        path.unlink(missing_ok=True)
        document = KINDS[kind](path)
        done: list[int] = []

        def nested(document: Any = document, done: list[int] = done) -> None:
            nonlocal refused
            try:
                document["inner"] = 1
            except NestedWriteError:
                refused += 1
            else:
                done.append(1)

        def act(document: Any = document) -> None:
            with document.buffered if buffered else nullcontext():
                edit_twice(document)

        reached = at_opcode(number, nested, act)
        assert JSONDict(path)() == {"outer": 2} | dict.fromkeys(["inner"] * len(done), 1), number
        assert KINDS[kind].get_current_buffer_size() == 0, number
        if not reached:
            assert number > 500
            break
    assert buffered or not refused
