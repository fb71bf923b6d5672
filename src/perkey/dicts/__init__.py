"""The dictionaries: a place or a meaning each, all semantics being in `PersiDict`.

Those of object services are in `perkey.dicts.s3` and `perkey.dicts.object_store_dict`, and not loaded here:
they need more of the standard library than a folder does.
"""

from perkey.dicts.cached import CachedDict
from perkey.dicts.file_dir import FileDirDict
from perkey.dicts.local import EmptyDict, LocalDict
from perkey.dicts.overlapping import OverlappingMultiDict
from perkey.dicts.write_once import WriteOnceDict

__all__ = [
    "CachedDict",
    "EmptyDict",
    "FileDirDict",
    "LocalDict",
    "OverlappingMultiDict",
    "WriteOnceDict",
]
