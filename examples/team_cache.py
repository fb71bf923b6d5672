"""A team's cache on S3: each result is computed by one person, and read by all the others.

Without a bucket of yours, `moto` stands in for S3 in this process.
"""

import os
import tempfile
from contextlib import nullcontext

from moto import mock_aws
from sklearn.datasets import load_wine

from perkey import PersiDict, S3Dict, memoize

BUCKET = os.environ.get("CACHE_BUCKET", "of-the-team")


def cache_of(person: str, folder: str) -> PersiDict[dict[str, float]]:
    """Return the cache as one member of the team opens it, with a copy of what was read on the own disk."""
    own = f"{folder}/{person}"
    return S3Dict(BUCKET, region="us-east-1", base_dir=own, root_prefix="wine", file_type="json")


def work(person: str, folder: str) -> None:
    """Ask for the means of three columns; what a colleague has computed is not computed again."""
    cache = cache_of(person, folder)

    @memoize(cache, name="means", version=1)
    def means(column: str) -> dict[str, float]:
        print(f"  {column} is computed")
        wine = load_wine()
        values = wine.data[:, wine.feature_names.index(column)]
        kinds = zip(wine.target_names, range(3), strict=True)
        return {str(kind): round(float(values[wine.target == number].mean()), 3) for kind, number in kinds}

    columns = {"Ada": ["alcohol", "magnesium"], "Grace": ["alcohol", "magnesium", "hue"]}[person]
    for column in columns:
        print(f"{person} reads {column}: {means(column)}")


def main() -> None:
    """Let two people work, each on a machine of their own."""
    with tempfile.TemporaryDirectory() as folder:
        for person in ("Ada", "Grace"):
            work(person, folder)
        cache = cache_of("Grace", folder)
        print("in the bucket:", len(cache), "results")
        # A change by a colleague is seen at once: a copy on the disk is used only while it is the newest.
        cache_of("Ada", folder)["note"] = {"checked": 1.0}
        print("Grace sees Ada's note:", cache["note"])


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    with nullcontext() if "CACHE_BUCKET" in os.environ else mock_aws():
        main()
