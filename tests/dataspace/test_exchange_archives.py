"""Archives that lie, and archives that are damaged: nothing is written outside, and nothing is believed."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataspace.trees import job_files, leftovers, read_tree, write_tree
from perkey.dataspace import Project
from perkey.dataspace.errors import ArchiveError
from perkey.dataspace.exchange.archives import extract_archive, link_field

ENDINGS = [".tar", ".tar.gz", ".zip"]
STATEPOINT = ("job/signac_statepoint.json", '{"a": 1}')


class Builder:
    """Writes archives that no honest program would write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_zip = path.suffix == ".zip"
        # Closed by `close`.
        self._zip = zipfile.ZipFile(path, "w") if self._is_zip else None
        mode: Any = "w:gz" if path.suffix == ".gz" else "w"
        self._tar = None if self._is_zip else tarfile.open(path, mode)  # noqa: SIM115

    def file(self, name: str, content: str = "evil", mode: int = 0o644) -> Builder:
        return self._add(name, content, stat.S_IFREG | mode, tarfile.REGTYPE)

    def link(self, name: str, target: str) -> Builder:
        return self._add(name, target, stat.S_IFLNK | 0o777, tarfile.SYMTYPE)

    def hard_link(self, name: str, target: str) -> Builder:
        return self._add(name, target, 0, tarfile.LNKTYPE)

    def folder(self, name: str) -> Builder:
        return self._add(name + "/" * self._is_zip, "", stat.S_IFDIR | 0o755, tarfile.DIRTYPE)

    def special(self, name: str) -> Builder:
        return self._add(name, "", stat.S_IFIFO | 0o666, tarfile.FIFOTYPE)

    def device(self, name: str) -> Builder:
        return self._add(name, "", stat.S_IFCHR | 0o666, tarfile.CHRTYPE)

    def _add(self, name: str, content: str, mode: int, kind: bytes) -> Builder:
        if self._zip is not None:
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = mode << 16
            self._zip.writestr(entry, content)
        if self._tar is not None:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = stat.S_IMODE(mode)
            if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                member.linkname = content
                self._tar.addfile(member)
            else:
                member.size = len(content.encode())
                self._tar.addfile(member, io.BytesIO(content.encode()))
        return self

    def close(self) -> Path:
        for archive in (self._zip, self._tar):
            if archive is not None:
                archive.close()
        return self.path


