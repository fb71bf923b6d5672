"""What perkey promises for a place, and why: a folder, or a bucket of an object service.

`examine` looks at a place from this machine. It leaves nothing there. `race_with_others` lets several
machines race through the place: only that shows whether an unknown file system keeps its promises.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from perkey.answers import ignore_system_answer
from perkey.arguments import without_secrets
from perkey.errors import PerkeyError, UnknownFileSystemWarning
from perkey.files import (
    LOCK_FILE,
    OURS,
    STALE_SECONDS,
    TEMPORARY,
    UNCACHED_SMB,
    VARIABLE,
    FileSystem,
    Folder,
    Handle,
    Locking,
    Way,
    check_locking,
    file_system_of,
    folder_path,
    mount_of,
    sync,
    temporary_name,
    way_of,
)
from perkey.mapping import PersiDict
from perkey.stores.folder import require_descriptors
from perkey.tools.diagnosis import Diagnosis, Promise
from perkey.tools.meeting import Meeting
from perkey.tools.racing import race

OWN: Final = OURS + "doctor"
"""The folder, in a place, that machines race in."""

_FOLDERS: Final = ("file:///", "file://localhost/")
_BUCKETS: Final = ("s3://", "gs://", "az://", "abfs://", "abfss://")

_SCAN_SECONDS: Final = 3.0
_SCAN_ENTRIES: Final = 100_000
_FEW_BYTES: Final = 100 << 20
_FEW_FILES: Final = 1000
_BARRIERS: Final = frozenset(("nobarrier", "barrier=0", "barrier=none"))
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))
_VIRTUAL: Final = frozenset(
    ("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs")
)
"""Views of the kernel's state, in which programs cannot make files."""
_FAT: Final = frozenset(("vfat", "exfat"))
_CHANGES: Final = {
    "nolock": "mount it without the option nolock, or by NFS 4, whose locks need no second service",
    "local_lock=all": "mount it with local_lock=none",
    "local_lock=posix": "mount it with local_lock=none",
    "nocto": "mount it without the option nocto",
    "nobrl": "mount it without the option nobrl",
    "noserverino": "mount it with the option serverino",
}
"""What to change about a mount with an option."""


def examine(place: str, *, locking: Locking = "auto", endpoint_url: str | None = None) -> Diagnosis:
    """Return what perkey promises for a place. Nothing is left there, and no folder or bucket is made.

    Args:
        place: The path of a folder, which need not exist yet, or the address of a bucket, as for
            `perkey.open`.
        locking: As for `FileDirDict`; for folders only.
        endpoint_url: As for `S3Dict`; for buckets only.

    Raises:
        ValueError: `place` is another address, or an argument is not for this kind of place.
        NotADirectoryError: `place` is a file.
        BackendError: The service does not answer, or refuses to list the bucket.
        OSError: `place` cannot be read.
    """
    if is_bucket(place):
        if locking != "auto":
            raise ValueError(f"locking={locking!r} is for folders; a bucket has no locks")
        from perkey.tools.doctor_buckets import examine_bucket

        return examine_bucket(place, endpoint_url)
    if endpoint_url is not None:
        raise ValueError("an endpoint is for buckets, and PLACE is a folder")
    if place.startswith(_FOLDERS):
        from perkey.stores.objects import folder_of

        return examine_folder(folder_of(place), locking)
    if _is_other_address(place):
        shown = without_secrets(place)
        raise ValueError(
            f"PLACE must be the path of a folder, or the address of a bucket that begins with "
            f"{', '.join(_BUCKETS)}, not {shown!r}"
        )
    return examine_folder(place, locking)


def is_bucket(place: str) -> bool:
    """Return whether a place is the address of a bucket."""
    return place.startswith(_BUCKETS)


def _is_other_address(place: str) -> bool:
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.isalnum()


# --- Folders ------------------------------------------------------------------------------------------------


