"""FileDirDict: types of file, keys that make folders, keys of any text; about scikit-learn's iris table."""

import tempfile
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from perkey import FileDirDict, quote, unquote

IRIS = load_iris()
HALF = IRIS.data[::2], IRIS.target[::2]
MODELS = [DecisionTreeClassifier(max_depth=depth, random_state=0).fit(*HALF) for depth in (1, 2, 3)]


def show_file_types(folder: Path) -> None:
    """Store any Python object, JSON that other programs read, and plain text."""
    FileDirDict(folder, file_type="pkl")["model"] = MODELS[1]
    FileDirDict(folder, file_type="json")["config"] = MODELS[1].get_params()
    FileDirDict(folder, file_type="md")["notes"] = f"# {IRIS.DESCR}"
    for path in sorted(folder.iterdir()):
        print(f"{path.name:<22} {path.read_bytes()[:4]!r}...")


def show_folders(folder: Path) -> None:
    """Give keys of several parts, and look at a part of the dictionary as a dictionary."""
    scores = FileDirDict[float](folder, file_type="json", base_class_for_values=float)
    for kind, name in enumerate(IRIS.target_names):
        rows = IRIS.data[1::2][IRIS.target[1::2] == kind]
        for depth, model in enumerate(MODELS, 1):
            scores[str(name), f"depth-{depth}"] = float((model.predict(rows) == kind).mean())
    print("kinds:", sorted(scores.subdicts()))
    virginica = scores.get_subdict("virginica")  # costs nothing: a handle on the same files
    print("virginica:", {key[0]: round(score, 2) for key, score in sorted(virginica.items())})


def show_any_text(folder: Path) -> None:
    """Use any text as a key: quoted, it is safe in a file name, and comes back."""
    means = FileDirDict(folder, file_type="json")
    name, mean = IRIS.feature_names[0], float(IRIS.data[:, 0].mean())
    try:
        means[name] = mean
    except ValueError as error:
        print("refused:", error)
    means[quote(name)] = mean
    print("stored under:", *means)
    print("which means: ", *(f"{unquote(key)}: {value:.2f}" for key, value in means.items()))


def main() -> None:
    """Show each of them in a folder of its own."""
    for show in (show_file_types, show_folders, show_any_text):
        print(f"--- {show.__name__.removeprefix('show_').replace('_', ' ')}")
        with tempfile.TemporaryDirectory() as folder:
            show(Path(folder))


if __name__ == "__main__":
    main()
