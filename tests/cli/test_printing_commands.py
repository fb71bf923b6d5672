"""The commands that print: job, find, statepoint, document, diff, schema, project."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perkey.dataspace import Job, Project

from .conftest import Run, is_one_line

# --- job ------------------------------------------------------------------------------------------------


def test_job_prints_the_id_of_a_state_point(project: Project, space: Run) -> None:
    job = project.open_job({"new": 1})
    assert space("job", '{"new": 1}').out == f"{job.id}\n"
    assert job not in project


@pytest.mark.parametrize("option", ["-w", "--workspace"])
def test_job_prints_the_path(project: Project, space: Run, option: str) -> None:
    assert space("job", option, '{"new": 1}').out == f"{project.open_job({'new': 1}).path}\n"


@pytest.mark.parametrize("option", ["-c", "--create"])
def test_job_makes_the_job(project: Project, space: Run, option: str) -> None:
    assert space("job", option, '{"new": 1}').code == 0
    assert project.open_job({"new": 1}) in project


def test_job_reads_the_input(project: Project, space: Run) -> None:
    assert space("job", stdin='{"new":\n 1}').words == [project.open_job({"new": 1}).id]


def test_job_in_json(project: Project, space: Run) -> None:
    job = project.open_job({"new": 1})
    assert space("job", "--json", '{"new": 1}').json == {"id": job.id, "path": job.path}


@pytest.mark.parametrize("text", ['{"a"', "[1]", ""])
def test_job_refuses_what_is_no_state_point(project: Project, space: Run, text: str) -> None:
    answer = space("job", "-c", stdin=text)
    assert answer.code == 2
    assert is_one_line(answer.err)
    assert len(project) == 3


# --- find -----------------------------------------------------------------------------------------------


def test_find_prints_all_ids(project: Project, space: Run) -> None:
    assert sorted(space("find").words) == sorted(job.id for job in project)


@pytest.mark.parametrize(
    "words",
    [
        ["a", "1"],
        ['{"a": 1}'],
        ['{"a":', "1}"],
        ["a.$gt", "0", "a.$lt", "2"],
        ["doc.result.value", "1.5"],
        ["a", "1", "constant", "-5"],
        ["-d", "result.value", "1.5"],
        ["--doc-filter", '{"result.value": 1.5}'],
        ["a.$gt", "0", "-d", "result.value.$lt", "2"],
        ["-d", "result.value.$lt", "2", "--json"],
    ],
    ids=" ".join,
)
def test_find_takes_filters(jobs: list[Job], space: Run, words: list[str]) -> None:
    answer = space("find", *words)
    assert answer.code == 0
    found = [each["id"] for each in answer.json] if "--json" in words else answer.words
    assert found == [jobs[1].id]


def test_find_finds_nothing(project: Project, space: Run) -> None:
    answer = space("find", '{"a": "nothing"}')
    assert (answer.code, answer.out, answer.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["a", "1"], '{"a": 1}'),
        (["a", ".5", "b.$lt", "-.5"], '{"a": 0.5, "b.$lt": -0.5}'),
        (["a", "1_000", "b"], '{"a": 1000, "b": {"$exists": true}}'),
        (["a", "/x/"], '{"a": {"$regex": "x"}}'),
    ],
)
def test_words_are_printed_as_they_are_understood(
    project: Project, space: Run, words: list[str], shown: str
) -> None:
    """To the standard error, in the words of signac; and for each option that takes a filter."""
    expected = f"Interpreted filter arguments as '{shown}'.\n"
    assert space("find", *words).err == expected
    for command in ("diff", "schema", "document"):
        assert space(command, "-f", *words).err == expected
    assert space("find", "-d", *words).err == expected


def test_a_word_that_python_spells_differently_is_asked_about(project: Project, space: Run) -> None:
    assert "Did you mean true?\n" in space("find", "a", "True").err
    assert "Did you mean null?\n" in space("find", "a", "None").err
    assert "Did you mean" not in space("find", "a", "true", "b", "null").err


@pytest.mark.filterwarnings("always")
def test_comparing_order_with_text_warns(project: Project, space: Run) -> None:
    for words in (["a.$lt", "x"], ['{"a": {"$gte": "x"}}'], ['{"$not": {"a.$gt": "1"}}']):
        answer = space("find", *words)
        assert answer.code == 0
        assert "perkey: warning: " in answer.err
        assert "text" in answer.err
    assert "warning" not in space("find", "a.$lt", "1", "b", "x").err


@pytest.mark.parametrize("key", ["a.", "doc.", "a.b.", "."])
def test_a_key_that_ends_in_a_dot_is_refused(project: Project, space: Run, key: str) -> None:
    """As when the shell has taken `$gt` for a variable; JSON can say the empty key."""
    for words in (["find", key, "4"], ["find", "a", "1", key], ["schema", "-f", key, "4"]):
        answer = space(*words)
        assert answer.code == 1
        assert f"{key}$gt" in answer.err
    assert space("find", json.dumps({key: 4})).code == 0


def test_find_shows_the_filter_to_those_who_ask(project: Project, space: Run) -> None:
    assert "{'a': 1}" in space("find", "a", "1", options=("-v",)).err


def test_find_shows_state_points(jobs: list[Job], space: Run) -> None:
    shown = "{'a': 1, 'constant': -5, 'nested': {'b': [1, 1]}}"
    assert space("find", "a", "1", "--sp").out == f"{jobs[1].id}\n{shown}\n"


def test_find_shows_keys_of_state_points_and_documents(jobs: list[Job], space: Run) -> None:
    answer = space("find", "a", "1", "--sp", "a", "nested.b", "none", "--doc", "result.value")
    assert answer.out == f"{jobs[1].id}\n{{'a': 1, 'nested.b': [1, 1]}}\n{{'result.value': 1.5}}\n"


def test_find_shows_documents(jobs: list[Job], space: Run) -> None:
    assert space("find", "a", "1", "--doc").out == f"{jobs[1].id}\n{{'result': {{'value': 1.5}}}}\n"
    assert space("find", "a", "0", "--doc").out == f"{jobs[0].id}\n{{}}\n"


@pytest.mark.parametrize(
    ("words", "sp", "doc"),
    [
        (["-s"], "{'b': [1, 1]}", "{'value': 1.5}"),
        (["--show"], "{'b': [1, 1]}", "{'value': 1.5}"),
        (["--show", "2"], "{'b': [...]}", "{'value': 1.5}"),
        (["-s1"], "{...}", "{...}"),
        (["--show=1"], "{...}", "{...}"),
        (["--sp", "--doc", "-p", "1"], "{...}", "{...}"),
        (["--sp", "--doc", "--pretty", "2"], "{'b': [...]}", "{'value': 1.5}"),
        (["--sp", "--doc", "--pretty"], "{'b': [1, 1]}", "{'value': 1.5}"),
    ],
    ids=str,
)
def test_find_shows_down_to_a_depth(jobs: list[Job], space: Run, words: list[str], sp: str, doc: str) -> None:
    first, second, third = space("find", "a", "1", *words).out.splitlines()
    assert first == jobs[1].id
    assert second == f"{{'a': 1, 'constant': -5, 'nested': {sp}}}"
    assert third == f"{{'result': {doc}}}"


@pytest.mark.parametrize("option", ["-1", "--one-line"])
def test_find_on_one_line(jobs: list[Job], space: Run, option: str) -> None:
    answer = space("find", "a", "1", "--sp", "a", "--doc", option)
    assert [line.split(" ", 2) for line in answer.out.splitlines()] == [
        [jobs[1].id[:6], "sp", '{"a": 1}'],
        [jobs[1].id[:6], "doc", '{"result": {"value": 1.5}}'],
    ]
    assert space("find", "a", "1", option).words == [jobs[1].id]


def test_find_in_json(jobs: list[Job], space: Run) -> None:
    assert space("find", "a", "1", "--json").json == [{"id": jobs[1].id}]
    assert space("find", "a", "1", "--json", "--sp", "a", "--doc").json == [
        {"id": jobs[1].id, "sp": {"a": 1}, "doc": {"result": {"value": 1.5}}}
    ]


def test_find_refuses_what_is_no_filter(project: Project, space: Run) -> None:
    for words in (['{"a"'], ["a.$nope", "1"]):
        answer = space("find", *words)
        assert answer.code == 1
        assert is_one_line(answer.err)


# --- statepoint and document ----------------------------------------------------------------------------


def test_statepoint_prints_one_a_line(jobs: list[Job], space: Run) -> None:
    lines = space("statepoint", jobs[2].id, jobs[0].id[:8]).out.splitlines()
    assert [json.loads(line)["a"] for line in lines] == [2, 0]
    lines = space("statepoint").out.splitlines()
    assert sorted(json.loads(line)["a"] for line in lines) == [0, 1, 2]


@pytest.mark.parametrize("command", ["statepoint", "document"])
@pytest.mark.parametrize("option", ["-p", "--pretty"])
def test_in_pythons_form(jobs: list[Job], space: Run, command: str, option: str) -> None:
    whole, shallow = (
        ("{'a': 1, 'constant': -5, 'nested': {'b': [1, 1]}}", "{'a': 1, 'constant': -5, 'nested': {...}}")
        if command == "statepoint"
        else ("{'result': {'value': 1.5}}", "{'result': {...}}")
    )
    assert space(command, jobs[1].id, option).out == f"{whole}\n"
    assert space(command, option, jobs[1].id).out == f"{whole}\n"
    assert space(command, option, "1", jobs[1].id).out == f"{shallow}\n"


@pytest.mark.parametrize("command", ["statepoint", "document"])
@pytest.mark.parametrize("option", ["-i", "--indent"])
def test_indented(jobs: list[Job], space: Run, command: str, option: str) -> None:
    values = jobs[1].statepoint() if command == "statepoint" else jobs[1].document()
    assert space(command, jobs[1].id, option).out == json.dumps(values, indent=2) + "\n"
    assert space(command, jobs[1].id, option, "3").out == json.dumps(values, indent=3) + "\n"


@pytest.mark.parametrize("command", ["statepoint", "document"])
@pytest.mark.parametrize("option", ["-s", "--sort"])
def test_sorted(project: Project, space: Run, command: str, option: str) -> None:
    job = project.open_job({"z": 1, "b": 2}).init()
    job.doc.update({"z": 1, "b": 2})
    assert space(command, option, job.id).out == '{"b": 2, "z": 1}\n'
    assert space(command, job.id).out == '{"z": 1, "b": 2}\n'


@pytest.mark.parametrize("command", ["statepoint", "document", "diff"])
def test_by_id_in_json(jobs: list[Job], space: Run, command: str) -> None:
    found = space(command, jobs[1].id, jobs[2].id, "--json").json
    assert list(found) == [jobs[1].id, jobs[2].id]


@pytest.mark.parametrize("command", ["statepoint", "document"])
def test_ids_from_the_input(jobs: list[Job], space: Run, command: str) -> None:
    answer = space(command, "-", stdin=f"{jobs[1].id}\n{jobs[2].id}\n")
    assert len(answer.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["-f", "a.$gt", "0"], {1.5, 3.0}),
        (["--filter", '{"a": 1}'], {1.5}),
        (["-d", "result.value.$gt", "2"], {3.0}),
        (["--doc-filter", "result.value", "1.5"], {1.5}),
        (["-f", "a.$gt", "0", "-d", "result.value", "3"], {3.0}),
    ],
    ids=str,
)
def test_documents_of_jobs_that_match(
    project: Project, space: Run, words: list[str], values: set[float]
) -> None:
    lines = space("document", *words).out.splitlines()
    assert {json.loads(line)["result"]["value"] for line in lines} == values


@pytest.mark.parametrize("command", ["statepoint", "document", "diff"])
def test_a_job_that_is_not_there(jobs: list[Job], space: Run, command: str) -> None:
    answer = space(command, jobs[0].id, "nope")
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "'nope'" in answer.err


# --- diff -----------------------------------------------------------------------------------------------


def test_diff(jobs: list[Job], space: Run) -> None:
    answer = space("diff", jobs[0].id, jobs[1].id)
    expected = [f"{job.id}\n{{'a': {n}, 'nested': {{'b': [{n}, 1]}}}}\n" for n, job in enumerate(jobs[:2])]
    assert answer.out == "".join(expected)
    assert len(space("diff").out.splitlines()) == 6


def test_diff_shows_differences_of_any_depth(project: Project, space: Run) -> None:
    shown = []
    for n in range(2):
        deep: Any = n
        for key in "gfedcba":
            deep = {key: [deep]}
        shown.append(str(project.open_job(deep).init().sp()))
    assert set(shown) <= set(space("diff").out.splitlines())


@pytest.mark.parametrize("option", ["-p", "--pretty"])
def test_diff_down_to_a_depth(jobs: list[Job], space: Run, option: str) -> None:
    assert "'nested': {...}" in space("diff", option, "1").out
    assert "'nested': {'b': [0, 1]}" in space("diff", option).out


@pytest.mark.parametrize("option", ["-i", "--indent"])
def test_diff_indented(jobs: list[Job], space: Run, option: str) -> None:
    assert '\n    "a": 0,\n' in space("diff", option, "4").out
    assert '\n  "a": 0,\n' in space("diff", option).out


@pytest.mark.parametrize(
    "words",
    [["-f", "a.$gt", "0"], ["--filter", "a.$gt", "0"], ["-d", "result"], ["--doc-filter", "result"]],
    ids=str,
)
def test_diff_of_jobs_that_match(jobs: list[Job], space: Run, words: list[str]) -> None:
    assert space("diff", "--json", *words).json.keys() == {jobs[1].id, jobs[2].id}


# --- schema ---------------------------------------------------------------------------------------------


def test_schema(project: Project, space: Run) -> None:
    assert space("schema").out == str(project.detect_schema()) + "\n"


@pytest.mark.parametrize(
    ("words", "shown", "hidden"),
    [
        (["-x"], "'a'", "constant"),
        (["--exclude-const"], "'a'", "constant"),
        (["-t", "2"], "'nested': {'b'", "nested.b"),
        (["--depth", "1"], "'nested': {...}", "nested.b"),
        (["-r", "1"], "[..., 2]", "[0, 1, 2]"),
        (["--max-num-range", "2"], "[..., 1, 2]", "[0, 1, 2]"),
        (["-f", "a.$gt", "0"], "[1, 2]", "[0, 1, 2]"),
        (["--filter", "a.$gt", "0"], "[1, 2]", "[0, 1, 2]"),
        (["-d", "result"], "[1, 2]", "[0, 1, 2]"),
        (["--doc-filter", "result.value", "3"], "[2]", "[1, 2]"),
    ],
    ids=str,
)
def test_schema_in_other_words(
    project: Project, space: Run, words: list[str], shown: str, hidden: str
) -> None:
    answer = space("schema", *words)
    assert answer.code == 0
    assert shown in answer.out
    assert hidden not in answer.out


@pytest.mark.parametrize("option", ["-j", "--job-id"])
def test_schema_of_some_jobs(jobs: list[Job], space: Run, option: str) -> None:
    assert space("schema", option, jobs[0].id, jobs[2].id, "--json").json["a"] == {"int": [0, 2]}
    assert space("schema", option, jobs[0].id, jobs[2].id, "-f", "a", "2", "--json").json["a"] == {"int": [2]}


@pytest.mark.parametrize("option", ["-p", "--precision"])
def test_schema_rounded(project: Project, space: Run, option: str) -> None:
    project.open_job({"x": 1.23456}).init()
    assert "float([1.23], 1)" in space("schema", option, "2").out


# --- project --------------------------------------------------------------------------------------------


def test_project(project: Project, space: Run) -> None:
    assert space("project").out == "study\n"
    assert space("project", "-w").out == space("project", "--workspace").out == f"{project.workspace}\n"
    assert space("project", "--json").json == {
        "id": "study", "path": project.path, "workspace": project.workspace, "jobs": 3
    }  # fmt: skip