def examine_folder(place: str, locking: Locking = "auto") -> Diagnosis:
    """Return what perkey promises for a folder; as `examine`."""
    require_descriptors()
    check_locking(locking)
    path = folder_path(place, "PLACE")
    if os.path.lexists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", path)
    there = _nearest(path)
    with Handle() as file:
        fd = file.open(there, os.O_RDONLY | os.O_DIRECTORY)
        found = file_system_of(fd)
        name, options = mount_of(fd)
        free = os.statvfs(fd)
    if found.type.startswith("0x") and name:
        found = replace(found, type=name)
    given = frozenset(options.split(",")) if options else found.options
    way, chosen_by = _way(path, there, found, locking)
    tried = _try_to_write(path) if there == path else {"write": os.access(there, os.W_OK | os.X_OK)}
    result = Diagnosis(path)
    result.facts = {
        "kind": "folder",
        "exists": there == path,
        "file_system": {
            "type": found.type,
            "kind": found.kind,
            "evidence": found.evidence,
            "options": sorted(given),
        },
        "locking": {"way": _name_of(way), "chosen_by": chosen_by},
        "access": {"read": os.access(there, os.R_OK | os.X_OK), **tried},
        "free": {"bytes": free.f_bavail * free.f_frsize, "files": free.f_favail if free.f_files else None},
        "leftovers": _leftovers(path),
    }
    _promises_of_folder(result, found, way, tried, given)
    result.advice += _advice(result, found, way, chosen_by)
    return result


