"""The contract of stores whose items are in a folder of the tests."""

import tempfile

from perkey.files import Handle, file_system_of
from perkey.files.reading import FOLDER
from perkey.testing import StoreContract


def _of_tests() -> str:
    with Handle() as folder:
        return file_system_of(folder.open(tempfile.gettempdir(), FOLDER)).type


class FolderContract(StoreContract):
    """A file that is being replaced has a new change time before it has lost its name, but not on ext4."""

    versions_are_told_once = _of_tests() == "ext4"
