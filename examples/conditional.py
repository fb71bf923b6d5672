"""Conditional operations: change an item only if it is what you think it is; atomic between processes.

Processes look for the best number of neighbors for the iris table that scikit-learn ships.
"""

import tempfile
from typing import Any

from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import perkey


def scored(neighbors: int) -> dict[str, Any]:
    """Return a model's parameter, and how many of the flowers it recognises."""
    scores = cross_val_score(KNeighborsClassifier(neighbors), *load_iris(return_X_y=True), cv=5)
    return {"neighbors": neighbors, "score": round(float(scores.mean()), 3)}


def main() -> None:
    """Insert the first result, replace it by a better one, and meet a conflict."""
    seen_is_current: dict[str, Any] = {"condition": perkey.ETAG_IS_THE_SAME}
    with tempfile.TemporaryDirectory() as folder:
        best = perkey.FileDirDict[dict[str, Any]](folder, file_type="json")
        # Insert if the key is missing: of any number of processes that try, exactly one succeeds.
        for n in (1, 2):
            outcome = best.setdefault_if(
                "iris", default_value=scored(n), expected_etag=perkey.ITEM_NOT_AVAILABLE, **seen_is_current
            )
            print(f"{n} neighbors are inserted: {outcome.condition_was_satisfied} - {outcome.new_value}")

        # Replace what was seen, if it is still that. An etag names one content of an item, for ever.
        seen = best.get_with_etag("iris").actual_etag
        best["iris"] = scored(6)  # meanwhile, another process
        outcome = best.set_item_if("iris", value=scored(5), expected_etag=seen, **seen_is_current)
        print(f"5 instead of 1: {outcome.condition_was_satisfied} - it is {outcome.new_value}")
        found = best.get_item_if("iris", condition=perkey.ETAG_HAS_CHANGED, expected_etag=seen)
        print("changed since then:", found.condition_was_satisfied)

        # Read, compute, write: the function runs again if another process was faster.
        def better(current: Any) -> Any:
            return max(scored(10), scored(11), current, key=lambda each: each["score"])

        print("the best:", best.transform_item("iris", transformer=better).new_value)

        def slow(current: Any) -> Any:
            best["iris"] = {**current, "score": current["score"] + 0.001}  # another process, always faster
            return scored(3)

        try:
            best.transform_item("iris", transformer=slow, n_retries=2)
        except perkey.ConcurrencyConflictError as error:
            print("given up:", error)


if __name__ == "__main__":
    main()
