"""Where a project is, and its configuration: both layouts of signac, read and written.

- Layout 1 (signac 1.x): ``signac.rc`` in the project's folder, with ``project``, ``workspace_dir`` and
  ``schema_version = 1`` (or 0, or without a version).
- Layout 2 (signac 2.x): ``.signac/config`` with ``schema_version = 2``; the workspace is always in
  ``workspace``.

``~/.signacrc`` holds what is valid for all projects of a user. Environment variables in the path of a
workspace are replaced by their values.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from perkey.answers import system_answer
from perkey.dataspace.errors import ConfigError, IncompatibleSchemaVersion
from perkey.files import make_base, read_file, refuse_dangling, write_file
from perkey.query import split

DEFAULT_WORKSPACE: Final = "workspace"
_LINE_END: Final = re.compile("\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a project are, relative to its folder.

    Attributes:
        version: Its number, signac's schema version.
        config: The configuration.
        cache: The state points of all jobs, as signac keeps them.
    """

    version: int
    config: str
    cache: str


LAYOUTS: Final = {
    2: Layout(2, os.path.join(".signac", "config"), os.path.join(".signac", "statepoint_cache.json.gz")),
    1: Layout(1, "signac.rc", ".signac_sp_cache.json.gz"),
}
"""The layouts by their versions, the newest first; version 0 differs from 1 in its number only."""


def global_config_path() -> str:
    """Return the path of the user's configuration, which need not exist."""
    return os.path.expanduser(os.path.join("~", ".signacrc"))


class ProjectConfig(Mapping[str, Any]):
    """The settings of a project: its own over the user's. Values are text; sections are mappings.

    It cannot be changed in memory: `set_config_value` changes a file.

    Attributes:
        root: The project's folder.
        layout: Its layout.
    """

    def __init__(self, root: str, layout: Layout, own: Mapping[str, Any]) -> None:
        self.root = root
        self.layout = layout
        self._values = {**_users_config(), **own}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r})"

    def __setitem__(self, key: str, value: Any) -> None:
        """Refuse; raises ValueError."""
        raise ValueError("a project's configuration is not changed in memory: use set_config_value()")

    def __delitem__(self, key: str) -> None:
        """Refuse; raises ValueError."""
        raise ValueError("a project's configuration is not changed in memory: use set_config_value()")

    @property
    def path(self) -> str:
        """The path of the project's own file."""
        return os.path.join(self.root, self.layout.config)

    @property
    def cache_path(self) -> str:
        """The path of signac's cache of state points."""
        return os.path.join(self.root, self.layout.cache)

    @property
    def schema_version(self) -> int:
        """The number of the layout as written in the file; raises ConfigError if it is not a number."""
        text = self._values.get("schema_version", "0")
        try:
            return int(text)
        except (TypeError, ValueError):
            raise ConfigError(f"{self.path}: schema_version is {text!r}, not a number") from None

    @property
    def workspace(self) -> str:
        """The path of the workspace."""
        path = DEFAULT_WORKSPACE
        if self.layout.version == 1:
            path = str(self._values.get("workspace_dir") or path)
        return os.path.abspath(os.path.join(self.root, os.path.expanduser(os.path.expandvars(path))))

    def check_version(self) -> None:
        """Raise IncompatibleSchemaVersion if the layout is unknown."""
        known = {2: (2,), 1: (0, 1)}[self.layout.version]
        if self.schema_version not in known:
            raise IncompatibleSchemaVersion(
                f"{self.path}: schema version {self.schema_version} is not known here; "
                f"such a file has version {' or '.join(map(str, known))}"
            )


def load(root: str) -> ProjectConfig | None:
    """Return the configuration of the project in a folder, if any.

    Raises:
        ConfigError: The file cannot be understood.
    """
    for layout in LAYOUTS.values():
        path = os.path.join(root, layout.config)
        if _is_there(path):
            return ProjectConfig(root, layout, read_config(path))
    return None


def _is_there(path: str) -> bool:
    """Return whether a configuration exists, by one look: another process may be making it.

    Raises:
        ConfigError: Something that is not a file is where the configuration should be.
    """
    try:
        status = os.stat(path)
    except system_answer(FileNotFoundError, NotADirectoryError, PermissionError):
        try:
            refuse_dangling(os.path.dirname(path))
            refuse_dangling(path)
        except system_answer(FileNotFoundError) as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from None
        return False
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is not a file, so it is not the configuration of a project")
    return True


def search(start: str) -> ProjectConfig | None:
    """Return the configuration of the project in a folder, or the nearest above it, if any."""
    folder = os.path.abspath(start)
    while True:
        found = load(folder)
        parent = os.path.dirname(folder)
        if found is not None or parent == folder:
            return found
        folder = parent


