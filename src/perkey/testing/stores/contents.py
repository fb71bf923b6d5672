"""Clauses about content: of any size, streamed both ways, all or nothing."""

from __future__ import annotations

import os
from typing import Final

import pytest

from perkey.content import STREAM_ABOVE
from perkey.errors import UnstorableValueError
from perkey.naming import Name
from perkey.stores import Store
from perkey.testing.racing import elsewhere
from perkey.testing.stores.suite import NESTED, A, StoreSuite, content_and_version, drained, state_of
from perkey.testing.streams import Stream

SIZES: Final = (0, 1, 4096, STREAM_ABOVE, STREAM_ABOVE + 1, 3 << 20)


class _Interrupted(BaseException):
    """As KeyboardInterrupt: not an Exception."""


def _failing(pieces: list[bytes], at: int, error: BaseException) -> Stream:
    def fail(number: int) -> None:
        if number == at:
            raise error

    return Stream(pieces, fail)


class ContentClauses(StoreSuite):
    """What bytes and streams may be, and what a failing one leaves."""

    @pytest.mark.parametrize("size", SIZES)
    def test_content_of_any_size_comes_back(self, store: Store, size: int) -> None:
        content = os.urandom(size)
        version = store.write(A, content)
        assert content_and_version(store, A) == (content, version)
        assert store.stat(A).size == size

    @pytest.mark.parametrize("size", SIZES)
    def test_streamed_content_of_any_size_comes_back(self, store: Store, size: int) -> None:
        content = os.urandom(size)
        version = store.write(A, Stream(content[start : start + 70_001] for start in range(0, size, 70_001)))
        assert content_and_version(store, A) == (content, version)
        assert drained(store.read(A, limit=1000)) == (content, version)

    def test_a_stream_may_come_in_many_small_and_empty_pieces(self, store: Store) -> None:
        pieces = [b"", b"a", b"", *[b"%d," % number for number in range(500)], b""]
        store.write(A, Stream(pieces))
        assert content_and_version(store, A)[0] == b"".join(pieces)

    def test_every_byte_comes_back_as_it_was(self, store: Store) -> None:
        content = bytes(range(256)) + b"\r\n\x00\xff\xfe\x1a" + b"\n" * 3
        store.write(A, content)
        assert content_and_version(store, A)[0] == content

    def test_content_up_to_the_limit_comes_as_bytes_and_more_may_come_as_a_file(self, store: Store) -> None:
        version = store.write(A, b"x" * 1000)
        assert store.read(A, limit=1000) == (b"x" * 1000, version)
        assert drained(store.read(A, limit=999)) == (b"x" * 1000, version)
        assert drained(store.read(A, limit=0)) == (b"x" * 1000, version)

    def test_a_file_that_was_read_into_can_be_read_from_its_start_again(self, store: Store) -> None:
        store.write(A, b"x" * 5000)
        found = store.read(A, limit=10)
        assert found is not None
        if not isinstance(found[0], bytes):
            with found[0] as file:
                start = file.tell()
                assert file.read(100) == b"x" * 100
                file.seek(start)
                assert file.read() == b"x" * 5000

    def test_a_known_version_is_not_transferred_whatever_the_limit(self, store: Store) -> None:
        version = store.write(A, b"x" * 5000)
        assert store.read(A, unless=version, limit=10) is None
        assert drained(store.read(A, unless="another", limit=10)) == (b"x" * 5000, version)

    def test_a_handle_that_knows_an_older_version_finds_the_newest(self, store: Store) -> None:
        """Also where a handle remembers content: no file stays open behind the caller's back."""
        other = self.reopen(store)
        store.write(A, b"x" * 5000)
        drained(other.read(A, limit=10))
        newest = store.write(A, b"y" * 5000)
        assert other.read(A, unless=newest, limit=10) is None
        assert drained(other.read(A, limit=10)) == (b"y" * 5000, newest)

    def test_content_that_was_read_as_a_file_is_not_changed_by_later_writers(self, store: Store) -> None:
        version = store.write(A, b"old" * 1000)
        for change in (lambda: store.write(A, b"new" * 1000), lambda: store.remove(A)):
            content = content_and_version(store, A)[0]
            found = store.read(A, limit=10)
            change()
            assert drained(found)[0] == content
        assert version

    @pytest.mark.parametrize("present", [False, True], ids=["no item", "an item"])
    @pytest.mark.parametrize("name", [A, NESTED], ids=["top", "nested"])
    def test_a_stream_that_fails_leaves_the_old_state_and_no_litter(
        self, store: Store, name: Name, present: bool
    ) -> None:
        """At once, midway and at its end."""
        if present:
            store.write(name, b"old")
        before = state_of(store, name)
        listed = self.names(store)
        pieces = [b"x" * 10, b"y" * (STREAM_ABOVE + 1), b"z"]
        for at in (0, 1, 3):
            with pytest.raises(UnstorableValueError, match="after all"):
                store.write(name, _failing(pieces, at, UnstorableValueError("not encodable after all")))
            assert state_of(store, name) == before
            assert self.names(store) == listed
            assert sorted(found for found, _ in store.scan_stats() if found == name) == listed

    @pytest.mark.parametrize("error", [RuntimeError("its own"), _Interrupted()], ids=["error", "interrupt"])
    def test_whatever_a_stream_raises_reaches_the_writer(self, store: Store, error: BaseException) -> None:
        store.write(A, b"old")
        with pytest.raises(type(error)):
            store.write(A, _failing([b"x" * 100, b"y"], 1, error))
        assert content_and_version(store, A)[0] == b"old"
        store.write(A, b"new")
        assert content_and_version(store, A)[0] == b"new"

    def test_while_a_stream_is_written_others_see_the_old_content(self, store: Store) -> None:
        version = store.write(A, b"old")
        seen = []

        def look(number: int) -> None:
            other = self.reopen(store)
            seen.append((number, elsewhere(lambda: content_and_version(other, A))))

        store.write(A, Stream([b"new", b"er" * 50_000], look))
        assert {found for _, found in seen} == {(b"old", version)}
        assert content_and_version(store, A)[0] == b"new" + b"er" * 50_000

    @pytest.mark.parametrize("name", [A, NESTED], ids=["top", "nested"])
    def test_while_a_stream_is_written_nothing_of_it_is_listed(self, store: Store, name: Name) -> None:
        seen = []

        def look(_: int) -> None:
            other = self.reopen(store)
            listed = elsewhere(lambda: self.names(other))
            stats = [found for found, _ in other.scan_stats() if found in listed]
            seen.append((listed, stats, self.folders(other), other.exists(name)))

        store.write(name, Stream([b"new", b"er" * 50_000], look))
        assert len(seen) == 3
        assert all(found == ([], [], [], False) for found in seen)
        assert self.names(store) == [name]
