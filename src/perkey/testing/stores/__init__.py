"""The contract of a store as tests: one clause each, gathered into suites.

Choose the suite by what the place supports; the suite itself checks that the choice is right.
"""

from perkey.testing.stores.bulk import BulkClauses
from perkey.testing.stores.conditions import InsertClauses, RemovalClauses, ReplaceClauses
from perkey.testing.stores.contents import ContentClauses
from perkey.testing.stores.handles import HandleClauses
from perkey.testing.stores.items import ItemClauses
from perkey.testing.stores.linearity import HistoryClauses
from perkey.testing.stores.listing import ListingClauses
from perkey.testing.stores.races import (
    InsertRaces,
    PlainRaces,
    RemovalRaces,
    ReplaceOrRemoveRaces,
    ReplaceRaces,
)


class UnconditionalStoreContract(
    ItemClauses,
    ContentClauses,
    ListingClauses,
    BulkClauses,
    HandleClauses,
    PlainRaces,
    HistoryClauses,
):
    """What every store promises; conditions it refuses.

    >>> from perkey.stores import MemoryStore
    >>> class TestMyStore(StoreContract):
    ...     pickles_share_the_place = False
    ...
    ...     def make_store(self):
    ...         return MemoryStore()
    ...
    ...     def reopen(self, store):
    ...         return store
    """


class InsertingStoreContract(UnconditionalStoreContract, InsertClauses, InsertRaces):
    """For a store that can insert what is absent, and refuses conditions on versions."""


class WritingStoreContract(InsertingStoreContract, ReplaceClauses, ReplaceRaces):
    """For a store that supports all conditions on writes, and refuses them on removals."""


class StoreContract(WritingStoreContract, RemovalClauses, RemovalRaces, ReplaceOrRemoveRaces):
    """For a store that supports every condition."""


__all__ = ["InsertingStoreContract", "StoreContract", "UnconditionalStoreContract", "WritingStoreContract"]
