"""Functions over any dictionary, and over the places that dictionaries are kept in."""