def create(root: str, values: Mapping[str, str], layout: Layout, *, durable: bool) -> ProjectConfig:
    """Write the configuration of a new project, unless it exists; return the present one."""
    content = _readable({**values, "schema_version": str(layout.version)}, layout.config)
    path = os.path.join(root, layout.config)
    make_base(os.path.dirname(path), durable=durable)
    with suppress(FileExistsError):
        write_file(path, content, durable=durable, new=True)
    found = load(root)
    if found is None:
        raise ConfigError(f"{root}: the configuration disappeared while it was written")
    return found


def set_config_value(path: str, key: str, value: str) -> None:
    """Set one value of a configuration file and keep the rest; the file is made if it does not exist.

    Args:
        path: The file: `ProjectConfig.path` or `global_config_path`.
        key: The key; ``section.key`` for one in a section.
        value: Its new value.

    Raises:
        ConfigError: The file cannot be parsed, or cannot hold this value; or the key is a section, or a
            section is needed where a value is. Nothing was changed.
    """
    values = read_config(path)
    target = values
    *sections, last = split(key)
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"{path}: {section} is a value, not a section")
    if isinstance(target.get(last), dict):
        raise ConfigError(f"{path}: {key} is a section, not a value")
    target[last] = str(value)
    write_file(path, _readable(values, path))


def _readable(values: Mapping[str, Any], path: str) -> bytes:
    """Return the text of a configuration file; raises ConfigError if it would be read as something else."""
    try:
        content = dump_config(values)
        found = _parse(content.decode("utf-8-sig"))
    except ValueError as error:  # not for UTF-8, or not to be parsed
        raise ConfigError(f"{path} cannot hold {values!r}: {error}") from None
    if found != values:
        raise ConfigError(f"{path} cannot hold {values!r}: it would be read as {found!r}")
    return content


def read_config(path: str) -> dict[str, Any]:
    """Return the content of a configuration file; nothing if it is missing.

    Raises:
        ConfigError: The file cannot be read; or a line is neither ``key = value`` nor ``[section]`` nor a
            comment.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if content is None:
        return {}
    try:
        return _parse(content.decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _users_config() -> dict[str, Any]:
    """Return what is valid for all of a user's projects.

    The result is empty if the process may not enter the home folder: services and containers often run as
    another user than the one whose HOME they inherit.
    """
    path = global_config_path()
    try:
        return read_config(path)
    except ConfigError as error:
        if isinstance(error.__cause__, PermissionError) and not os.path.lexists(path):
            return {}
        raise


def dump_config(values: Mapping[str, Any], depth: int = 0) -> bytes:
    """Return the text of a configuration file: values first, then the sections."""
    lines = [f"{key} = {_quoted(str(value))}" for key, value in values.items() if not _is_section(value)]
    text = "".join(f"{line}\n" for line in lines).encode()
    for name, section in values.items():
        if _is_section(section):
            brackets = "[" * (depth + 1), "]" * (depth + 1)
            text += f"{brackets[0]}{name}{brackets[1]}\n".encode() + dump_config(section, depth + 1)
    return text


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping)


def _parse(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    open_sections = [values]
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            _open_section(open_sections, line, number)
            continue
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise ValueError(f"line {number} is neither a value nor a section: {line!r}")
        open_sections[-1][_unquoted(key.strip())] = _unquoted(value.strip())
    return values


def _open_section(open_sections: list[dict[str, Any]], line: str, number: int) -> None:
    """Go on with the section that a line opens, which is as deep as it has brackets."""
    depth = len(line) - len(line.lstrip("["))
    name = line[depth : -depth or None].strip()
    if not line.endswith("]" * depth) or not name or depth > len(open_sections):
        raise ValueError(f"line {number} opens no section: {line!r}")
    del open_sections[depth:]
    section = open_sections[-1].setdefault(_unquoted(name), {})
    if not isinstance(section, dict):
        raise ValueError(f"line {number} opens a section that is a value already: {line!r}")
    open_sections.append(section)


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if text.startswith(quote) and (end := text.find(quote, 1)) > 0:
            return text[1:end]
    return text.split(" #", 1)[0].rstrip()


def _quoted(text: str) -> str:
    needed = text != text.strip() or not text or any(sign in text for sign in "\"',#[]=")
    if "\n" in text or "\r" in text or (needed and '"' in text and "'" in text):
        raise ConfigError(f"a configuration file cannot hold the value {text!r}")
    if not needed:
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'
