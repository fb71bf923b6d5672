"""HDF5 files as mappings; h5py is loaded when the first one is used."""
