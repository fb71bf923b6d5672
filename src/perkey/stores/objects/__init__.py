"""A store over a bucket: one object per item, and the engines that send its requests.

The modules over client libraries, such as `boto` and `obstore_url`, need an extra. `make_engine` and
`store_at` load them.
"""

from perkey.stores.objects.addresses import folder_of, harmless, harmless_to_clients, joined, kind_of
from perkey.stores.objects.engine import DEFAULT_BUCKET, Engine, NoSuchBucket, again, is_mocked
from perkey.stores.objects.opening import EngineName, make_engine, store_at
from perkey.stores.objects.store import ObjectStore

__all__ = [
    "DEFAULT_BUCKET",
    "Engine",
    "EngineName",
    "NoSuchBucket",
    "ObjectStore",
    "again",
    "folder_of",
    "harmless",
    "harmless_to_clients",
    "is_mocked",
    "joined",
    "kind_of",
    "make_engine",
    "store_at",
]
