"""Conditional operations: change an item only if it is what you think it is; atomic between processes."""

import tempfile

from perkey import (
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ConcurrencyConflictError,
    FileDirDict,
    Joker,
)


def sell_one(stock: int) -> int | Joker:
    """Return the stock without one apple; an empty stock stays as it is."""
    return stock - 1 if stock else KEEP_CURRENT


def main() -> None:
    """Sell a seat, and apples."""
    with tempfile.TemporaryDirectory() as folder:
        seats = FileDirDict[str](folder, file_type="txt")
        # Insert if the key is missing: of any number of processes that try, exactly one succeeds.
        for passenger in ("Ada", "Grace"):
            outcome = seats.setdefault_if(
                "12A", default_value=passenger, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
            )
            print(passenger, "has the seat:", outcome.condition_was_satisfied, "- it is", outcome.new_value)

        # Replace what was seen, if it is still that. An etag names one content of an item, for ever.
        seen = seats.get_with_etag("12A")
        seats["12A"] = "Grace"  # meanwhile, another process
        outcome = seats.set_item_if(
            "12A", value="Alan", condition=ETAG_IS_THE_SAME, expected_etag=seen.actual_etag
        )
        print("Alan instead of Ada:", outcome.condition_was_satisfied, "- it is", outcome.new_value)

        found = seats.get_item_if("12A", condition=ETAG_HAS_CHANGED, expected_etag=seen.actual_etag)
        print("changed since then:", found.condition_was_satisfied, "- to", found.new_value)

        # Read, compute, write: the function runs again if another process was faster.
        stock = FileDirDict[int](folder, file_type="json")
        print("delivered:", stock.transform_item("apples", lambda n: n + 10, default=0).new_value)
        print("sold one:", stock.transform_item("apples", transformer=sell_one).new_value)

        def slow(current: int) -> int:
            stock["apples"] = current + 1  # stands for another process that is always faster
            return current - 1

        try:
            stock.transform_item("apples", transformer=slow, n_retries=2)
        except ConcurrencyConflictError as error:
            print("given up:", error)


if __name__ == "__main__":
    main()
