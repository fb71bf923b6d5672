"""Jokers: values that are commands, so that a function can decide what happens to an item."""

import tempfile
from typing import Any

from perkey import DELETE_CURRENT, KEEP_CURRENT, FileDirDict, Joker


def judged(reading: float) -> float | Joker:
    """Return what to store for a sensor's reading: nothing for a spike, no item for a broken sensor."""
    if reading < 0:
        return DELETE_CURRENT
    if reading > 100:
        return KEEP_CURRENT
    return reading


def main() -> None:
    """Take readings of a sensor, good and bad ones."""
    with tempfile.TemporaryDirectory() as folder:
        latest = FileDirDict(folder, file_type="json")
        for reading in (21.5, 999.0, 22.0, -1.0, -1.0):
            latest["kitchen"] = judged(reading)  # deleting a missing key is not an error
            print(f"read {reading:>5}, latest: {latest.get('kitchen')}")

        # They work wherever a value is given: in update() ...
        latest.update({"cellar": 8.0, "attic": 30.0})
        latest.update({"cellar": DELETE_CURRENT, "attic": KEEP_CURRENT})
        print("after the update:", {key[0]: value for key, value in latest.items()})

        # ... and as the result of a transforming function.
        def warmer(value: Any) -> Any:
            return value + 1 if value < 30 else DELETE_CURRENT

        latest.transform_item("attic", transformer=warmer)
        print("after the transformation, is there an attic?", "attic" in latest)


if __name__ == "__main__":
    main()
