"""LocalDict and EmptyDict: the same interface in memory, and nowhere, for tests and for switching off.

The function that is remembered computes means of the wines that scikit-learn ships.
"""

from sklearn.datasets import load_wine

from perkey import EmptyDict, LocalDict, PersiDict

WINE = load_wine()


def mean(column: str, known: PersiDict[float]) -> float:
    """Return the mean of a column, from the dictionary if it is there; it does not matter which one."""
    if column not in known:
        print(f"  computing the mean of {column}")
        known[column] = round(float(WINE.data[:, WINE.feature_names.index(column)].mean()), 2)
    return known.get(column, -1.0)


def main() -> None:
    """Use a function with a memory, and without one."""
    print("with a LocalDict:")
    memory = LocalDict[float]()
    print(mean("alcohol", memory), mean("alcohol", memory))
    print("with an EmptyDict:")
    print(mean("alcohol", EmptyDict[float]()), "- nothing was kept")

    # A LocalDict keeps values as a folder would, encoded: changing an object later does not change them.
    names = WINE.feature_names[:2]
    kept = LocalDict[list[str]]()
    kept["names"] = names
    names.append("another")
    print("kept:", kept["names"])

    # An EmptyDict checks its arguments, so that switching storage off does not hide mistakes.
    try:
        EmptyDict[float]()["od280/od315 of diluted wines"] = 2.6
    except ValueError as error:
        print("refused:", error)


if __name__ == "__main__":
    main()
