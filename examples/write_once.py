"""WriteOnceDict: the first value of a key stays, and results that should be reproducible are checked."""

import tempfile

from perkey import ConsistencyCheckError, FileDirDict, MutationPolicyError, WriteOnceDict


def main() -> None:
    """Write results once, again, and differently."""
    with tempfile.TemporaryDirectory() as folder:
        # A share of the later writes is compared with the stored value, here all of them: probability 1.
        results = WriteOnceDict(FileDirDict(folder, file_type="json"), p_consistency_checks=1)

        results["run-1"] = {"accuracy": 0.98, "folds": [0.97, 0.98, 0.99]}
        results["run-1"] = {"accuracy": 0.98, "folds": [0.97, 0.98, 0.99]}  # the same again: ignored
        print("checks passed:", results.consistency_checks_passed)

        try:
            results["run-1"] = {"accuracy": 0.97, "folds": [0.97, 0.98, 0.96]}
        except ConsistencyCheckError as error:
            print("not reproducible:", error)
        print("the first one stays:", results["run-1"])

        try:
            del results["run-1"]
        except MutationPolicyError as error:
            print("refused:", error)

        # Without checks (the default), later values are ignored without being looked at.
        results.p_consistency_checks = 0
        results["run-1"] = "anything"
        print("still:", results["run-1"])


if __name__ == "__main__":
    main()
