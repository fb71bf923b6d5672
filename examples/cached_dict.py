"""CachedDict: a fast dictionary in front of a slow one, that never gives an outdated value."""

import tempfile

from perkey import CachedDict, LocalDict, PersiDict
from perkey.expectations import Version
from perkey.stores import Content, DirectoryStore, Name


class DistantStore(DirectoryStore):
    """A folder that stands for a place far away: it counts how often a value travels."""

    transfers = 0

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        """Read an item; nothing travels if the reader has it already."""
        found = super().read(name, unless=unless, limit=limit)
        self.transfers += found is not None
        return found


def main() -> None:
    """Read one value many times, change it behind the cache's back, and read it again."""
    with tempfile.TemporaryDirectory() as folder:
        distant = DistantStore(folder)
        main_dict = PersiDict[list[int]](distant)
        main_dict["numbers"] = list(range(100_000))

        # The cache may be in memory, as here, or a FileDirDict on a local disk that many processes share.
        cached = CachedDict(main_dict, LocalDict())
        total = sum(len(cached["numbers"]) for _ in range(100))
        print(f"read 100 times, {total} numbers; the value travelled {distant.transfers} time(s)")

        # Another process writes to the main dictionary. The next read notices, because each read asks for
        # the version, and only that.
        main_dict["numbers"] = [1, 2, 3]
        print("after a change elsewhere:", cached["numbers"])

        # Values that can never change are trusted: they cost the distant place nothing at all.
        constants = PersiDict[float](distant, file_type="json", immutable_items=True)
        trusting = CachedDict(constants, LocalDict(file_type="json"))
        trusting["pi"] = 3.14159
        distant.transfers = 0
        print("pi:", trusting["pi"], "- transfers:", distant.transfers)


if __name__ == "__main__":
    main()