EVIL: dict[str, Callable[[Builder], object]] = {
    "absolute": lambda a: a.file("/tmp/perkey-evil"),
    "above": lambda a: a.file("../evil"),
    "above, hidden": lambda a: a.file("job/x/../../../evil"),
    "above, at the end": lambda a: a.folder("job/.."),
    "link out": lambda a: a.link("job/link", "../../../outside"),
    "absolute link": lambda a: a.link("job/link", "/etc/passwd"),
    "absolute link inside": lambda a: a.link("job/link", "/"),
    "through a link": lambda a: a.link("job/link", "..").file("job/link/../evil"),
    "through a link out": lambda a: a.link("out", "../outside").file("out/evil"),
    "through a link within": lambda a: a.folder("job/d").link("job/link", "d").file("job/link/evil"),
    "link below a link": lambda a: a.folder("d").link("job/link", "../d").link("job/link/x", "y"),
    "link by a link": lambda a: a.link("here", ".").link("job/out", "../here/../outside"),
    "link by a link to a folder": lambda a: (
        a.folder("a/b/c").link("deep", "a/b/c").link("flat", ".").link("x", "flat/deep/../../../../outside")
    ),
    "file over a link": lambda a: a.link("job/x", "signac_statepoint.json").file("job/x"),
    "link over a file": lambda a: a.file("job/x").link("job/x", "y"),
    "folder over a file": lambda a: a.file("job/x").file("job/x/y"),
    "file over a folder": lambda a: a.folder("job/x").file("job/x"),
    "twice": lambda a: a.file("job/x").file("job/x"),
    "pipe": lambda a: a.special("job/pipe"),
    "device": lambda a: a.device("job/device"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_archive_writes_nothing_and_is_refused(
    project: Project, tmp_path: Path, evil: str, ending: str
) -> None:
    write_tree(tmp_path / "outside", {"precious": "1"})
    builder = Builder(tmp_path / f"x{ending}").file(*STATEPOINT)
    EVIL[evil](builder)
    archive = builder.close()
    before = {name: text for name, text in read_outside(tmp_path).items() if "workspace" not in name}
    with pytest.raises(ArchiveError):
        project.import_from(archive)
    after = {name: text for name, text in read_outside(tmp_path).items() if "workspace" not in name}
    assert after == before
    assert not os.path.exists("/tmp/perkey-evil")
    assert len(project) == 0
    assert leftovers(project.path) == []


def read_outside(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_hard_link_reads_the_archive_and_never_the_file_system(project: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name, target in [("a", str(secret)), ("b", "../../../../../secret"), ("c", "job/none")]:
        archive = Builder(tmp_path / f"{name}.tar").file(*STATEPOINT).hard_link("job/x", target).close()
        with pytest.raises(ArchiveError):
            project.import_from(archive)
    good = Builder(tmp_path / "good.tar").file(*STATEPOINT).file("job/f", "f").hard_link("job/x", "job/f")
    project.import_from(good.close())
    assert job_files(project.open_job({"a": 1})) == {"f": "f", "x": "f"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_odd_but_honest_names_are_understood(project: Project, tmp_path: Path, ending: str) -> None:
    archive = (
        Builder(tmp_path / f"x{ending}")
        .folder(".")
        .file("./job/signac_statepoint.json", '{"a": 1}')
        .file("job//./é ü", "x", mode=0o7755)
        .file("job/.@perkey-tmp-1", "unfinished")
        .link("job/s/link", "../é ü")
        .link("job/dead", "nothing")
    )
    project.import_from(archive.close())
    job = project.open_job({"a": 1})
    assert job_files(job) == {"é ü": "x", "s/link": "-> ../é ü", "dead": "-> nothing"}
    assert stat.S_IMODE(os.stat(job.fn("é ü")).st_mode) == 0o755


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_link_between_jobs_becomes_what_it_leads_to(project: Project, tmp_path: Path, ending: str) -> None:
    archive = (
        Builder(tmp_path / f"x{ending}").file(*STATEPOINT).file("other/f", "f").link("job/l", "../other/f")
    )
    project.import_from(archive.close())
    assert job_files(project.open_job({"a": 1})) == {"l": "f"}


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_an_archive_cut_anywhere_is_refused(project: Project, tmp_path: Path, ending: str) -> None:
    write_tree(project.open_job({"a": 1}).init().path, {"f": "x" * 1000})
    project.export_to(tmp_path / f"x{ending}")
    whole = (tmp_path / f"x{ending}").read_bytes()
    # A tar file ends with more zeros than it needs.
    needed = len(whole.rstrip(b"\0")) + 1 if ending == ".tar" else len(whole)
    for length in {*range(0, needed, max(needed // 60, 1)), needed - 1}:
        (tmp_path / "cut").write_bytes(whole[:length])
        target = tmp_path / f"to{length}"
        target.mkdir()
        with pytest.raises(ArchiveError):
            extract_archive(str(tmp_path / "cut"), str(target), durable=False)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.xz", ".zip"])
def test_a_changed_byte_is_refused_or_changes_nothing(project: Project, tmp_path: Path, ending: str) -> None:
    """Of the formats that have checksums; some bytes do not matter."""
    write_tree(project.open_job({"a": 1}).init().path, {"f": "x" * 100})
    project.export_to(tmp_path / f"x{ending}", path="j")
    whole = (tmp_path / f"x{ending}").read_bytes()
    expected = read_tree(project.open_job({"a": 1}).path)
    refused = 0
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 0x55
        (tmp_path / "changed").write_bytes(changed)
        target = tmp_path / f"to{position}"
        target.mkdir()
        try:
            extract_archive(str(tmp_path / "changed"), str(target), durable=False)
        except ArchiveError:
            refused += 1
        else:
            found: Any = [text for name, text in read_tree(target).items() if not name.endswith("/")]
            assert sorted(found) == sorted(expected.values())
    assert refused > 10


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04", b"\x1f\x8b"])
def test_what_is_no_archive_is_refused(project: Project, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"x\.tar"):
        project.import_from(tmp_path / "x.tar")
    assert leftovers(project.path) == []


def test_an_archive_appears_when_it_is_complete(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.open_job({"a": 1}).init()
    real = os.replace
    seen = []

    def replace(source: str, target: str) -> None:
        seen.append((zipfile.ZipFile(source).testzip(), os.path.exists(target)))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    project.export_to(tmp_path / "x.zip")
    assert seen == [(None, False)]


def test_names_of_users_do_not_leave_the_house(project: Project, tmp_path: Path) -> None:
    project.open_job({"a": 1}).init()
    project.export_to(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert {(member.uid, member.gid, member.uname, member.gname) for member in archive} == {
            (0, 0, "", "")
        }


@pytest.mark.parametrize(
    ("name", "target"),
    [("job/l", "/tmp"), ("job/l", "../.."), ("/tmp/evil", "x"), ("../evil", "x"), ("job/f", "x")],
)
def test_the_links_that_zip_files_hold_beside_files_are_not_trusted_either(
    project: Project, tmp_path: Path, name: str, target: str
) -> None:
    before = set(os.listdir(tmp_path))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(*STATEPOINT)
        archive.writestr("job/f", "content")
        member = zipfile.ZipInfo("job/l")
        member.extra = link_field(name, target)
        archive.writestr(member, "what the link leads to")
    with pytest.raises(ArchiveError):
        project.import_from(tmp_path / "x.zip")
    assert len(project) == 0
    assert set(os.listdir(tmp_path)) - before == {"x.zip"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("extra", [b"", b"pk", b"pk\x01\x00a"])
def test_extra_fields_without_a_link_are_no_obstacle(project: Project, tmp_path: Path, extra: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(*STATEPOINT)
        member = zipfile.ZipInfo("job/f")
        member.extra = extra
        archive.writestr(member, "content")
    project.import_from(tmp_path / "x.zip")
    assert [job_files(job) for job in project] == [{"f": "content"}]


def test_links_of_all_kinds_come_back_from_a_zip_file_and_end(
    project: Project, other: Project, tmp_path: Path
) -> None:
    job = project.open_job({"a": 1}).init()
    write_tree(job.path, {"s/f": "1", "s/e/": "", "t/g": "2"})
    links = {"in": "s/f", "s/up": "../s/f", "dead": "nothing", "around": "s/..", "s/around": ".."}
    links |= {"folder": "s", "empty": "s/e", "chain": "folder", "s/t": "../t", "t/s": "../s"}
    for name, target in links.items():
        os.symlink(target, job.fn(name))
    project.export_to(tmp_path / "x.zip")
    other.import_from(tmp_path / "x.zip")
    assert read_tree(other.open_job({"a": 1}).path) == read_tree(job.path)
    assert len(zipfile.ZipFile(tmp_path / "x.zip").namelist()) < 40
