"""Compute once: a slow function whose results stay on disk, for all processes and for the next run.

The function compares the 1,797 images of digits that scikit-learn ships with each other.
"""

import tempfile

from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances

from perkey import FileDirDict, compute_once, memoize


def main() -> None:
    """Compute, ask again, and see what is kept."""
    with tempfile.TemporaryDirectory() as folder:
        results = FileDirDict(folder, file_type="json")

        # Of any number of processes that ask for a result, one computes it; the other readers wait for it.
        @memoize(results, name="nearest", version=1, ignore=["verbose"])
        def nearest(digit: int, metric: str = "euclidean", verbose: bool = False) -> dict[str, int]:
            print(f"  comparing the images of {digit}{' in detail' * verbose}")
            images, labels = load_digits(return_X_y=True)
            distances = pairwise_distances(images[labels == digit], images[labels != digit], metric)
            neighbors = labels[labels != digit][distances.argmin(axis=1)].tolist()
            return {str(other): neighbors.count(other) for other in range(10) if other != digit}

        for digit in (8, 8, 3):
            counts = nearest(digit)
            other = max(counts, key=lambda each: counts[each])
            print(f"most images of {digit} that look like another digit look like {other}")

        print("8 by name, and with an argument that does not count:", nearest(digit=8, verbose=True)["1"])
        print("is it known?", nearest.cached(8), nearest.cached(5))
        print("kept:", len(results), "results, each under a key such as", nearest.key(8)[0], "/ a digest")
        nearest.forget(3)
        print("after forgetting one:", len(results))

        # Without a decorator, under a key of your own:
        print("once:", compute_once(results, "total", sum, args=(nearest(8).values(),)))


if __name__ == "__main__":
    main()