def _nearest(path: str) -> str:
    """Return the folder itself, or the nearest one above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _way(path: str, there: str, found: FileSystem, locking: Locking) -> tuple[Way, str]:
    """Return the way that perkey takes, and who has chosen it."""
    chosen_by = "argument"
    if locking == "auto":
        locking = check_locking(os.environ.get(VARIABLE) or "auto", VARIABLE)
        chosen_by = VARIABLE if locking != "auto" else "file system"
    if locking == "auto" and path != there:
        return Way(path, found.kind != "local", found, found.no_locks), chosen_by
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownFileSystemWarning)
        way = way_of(path, locking)
    if locking == "auto" and found.kind == "local" and way.shared:
        chosen_by = f"the lock file {LOCK_FILE} of another machine"
    return way, chosen_by


def _name_of(way: Way) -> str:
    if way.no_locks:
        return "none"
    return "shared" if way.shared else "local"


def _try_to_write(path: str) -> dict[str, Any]:
    """Write a small file as perkey does, and remove it; return what worked."""
    names = [temporary_name() for _ in range(2)]
    done: dict[str, Any] = {"write": False, "links": None, "seconds": None, "error": ""}
    began = time.monotonic()
    try:
        with Folder.at(path, (), lockable=False) as folder:
            try:
                with Handle() as file:
                    fd = folder.create(names[0], file)
                    os.write(fd, b"perkey doctor\n")
                    sync(fd, path)
                done["links"] = _links(folder, *names)
                folder.replace(names[0], names[1])
                folder.sync()
                done |= {"write": True, "seconds": round(time.monotonic() - began, 4)}
            finally:
                for name in names:
                    with ignore_system_answer(OSError):
                        folder.unlink(name)
    except OSError as error:
        done["error"] = error.strerror or str(error)
    return done


def _links(folder: Folder, name: str, other: str) -> bool:
    """Return whether a file can have two names there."""
    try:
        folder.link(name, other)
    except OSError:
        return False
    folder.unlink(other)
    return True


def _leftovers(path: str) -> dict[str, Any]:
    """Count what dead writers have left, as far as a few seconds allow."""
    found = {
        "stale_files": 0,
        "lock_file": os.path.lexists(f"{path}/{LOCK_FILE}"),
        "doctor": 0,
        "complete": True,
    }
    end = time.monotonic() + _SCAN_SECONDS
    for number, entry in enumerate(_entries(path)):
        kind = "stale_files" if entry.name.startswith(TEMPORARY) else "doctor" if entry.name == OWN else ""
        if kind:
            with ignore_system_answer(OSError):
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                found[kind] += age > STALE_SECONDS
        if number > _SCAN_ENTRIES or time.monotonic() > end:
            return found | {"complete": False}
    return found


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder and below it, without following symbolic links."""
    folders = [path]
    while folders:
        with ignore_system_answer(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.name != OWN and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


# --- Promises of a folder -----------------------------------------------------------------------------------


def _promises_of_folder(
    result: Diagnosis, found: FileSystem, way: Way, tried: dict[str, Any], options: frozenset[str]
) -> None:
    error = tried.get("error")
    write = "a small file was written and removed" if result.facts["exists"] else "the folder can be made"
    if error or not tried["write"]:
        write = _why_not_writable(found, error)
    result.promise("writing", tried["write"], write)
    result.promise("atomic replacement", *_replacement(found))
    if result.facts["leftovers"]["lock_file"] and not way.shared:
        ignored = f'locking="local" was chosen, but another machine has left the lock file {LOCK_FILE}'
        result.promise("conditions on versions", False, ignored)
        result.promise("insert if absent", False, ignored)
    else:
        result.promise("conditions on versions", *_conditions(found, way))
        result.promise("insert if absent", *_insertion(found, way, tried.get("links")))
    result.promise("durability", *_durability(found, options))
    whole = found.syncs_whole and not way.shared
    bulk = "syncfs(2) for many values at once" if whole else "fsync(2) for each value: bulk writes are slower"
    result.promise("durable bulk writes", result.promises[-1].holds, bulk)
    quick = found.counts_folders and not way.shared
    how = "link counts show where sub-folders are" if quick else "each entry of a folder is looked at"
    result.promise("len", True, how)


def _why_not_writable(found: FileSystem, error: str | None) -> str:
    if found.type in _VIRTUAL:
        return f"not writable: {found.type} shows the state of the kernel and keeps no files"
    if error:
        return f"not writable: {error}"
    return "the folder cannot be made: no right to write to the one above it"


def _replacement(found: FileSystem) -> tuple[bool | None, str]:
    if found.type in _FAT:
        return False, f"a power failure in rename(2) can damage a folder of {found.type}"
    if found.kind == "other":
        return None, f"depends on what {found.type} makes of rename(2)"
    return True, "rename(2)" if found.kind == "local" else "rename(2), done by the server"


def _conditions(found: FileSystem, way: Way) -> tuple[bool | None, str]:
    if way.no_locks:
        return False, f"refused with UnsupportedConditionError: {way.no_locks}"
    if not way.shared:
        return _of_local_locks(found, "flock(2) on the folder")
    how = f"record locks on the file {LOCK_FILE}"
    if found.kind == "local":
        return True, how
    if found.no_locks:
        reason = f"{how} were chosen, but {found.no_locks}"
        return (False if found.kind == "shared" else None), reason
    if found.kind == "shared":
        return True, f"{how}, granted by the server ({found.evidence} on {found.type})"
    return None, f"{how}; whether they exclude other machines on {found.type} is not known"


def _of_local_locks(found: FileSystem, how: str) -> tuple[bool | None, str]:
    if found.kind == "local":
        return True, f"{how}; only this machine mounts {found.type}"
    other = "other mounts" if found.type.startswith("fuse") else "other machines"
    return (
        False if found.kind == "shared" else None,
        f"{how} was chosen; it does not exclude writers on {other} of {found.type}",
    )


def _insertion(found: FileSystem, way: Way, links: bool | None) -> tuple[bool | None, str]:
    if not way.shared:
        return _of_local_locks(found, "flock(2) or link(2)")
    if links is False:
        return (None if way.no_locks else _conditions(found, way)[0]), f"{found.type} refuses link(2)"
    if found.kind == "other":
        return None, f"link(2); the second one is refused if {found.type} asks its server"
    return True, "link(2): " + (
        "the kernel" if found.kind == "local" else "the server"
    ) + " refuses the second"


def _durability(found: FileSystem, options: frozenset[str]) -> tuple[bool | None, str]:
    if found.type in _IN_MEMORY:
        return False, f"{found.type} is in memory: all is lost when the machine goes down"
    unsafe = next(iter(sorted(_BARRIERS & options)), None)
    if unsafe:
        return False, f"it is mounted with {unsafe}"
    if found.kind == "other":
        return None, f"fsync(2); whether {found.type} then has it on a disk is not known"
    server = " by the server, unless its export is async" if found.kind == "shared" else ""
    return True, f"fsync(2) of the file and its folder{server}"


def _advice(result: Diagnosis, found: FileSystem, way: Way, chosen_by: str) -> Iterator[str]:
    place = result.place
    if found.type in _VIRTUAL:
        yield "choose a folder on a disk"
        return
    yield from (_CHANGES[option] for option in _CHANGES if option in found.options and found.no_locks)
    if found.is_smb and not found.options >= UNCACHED_SMB:
        yield f"mount it with the options {','.join(sorted(UNCACHED_SMB))}"
    if found.type == "lustre" and found.no_locks:
        yield "mount it with the option flock (not localflock)"
    if found.type.startswith("fuse") and found.kind == "other":
        yield (
            'choose locking="local" if only processes that use this mount write to the folder: conditions '
            'hold among them. Choose locking="shared" if other mounts or machines write, too: conditions '
            "then rest on record locks, which the FUSE program must carry to the others"
        )
    if found.kind == "other" or (way.shared and found.evidence != "tested" and not way.no_locks):
        yield f"run on two machines at once: perkey doctor {place} --with-others 2"
    if way.no_locks and chosen_by in {"argument", VARIABLE}:
        yield f'choose another locking than "none" ({chosen_by}) if writers compare versions'
    if not way.shared and (found.kind == "shared" or result.facts["leftovers"]["lock_file"]):
        yield 'use locking="auto" or "shared" if other machines write to the folder'
    if found.type in _FAT:
        yield f"use {found.type} to carry data, not to work on it"
    if found.type in _IN_MEMORY:
        yield "use a folder on a disk for what must survive a restart"
    yield from _advice_about_room(result)


def _advice_about_room(result: Diagnosis) -> Iterator[str]:
    free, left = result.facts["free"], result.facts["leftovers"]
    few_files = free["files"] is not None and free["files"] < _FEW_FILES
    if free["bytes"] < _FEW_BYTES or few_files:
        yield "free some space: few bytes or few files are left"
    if left["stale_files"]:
        yield "remove stale temporary files with d.store.sweep(), or by listing the dictionary once"
    if left["doctor"]:
        yield f"remove the folder {OWN}, which a killed test has left"


# --- Several machines ---------------------------------------------------------------------------------------


def race_with_others(
    diagnosis: Diagnosis,
    machines: int,
    *,
    seconds: float = 20.0,
    wait: float = 60.0,
    locking: Locking = "auto",
    endpoint_url: str | None = None,
) -> tuple[list[Promise], list[dict[str, Any]]]:
    """Race with the same function on other machines; return what holds, and who took part.

    The machines find each other in the place itself. What they make there is removed.

    Args:
        diagnosis: What `examine` has returned for the place.
        machines: How many take part; each is a process of its own.
        seconds: How long they race.
        wait: For how many seconds they wait for each other.
        locking: As for `examine`.
        endpoint_url: As for `examine`.

    Raises:
        MeetingError: The others did not come, or left before the end.
        FileNotFoundError: The bucket does not exist.
        PerkeyError, OSError: The place cannot be used at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownFileSystemWarning)
        place, tidy = _dictionary(diagnosis, locking, endpoint_url)
        meeting = Meeting(place.get_subdict("machines"), machines, wait=wait, about=_about(diagnosis))
        try:
            with meeting:
                meeting.gather()
                return race(meeting, _field(place, meeting), seconds), meeting.about()
        finally:
            with suppress(PerkeyError, OSError):
                _clean(place, meeting, tidy)


def _about(diagnosis: Diagnosis) -> dict[str, Any]:
    facts = diagnosis.facts
    if facts["kind"] == "bucket":
        return {"way": "bucket", "file_system": "", "made": False}
    locking, system = facts["locking"], facts["file_system"]
    return {"way": locking["way"], "file_system": system["type"], "made": not facts["exists"]}


def _field(place: PersiDict[Any], meeting: Meeting) -> PersiDict[Any]:
    return place.get_subdict(f"race-{meeting.group[0]}")


def _clean(place: PersiDict[Any], meeting: Meeting, tidy: Callable[[bool], None]) -> None:
    """Remove what is left, if no other machine needs it any more."""
    if not meeting.is_last():
        return
    if meeting.group:
        _field(place, meeting).clear()
    meeting.remove_dead()
    if not place:
        tidy(any(machine["made"] for machine in meeting.about()))


def _dictionary(
    diagnosis: Diagnosis, locking: Locking, endpoint_url: str | None
) -> tuple[PersiDict[Any], Callable[[bool], None]]:
    """Return the dictionary that machines race in, and a function that removes its folder."""
    if diagnosis.facts["kind"] == "bucket":
        if not diagnosis.facts["exists"]:
            raise FileNotFoundError(errno.ENOENT, "the bucket does not exist; make it first", diagnosis.place)
        from perkey.tools.doctor_buckets import dictionary_in

        return dictionary_in(diagnosis.place, endpoint_url, OWN), lambda _: None
    from perkey.dicts.file_dir import FileDirDict

    facts = diagnosis.facts
    if "lock file" in facts["locking"]["chosen_by"]:
        locking = facts["locking"]["way"]  # it lies in the folder itself, and not in the one of the race
    base = f"{diagnosis.place}/{OWN}"
    place: FileDirDict[Any] = FileDirDict(base, "json", digest_len=0, durability="none", locking=locking)
    return place, partial(_remove, base, diagnosis.place)


def _remove(base: str, place: str, made: bool) -> None:
    shutil.rmtree(base, ignore_errors=True)
    if made:
        with ignore_system_answer(OSError):
            os.rmdir(place)
