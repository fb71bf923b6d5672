"""OverlappingMultiDict: one key, several files, such as a model, its description and its log."""

import tempfile
from pathlib import Path

from perkey import FileDirDict, OverlappingMultiDict


def main() -> None:
    """Keep three things under each key."""
    with tempfile.TemporaryDirectory() as folder:
        models = OverlappingMultiDict(
            FileDirDict,
            {"base_dir": folder, "digest_len": 0},  # for all
            pkl={},  # and for each file type alone
            json={"base_class_for_values": dict},
            log={},  # a type of no special meaning is text
        )
        models.pkl["tree", "v1"] = {"weights": (0.25, 0.75)}
        models.json["tree", "v1"] = {"author": "alex", "accuracy": 0.97}
        models.log["tree", "v1"] = "epoch 1: 0.91\nepoch 2: 0.97\n"

        print("file types:", list(models))
        print("files:", sorted(path.name for path in Path(folder, "tree").iterdir()))
        print("weights:", models.pkl["tree", "v1"]["weights"])
        print("author:", models.json["tree", "v1"]["author"])
        print("log lines:", len(models.log["tree", "v1"].splitlines()))

        del models.log["tree", "v1"]  # they do not touch each other's items
        print("left:", {file_type: len(models[file_type]) for file_type in models})


if __name__ == "__main__":
    main()
