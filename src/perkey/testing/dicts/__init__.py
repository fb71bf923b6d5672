"""The contract of a dictionary as tests: one clause each, gathered into suites.

`DictContract` is for dictionaries whose items can be changed, `WriteOnceContract` for those in which the
first value stays, `EmptyDictContract` for those in which none does.
"""

from perkey.testing.dicts.adding import AddingClauses
from perkey.testing.dicts.changing import ChangingClauses
from perkey.testing.dicts.conditional import ConditionalClauses
from perkey.testing.dicts.empty import EmptyDictContract
from perkey.testing.dicts.handles import HandleClauses
from perkey.testing.dicts.order import OrderClauses
from perkey.testing.dicts.parts import PartClauses
from perkey.testing.dicts.policies import ClassClauses, ImmutableClauses
from perkey.testing.dicts.races import RaceClauses
from perkey.testing.dicts.raising import RaisingClauses
from perkey.testing.dicts.suite import PICKLED, PLAIN, TEXTS, DictSuite, Values
from perkey.testing.dicts.transforming import TransformClauses
from perkey.testing.dicts.views import ViewClauses
from perkey.testing.dicts.write_once import FirstWriteClauses


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
    "DictContract",
    "DictSuite",
    "EmptyDictContract",
    "PolicyContract",
    "Values",
    "WriteOnceContract",
]
