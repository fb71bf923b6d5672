"""The contract of a dictionary as tests: one clause each, gathered into suites.

`DictContract` is for dictionaries whose items can be changed, `WriteOnceContract` for those in which the
first value stays, `EmptyDictContract` for those in which none does. `DictSmoke` has about twenty clauses.
"""

from contracts.dicts.adding import AddingClauses
from contracts.dicts.changing import ChangingClauses
from contracts.dicts.conditional import ConditionalClauses
from contracts.dicts.empty import EmptyDictContract
from contracts.dicts.handles import HandleClauses
from contracts.dicts.order import OrderClauses
from contracts.dicts.parts import PartClauses
from contracts.dicts.policies import ClassClauses, ImmutableClauses
from contracts.dicts.races import RaceClauses
from contracts.dicts.raising import RaisingClauses
from contracts.dicts.smoke import AddOnlySmoke, ChangingSmoke, DictSmoke, PolicySmoke
from contracts.dicts.suite import PICKLED, PLAIN, TEXTS, DictSuite, Values
from contracts.dicts.transforming import TransformClauses
from contracts.dicts.views import ViewClauses
from contracts.dicts.write_once import FirstWriteClauses


class AddOnlyContract(AddingClauses, ViewClauses, OrderClauses, PartClauses, HandleClauses, RaisingClauses):
    """What holds for every dictionary to which items can be added."""


class DictContract(AddOnlyContract, ChangingClauses, ConditionalClauses, TransformClauses, RaceClauses):
    """The whole contract, but for the policies that a dictionary may be made with."""


class PolicyContract(ImmutableClauses, ClassClauses):
    """For a dictionary that can be made with `immutable_items` and with `base_class_for_values`."""


class WriteOnceContract(AddOnlyContract, FirstWriteClauses):
    """For a dictionary that ignores later writes."""


__all__ = [
    "PICKLED",
    "PLAIN",
    "TEXTS",
    "AddOnlyContract",
    "AddOnlySmoke",
    "ChangingSmoke",
    "DictContract",
    "DictSmoke",
    "DictSuite",
    "EmptyDictContract",
    "PolicyContract",
    "PolicySmoke",
    "Values",
    "WriteOnceContract",
]
