"""The few clauses that are run over every dictionary.

Semantics are written once, in `PersiDict`, and the whole contract is run over memory and a folder. Elsewhere
these clauses show that store, format and wrapper are put together rightly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from contracts.dicts.adding import AddingClauses
from contracts.dicts.changing import ChangingClauses
from contracts.dicts.conditional import ConditionalClauses
from contracts.dicts.handles import HandleClauses
from contracts.dicts.order import OrderClauses
from contracts.dicts.parts import PartClauses
from contracts.dicts.policies import ClassClauses, ImmutableClauses
from contracts.dicts.races import RaceClauses
from contracts.dicts.raising import RaisingClauses
from contracts.dicts.transforming import TransformClauses
from contracts.dicts.views import ViewClauses

S = TypeVar("S", bound=type)


def only(*chosen: str) -> Callable[[S], S]:
    """Return a decorator that leaves a suite only the chosen clauses; each of them has to exist."""

    def reduce(suite: S) -> S:
        clauses = {name for name in dir(suite) if name.startswith("test_")}
        assert set(chosen) <= clauses, set(chosen) - clauses
        # All of them, so that no base behind this one decides. pytest ignores None.
        for name in sorted(clauses):
            setattr(suite, name, getattr(suite, name) if name in chosen else None)
        return suite

    return reduce


ADDING = (
    "test_what_is_assigned_is_read_back",
    "test_an_absent_key_is_a_key_error_that_names_it",
    "test_keys_that_look_like_each_others_files_do_not_meet",
    "test_a_value_that_cannot_be_stored_changes_nothing",
    "test_setdefault_inserts_once_and_returns_what_is_there",
    "test_update_takes_mappings_pairs_dictionaries_and_keywords",
    "test_values_and_items_belong_together",
    "test_a_timestamp_is_when_an_item_was_written",
    "test_a_part_holds_the_items_below_a_prefix_under_the_rest_of_their_keys",
    "test_parts_are_listed_by_the_first_part_of_longer_keys",
    "test_the_parameters_make_an_equal_handle",
    "test_a_handle_can_be_pickled",
    "test_all_values_that_raise_are_reported",
)
"""Clauses for every dictionary to which items can be added."""

CHANGING = (
    "test_pop_returns_the_value_and_deletes_it",
    "test_clear_deletes_the_items_and_nothing_foreign",
    "test_handles_on_one_place_see_what_the_other_changed",
    "test_an_etag_that_is_known_is_good_for_one_change",
    "test_an_overtaken_function_runs_again_on_the_new_value",
    "test_delete_current_deletes",
)
"""Clauses for dictionaries whose items can be changed."""

POLICIES = (
    "test_an_item_that_is_there_is_not_changed_by_anything",
    "test_a_value_of_another_class_is_refused_by_all_that_write",
)
"""Clauses for dictionaries that can be made with a policy."""


class Reduced:
    """A smoke of a contract: one kind of place is enough but in the long form of the tests."""

    empty_places_take_long = True


@only(*ADDING)
class AddOnlySmoke(
    Reduced, AddingClauses, ViewClauses, OrderClauses, PartClauses, HandleClauses, RaisingClauses
):
    """For a dictionary to which items can be added."""


@only(*POLICIES)
class PolicySmoke(Reduced, ImmutableClauses, ClassClauses):
    """For a dictionary that can be made with `immutable_items` and with `base_class_for_values`."""


@only(*CHANGING, "test_of_many_that_insert_under_one_key_one_wins")
class ChangingSmoke(Reduced, ChangingClauses, ConditionalClauses, TransformClauses, RaceClauses):
    """For a dictionary whose items can be changed, all conditions supported."""


class DictSmoke(AddOnlySmoke, ChangingSmoke, PolicySmoke):
    """For a dictionary as others."""
