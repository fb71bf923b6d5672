"""The HDF5 files of a folder, of a job and of a project."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataspace.signac_side import signac
from perkey.dataspace import H5Store, H5StoreManager, Project
from perkey.dataspace.errors import InvalidKeyError, KeyTypeError
from perkey.errors import UnstorableValueError


@pytest.fixture
def stores(tmp_path: Path) -> H5StoreManager:
    return H5StoreManager(tmp_path / "stores")


def test_a_store_is_made_when_it_is_written_to(stores: H5StoreManager, tmp_path: Path) -> None:
    assert list(stores) == []
    Path(stores.prefix).mkdir()
    store = stores["data"]
    assert isinstance(store, H5Store)
    assert store.filename == str(tmp_path / "stores" / "data.h5")
    assert "data" not in stores
    store["foo"] = True
    assert "data" in stores
    assert list(stores.keys()) == ["data"]
    assert len(stores) == 1
    assert dict(stores.data) == {"foo": True}


def test_it_is_the_same_store_each_time(stores: H5StoreManager) -> None:
    assert stores["a"] is stores.a
    assert stores.cls is H5Store


def test_assigning_replaces_the_file_as_a_whole(stores: H5StoreManager) -> None:
    stores["new"] = {"a": [1, 2]}
    with stores["new"]:
        stores.new = {"b": 1}
    assert stores["new"] == {"b": 1}
    stores["copy"] = stores["new"]
    stores["new"] = stores["new"]
    assert stores["copy"] == stores["new"] == {"b": 1}
    with pytest.raises(UnstorableValueError):
        stores["new"] = {"c": 1, "d": object()}
    assert stores["new"] == {"b": 1}
    assert [path.name for path in Path(stores.prefix).iterdir() if not path.name.endswith(".h5")] == []


def test_deleting(stores: H5StoreManager) -> None:
    stores["a"] = {"x": 1}
    del stores["a"]
    stores["a"] = {"x": 1}
    del stores.a
    assert "a" not in stores
    with pytest.raises(KeyError):
        del stores["a"]
    with pytest.raises(AttributeError):
        del stores.a


@pytest.mark.parametrize("name", ["", "a.b", "../a", "/a", "a/b", "a\0b"])
def test_names_that_are_refused(stores: H5StoreManager, name: str) -> None:
    with pytest.raises(InvalidKeyError):
        stores[name] = {"a": 1}
    with pytest.raises(InvalidKeyError):
        stores[name]
    assert name not in stores
    wrong: Any = 1
    with pytest.raises(KeyTypeError):
        stores[wrong]


def test_other_files_are_no_stores(stores: H5StoreManager) -> None:
    stores["a"] = {}
    for name in ("b.txt", ".h5", "c.d.h5"):
        Path(stores.prefix, name).touch()
    assert list(stores) == ["a"]


def test_handles(stores: H5StoreManager) -> None:
    same = H5StoreManager(stores.prefix)
    assert {stores, same, pickle.loads(pickle.dumps(stores)), eval(repr(stores))} == {stores}
    with pytest.raises(AttributeError):
        stores.__setattr__("prefix", {})


def test_a_job_has_stores(project: Project) -> None:
    job = project.open_job({"a": 1})
    with job.data:
        job.data["x"] = np.arange(3)
        assert list(job.data.x) == [0, 1, 2]
    job.stores.more["y"] = 2
    assert list(job.stores) == ["more", "signac_data"]
    assert job in project
    assert job.isfile("signac_data.h5")
    job.data = {"z": 1}
    assert project.open_job({"a": 1}).data == {"z": 1}


def test_stores_go_with_a_job_that_moves(project: Project) -> None:
    job = project.open_job({"a": 1})
    job.data.x = 1
    job.sp.a = 2
    assert job.data.x == 1
    assert job.data.filename == job.fn("signac_data.h5")


def test_a_project_has_stores(project: Project) -> None:
    project.data.x = 1
    project.stores["other"] = {"y": 2}
    assert project.data == {"x": 1}
    assert sorted(project.stores) == ["other", "signac_data"]
    assert project.isfile("other.h5")


def test_a_file_that_signac_wrote_is_read_and_the_other_way_round(project: Project, tmp_path: Path) -> None:
    """Both write plain HDF5; here is what signac's file looks like."""
    import h5py

    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["number"] = np.int64(1)
        file["flag"] = np.True_
        file["text"] = "bar"
        file["nothing"] = h5py.Empty("f")
        file["bytes"] = np.bytes_(b"xy")
        file["group/inner"] = 1.5
    theirs = H5StoreManager(tmp_path).theirs
    assert theirs == {
        "number": 1, "flag": True, "text": "bar", "nothing": None, "bytes": b"xy", "group": {"inner": 1.5}
    }  # fmt: skip
    project.data = theirs
    with h5py.File(project.fn("signac_data.h5")) as ours, h5py.File(tmp_path / "theirs.h5") as file:
        for name in file:
            if name != "group":
                assert ours[name].dtype == file[name].dtype


def test_signac_reads_what_we_write_and_we_read_what_it_writes(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    job.data.update({"number": 1, "text": "ü", "nothing": None, "bytes": b"a\0b", "group": {"x": 1.5}})
    with job.data:
        job.data["array"] = np.arange(3)
    theirs = signac(
        """
job = signac.get_project(os.getcwd()).open_job({"a": 1})
with job.data as data:
    found = [int(data["number"]), data["text"], data["nothing"], data["bytes"].decode()]
    give([found, float(data["group"]["x"]), data["array"][()].tolist()])
job.stores["theirs"]["values"] = {"flag": True, "text": "ß", "bytes": b"xy", "nothing": None}
with job.stores["theirs"] as data:
    data["array"] = np.arange(3.0)
""",
        cwd=Path(project.path),
    )
    assert theirs == [[1, "ü", None, "a\0b"], 1.5, [0, 1, 2]]
    with job.stores["theirs"] as data:
        assert data["values"] == {"flag": True, "text": "ß", "bytes": b"xy", "nothing": None}
        assert data["array"][()].tolist() == [0.0, 1.0, 2.0]
