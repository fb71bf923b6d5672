"""Opening by path or address: with the parameters of what is there, and nothing guessed."""

from __future__ import annotations

import ast
import os
import pickle
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

import perkey
from perkey import AmbiguousPlaceError, FileDirDict, LocalDict, ReadOnlyError
from perkey.dataspace import init_project
from perkey.files import STALE_SECONDS, TEMPORARY
from perkey.naming import digest
from perkey.stores import DirectoryStore
from perkey.tools import places
from perkey.tools.places import Mode

KEYS = ["a", ("folder", "b"), ("folder", "deeper", "c-1"), "d_e"]


def fill(path: Path, file_type: str, digest_len: int) -> FileDirDict[Any]:
    d = FileDirDict[Any](path, file_type, digest_len=digest_len, durability="none")
    d.update(dict.fromkeys(KEYS, "text"))
    return d


@pytest.mark.parametrize(
    ("file_type", "digest_len"),
    [
        *product(["pkl", "json", "txt", "csv"], [0, 1, 2, 3, 8, 26]),
        *product(["own.type"], [1, 2, 3, 8, 26]),  # without digests nothing tells where the file type begins
    ],
)
def test_a_folder_is_opened_with_the_parameters_that_it_was_written_with(
    file_type: str, digest_len: int, tmp_path: Path
) -> None:
    d = fill(tmp_path, file_type, digest_len)
    for given in ({}, {"file_type": file_type}, {"digest_len": digest_len}):
        with warnings.catch_warnings(action="error"):
            opened = perkey.open(tmp_path, "r+", **given)
        assert (opened.file_type, opened.digest_len) == (file_type, digest_len)
        assert dict(opened) == dict(d)


@pytest.mark.parametrize("digest_len", [0, 3, 8])
def test_a_digest_by_chance_is_not_believed(digest_len: int, tmp_path: Path) -> None:
    """One character is right in one of 32 names."""
    by_chance = f"x_{digest('x', 1)}"
    d = FileDirDict[Any](tmp_path, "json", digest_len=digest_len)
    d[by_chance] = 1
    assert perkey.open(tmp_path).digest_len == digest_len
    assert list(perkey.open(tmp_path)) == [(by_chance,)]


