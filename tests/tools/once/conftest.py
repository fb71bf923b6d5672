"""Buckets for claims: the servers of the tests of S3."""

import pytest
from s3.conftest import _guard, bucket, ministack, proxy, quick_pauses, rclone

__all__ = ["_guard", "bucket", "ministack", "proxy", "quick_pauses", "rclone"]

pytestmark = pytest.mark.usefixtures("_guard")
