"""No message without a sender: somewhere in the code of a run, each message is made."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from protocol import block_messages
from tests.protocol.test_messages import MESSAGES

ROOT = Path(__file__).parents[1]
STUB = ROOT / "storage" / "block_manager_master.py"  # its methods make messages when somebody calls them
NO_RUN = ROOT / "storage" / "local_transport.py"  # storage alone, and its tests


def made(tree: ast.AST) -> set[str]:
    """Names of the classes that are called, among others."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {_last_name(function) for function in functions}


def used_of_the_stub(tree: ast.AST) -> set[str]:
    """Names of what anybody takes from a ``master`` or ``_master``, to call it or to pass it on."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if _last_name(node.value).lstrip("_") == "master"}


def _last_name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


@cache
def made_in_runs() -> frozenset[str]:
    paths = [path for package in ("storage", "localcluster") for path in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in paths if path not in (STUB, NO_RUN)]
    methods = [node for node in ast.walk(ast.parse(STUB.read_text())) if isinstance(node, ast.FunctionDef)]
    used = set().union(*map(used_of_the_stub, trees))
    return frozenset().union(*map(made, trees), *(made(method) for method in methods if method.name in used))


@pytest.mark.parametrize("message", [message.__name__ for message in MESSAGES])
def test_each_message_is_made_in_a_run(message: str) -> None:
    assert message in made_in_runs()


@pytest.mark.parametrize("message", [message for message in MESSAGES if message.__module__ == block_messages.__name__])
def test_each_message_about_blocks_says_what_triggers_it(message: type) -> None:
    assert "Triggered " in " ".join((message.__doc__ or "").split())
