"""What the documents promise is so: commands, links, configuration keys."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from localcluster import cli
from localcluster.conf.settings import ENTRIES
from localcluster.driver.event_history import COUNTED_AS
from protocol.events import Event

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])


def text_of(path: str) -> str:
    return (ROOT / path).read_text()


def shell_lines(document: str) -> list[str]:
    """The lines of a document's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text_of(document), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_configuration_table_has_exactly_the_keys_that_mean_something() -> None:
    rows = re.findall(r"^\| `((?:spark|localcluster)\.[^`]*)` \|", text_of("docs/configuration.md"), re.MULTILINE)
    assert set(rows) == set(ENTRIES), "docs/configuration.md has a row for each of `Settings`"
    assert rows == list(ENTRIES), "in the same order"


@pytest.mark.parametrize("key", ENTRIES)
def test_the_configuration_table_gives_default_and_meaning(key: str) -> None:
    entry = ENTRIES[key]
    default = "" if entry.default is None else f"`{entry.default}`"
    row = f"| `{key}` | {default} | {entry.doc} |"
    assert row in text_of("docs/configuration.md").splitlines(), f"the row in docs/configuration.md is to be\n{row}"


@pytest.mark.parametrize("package", ["localcluster", "localcluster[dev]"])
def test_the_readme_installs_something_that_the_project_file_defines(package: str) -> None:
    project = text_of("pyproject.toml")
    assert 'name = "localcluster"' in project
    assert "\ndev = [" in project
    extra = "'.[dev]'" if package.endswith("]") else " . "
    assert sum(extra in line for line in shell_lines("README.md")) == 1


def test_the_jobs_that_the_readme_runs_exist() -> None:
    runs = [line for line in shell_lines("README.md") if "-m localcluster run" in line]
    assert runs
    for line in runs:
        arguments = shlex.split(line.rpartition("-m localcluster")[2])
        job = cli.parser().parse_args(arguments).job
        assert job == "job.py" or (ROOT / job).is_file()


def test_messages_name_documentation_that_is_installed_and_no_files_of_the_project() -> None:
    named = re.compile(r"docs/[a-z-]+\.md|README\.md")
    for path in [
        path for package in ("localcluster", "storage", "protocol") for path in (ROOT / package).rglob("*.py")
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert not named.search(node.value), f"{path}:{node.lineno}"


def test_the_pictures_of_the_architecture_name_modules_that_exist() -> None:
    """That their messages are what is said in a run is the business of `tests/integration/test_pictures.py`."""
    pictures = "".join(re.findall(r"^```\n(when .*?)^```$", text_of("docs/architecture.md"), re.MULTILINE | re.DOTALL))
    modules = re.findall(r"\b([a-z]+/\w+)", pictures)
    assert len(modules) > 10
    places = [ROOT, ROOT / "localcluster"]
    assert [name for name in modules if not any((place / f"{name}.py").is_file() for place in places)] == []


def sheet() -> list[tuple[str, str, str, str]]:
    """The rows of the sheet of the tree: room, what it may know, lines, what it holds."""
    section = text_of("docs/architecture.md").partition("## The tree\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`\w+`|\*\.py) \| (.*?) ?\| ([\d,]+) \| (.*) \|$", section, re.MULTILINE)


def folder(room: str) -> Path:
    packages = ROOT / room, ROOT / "localcluster" / room
    return next(path for path in packages if path.is_dir())


def layers() -> list[set[str]]:
    """The rooms of the contract in the project file, from the ground up; the roof as it is."""
    contract = text_of("pyproject.toml").partition("containers = ")[2].partition("]")[2].partition("]")[0]
    return [set(re.split(r" [:|] ", layer)) for layer in reversed(re.findall(r'"(.*)"', contract))]


def test_the_sheet_of_the_tree_has_the_rooms_of_the_contract_in_its_order() -> None:
    """A room may know those of the layer below it, and all that they may know."""
    rows = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in sheet()}
    assert [*rows][:2] == ["protocol", "storage"]
    assert rows["scheduler"] == {"resource", "rdd"}, "told by a contract of its own, below"
    assert 'forbidden_modules = ["localcluster.rdd"]' in text_of("pyproject.toml")
    rows["scheduler"] = {"rdd"}
    told, below = [*rows][2:], {"storage"}
    for layer in layers():
        rooms = {room for room in layer if (ROOT / "localcluster" / room).is_dir()}
        assert {room: rows[room] for room in told[: len(rooms)]} == dict.fromkeys(rooms, below)
        told, below = told[len(rooms) :], rooms
    assert told == ["*.py"]


@pytest.mark.parametrize(("room", "_", "lines", "holds"), sheet())
def test_the_sheet_of_the_tree_is_true(room: str, _: str, lines: str, holds: str) -> None:
    where = ROOT / "localcluster" if room == "*.py" else folder(room.strip("`"))
    files = list(where.glob("*.py") if room == "*.py" else where.rglob("*.py"))
    counted = sum(len(path.read_text().splitlines()) for path in files)
    assert abs(counted - int(lines.replace(",", ""))) <= max(10, counted / 10), f"{counted} lines"
    modules = {path.stem for path in files} | {path.parent.name for path in files}
    assert [name for name in re.findall(r"`(\w+)`", holds) if name not in modules] == []


@pytest.mark.parametrize("kind", get_args(Event))
def test_the_table_of_events_is_true(kind: type[Event]) -> None:
    fields = ", ".join(f"`{field}`" for field in kind._fields if field != "at")
    told = " ".join((kind.__doc__ or "").split())
    row = f"| `{kind.__name__}` | {fields} | {told} | `{COUNTED_AS[kind]}` |"
    assert row in text_of("docs/fault-injection.md").splitlines(), f"the row in docs/fault-injection.md is to be\n{row}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` takes the command out of the README with this same pattern, so neither can drift."""
    assert len([line for line in shell_lines("README.md") if " -m pytest" in line]) == 1
    assert "README.md" in text_of(".ci/run")


COMMANDS = [command for line in shell_lines("CONTRIBUTING.md") for command in line.split(" && ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_for_contributors_are_of_what_there_is(command: str) -> None:
    """Files and tests that are named, options of ours, and programs that the project's own installation brings."""
    words = shlex.split(command)
    program, *arguments = words[1:] if words[0] == "CI=1" else words
    if program == ".venv/bin/python" and arguments[:2] == ["-m", "localcluster"]:
        cli.parser().parse_args(arguments[2:])
    elif program == ".venv/bin/python" and arguments[0] == "-c":
        compile(arguments[1], command, "exec")
    elif program.startswith(".venv/bin/") and program != ".venv/bin/python":
        named = program.removeprefix(".venv/bin/").replace("lint-imports", "import-linter")
        assert named == "pip" or f'"{named}>' in text_of("pyproject.toml")
    for path, _, test in (word.partition("::") for word in arguments if re.match(r"(tests|scripts)/", word)):
        assert (ROOT / path).exists()
        assert not test or f"def {test.partition('[')[0]}(" in text_of(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_the_documents_exist(document: Path) -> None:
    pattern = r"`((?:protocol|storage|localcluster|scripts|tests|docs)/[\w./-]+)`"
    assert [path for path in re.findall(pattern, document.read_text()) if not (ROOT / path).exists()] == []


def test_the_tables_of_lost_messages_have_all_messages() -> None:
    from localcluster.faults.keys import messages

    section = text_of("docs/fault-injection.md").partition("## Messages\n")[2].partition("\n## ")[0]
    assert [name for name in messages() if f"`{name}`" not in section] == []
