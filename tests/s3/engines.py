"""Tests that run with each engine."""

import pytest

from s3.places import ENGINES

each_engine = pytest.mark.parametrize("engine", ENGINES)
"""For what an engine translates: requests, errors, retries."""

any_engine = pytest.mark.parametrize("engine", ["boto3", pytest.param("obstore", marks=pytest.mark.long)])
"""For what lies above the engines, or is sent by boto3 in any case; the long form of the tests takes both."""
