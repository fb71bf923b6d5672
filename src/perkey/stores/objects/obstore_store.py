"""Any object service that obstore knows, by its address.

What a service honours is found out as on S3, by asking it. Obstore cannot express that only a certain version
is to be removed: such removals are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from perkey.naming import Name
from perkey.retrying import Retry
from perkey.stores.base import Stat, Store
from perkey.stores.objects.engine import Engine
from perkey.stores.objects.obstore_url import UrlEngine
from perkey.stores.objects.store import ObjectStore


class ObstoreStore(ObjectStore):
    """Items as objects below an address: ``gs://``, ``az://``, ``s3://`` or ``memory://``.

    Costs are those of `ObjectStore`, but that many items are removed one by one, except on S3 and Azure.
    Buckets are not made. A pickle has the address and those options that are known to be harmless; what is
    not, credentials among it, stays behind, and the other process takes it from its environment, as obstore
    does.

    What is in ``memory://NAME`` is shared by the handles of a process, and gone with the last of them.

    Args:
        url: The address, of a bucket or of a prefix in one, without secrets.
        options: The service's options, as obstore's, such as ``region`` or ``account_name``.
        client_options: Options of the HTTP client, as obstore's.
        credential_provider: What returns credentials, as obstore's.
        trust_service: Whether conditions are relied upon without a test of the service.
        retry: For how long failed requests are tried again.

    Raises:
        ValueError: The address is not one of these, or has a password or a query in it.
    """

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        credential_provider: Any = None,
        trust_service: bool = False,
        retry: Retry = Engine.retry,
    ) -> None:
        engine = UrlEngine(
            url,
            options=options,
            client_options=client_options,
            credential_provider=credential_provider,
            retry=retry,
        )
        prefix = urlsplit(url).path.strip("/") if engine.kind == "memory" else ""
        super().__init__(engine, prefix, trust_service=trust_service)
        self._kind = engine.kind
        if self._kind == "memory":
            self.workers = 1  # there is no network to wait for

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        if self._kind == "gs":
            return ((name, Stat("", float(int(head.mtime)), head.size)) for name, head in self._list(prefix))
        return self.scan_stats(prefix)

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        """Yield name and `Stat` of each item below `prefix`; on Google one request more for each."""
        if self._kind == "gs":
            return Store.scan_stats(self, prefix)  # a listing does not tell the generations that are compared
        if self._kind == "memory":
            return ((name, Stat(head.version, head.mtime, head.size)) for name, head in self._list(prefix))
        return super().scan_stats(prefix)
