"""Dictionaries in any object service that obstore knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeVar

from perkey.arguments import check_callable, check_flag, check_kind
from perkey.keys import text_of
from perkey.mapping import PersiDict
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.retrying import RETRY_FOR, Retry
from perkey.stores import PrefixStore, Store
from perkey.stores.folder import DirectoryStore
from perkey.stores.objects import folder_of, harmless, harmless_to_clients, joined, kind_of, store_at

V = TypeVar("V")


class ObjectStoreDict(PersiDict[V]):
    """A persistent dictionary at an address: ``gs://``, ``az://``, ``s3://``, ``file://`` or ``memory://``.

    Safe for any number of threads, processes and machines, as far as the service supports conditions on
    writes, which it is asked once. Removals on the condition of a version are refused, because obstore
    cannot express them: `pop`, `popitem`, `discard_if` with an ETag, and a `transform_item` that deletes.
    If several callers delete one item at once, more than one may succeed. `S3Dict` does all
    of it, and finds the same items in the same place.

    A folder (``file://``) is kept as by `FileDirDict`, without obstore and without these limits.

    Requests: get 1, set 1, `in` 1, del 2, setdefault 1 or 2, a conditional write 1, transform_item 2, len
    and keys 1 for 1,000 items. Making a dictionary or a subdict sends nothing. Buckets and containers have
    to be there; folders are made.

    A pickled dictionary has the address and those options that are known to be harmless. Credentials stay
    behind, and so does the provider: the other process finds its own in its environment, as obstore does.
    The dictionaries of one process share ``memory://NAME``, which ends with the last of them; other
    processes do not see it. A process forked after obstore has been used cannot
    use it and raises `BackendError`: start processes by "spawn" or "forkserver", or before.

    Args:
        url: Where the items are: ``gs://bucket/prefix``, ``az://container/prefix`` (with the option
            ``account_name``), ``abfss://container@account.dfs.core.windows.net/prefix``, ``s3://bucket/prefix``,
            ``file:///folder`` or ``memory://name/prefix``.
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other ending for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key; by default 0, because names of objects
            are case-sensitive, and in a folder 8, as `FileDirDict` has it.
        base_class_for_values: A class that all values must be of.
        options: The service's options, as obstore's: ``region``, ``endpoint``, ``account_name``, keys, ...
        client_options: Options of obstore's HTTP client, such as ``read_timeout``.
        credential_provider: A provider of credentials, as obstore takes it.
        trust_service: Whether to rely on conditions without a test of the service. Set it to True only
            for a service that is known to compare, such as AWS S3; no probe objects are written then.
        retry_for: For how many seconds an operation repeats a request after throttling, an error of the
            service or a lost connection. Each retry is logged. 0 means one attempt only. Not used for a
            folder or memory. obstore does not pass on how long a service asks to wait (Retry-After).
        timeout: Seconds that one operation may take, all attempts included; then it raises
            `OperationTimeoutError`, at the latest when the request under way ends. None means no limit: a
            request ends when no byte comes for 20 s, so that large uploads may take as long as they need.

    Raises:
        MissingExtraError: obstore is not installed; the message names the extra.
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.
    """

    def __init__(
        self,
        url: str,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int | None = None,
        base_class_for_values: type | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        credential_provider: Any = None,
        trust_service: bool = False,
        retry_for: float = RETRY_FOR,
        timeout: float | None = None,
    ) -> None:
        check_kind("url", url, str, "a string")
        check_kind("options", options, (Mapping, NoneType), "a mapping or None")
        check_kind("client_options", client_options, (Mapping, NoneType), "a mapping or None")
        if credential_provider is not None:
            check_callable("credential_provider", credential_provider)
        trust_service = check_flag("trust_service", trust_service)
        url = text_of(url)
        store = _store_at(
            url,
            Retry(retry_for, timeout),
            options=options or {},
            client_options=client_options or {},
            credential_provider=credential_provider,
            trust_service=trust_service,
        )
        if digest_len is None:
            digest_len = DEFAULT_DIGEST_LEN if kind_of(url) == "file" else 0
        super().__init__(
            store,
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )
        self._url = url
        self._shown = {
            "options": harmless(options or {}),
            "client_options": harmless_to_clients(client_options or {}),
            "trust_service": trust_service,
            "retry_for": retry_for,
            "timeout": timeout,
        }

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, without what may be a secret."""
        below = self.store.prefix if isinstance(self.store, PrefixStore) else ()
        return {"url": joined(self._url, below), **self._items.params(), **self._shown}


def _store_at(url: str, retry: Retry, **service: Any) -> Store:
    if kind_of(url) == "file":
        if any(service.values()):
            raise ValueError("a folder has no options, needs no credentials and is not a service to trust")
        return DirectoryStore(folder_of(url))
    return store_at(url, retry=retry, **service)
