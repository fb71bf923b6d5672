"""Results that are written once: the first one stays, and a run that does not reproduce it is noticed.

The results are those of classifiers of the wines that scikit-learn ships.
"""

import tempfile

from sklearn.datasets import load_wine
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from perkey import ConsistencyCheckError, FileDirDict, MutationPolicyError, WriteOnceDict


def evaluated(neighbors: int, seed: int) -> dict[str, object]:
    """Return how many of the wines in each fold are recognised; the folds depend on a number."""
    wine = load_wine()
    folds = KFold(4, shuffle=True, random_state=seed)
    model = KNeighborsClassifier(neighbors)
    scores = cross_val_score(model, wine.data, wine.target, cv=folds)
    return {"neighbors": neighbors, "scores": [round(float(score), 2) for score in scores]}


def main() -> None:
    """Write results, again, and with another seed."""
    with tempfile.TemporaryDirectory() as folder:
        # A share of the later writes is compared with the stored value, here all of them: probability 1.
        results = WriteOnceDict(FileDirDict(folder, file_type="json"), p_consistency_checks=1)

        results["knn-1"] = evaluated(1, seed=0)
        results["knn-1"] = evaluated(1, seed=0)  # the same again: ignored
        print("checks passed:", results.consistency_checks_passed)

        try:
            results["knn-1"] = evaluated(1, seed=1)  # the mistake: the folds are other ones
        except ConsistencyCheckError as error:
            print("not reproducible:", error)
        print("the first one stays:", results["knn-1"])

        try:
            del results["knn-1"]
        except MutationPolicyError as error:
            print("refused:", error)

        # Without checks (the default), later values are ignored, and nothing is read.
        results.p_consistency_checks = 0
        results["knn-1"] = "another value"
        print("still there:", results["knn-1"])


if __name__ == "__main__":
    main()
