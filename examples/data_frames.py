"""Tables: results of many writers as one data frame, and a search over them.

The results describe the flowers of the iris table that scikit-learn ships.
"""

import tempfile

from sklearn.datasets import load_iris

from perkey import FileDirDict, find, to_dataframe


def main() -> None:
    """Store a result for each flower, and ask questions about all of them."""
    iris = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in iris.feature_names]
    with tempfile.TemporaryDirectory() as folder:
        flowers = FileDirDict(folder, file_type="json", durability="none")
        for row, kind in zip(iris.data.tolist(), iris.target, strict=True):
            flowers[str(iris.target_names[kind]), f"flower-{len(flowers):03}"] = dict(
                zip(names, row, strict=True)
            )

        table = to_dataframe(flowers).sort_index()
        print(table.shape, list(table.columns), list(table.index.names))
        for kind, mean in table["petal_length"].groupby("key_0").mean().items():
            print(f"mean length of a petal of {kind}: {mean:.2f}")

        # Only what is asked for is read into memory; the filter language is that of data spaces.
        large = to_dataframe(flowers, columns=["sepal_length"], filter={"petal_length": {"$gt": 6.5}})
        print(large.sort_index().reset_index().to_string(index=False))
        print("flowers with narrow petals:", len(list(find(flowers, {"petal_width": {"$lt": 0.2}}))))


if __name__ == "__main__":
    main()
