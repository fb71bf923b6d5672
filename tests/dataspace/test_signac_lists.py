"""Every public name of signac 2, with the order of its parameters, is there; so are its program's options.

The lists are those of the installed signac itself: `dir()`, `inspect.signature()` and ``--help``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

import perkey.dataspace as space
from dataspace.signac_side import signac
from perkey.cli.space import command as program
from perkey.dataspace.signac_module import StandIn, as_signac

LISTS = """
import contextlib, importlib, inspect, io, re
names = [name for name in dir(signac) if not name.startswith("_")] + signac.__all__
from signac import __main__ as program

def parameters(function):
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in found if p.kind.name == "POSITIONAL_OR_KEYWORD" and p.name not in ("self", "cls")]

def members(thing):
    found = {"": parameters(thing)}
    for name in dir(thing):
        value = inspect.getattr_static(thing, name)
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if not name.startswith("_"):
            found[name] = parameters(value) if inspect.isfunction(value) else None
    return found

def helped(*words):
    out = io.StringIO()
    sys.argv = ["signac", *words, "--help"]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        program.main()
    return out.getvalue()

def commands(text):
    return re.findall(r"\\{([a-z-]+(?:,[a-z-]+)+)\\}", text.split("options:")[0])[0].split(",")

top = helped()
words = [[], *([each] for each in commands(top))]
words += [["config", each] for each in commands(helped("config"))]
classes = ["Project", "JobsCursor", "Job", "H5Store", "H5StoreManager", "JSONDict", "ProjectSchema"]
places = {"JobsCursor": "project", "Job": "job", "ProjectSchema": "schema"}
modules = ["errors", "sync", "job", "project", "schema", "diff", "filterparse", "h5store", "version"]
give({
    "classes": {
        name: members(getattr(getattr(signac, places[name]) if name in places else signac, name))
        for name in classes
    },
    "functions": {
        name: parameters(getattr(signac, name)) for name in signac.__all__ if callable(getattr(signac, name))
    },
    "names": names,
    "modules": {
        name: getattr(importlib.import_module("signac." + name), "__all__", None)
        or [
            each
            for each, value in vars(importlib.import_module("signac." + name)).items()
            if not each.startswith("_") and getattr(value, "__module__", None) == "signac." + name
        ]
        for name in modules
    },
    "help": {" ".join(each): helped(*each) for each in words},
})
"""

PAGE = (Path(__file__).parents[2] / "docs" / "coming_from.md").read_text()

ELSEWHERE = {
    ("JSONDict", "registry"),
    ("JSONDict", "parent"),
}
"""What is in the table of `docs/coming_from.md` and not rebuilt."""

INTERNAL = {"nested_dict", "FileTransferStats", "JobsCursorIterator", "calc_id", "ddict"}


@cache
def lists() -> dict[str, Any]:
    found: dict[str, Any] = signac(LISTS)
    return found


def stand_in() -> Any:
    """Return the stand-in without letting other tests import it instead of signac."""
    from perkey.dataspace import signac_module

    return signac_module.modules()["signac"]


def positional(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    found = inspect.signature(function).parameters.values()
    return [each.name for each in found if each.kind in kinds and each.name not in {"self", "cls"}]


def accepts(function: Any, name: str) -> bool:
    found = inspect.signature(function).parameters
    return name in found or any(each.kind is each.VAR_KEYWORD for each in found.values())


def member(cls: Any, name: str) -> Any:
    if not name:
        return cls.__init__
    found = inspect.getattr_static(cls, name)
    return found.__func__ if isinstance(found, classmethod | staticmethod) else found


CLASSES = ["Project", "JobsCursor", "Job", "H5Store", "H5StoreManager", "JSONDict", "ProjectSchema"]


@pytest.mark.parametrize("cls", CLASSES)
def test_classes_have_the_members_of_signac(cls: str) -> None:
    """With each parameter by its name, in `perkey.dataspace`."""
    for name, parameters in lists()["classes"][cls].items():
        if (cls, name) in ELSEWHERE:
            assert name in PAGE, name
            continue
        found = member(getattr(space, cls), name)
        for each in parameters or ():
            assert accepts(found, each) or ((cls, each) in ELSEWHERE and f"`{each}`" in PAGE), (name, each)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_stand_in_has_the_parameters_of_signac_in_their_order(cls: str) -> None:
    for name, parameters in lists()["classes"][cls].items():
        if (cls, name) in ELSEWHERE or parameters is None:
            continue
        found = positional(member(getattr(stand_in(), cls), name))
        wanted = [each for each in parameters if (cls, each) not in ELSEWHERE]
        same = {"_id": "id_", "buffer_size": "buffer_capacity", "other": "other"}
        assert [same.get(each, each) for each in found[: len(wanted)]] == wanted, name


def test_functions_have_the_parameters_of_signac() -> None:
    for name, parameters in lists()["functions"].items():
        if parameters is not None and name not in CLASSES:
            assert positional(getattr(stand_in(), name))[: len(parameters)] == parameters, name
            assert all(accepts(getattr(space, name), each) for each in parameters), name


def test_the_module_has_the_names_of_signac() -> None:
    for name in lists()["names"]:
        assert getattr(stand_in(), name) is not None
        if name not in {"project", "job", "filterparse", "version", "schema", "diff", "h5store"}:
            assert getattr(space, name) is not None


def test_modules_have_the_names_of_signac() -> None:
    for module, names in lists()["modules"].items():
        for name in set(names) - INTERNAL:
            assert getattr(getattr(stand_in(), module), name) is not None, (module, name)


def looked_up(words: list[str]) -> tuple[click.Command, click.Context]:
    found: click.Command = program
    context = click.Context(found)
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(context, word)
        assert inner is not None, words
        found = inner
    return found, context


def test_the_program_has_the_commands_and_options_of_signac() -> None:
    for words, text in lists()["help"].items():
        command, _ = looked_up(words.split())
        names = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        wanted = set(re.findall(r"(?<![\w-])--?[A-Za-z1][\w-]*", options_of(text)))
        assert wanted - names - {"-h", "--help"} == set(), words


def options_of(text: str) -> str:
    """Return the options that a help text explains, without what is said of them."""
    lines = text.rsplit("\noptions:", maxsplit=1)[-1].splitlines()
    return "\n".join(re.split(r"(?<=\S)  ", line)[0] for line in lines if line.startswith("  -"))


@pytest.mark.parametrize(
    "name", ["find_job_documents", "find_statepoints", "find_variable_parameters", "create_view", "index"]
)
def test_what_signac_once_had_says_what_replaces_it(project: space.Project, name: str) -> None:
    with pytest.raises(AttributeError, match="not part of perkey"):
        getattr(project, name)


def test_as_signac_refuses_to_come_after_signac(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "signac", importlib.import_module("json"))
    with pytest.raises(RuntimeError, match="before"):
        as_signac()


def test_the_stand_in_is_made_once_and_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "signac"]:
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "modules", dict(sys.modules))
        made = as_signac()
        assert as_signac() is made
        assert isinstance(sys.modules["signac.contrib.job"], StandIn)
        assert made.contrib.job.Job is space.Job
        assert set(made.__all__) <= set(dir(made))
        with pytest.raises(AttributeError, match="the index is built in"):
            _ = made.index_files
