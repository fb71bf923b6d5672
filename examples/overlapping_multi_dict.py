"""OverlappingMultiDict: one key, several files, such as a model, its description and its log.

The models are trees that recognise the flowers of the iris table that scikit-learn ships.
"""

import tempfile
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier, export_text

from perkey import FileDirDict, OverlappingMultiDict


def main() -> None:
    """Keep three things under each key."""
    iris = load_iris()
    with tempfile.TemporaryDirectory() as folder:
        models = OverlappingMultiDict(
            FileDirDict,
            {"base_dir": folder, "digest_len": 0},  # for all
            pkl={},  # and for each file type alone
            json={"base_class_for_values": dict},
            log={},  # a type of no special meaning is text
        )
        for depth in (1, 2):
            tree = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(iris.data, iris.target)
            key = ("tree", f"depth-{depth}")
            models.pkl[key] = tree
            models.json[key] = {"depth": depth, "right": int((tree.predict(iris.data) == iris.target).sum())}
            models.log[key] = export_text(tree, feature_names=iris.feature_names)

        print("file types:", list(models))
        print("files:", sorted(path.name for path in Path(folder, "tree").iterdir()))
        for each, about in sorted(models.json.items()):
            flower = models.pkl[each].predict(iris.data[:1])[0]
            print(f"{each[-1]}: {about['right']} of 150 are right; the first is {iris.target_names[flower]}")
        print(models.log["tree", "depth-1"].splitlines()[0])

        del models.log["tree", "depth-1"]  # they do not touch each other's items
        print("left:", {file_type: len(models[file_type]) for file_type in models})


if __name__ == "__main__":
    main()
