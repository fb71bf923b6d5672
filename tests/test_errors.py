"""Errors are the builtin a caller would already catch, carry facts, make sentences, and travel."""

import copy
import pickle
from typing import Any

import pytest

from perkey import (
    BackendError,
    ConcurrencyConflictError,
    ConflictError,
    ConsistencyCheckError,
    CorruptValueError,
    MutationPolicyError,
    NonEmptySafeStrTuple,
    PerkeyError,
    UnloadableValueError,
    UnstorableValueError,
    UnsupportedConditionError,
)
from perkey.expectations import ABSENT, refuse

KEY = NonEmptySafeStrTuple("a", "b")

EXAMPLES: list[tuple[PerkeyError, type[Exception], str]] = [
    (MutationPolicyError("immutable_items: no", KEY), TypeError, "immutable_items: no (key ('a', 'b'))"),
    (MutationPolicyError("immutable_items: no"), TypeError, "immutable_items: no"),
    (
        ConflictError(("x", "y.pkl"), "v1", "v2"),
        RuntimeError,
        "x/y.pkl: expected 'v1', found 'v2'; nothing was changed",
    ),
    (
        ConflictError(("x",), ABSENT),
        RuntimeError,
        "x: expected ABSENT, found another state; nothing was changed",
    ),
    (
        ConcurrencyConflictError(KEY, 3),
        RuntimeError,
        "('a', 'b'): 3 attempts, each overtaken by another writer",
    ),
    (UnsupportedConditionError("cannot"), NotImplementedError, "cannot"),
    (BackendError("broken", backend="s3", operation="read", key=KEY), RuntimeError, "broken"),
    (CorruptValueError("cut off"), ValueError, "the value is damaged: cut off"),
    (
        CorruptValueError("cut off", key=KEY, place="/d/a"),
        ValueError,
        "value of key ('a', 'b') at /d/a is damaged: cut off",
    ),
    (
        UnloadableValueError("no module x", key=KEY, place="/d/a"),
        ImportError,
        "value of key ('a', 'b') at /d/a cannot be loaded here: no module x",
    ),
    (
        UnstorableValueError("a function", key=KEY, place="/d/a"),
        TypeError,
        "value of key ('a', 'b') at /d/a cannot be stored: a function",
    ),
    (
        ConsistencyCheckError(KEY, ["[0]: 1 -> 2", "[1]: 3 -> 4"]),
        ValueError,
        "('a', 'b'): the new value differs from the one written first:\n  [0]: 1 -> 2\n  [1]: 3 -> 4",
    ),
]
IDS = [f"{number}-{type(error).__name__}" for number, (error, _, _) in enumerate(EXAMPLES)]


@pytest.mark.parametrize(("error", "builtin", "sentence"), EXAMPLES, ids=IDS)
class TestEveryError:
    def test_is_of_perkey_and_of_the_builtin_kind(
        self, error: PerkeyError, builtin: type[Exception], sentence: str
    ) -> None:
        assert isinstance(error, PerkeyError)
        assert isinstance(error, builtin)

    def test_makes_a_sentence_of_its_facts(
        self, error: PerkeyError, builtin: type[Exception], sentence: str
    ) -> None:
        assert str(error) == sentence

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_survives_pickling_whole(
        self, error: PerkeyError, builtin: type[Exception], sentence: str, protocol: int
    ) -> None:
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert_alike(twin, error)

    def test_survives_copying_and_a_note(
        self, error: PerkeyError, builtin: type[Exception], sentence: str
    ) -> None:
        noted = copy.deepcopy(error)
        noted.add_note("while testing")
        assert_alike(pickle.loads(pickle.dumps(noted)), noted)
        assert_alike(copy.copy(error), error)


def assert_alike(twin: PerkeyError, error: PerkeyError) -> None:
    assert type(twin) is type(error)
    assert twin.args == error.args
    assert twin.__dict__ == error.__dict__
    assert str(twin) == str(error)


def test_errors_of_subclasses_with_other_constructors_pickle_too() -> None:
    twin = pickle.loads(pickle.dumps(OddError(1, two=2)))
    assert (twin.one, twin.two) == (1, 2)


class OddError(PerkeyError):
    def __init__(self, one: Any, *, two: Any) -> None:
        super().__init__("odd")
        self.one = one
        self.two = two


def test_a_refused_condition_says_what_and_why() -> None:
    said = [
        str(refuse("/d", "write", "version", "no locks")),
        str(refuse("/d", "remove", "absent", "no links")),
    ]
    assert said[0] == (
        "/d: cannot write an item on the condition of a certain version of it: no locks. "
        "Nothing was changed; unconditional operations work. "
        "See the page 'concurrency' of the documentation."
    )
    assert "remove an item on the condition of that it is absent: no links" in said[1]
