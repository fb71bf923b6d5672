"""Tests that run with each engine."""

import pytest

from s3.places import ENGINES

each_engine = pytest.mark.parametrize("engine", ENGINES)
