"""`PersiDict`: the semantics of all dictionaries, written once."""

from perkey.mapping.items import rebuilt
from perkey.mapping.persi_dict import PersiDict, V
from perkey.mapping.transforming import TransformingFunction, pause

__all__ = ["PersiDict", "TransformingFunction", "V", "pause", "rebuilt"]
