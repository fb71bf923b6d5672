"""The rules of `perkey.stores`: wrappers, public names, and the clauses of its suites."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_type_hints

import pytest
from contracts import dicts as dict_suites

import perkey
from perkey import stores as public
from perkey import testing
from perkey.errors import MissingExtraError
from perkey.stores import (
    CachedStore,
    ConditionKind,
    MemoryStore,
    PrefixStore,
    ReadOnlyStore,
    Store,
    Verb,
    WrapperStore,
)
from perkey.testing import FaultyStore

DEPRECATED = {"honours"}
"""Former names, which call the present ones."""

FACTS = {"read_only", "workers"}
"""What a wrapper takes over when it is made."""

VERBS = sorted(name for name in vars(Store) if not name.startswith("_") and name not in DEPRECATED | FACTS)


def stores() -> Iterator[type[Store]]:
    """Yield every class of a store in perkey."""
    for module in pkgutil.walk_packages(perkey.__path__, "perkey."):
        if not module.name.endswith("__main__"):
            try:
                members = vars(importlib.import_module(module.name))
            except MissingExtraError:
                continue
            for cls in members.values():
                if isinstance(cls, type) and issubclass(cls, Store) and cls.__module__ == module.name:
                    yield cls


def wraps_another(cls: type[Store]) -> bool:
    """Tell whether the constructor takes a store."""
    hints = get_type_hints(cls.__init__) if "__init__" in vars(cls) else {}
    return any(isinstance(hint, type) and issubclass(hint, Store) for hint in hints.values())


WRAPPERS = [cls for cls in stores() if wraps_another(cls)]


def test_every_store_that_takes_another_one_is_a_wrapper() -> None:
    assert {PrefixStore, CachedStore, ReadOnlyStore, FaultyStore, WrapperStore} <= set(WRAPPERS)
    assert [cls for cls in WRAPPERS if not issubclass(cls, WrapperStore)] == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("cls", WRAPPERS)
def test_every_verb_is_forwarded_or_overridden(cls: type[Store], verb: str) -> None:
    found = inspect.getattr_static(cls, verb)
    assert found is not inspect.getattr_static(Store, verb), "it does not reach the inner store"


def test_a_wrapper_asks_the_inner_store_with_the_same_arguments() -> None:
    class Asked(MemoryStore):
        workers = 7
        read_only = True

    inner: Any = Asked()
    store = WrapperStore(inner)
    assert (store.workers, store.read_only) == (7, True)
    for verb in VERBS:
        parameters = list(inspect.signature(getattr(Store, verb)).parameters.values())[1:]
        positional = [object() for each in parameters if each.kind is not each.KEYWORD_ONLY]
        named = {each.name: object() for each in parameters if each.kind is each.KEYWORD_ONLY}
        answer = object()
        asked: list[Any] = []

        def note(*args: Any, _answer: object = answer, _asked: list[Any] = asked, **kwargs: Any) -> object:
            _asked.append((list(args), kwargs))
            return _answer

        setattr(inner, verb, note)
        result = getattr(store, verb)(*positional, **named)
        assert asked == [(positional, named)], verb
        assert result is (None if verb in {"put", "try_put", "remove", "move"} else answer), verb


# --- Former names -----------------------------------------------------------------------------------


def test_a_former_name_warns_and_answers() -> None:
    store = WrapperStore(MemoryStore())
    with pytest.warns(DeprecationWarning, match=r"call supports\(\)"):
        assert store.honours("write", "version")


def test_a_store_that_overrides_a_former_name_is_understood() -> None:
    with pytest.warns(DeprecationWarning, match=r"Old\.honours\(\) is deprecated; name it supports\(\)"):

        class Old(MemoryStore):
            def honours(self, verb: Verb, kind: ConditionKind) -> bool:
                return (verb, kind) == ("write", "absent")

    store = PrefixStore(Old(), ("x",))
    assert store.supports("write", "absent")
    assert not store.supports("remove", "version")


# --- Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_all_names_in_the_signature_of_a_verb_are_public(verb: str) -> None:
    """An author of a store needs no private module."""
    about = inspect.getattr_static(Store, verb)
    texts = getattr(about, "__annotations__", {}).values()  # as text: they are not evaluated
    nodes = [node for text in texts for node in ast.walk(ast.parse(text, mode="eval"))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert names - {"Iterable", "Iterator", *vars(builtins)} <= set(public.__all__)


@pytest.mark.parametrize("module", [public, testing])
def test_all_public_names_are_there(module: Any) -> None:
    assert set(module.__all__) <= set(dir(module))


# --- Suites -----------------------------------------------------------------------------------------

SUITES = [
    suite
    for module in (testing, dict_suites)
    for name in module.__all__
    if isinstance(suite := getattr(module, name), type) and any(it.startswith("test_") for it in dir(suite))
]


@pytest.mark.parametrize("suite", SUITES)
def test_no_clause_hides_another_one(suite: type[Any]) -> None:
    """Two clauses of one name in two bases would be one: the other never runs."""
    defined: dict[str, list[type]] = {}
    for base in suite.__mro__:
        for name, clause in vars(base).items():
            if inspect.isfunction(clause) and name.startswith("test_"):
                places = defined.setdefault(name, [])
                if all(vars(place)[name] is not clause for place in places):
                    places.append(base)
    hidden = {
        name: places
        for name, places in defined.items()
        # A subclass may say better what its base says.
        if any(not issubclass(upper, lower) for upper, lower in pairwise(places))
    }
    assert hidden == {}


def test_a_smoke_has_about_twenty_clauses() -> None:
    clauses = [
        name
        for name in dir(dict_suites.DictSmoke)
        if name.startswith("test_") and getattr(dict_suites.DictSmoke, name) is not None
    ]
    assert 18 <= len(clauses) <= 24
