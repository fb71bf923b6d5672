"""FileDirDict: types of file, keys that make folders, keys of any text, and the time of each item."""

import tempfile
from pathlib import Path

from perkey import FileDirDict, quote, unquote


def show_file_types(folder: Path) -> None:
    """One class, three kinds of file: any Python object, JSON that other programs read, and plain text."""
    FileDirDict(folder, file_type="pkl")["shape"] = {("any", "object"), 3.14}
    FileDirDict(folder, file_type="json")["config"] = {"depth": 3, "names": ["a", "b"]}
    FileDirDict(folder, file_type="md")["notes"] = "# Plain text\n"
    # The ending of a file name is the type; what stands before it is a digest, for file systems that do
    # not distinguish upper and lower case.
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


def show_times(folder: Path) -> None:
    """Ask when items were written, and for the newest and oldest of them."""
    log = FileDirDict(folder)
    for word in ("first", "second", "third"):
        log[word] = word
    log["first"] = "first, again"
    print("oldest:", *log.oldest_keys(1), "newest:", *log.newest_keys(1))
    print("in order:", log["second"], "before third:", log.timestamp("second") <= log.timestamp("third"))


def main() -> None:
    """Show each of them in a folder of its own."""
    for show in (show_file_types, show_folders, show_any_text, show_times):
        print(f"--- {show.__name__.removeprefix('show_').replace('_', ' ')}")
        with tempfile.TemporaryDirectory() as folder:
            show(Path(folder))


if __name__ == "__main__":
    main()
