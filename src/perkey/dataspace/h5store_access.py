"""What jobs and projects have in common: HDF5 files in their folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perkey.dataspace.h5 import H5Store, H5StoreManager


class WithStores:
    """Something with a folder, in which HDF5 files are stores of arrays."""

    KEY_DATA: Final = "signac_data"
    """The name of its own store for arrays."""

    _stores: H5StoreManager | None = None

    @property
    def path(self) -> str:
        """The folder."""
        raise NotImplementedError

    def _make(self) -> None:
        """Make the folder if need be."""
        raise NotImplementedError

    @property
    def stores(self) -> H5StoreManager:
        """The HDF5 files in the folder by their names; asking for them makes the folder.

        ``stores.name`` is the `perkey.dataspace.H5Store` of the file ``name.h5``, the same one each time.
        """
        from perkey.dataspace.h5 import H5StoreManager  # noqa: PLC0415 - seldom needed

        self._make()
        if self._stores is None or self._stores.prefix != self.path:  # a job may have moved
            self._stores = H5StoreManager(self.path)
        return self._stores

    @property
    def data(self) -> H5Store:
        """The store of its own, ``stores.signac_data``; assigning a mapping replaces what is in it."""
        return self.stores[self.KEY_DATA]

    @data.setter
    def data(self, new: Mapping[str, Any]) -> None:
        self.stores[self.KEY_DATA] = new
