"""A value whose class is not here is not damaged: it says so, stays, and loads when the class is back."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perkey import FileDirDict, UnloadableValueError
from perkey.content import STREAM_ABOVE


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return a module with a class, which a test can take away."""
    made = types.ModuleType("passing_module")
    exec(
        "class Thing:\n    def __init__(self, content=None):\n        self.content = content\n", made.__dict__
    )
    monkeypatch.setitem(sys.modules, "passing_module", made)
    return made


CASES = {
    "pkl": ("pkl", None),
    "pkl streamed": ("pkl", np.random.default_rng(0).random(200_000)),
    "pkl streamed and compressible": ("pkl", np.random.default_rng(0).integers(0, 1 << 18, 900_000)),
    "json": ("json", None),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("missing", ["module", "class", "what it needs"])
def test_a_value_whose_class_is_not_here_is_unloadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: types.ModuleType, case: str, missing: str
) -> None:
    file_type, content = CASES[case]
    d = FileDirDict[Any](tmp_path, file_type)
    d["thing"] = module.Thing(content)
    (path,) = tmp_path.iterdir()
    assert ("streamed" in case) is (path.stat().st_size > STREAM_ABOVE)
    d["other"] = "fine"
    stored = path.read_bytes()
    with monkeypatch.context() as patch:
        if missing == "module":
            patch.delitem(sys.modules, "passing_module")
        elif missing == "class":
            patch.delattr(module, "Thing")
        else:
            patch.setattr(module.Thing, "__setattr__", None)
            patch.setattr(module.Thing, "__setstate__", fail, raising=False)
        with pytest.raises(UnloadableValueError) as caught:
            d["thing"]
        error = caught.value
        assert (error.key, error.place) == (("thing",), str(path))
        assert str(error).startswith(f"value of key ('thing',) at {path} cannot be loaded here: ")
        assert isinstance(error, ImportError)
        assert d["other"] == "fine"
    assert path.read_bytes() == stored
    np.testing.assert_array_equal(d["thing"].content, content)


def fail(self: object, state: object) -> None:
    raise ImportError("needs a library")


@pytest.mark.parametrize("kind", ["missing", "fails"])
def test_files_of_joblib_are_no_exception(tmp_path: Path, module: types.ModuleType, kind: str) -> None:
    import joblib

    joblib.dump(module.Thing(np.arange(5)), tmp_path / "a_btaxlooa.pkl", compress="lz4")
    d = FileDirDict[Any](tmp_path)
    assert d["a"].content.tolist() == [0, 1, 2, 3, 4]
    if kind == "missing":
        del sys.modules["passing_module"]
    else:
        module.Thing.__setstate__ = fail
    with pytest.raises(UnloadableValueError, match=r"passing_module|needs a library"):
        d["a"]
    assert len(d) == 1
