"""Hides every package that perkey's core does not need, and uses each public entrance; run as a program."""

import importlib
import importlib.abc
import pkgutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

CORE = frozenset(("perkey", "joblib", "cloudpickle", "jsonpickle", "lz4"))  # cloudpickle is joblib's


class Hiding(importlib.abc.MetaPathFinder):
    """Asks other finders, but for nothing except the standard library and the core's own packages."""

    def __init__(self, finders: list[Any]) -> None:
        self._finders = finders

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        package = fullname.partition(".")[0]
        known = package in CORE or package in sys.stdlib_module_names or package.startswith("_sysconfigdata")
        if not known:
            return None
        found = (finder.find_spec(fullname, path, target) for finder in self._finders)
        return next(filter(None, found), None)


def entrances() -> dict[str, Callable[[], Any]]:
    """Return what needs an extra, and where it is first needed."""
    from perkey import BasicS3Dict, LocalDict, ObjectStoreDict, S3Dict, dataspace

    folder = tempfile.mkdtemp()
    project = dataspace.init_project(path=folder)
    job = project.open_job({"a": 1}).init()
    d = LocalDict[Any]()
    return {
        "S3Dict": lambda: S3Dict("bucket", base_dir=None),
        "S3Dict with a cache": lambda: S3Dict("bucket", base_dir=f"{folder}/cache"),
        "BasicS3Dict": lambda: BasicS3Dict("bucket"),
        "engine": lambda: BasicS3Dict("bucket", engine="obstore"),
        "ObjectStoreDict": lambda: ObjectStoreDict("memory://x"),
        "ObjectStoreDict s3": lambda: ObjectStoreDict("s3://bucket/x"),
        "get_many": lambda: d.get_many(["a"], progress=True),
        "set_many": lambda: d.set_many({"a": 1}, progress=True),
        "delete_many": lambda: d.delete_many(["a"], progress=True),
        "H5Store": lambda: dataspace.H5Store(f"{folder}/x.h5").open(),
        "job.data": lambda: setattr(job.data, "x", 1),
        "job.stores": lambda: setattr(job.stores, "x", {"a": 1}),
        "to_dataframe": project.to_dataframe,
        "cursor": lambda: project.find_jobs().to_dataframe(),
        "perkey.testing": lambda: importlib.import_module("perkey.testing"),
    }


def main() -> None:
    """Print what went wrong; nothing, if nothing did."""
    sys.meta_path[:] = [Hiding(list(sys.meta_path))]
    import perkey

    for found in pkgutil.walk_packages(perkey.__path__, "perkey.", onerror=lambda _: None):
        # The commands are loaded by `perkey.cli.main`, which says what is missing.
        if found.name.startswith(("perkey.cli.", "perkey.dataspace.h5.")):
            continue
        try:
            importlib.import_module(found.name)
        except perkey.MissingExtraError as error:
            print("extra:", error)
    for name, act in entrances().items():
        try:
            act()
        except perkey.MissingExtraError as error:
            print("extra:", error)
        else:
            sys.exit(f"{name} did not miss anything")
    from perkey.cli import main as program

    print("status", program(["space", "find"]))


if __name__ == "__main__":
    main()
