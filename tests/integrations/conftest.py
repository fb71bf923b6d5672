"""Which engines run here, said loudly; and the S3 server."""

from importlib.util import find_spec

from s3.conftest import _guard, bucket, ministack

__all__ = ["_guard", "bucket", "ministack"]

ENGINES = ("dask", "distributed", "ray", "joblib")


def pytest_report_header() -> list[str]:
    """Say loudly whether the recipes run."""
    return [
        f"integrations: recipes with {name} {'RUN' if find_spec(name) else 'DO NOT RUN (not installed)'}"
        for name in ENGINES
    ]
