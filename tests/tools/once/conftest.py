"""Buckets for claims: the servers of the tests of S3."""

import pytest
from s3.conftest import _guard, bucket, ministack, proxy, quick_pauses

__all__ = ["_guard", "bucket", "ministack", "proxy", "quick_pauses"]

pytestmark = pytest.mark.usefixtures("_guard")
