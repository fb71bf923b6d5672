"""`PersiDict`: the semantics of all dictionaries, written once."""

from perkey.mapping.bulk import progress_bar, read_many
from perkey.mapping.conditional import TransformingFunction
from perkey.mapping.fitting import digest_len_of, parameters_of
from perkey.mapping.items import Items, Policy, items_of, rebuilt
from perkey.mapping.persi_dict import PersiDict, V
from perkey.mapping.showing import place_html

__all__ = [
    "Items",
    "PersiDict",
    "Policy",
    "TransformingFunction",
    "V",
    "digest_len_of",
    "items_of",
    "parameters_of",
    "place_html",
    "progress_bar",
    "read_many",
    "rebuilt",
]
