"""Folders of a data space, which jobs and projects are: each has a document and HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from perkey.expectations import Expectation, Version
from perkey.handles import NeverSame
from perkey.synced import BufferedJSONAttrDict, JSONFile, SyncedCollection, free_names

if TYPE_CHECKING:
    from perkey.dataspace.h5 import H5Store, H5StoreManager


class DocumentFile(JSONFile):
    """A JSON file whose folder may be missing at a write.

    Args:
        filename: The path.
        prepare: Makes the folder then, or raises.
        durable: Whether it is on disk when a write returns.
        place: The folder of the data space, whose file system decides how the file is used.
    """

    def __init__(self, filename: str, prepare: Callable[[], object], *, durable: bool, place: str) -> None:
        super().__init__(filename, durable=durable, place=place)
        self._prepare = prepare

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        try:
            return super().write_bytes(content, expect)
        except FileNotFoundError:
            self._prepare()
            return super().write_bytes(content, expect)


class SpaceDocument(BufferedJSONAttrDict):
    """The document of a job or project: a nested dictionary with attributes that saves itself.

    Args:
        file: Where it is.
    """

    def __init__(self, file: DocumentFile) -> None:
        SyncedCollection.__init__(self, file)


class DataFolder(NeverSame):
    """A folder with a document and HDF5 files: a job or a project."""

    KEY_DATA: Final = "signac_data"
    """The name of its own store for arrays."""

    # Of the class, not of each handle: a search may make a hundred thousand handles.
    _document: SpaceDocument | None = None
    _stores: H5StoreManager | None = None

    @property
    def path(self) -> str:
        """The folder."""
        raise NotImplementedError

    def _prepare(self) -> Callable[[], object]:
        """Make the folder, or raise if it must not be made anew.

        Returns:
            A function that does the same at a later write.
        """
        raise NotImplementedError

    def _document_file(self) -> DocumentFile:
        """Return the file of the document; called once for a document."""
        raise NotImplementedError

    def fn(self, filename: str) -> str:
        """Return the path of a file in the folder."""
        return os.path.join(self.path, filename)

    def isfile(self, filename: str) -> bool:
        """Return whether the folder has a file of that name."""
        return os.path.isfile(self.fn(filename))

    @property
    def document(self) -> SpaceDocument:
        """The document: a nested dictionary that saves itself, safe under many writers.

        Asking for a job's initialises the job. Call it for a plain copy.
        """
        if self._document is None:
            self._document = SpaceDocument(self._document_file())
        return self._document

    @document.setter
    def document(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)

    @property
    def doc(self) -> SpaceDocument:
        """The same as `document`."""
        return self.document

    @doc.setter
    def doc(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)

    @property
    def stores(self) -> H5StoreManager:
        """The HDF5 files in the folder by their names; asking for them makes the folder.

        ``stores.name`` is the `perkey.dataspace.H5Store` of the file ``name.h5``, the same one each time.
        """
        from perkey.dataspace.h5 import H5StoreManager  # noqa: PLC0415 - seldom needed

        prepare = self._prepare()
        if self._stores is None or self._stores.prefix != self.path:  # a job may have moved
            self._stores = H5StoreManager(self.path, prepare=prepare)
        return self._stores

    @property
    def data(self) -> H5Store:
        """The store of its own, ``stores.signac_data``; assigning a mapping replaces its content."""
        return self.stores[self.KEY_DATA]

    @data.setter
    def data(self, new: Mapping[str, Any]) -> None:
        self.stores[self.KEY_DATA] = new


free_names(SpaceDocument, ("resource",), None)
