"""One bucket shared with persidict 0.309: each reads, lists, deletes and compares what the other wrote."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import numpy as np
import pandas as pd
import persidict
import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from s3.places import Place

# persidict lets jsonpickle use the defaults whose change in its version 5 is announced.
pytestmark = [
    pytest.mark.filterwarnings("ignore:keys will default to True:DeprecationWarning"),
    pytest.mark.usefixtures("moto_in_process"),
]

Make = Callable[..., Any]

BUCKET = "shared"
KEYS: list[Any] = ["a", "B", "b", ("n", "a"), ("n", "m", "deep"), ("n-1", "x.y"), "with~(odd)=signs"]
PLAIN: list[Any] = [{"x": [1, 2.5, None, True, "ü"]}, [], {}, "", 0, "text\r\n", [[[]]]]
PICKLED: list[Any] = [*PLAIN, {1, 2}, (1, (2,)), b"bytes", 1 + 2j, range(5)]
TEXTS: list[Any] = ["", "one", "zwei\nü\r\n", " \t", "{}", "€" * 1000]


def ours(file_type: str, **params: Any) -> BasicS3Dict[Any]:
    return Place(None, BUCKET, prefix="pre/fix").open(file_type=file_type, **params)


def theirs(file_type: str) -> Any:
    about: dict[str, Any] = {"base_class_for_values": str} if file_type not in {"pkl", "json"} else {}
    return persidict.BasicS3Dict(
        bucket_name=BUCKET, region="us-east-1", root_prefix="pre/fix", serialization_format=file_type, **about
    )


@pytest.fixture(params=["we write", "they write"])
def pair(request: pytest.FixtureRequest) -> tuple[Make, Make]:
    """Who writes, and who reads."""
    theirs("pkl")  # makes the bucket
    return (ours, theirs) if request.param == "we write" else (theirs, ours)


VALUES = {"pkl": PICKLED, "json": PLAIN, "txt": TEXTS, "md": TEXTS}


@pytest.mark.parametrize("file_type", VALUES)
def test_values_are_read(file_type: str, pair: tuple[Make, Make]) -> None:
    writer, reader = (make(file_type) for make in pair)
    for number, value in enumerate(VALUES[file_type]):
        writer["v", str(number)] = value
    for number, value in enumerate(VALUES[file_type]):
        found = reader["v", str(number)]
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("file_type", VALUES)
def test_keys_are_listed_and_counted_and_are_there(file_type: str, pair: tuple[Make, Make]) -> None:
    writer, reader = (make(file_type) for make in pair)
    for key in KEYS:
        writer[key] = VALUES[file_type][0]
    expected = sorted((key,) if isinstance(key, str) else key for key in KEYS)
    assert sorted(tuple(key) for key in reader) == expected
    assert sorted(tuple(key) for key in writer) == expected
    assert len(reader) == len(writer) == len(KEYS)
    assert all(key in reader for key in KEYS)
    # Theirs count keys without a part, too.
    assert sorted(ours(file_type).subdicts()) == ["n", "n-1"]
    assert {"n", "n-1"} <= set(theirs(file_type).subdicts())
    assert len(reader.get_subdict("n")) == 2
    assert reader.get_subdict(("n", "m"))["deep"] == VALUES[file_type][0]


def test_objects_have_the_same_names(pair: tuple[Make, Make]) -> None:
    names: list[set[str]] = []
    for make in pair:
        d = make("json")
        for key in KEYS:
            d[key] = 1
        found = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        names.append({each["Key"] for each in found})
        d.clear()
        assert len(ours("json")) == len(theirs("json")) == 0
    assert names[0] == names[1]


@pytest.mark.parametrize("file_type", VALUES)
def test_what_one_changes_or_deletes_the_other_sees(file_type: str, pair: tuple[Make, Make]) -> None:
    writer, reader = (make(file_type) for make in pair)
    one, two = VALUES[file_type][:2]
    writer["a"] = one
    assert reader["a"] == one
    reader["a"] = two
    assert writer["a"] == two
    del reader["a"]
    assert "a" not in writer
    assert len(writer) == 0
    with pytest.raises(KeyError):
        writer["a"]
    writer["b", "c"] = one
    reader.clear()
    assert len(writer) == 0


@pytest.mark.parametrize("file_type", ["pkl", "json"])
def test_arrays_are_read(file_type: str, pair: tuple[Make, Make]) -> None:
    writer, reader = (make(file_type) for make in pair)
    array = np.arange(300_000, dtype=np.float64) if file_type == "pkl" else np.arange(5)
    writer["array"] = array
    assert np.array_equal(reader["array"], array)


def test_frames_are_read(pair: tuple[Make, Make]) -> None:
    writer, reader = (make("pkl") for make in pair)
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
    writer["frame"] = frame
    pd.testing.assert_frame_equal(reader["frame"], frame)


def test_our_probes_are_no_keys_of_theirs() -> None:
    theirs("pkl")
    d = ours("pkl")
    d["a"] = 1
    assert d.setdefault("b", 2) == 2
    assert d.transform_item("a", transformer=lambda old: old + 1).new_value == 2
    d.discard("b")
    assert [tuple(key) for key in theirs("pkl")] == [("a",)]
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [each["Key"] for each in found] == ["pre/fix/a.pkl"]


def test_ours_is_compared_with_what_they_wrote() -> None:
    their, our = theirs("json"), ours("json")
    their["a"] = 1
    seen = our.get_with_etag("a")
    assert seen.new_value == 1
    their["a"] = 2
    failed = our.set_item_if("a", value=3, condition=ETAG_IS_THE_SAME, expected_etag=seen.actual_etag)
    assert (failed.condition_was_satisfied, failed.new_value) == (False, 2)
    done = our.set_item_if("a", value=3, condition=ETAG_IS_THE_SAME, expected_etag=failed.actual_etag)
    assert done.condition_was_satisfied
    assert their["a"] == 3


def test_theirs_is_compared_with_what_we_wrote() -> None:
    their, our = theirs("json"), ours("json")
    our["a"] = 1
    seen = their.get_with_etag("a")
    our["a"] = 2
    failed = their.set_item_if(
        "a", value=3, condition=persidict.ETAG_IS_THE_SAME, expected_etag=seen.actual_etag
    )
    assert not failed.condition_was_satisfied
    assert our["a"] == 2


def test_a_counter_that_both_libraries_increment_is_exact() -> None:
    theirs("json")
    rounds = 25

    def increment(make: Make, absent: object) -> None:
        d = make("json")
        for _ in range(rounds):
            d.transform_item(
                "n", transformer=lambda old: 1 if old is absent else old + 1, n_retries=1000
            )  # theirs gives up after six otherwise, however slow the machine

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(increment, make, absent)
            for make, absent in ((ours, ITEM_NOT_AVAILABLE), (theirs, persidict.ITEM_NOT_AVAILABLE)) * 2
        ]
        for job in jobs:
            job.result(120)
    assert ours("json")["n"] == theirs("json")["n"] == 4 * rounds
