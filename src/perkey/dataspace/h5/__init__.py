"""Stores of arrays in HDF5 files; nothing here loads h5py before a file is opened."""

from perkey.dataspace.h5.manager import H5StoreManager
from perkey.dataspace.h5.store import H5Group, H5Store

__all__ = ["H5Group", "H5Store", "H5StoreManager"]
