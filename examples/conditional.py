"""Conditional operations: change an item only if it is what you think it is; atomic between processes."""

import tempfile
from typing import Any

from perkey import (
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ConcurrencyConflictError,
    FileDirDict,
)


def first_come_first_served(seats: FileDirDict[str]) -> None:
    """Insert if the key is missing: of any number of processes that try, exactly one succeeds."""
    for passenger in ("Ada", "Grace"):
        outcome = seats.setdefault_if(
            "12A", default_value=passenger, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
        )
        if outcome.condition_was_satisfied:
            print(f"{passenger} has the seat")
        else:
            print(f"{passenger} is too late, it is taken by {outcome.new_value}")


def compare_and_swap(seats: FileDirDict[str]) -> None:
    """Replace what was seen, if it is still that. An etag names one content of an item, for ever."""
    seen = seats.get_with_etag("12A")
    seats["12A"] = "Grace"  # meanwhile, another process
    outcome = seats.set_item_if(
        "12A", value="Alan", condition=ETAG_IS_THE_SAME, expected_etag=seen.actual_etag
    )
    print(f"Alan instead of {seen.new_value}: {outcome.condition_was_satisfied}, it is {outcome.new_value}")
    outcome = seats.discard_if("12A", condition=ETAG_IS_THE_SAME, expected_etag=outcome.actual_etag)
    print("given up:", outcome.condition_was_satisfied, "- still there:", "12A" in seats)


def read_only_what_changed(seats: FileDirDict[str]) -> None:
    """Ask for a value only if it is another one than that which is known."""
    seats["1F"] = "Ada"
    known = seats.etag("1F")
    for new in (None, "Grace"):
        if new:
            seats["1F"] = new
        # The value comes along only if its etag is not the known one.
        found = seats.get_item_if("1F", condition=ETAG_HAS_CHANGED, expected_etag=known)
        print("has 1F changed?", f"yes, it is {found.new_value}'s" if found.condition_was_satisfied else "no")


def read_modify_write(stock: FileDirDict[int]) -> None:
    """Compute a new value of the old one; the function runs again if another process was faster."""

    def add_ten(current: Any) -> int:
        return 10 if current is ITEM_NOT_AVAILABLE else current + 10

    def sell_one(current: Any) -> Any:
        return current - 1 if current else KEEP_CURRENT

    print("delivered:", stock.transform_item("apples", transformer=add_ten).new_value)
    print("sold one:", stock.transform_item("apples", transformer=sell_one).new_value)

    def slow(current: int) -> int:
        stock["apples"] = current + 1  # stands for another process that is always faster
        return current - 1

    try:
        stock.transform_item("apples", transformer=slow, n_retries=2)
    except ConcurrencyConflictError as error:
        print("given up:", error)


def main() -> None:
    """Show each of them."""
    with tempfile.TemporaryDirectory() as folder:
        seats = FileDirDict[str](folder, file_type="txt")
        first_come_first_served(seats)
        compare_and_swap(seats)
        read_only_what_changed(seats)
        read_modify_write(FileDirDict[int](folder, file_type="json"))


if __name__ == "__main__":
    main()
