"""FileDirDict: types of file, keys that make folders, and keys of any text."""

import tempfile
from pathlib import Path

from perkey import FileDirDict, quote, unquote


def show_file_types(folder: Path) -> None:
    """One class, three kinds of file: any Python object, JSON that other programs read, and plain text."""
    FileDirDict(folder, file_type="pkl")["shape"] = {("any", "object"), 3.14}
    FileDirDict(folder, file_type="json")["config"] = {"depth": 3, "names": ["a", "b"]}
    FileDirDict(folder, file_type="md")["notes"] = "# Plain text\n"
    # The ending is the type; a digest before it is for file systems that ignore case.
    for path in sorted(folder.iterdir()):
        print(f"{path.name:<22} {path.read_bytes()[:4]!r}...")


def show_folders(folder: Path) -> None:
    """Give keys of several parts, and look at a part of the dictionary as a dictionary."""
    scores = FileDirDict[float](folder, file_type="json", base_class_for_values=float)
    scores["svm", "v1", "digits"] = 0.98
    scores["svm", "v2", "digits"] = 0.99
    scores["forest", "v1", "digits"] = 0.97
    print("models:", sorted(scores.subdicts()))
    svm = scores.get_subdict("svm")  # costs nothing: a handle on the same files
    print("svm:", {"/".join(key): score for key, score in sorted(svm.items())})
    try:
        scores["svm", "v3", "digits"] = "very good"  # type: ignore[assignment] # to show the error
    except TypeError as error:
        print("refused:", error)


def show_any_text(folder: Path) -> None:
    """Use any text as a key: quoted, it is safe in a file name, and it can be had back."""
    pages = FileDirDict(folder, file_type="txt")
    try:
        pages["https://example.org/?q=größe"] = "a page"
    except ValueError as error:
        print("refused:", error)
    pages[quote("https://example.org/?q=größe")] = "a page"
    print("stored under:", *pages)
    print("which means: ", *(unquote(key) for key in pages))


def main() -> None:
    """Show each of them in a folder of its own."""
    for show in (show_file_types, show_folders, show_any_text):
        print(f"--- {show.__name__.removeprefix('show_').replace('_', ' ')}")
        with tempfile.TemporaryDirectory() as folder:
            show(Path(folder))


if __name__ == "__main__":
    main()
