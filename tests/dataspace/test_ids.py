"""Ids are the MD5 of the canonical JSON of a state point: those of signac."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perkey.dataspace import Project
from perkey.dataspace.space.workspace import job_id, normalized
from perkey.synced import InvalidKeyError, KeyTypeError


@pytest.mark.parametrize(
    ("statepoint", "id"),
    [
        ({}, "99914b932bd37a50b983c5e7c90ae93b"),
        ({"a": 1}, "42b7b4f2921788ea14dac5566e6f06d0"),
        ({"a": 1.0}, "4b8937963abc9e9148b4524d4f837b4b"),
        ({"a": True}, "ffe0ee7a068e54663a3a6f50d74c3e76"),
        ({"a": None}, "542bac9c870e9cd102c3909922945a4d"),
        ({"a": float("nan")}, "95d74f1b7565806cb282d8bc4822d9bf"),
        ({"a": float("inf")}, "76b9506b00fe9763721b8b7bfe3ea498"),
        ({"a": 1e100}, "28863fca243589b5fcce95a98296e7c7"),
        ({"a": 10**30}, "6a228de940ab7dbb87e2166e6fbe9cfd"),
        ({"a": -0.0}, "82c4fe5379bdb22b61fd92242a68b5b1"),
        ({"a": (1, 2)}, "a9010b257d79be275851e1f8eed7c46e"),
        ({"a": np.float64(1.5)}, "a27f4f0babb6d4fa13a3e5d55712071b"),
        ({"a": np.float32(0.1)}, "cf6d0953fd1521fa680cb15d98c685ce"),
        ({"a": np.int64(3)}, "14fb5d016557165019abaac200785048"),
        ({"a": np.array([1, 2.0])}, "bef18282784ba33d49b21b378e447251"),
        ({"a": np.array(5)}, "b1d43cd340a6b095b41ad645446b6800"),
        ({"a": np.array([[1, 2], [3, 4]])}, "744aa7fd250f3fccf96a1cdc209bb9de"),
        ({"a": np.array("x")}, "f5239c9772076e520bcbef45c51aae76"),
        ({"a": np.True_}, "ffe0ee7a068e54663a3a6f50d74c3e76"),
        ({1: 2}, "9655ff2d2a8e0d3ed0fa76bf198e5c9a"),
        ({"a": {1: 2}}, "f0bf0faccfcab387afd791c1fc92f3c0"),
        ({"a": {}}, "b64d96a034f7bf16cc5658f10c8236b4"),
        ({"a": "\u2603\U0001f600"}, "132a9ffc1394a42fbddd63e239f970ee"),
        ({"b": 1, "a": 2}, "5e4d14d82c320bafb2f1286fe486d1f8"),
        ({"": 1}, "7026b472ce7326d94920614dd9baa070"),
        ({"constant": 42, "diff1": 0, "diff2": 1}, "c4af2b26f1fd256d70799ad3ce3bdad0"),
    ],
)
def test_the_ids_of_signac(statepoint: Any, id: str, project: Project) -> None:
    """Recorded from signac 1.7.0 and 2.4.1; the last is from signac's documentation."""
    assert job_id(normalized(statepoint)) == id
    assert project.open_job(statepoint).id == id


@pytest.mark.parametrize(
    "statepoint", [5, "x", [("a", 1)], {"a": {1, 2}}, {"a": 1j}, {"a": b"x"}, {"a": object()}]
)
def test_what_json_has_no_form_for_is_no_state_point(statepoint: Any, project: Project) -> None:
    with pytest.raises(TypeError):
        project.open_job(statepoint)


def test_keys_are_text_without_dots(project: Project) -> None:
    wrong: Any
    for wrong in ({1.5: 1}, {(1,): 1}, {"a": {2.5: 1}}):
        with pytest.raises(KeyTypeError):
            project.open_job(wrong)
    for wrong in ({"a.b": 1}, {"a": {"b.c": 1}}):
        with pytest.raises(InvalidKeyError):
            project.open_job(wrong)


def test_a_state_point_is_copied(project: Project) -> None:
    mine = {"a": [1, {"b": 2}]}
    job = project.open_job(mine)
    mine["a"].append(3)
    assert job.statepoint() == {"a": [1, {"b": 2}]}