def test_several_types_are_an_error_with_the_choices(tmp_path: Path) -> None:
    fill(tmp_path, "pkl", 8)
    FileDirDict[Any](tmp_path, "json")["more"] = 1
    with pytest.raises(AmbiguousPlaceError, match="file_type='json', digest_len=8 fits 1 name") as caught:
        perkey.open(tmp_path)
    assert [chosen for chosen, _ in caught.value.choices] == [
        {"file_type": "pkl", "digest_len": 8},
        {"file_type": "json", "digest_len": 8},
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    for chosen, count in caught.value.choices:
        assert len(perkey.open(tmp_path, **chosen)) == count
        assert perkey.open(tmp_path, file_type=chosen["file_type"]).digest_len == 8


def test_a_digest_length_must_fit_every_name(tmp_path: Path) -> None:
    fill(tmp_path, "json", 8)
    (tmp_path / "by_hand.json").write_text("1")
    with pytest.raises(AmbiguousPlaceError, match="digest_len=8 fits 4 names"):
        perkey.open(tmp_path)
    assert len(list(perkey.open(tmp_path, digest_len=8))) == 4
    (tmp_path / "by_hand.json").rename(tmp_path / "wrong_aaaaaaaa.json")
    with pytest.raises(AmbiguousPlaceError):
        perkey.open(tmp_path)


def test_a_folder_that_is_not_one_of_ours_is_no_digest(tmp_path: Path) -> None:
    """Someone opens the folder above."""
    fill(tmp_path / "place", "json", 8)
    with pytest.raises(AmbiguousPlaceError):
        perkey.open(tmp_path)


def test_foreign_files_and_claims_and_quarantine_do_not_matter(tmp_path: Path) -> None:
    d = fill(tmp_path, "pkl", 8)
    for name in ("README.md", "notes.txt", "Makefile", "my file.csv", "x_aaaaaaaa.dat"):
        (tmp_path / name).write_text("x")
    (tmp_path / "held_by.pkl-claim").write_text("x")
    aside = tmp_path / ".@perkey-quarantine" / "1"
    aside.mkdir(parents=True)
    (aside / "x.json").write_text("damaged")
    assert dict(perkey.open(tmp_path)) == dict(d)


def test_an_empty_place_has_the_defaults_of_its_class(tmp_path: Path) -> None:
    assert perkey.open(tmp_path / "new").get_params() == FileDirDict[Any](tmp_path / "new").get_params()
    opened = perkey.open("memory://empty-place")
    assert (type(opened), opened.file_type, opened.digest_len) == (LocalDict, "pkl", 8)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_modes(mode: Mode, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    if mode == "a":
        perkey.open(missing, mode)["a"] = 1
    else:
        with pytest.raises(FileNotFoundError):
            perkey.open(missing, mode)
        assert not missing.exists()
        FileDirDict[Any](missing)["a"] = 1
    opened = perkey.open(missing, mode)
    assert opened["a"] == 1
    for handle in (opened, pickle.loads(pickle.dumps(opened)), opened.get_subdict("x")):
        if mode == "r":
            with pytest.raises(ReadOnlyError):
                handle["b"] = 1
        else:
            handle["b"] = 1
    assert len(opened) == (1 if mode == "r" else 3)


def test_an_existing_empty_folder_exists(tmp_path: Path) -> None:
    assert list(perkey.open(tmp_path, "r")) == []


@pytest.mark.parametrize("mode", ["w", "w-", "x", "", "rb", "R"])
def test_other_modes_are_refused_with_the_choices(mode: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'r' \(read only\), 'r\+' .* or 'a'"):
        perkey.open(tmp_path / "x", mode)
    assert not (tmp_path / "x").exists()


def test_paths_in_all_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data", "json", 8)
    for place in (
        "~/data",
        "data",
        Path("data"),
        f"file://{tmp_path}/data",
        f"file://localhost{tmp_path}/data",
    ):
        opened = perkey.open(place, "r")
        assert opened.url("a") == (tmp_path / "data" / "a_btaxlooa.json").as_uri()
        assert opened.path("a").read_text() == '"text"'


@pytest.mark.parametrize("place", ["C:/data", "c:\\data", "C://data", "Z:"])
def test_one_letter_before_the_colon_is_a_drive(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    perkey.open(place, file_type="json")["a"] = 1
    assert type(perkey.open(place)) is FileDirDict
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_memory_is_shared_in_the_process_by_name_and_prefix() -> None:
    perkey.open("memory://shared", file_type="json")["a"] = 1
    perkey.open("memory://shared/x/y")["b"] = 2
    assert dict(perkey.open("memory://shared", "r", file_type="json")) == {("a",): 1}
    assert dict(perkey.open("memory://shared/x/y", "r")) == {("b",): 2}
    assert len(list(perkey.open("memory://another"))) == 0
    with pytest.raises(FileNotFoundError):
        perkey.open("memory://never-made", "r")


def test_parameters_of_addresses_are_those_of_the_class(tmp_path: Path) -> None:
    opened = perkey.open(
        f"file://{tmp_path}?file_type=json&digest_len=3&durability=none&immutable_items=true"
    )
    assert opened.get_params() == {
        **FileDirDict[Any](tmp_path).get_params(),
        "file_type": "json",
        "digest_len": 3,
        "durability": "none",
        "immutable_items": True,
    }
    with pytest.raises(ValueError, match=r"given twice.*file_type"):
        perkey.open(f"file://{tmp_path}?file_type=json", file_type="pkl")
    with pytest.raises(ValueError, match="'digest_len' twice"):
        perkey.open(f"file://{tmp_path}?digest_len=1&digest_len=2")
    with pytest.raises(ValueError, match="'region'"):
        perkey.open(f"file://{tmp_path}?region=eu")
    with pytest.raises(TypeError, match="unknown"):
        perkey.open(tmp_path, unknown=1)
    with pytest.raises(TypeError, match="CachedDict"):
        perkey.open(tmp_path, cache="x")


SECRETS = [
    "s3://AKIA:hush@bucket/x",
    "s3://hush@bucket/x",
    "gs://user:hush@bucket",
    "az://hush@container",
    "abfss://container:hush@account.dfs.core.windows.net/x",
    "file://user:hush@host/x",
    "memory://user:hush@name",
    "s3://bucket?aws_secret_access_key=hush",
    "s3://bucket?secret_access_key=hush&region=eu",
    "s3://bucket?access_key_id=hush",
    "s3://bucket?session_token=hush",
    "s3://bucket?X-Amz-Signature=hush",
    "s3://bucket?client=hush",
    "s3://bucket?endpoint_url=http://user:hush@host",
    "gs://bucket?service_account_key=hush",
    "az://container?account_key=hush",
    "az://container?sas_token=hush",
    "az://container/x?sig=hush",
    "az://container?account_name=hush@x",
    "memory://x?digest_len=hush",
    "s3://bucket#hush",
    "https://user:hush@host/x",
]


@pytest.mark.parametrize("place", SECRETS)
def test_secrets_in_addresses_are_refused_and_not_shown(place: str) -> None:
    with pytest.raises(ValueError, match=r"address|endpoint") as caught:
        perkey.open(place)
    shown, error = "", caught.value
    while error is not None:
        shown += str(error)
        if error.__suppress_context__:
            break
        error = error.__context__  # type: ignore[assignment] # of any class
    assert "hush" not in shown


@pytest.mark.parametrize("place", ["http://host/x", "ftp://x", "redis://x", "gcs2://x", "s3:///x", "gs://"])
def test_unknown_addresses_are_refused(place: str) -> None:
    with pytest.raises(ValueError, match="address"):
        perkey.open(place)


def test_a_path_of_pathlib_that_was_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        perkey.open(Path("s3://bucket/prefix"))


@pytest.mark.parametrize("place", [5, None, b"x", ["x"]])
def test_what_is_not_a_path_is_a_type_error(place: Any) -> None:
    with pytest.raises(TypeError, match="place"):
        perkey.open(place)


def test_a_project_is_an_error_that_names_get_project(tmp_path: Path) -> None:
    project = init_project(path=tmp_path / "study")
    project.open_job({"a": 1}).init()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "signac.rc").write_text("project = old\n")
    for place in (tmp_path / "study", tmp_path / "study" / "workspace", tmp_path / "old"):
        with pytest.raises(ValueError, match="get_project"):
            perkey.open(place)
    job_folder = next((tmp_path / "study" / "workspace").iterdir())
    perkey.open(job_folder / "results")["a"] = 1  # that is where dictionaries of a job may be


def test_a_page_is_looked_at_not_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "json", 8)
    drawn: list[object] = []
    scan: Callable[..., Any] = DirectoryStore.scan

    def counted(*arguments: Any) -> Any:
        for name in scan(*arguments):
            drawn.append(name)
            yield name

    monkeypatch.setattr(DirectoryStore, "scan", counted)
    monkeypatch.setattr(places, "_SAMPLE", 2)
    assert perkey.open(tmp_path).file_type == "json"
    assert len(drawn) == 2
    perkey.open(tmp_path, file_type="json", digest_len=8)
    assert len(drawn) == 2


def test_opening_for_reading_leaves_everything_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, "json", 8)
    stale = tmp_path / f"{TEMPORARY}dead"
    stale.write_text("x")
    os.utime(stale, (0, 0))
    opened = perkey.open(tmp_path, "r")
    assert len(list(opened.items())) == len(opened) == 4
    assert opened.oldest_keys(1)
    assert stale.exists()
    assert os.stat(stale).st_mtime + STALE_SECONDS < os.stat(tmp_path).st_mtime
    list(perkey.open(tmp_path, "r+"))
    assert not stale.exists()


def test_open_is_a_public_name_and_no_module_of_perkey_hides_the_builtin() -> None:
    assert "open" in perkey.__all__
    assert "open" in dir(perkey)
    source = Path(perkey.__file__).parent
    shadowing = [
        path.name
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and path != source / "__init__.py"
        and any((alias.asname or alias.name) == "open" for alias in node.names)
    ]
    assert shadowing == []


def test_of_many_choices_the_message_lists_the_first() -> None:
    choices: list[tuple[dict[str, Any], int]] = [({"file_type": f"t{number}"}, 2) for number in range(10)]
    text, short = (str(AmbiguousPlaceError("/p", some)) for some in (choices, choices[:2]))
    assert text.count("fits") == 8
    assert text.endswith(";\n  2 more are in the attribute choices")
    assert short.endswith("'t0' fits 2 names;\n  file_type='t1' fits 2 names")


@pytest.mark.parametrize("scheme", ["s3", "S3A", "gs", "az", "abfs", "memory", "file"])
@pytest.mark.parametrize("mode", ["r", "r+", "a"])
def test_an_address_without_slashes_is_not_a_folder(
    scheme: str, mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"'{scheme}:place'.*'./{scheme}:place' is a folder of that name"):
        perkey.open(f"{scheme}:place", mode)
    assert list(tmp_path.iterdir()) == []
    assert type(perkey.open(f"./{scheme}:place")) is FileDirDict


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket:SECRET/x",
        "s3://user:SECRET@bucket/x",
        "s3:user:SECRET@bucket/x",
        "gs://bucket/x?access_token=SECRET",
        "ftp://user:SECRET@host/x",
    ],
)
@pytest.mark.parametrize("make", [perkey.open, FileDirDict, perkey.ObjectStoreDict])
def test_no_message_shows_a_secret(make: Any, address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        make(address)
    assert "SECRET" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["base_dir", "bucket_name", "root_prefix", "url", "backend", "create"])
def test_what_the_place_names_is_not_an_argument(name: str) -> None:
    with pytest.raises(TypeError, match=rf"perkey.open does not take {name}: .*(part of the place|mode)"):
        perkey.open("memory://arguments", "a", **{name: "x"})


@pytest.mark.parametrize("mode", ["r", "r+", "a"])
def test_a_link_that_leads_nowhere_is_the_same_error_in_each_mode(mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="the link leads nowhere"):
        perkey.open(tmp_path / "link", mode)


def test_values_of_an_unknown_quarantine_are_an_error(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    with pytest.raises(FileNotFoundError, match="in quarantine"):
        perkey.unquarantine(d, str(tmp_path / "missing"))


def test_a_file_type_has_no_dot(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write 'csv'"):
        FileDirDict(tmp_path, ".csv")
