"""The store that keeps nothing: what is written vanishes, as if another writer had removed it at once."""

from __future__ import annotations

import pickle

import pytest

from perkey.errors import ConflictError
from perkey.expectations import ABSENT
from perkey.stores import NullStore
from perkey.testing.stores.suite import NESTED, A
from perkey.testing.streams import Stream


def test_it_stays_empty_whatever_is_written() -> None:
    store = NullStore()
    for data in (b"one", Stream([b"two"])):
        assert store.write(A, data)
        assert store.write(NESTED, data, expect=ABSENT)
    assert not store.exists(A)
    for listing in (store.scan(), store.scan_stats(), store.folders()):
        assert not any(True for _ in listing)
    for verb in (store.read, store.stat, store.remove):
        with pytest.raises(KeyError):
            verb(A)


def test_nothing_is_ever_at_a_version() -> None:
    store = NullStore()
    version = store.write(A, b"one")
    with pytest.raises(ConflictError):
        store.write(A, b"two", expect=version)
    with pytest.raises(ConflictError):
        store.remove(A, expect=version)


def test_what_cannot_be_stored_elsewhere_is_refused() -> None:
    def fail(_: int) -> None:
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        NullStore().write(A, Stream([b"x"], fail))


def test_it_is_described_and_pickled_like_others() -> None:
    store = pickle.loads(pickle.dumps(NullStore()))
    assert store.describe(NESTED).endswith("x/y/a.pkl")
    assert store.supports("write", "absent")
