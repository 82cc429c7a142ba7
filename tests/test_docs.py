"""What the documents promise is so: commands, links, configuration keys."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from localcluster import cli
from localcluster.conf.settings import ENTRIES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")])


def text_of(path: str) -> str:
    return (ROOT / path).read_text()


def shell_lines(document: str) -> list[str]:
    """The lines of a document's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text_of(document), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_configuration_table_has_exactly_the_keys_that_mean_something() -> None:
    rows = re.findall(r"^\| `((?:spark|localcluster)\.[^`]*)` \|", text_of("docs/configuration.md"), re.MULTILINE)
    assert rows == list(ENTRIES)


@pytest.mark.parametrize("key", ENTRIES)
def test_the_configuration_table_gives_default_and_meaning(key: str) -> None:
    entry = ENTRIES[key]
    default = "" if entry.default is None else f"`{entry.default}`"
    assert f"| `{key}` | {default} | {entry.doc} |" in text_of("docs/configuration.md").splitlines()


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


def test_the_layers_of_the_architecture_name_every_package_and_its_modules() -> None:
    tree = re.findall(r"^  ([a-z0-9_]+)/ +(.*)$", text_of("docs/architecture.md"), re.MULTILINE)
    packages = {path.parent.name for path in (ROOT / "localcluster").glob("*/__init__.py")}
    named = set(re.findall(r"([a-z0-9_]+)/[ ,]", text_of("docs/architecture.md").partition("## Processes")[0]))
    assert packages <= named
    for package, row in tree:
        for module in re.findall(r"\b[a-z]+_[a-z_]+\b", row):
            if package in packages:
                assert (ROOT / "localcluster" / package / f"{module}.py").is_file(), f"{package}/{module}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` takes the command out of the README with this same pattern, so neither can drift."""
    assert len([line for line in shell_lines("README.md") if line.endswith("-m pytest")]) == 1
    assert "README.md" in text_of(".ci/run")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_the_documents_exist(document: Path) -> None:
    pattern = r"`((?:protocol|storage|localcluster|scripts|tests|docs)/[\w./-]+)`"
    assert [path for path in re.findall(pattern, document.read_text()) if not (ROOT / path).exists()] == []
