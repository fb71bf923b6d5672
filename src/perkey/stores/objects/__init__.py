"""A store over a bucket: one object per item, and the engines that send its requests."""

from perkey.stores.objects.addresses import (
    check_flags,
    folder_of,
    harmless,
    harmless_to_clients,
    joined,
    kind_of,
)
from perkey.stores.objects.engine import NoSuchBucket, again, is_mocked
from perkey.stores.objects.store import ObjectStore

__all__ = [
    "NoSuchBucket",
    "ObjectStore",
    "again",
    "check_flags",
    "folder_of",
    "harmless",
    "harmless_to_clients",
    "is_mocked",
    "joined",
    "kind_of",
]
