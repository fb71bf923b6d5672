"""A dictionary as the store of `joblib.Memory`: cached results in a folder, a bucket or any other place.

Importing this module registers the backend.

>>> from perkey import LocalDict
>>> memory = joblib.Memory("cache", backend="perkey", backend_options={"dict": LocalDict()}, verbose=0)
>>> memory.cache(len)([1, 2, 3])
3
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import joblib
from joblib._store_backends import CacheItemInfo, CacheWarning, StoreBackendBase, StoreBackendMixin

from perkey.answers import answer
from perkey.errors import CorruptValueError
from perkey.keys import quote
from perkey.mapping import PersiDict
from perkey.naming import naming

BACKEND: Final = "perkey"
"""The name of the backend, for the argument ``backend`` of `joblib.Memory`."""

_OUTPUT: Final = "output"
_METADATA: Final = "metadata"
_CODE: Final = "func_code"

_OLD: Final = {"time": 0.0, "duration": 0.0, "input_args": {}}
"""The metadata of a result whose own are missing: a callback of joblib that looks at its age refuses it."""

_Call = Sequence[str]
"""A function, or a function and the digest of its arguments, as joblib names them."""


class DictStoreBackend(StoreBackendBase, StoreBackendMixin):  # type: ignore[misc] # joblib has no types
    """Keeps what `joblib.Memory` caches in a dictionary.

    Each result is one item, under the location, the module, the name of the function and the digest of the
    arguments; beside it are its metadata, and the code of the function. Results are encoded by the
    format of the dictionary, and so ``compress`` of `joblib.Memory` has no effect.

    Several processes and machines may use the same place. joblib itself does not keep them from computing
    the same result at the same time; all of them store it, each time whole.
    """

    def configure(
        self, location: str, verbose: int = 0, backend_options: dict[str, Any] | None = None
    ) -> None:
        """Take the dictionary from ``backend_options["dict"]``, and in it the part that the location names.

        Raises:
            TypeError: The dictionary is missing.
            ValueError: ``mmap_mode`` is given: an item of a dictionary is not a file that can be mapped.
        """
        options = {} if backend_options is None else backend_options
        found = options.get("dict")
        if not isinstance(found, PersiDict):
            raise TypeError(
                "joblib.Memory with backend='perkey' needs backend_options={'dict': d}, d being a PersiDict, "
                f"not {type(found).__name__}"
            )
        if options.get("mmap_mode") is not None:
            raise ValueError("mmap_mode must be None: values of a dictionary cannot be mapped into memory")
        self.location = location
        self.verbose = verbose
        self.compress = options.get("compress", False)
        self.mmap_mode = None
        self._dict = found.get_subdict(_key_of(location))

    # --- Results ------------------------------------------------------------------------------------

    def load_item(self, call_id: _Call, *_: Any, **__: Any) -> Any:
        """Return a result; raises KeyError if it does not exist."""
        return self._dict[_key(call_id, _OUTPUT)]

    def dump_item(self, call_id: _Call, item: Any, *_: Any, **__: Any) -> None:
        """Store a result; as joblib does, warn if that fails, because the caller has the result anyway."""
        try:
            self._dict[_key(call_id, _OUTPUT)] = item
        except answer(Exception) as error:
            warnings.warn(f"the result was not cached: {error}", CacheWarning, stacklevel=2)

    def contains_item(self, call_id: _Call) -> bool:
        """Return whether a result exists."""
        return _key(call_id, _OUTPUT) in self._dict

    def clear_item(self, call_id: _Call) -> None:
        """Remove a result."""
        self._dict.delete_many([_key(call_id, _OUTPUT), _key(call_id, _METADATA)])

    def get_metadata(self, call_id: _Call) -> dict[str, Any]:
        """Return the metadata of a result; without readable ones, those of a result that is very old."""
        text = self._text_of(_key(call_id, _METADATA))
        try:
            return dict(_OLD if text is None else json.loads(text))
        except answer(ValueError):
            return dict(_OLD)

    def store_metadata(self, call_id: _Call, metadata: Any) -> None:
        """Store the metadata of a result; as joblib does, do without if that fails."""
        try:
            self._dict[_key(call_id, _METADATA)] = json.dumps(metadata)
        except answer(Exception) as error:
            warnings.warn(f"the metadata were not cached: {error}", CacheWarning, stacklevel=2)

    # --- Functions ----------------------------------------------------------------------------------

    def contains_path(self, call_id: _Call) -> bool:
        """Return whether a function has results or code here."""
        return bool(self._dict.get_subdict(_key(call_id)))

    def clear_path(self, call_id: _Call) -> None:
        """Remove all results of a function, and its code."""
        self._dict.get_subdict(_key(call_id)).clear()

    def store_cached_func_code(self, call_id: _Call, func_code: str | None = None) -> None:
        """Store the code of a function, by which joblib notices that the function has changed."""
        if func_code is not None:
            self._dict[_key(call_id, _CODE)] = func_code

    def get_cached_func_code(self, call_id: _Call) -> str:
        """Return the code of a function.

        Raises:
            FileNotFoundError: It does not exist or is damaged; joblib computes anew then.
        """
        code = self._text_of(_key(call_id, _CODE))
        if code is None:
            raise FileNotFoundError(f"no code of {'/'.join(call_id)} is cached")
        return code

    def _text_of(self, key: tuple[str, ...]) -> str | None:
        try:
            text = self._dict.get(key)
        except answer(CorruptValueError):
            return None
        return text if isinstance(text, str) else None

    # --- All ----------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove everything."""
        self._dict.clear()

    def get_items(self) -> list[CacheItemInfo]:
        """Return place, size and time of each result; the time is that of the last write.

        Cost: a listing with sizes.
        """
        key_of = naming(self._dict.digest_len, self._dict.file_type).key_of
        sizes: defaultdict[str, int] = defaultdict(int)
        times: dict[str, float] = {}
        for name, stat in self._dict.store.scan_stats():
            key = key_of(name)
            if key is not None and key[-1] in {_OUTPUT, _METADATA}:
                place = "/".join(key[:-1])
                sizes[place] += stat.size
                times[place] = max(stat.mtime, times.get(place, 0.0))
        # joblib compares with local times.
        local = {place: datetime.fromtimestamp(written) for place, written in times.items()}  # noqa: DTZ006
        return [CacheItemInfo(place, size, local[place]) for place, size in sizes.items()]

    def clear_location(self, location: str) -> None:
        """Remove a result, by the place that `get_items` returned."""
        self._dict.get_subdict(tuple(location.split("/"))).clear()

    def create_location(self, location: str) -> None:
        """Do nothing: a dictionary needs no folder before the first item."""

    # What joblib's own ways of storing call; all of them are overridden above.

    def _open_item(self, f: Any, mode: str) -> NoReturn:
        raise NotImplementedError

    def _item_exists(self, location: str) -> NoReturn:
        raise NotImplementedError

    def _move_item(self, src: str, dst: str) -> NoReturn:
        raise NotImplementedError


def _key_of(path: str) -> tuple[str, ...]:
    """Return the key that a path of joblib is kept under."""
    return tuple(part for text in path.replace("\\", "/").split("/") if text for part in quote(text))


def _key(call_id: _Call, *more: str) -> tuple[str, ...]:
    return (*(part for path in call_id for part in _key_of(path)), *more)


joblib.register_store_backend(BACKEND, DictStoreBackend)
