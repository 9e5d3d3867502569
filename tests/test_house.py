"""
The house's rules that no linter knows: docstrings that say something, files of one idea, rooms that stay pure, tests that can
fail. Which room may import which is checked by import-linter.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daemon" / "gatelodge"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

#: They decide and describe; the world comes to them as values.
PURE_ROOMS = ("model", "errors.py", "ports", "config", "core")

#: What would let them look at the world, or talk to it.
WORLDLY = frozenset(
    [
        "aiohttp",
        "asyncio",
        "click",
        "concurrent",
        "ctypes",
        "fcntl",
        "getpass",
        "glob",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "platform",
        "pty",
        "random",
        "resource",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "syslog",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
    ]
)

#: What opens the world without an import.
WORLDLY_CALLS = frozenset(("open", "print", "input", "breakpoint", "exec", "eval", "compile", "__import__"))

#: Calls that fail by themselves when the behaviour is wrong.
FAILING_CALLS = frozenset(("raises", "fail", "warns", "until", "validate"))

MOST_LINES = 400


def short(path: Path) -> str:
    """
    A path as a test's id.
    """
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    """
    A module's syntax tree.
    """
    return ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.AST) -> set[str]:
    """
    The names of what is called anywhere below a node, without the objects they are called on.
    """
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in calls
        if hasattr(each, "attr") or hasattr(each, "id")
    }


def imported(tree: ast.Module) -> set[str]:
    """
    Every module that is imported anywhere in a module, also inside functions, but not for types only.
    """
    names: set[str] = set()
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """
    All functions of a module by name, those inside others included.
    """
    return {node.name: node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def asserting(path: Path) -> set[str]:
    """
    The functions of a module that can fail: they assert, or call one that does.
    """
    found = functions(parsed(path))
    able = {name for name, each in found.items() if any(isinstance(inner, ast.Assert) for inner in ast.walk(each))}
    while True:
        more = {name for name, each in found.items() if called(each) & (able | FAILING_CALLS)} - able
        if not more:
            return able
        able |= more


@functools.cache
def asserting_support() -> frozenset[str]:
    """
    The functions of the tests' support that can fail.
    """
    return frozenset(name for path in TESTS if path.parent.name == "support" for name in asserting(path))


def cases_in(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """
    The tests of a module.
    """
    return [each for name, each in functions(parsed(path)).items() if name.startswith("test_")]


def worldly(tree: ast.Module) -> set[str]:
    """
    What a module imports or calls that a pure one must not.
    """
    parts = {
        name: [".".join(name.split(".")[:end]) for end in range(1, name.count(".") + 2)] for name in imported(tree)
    }
    bare = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return {name for name, prefixes in parts.items() if WORLDLY.intersection(prefixes)} | (bare & WORLDLY_CALLS)


def is_pure(path: Path) -> bool:
    """
    Tell whether a module lies in a pure room.
    """
    return path.relative_to(PACKAGE).parts[0] in PURE_ROOMS


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_module_says_what_it_decides(path: Path) -> None:
    """
    Every module begins with a docstring of at least a sentence.
    """
    assert len((ast.get_docstring(parsed(path)) or "").split()) >= 5, "a docstring says what the module decides"


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=short)
def test_file_holds_one_idea(path: Path) -> None:
    """
    No module is so long that it must hold two ideas. Tests may be longer: they are read one by one.
    """
    most = MOST_LINES if path in MODULES else 2 * MOST_LINES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=short)
def test_pure_room_touches_no_world(path: Path) -> None:
    """
    A pure room imports nothing that reads or changes the world, not even inside a function, and opens nothing.
    """
    assert worldly(parsed(path)) == set()


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=short)
def test_tests_say_what_they_show_and_can_fail(path: Path) -> None:
    """
    Every test has a docstring that states the behaviour, and something in it that can fail.
    """
    able = asserting(path) | asserting_support()
    silent = [each.name for each in cases_in(path) if not ast.get_docstring(each)]
    harmless = [each.name for each in cases_in(path) if each.name not in able and not called(each) & able]
    assert (silent, harmless) == ([], [])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os", {"os"}),
        ("import os.path", {"os.path"}),
        ("from os import path", {"os", "os.path"}),
        ("def f():\n    import time", {"time"}),
        ("from urllib import request", {"urllib.request"}),
        ("from urllib import parse", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os", set()),
        ("open('x')", {"open"}),
        ("value.open('x')", set()),
        ("import datetime, json, re", set()),
    ],
)
def test_worldly_is_recognised(source: str, found: set[str]) -> None:
    """
    The rule for pure rooms finds what it must find, and nothing else.
    """
    assert worldly(ast.parse(source)) == found


@pytest.mark.parametrize(
    ("body", "able"),
    [
        ("assert True", True),
        ("helper()", True),
        ("with pytest.raises(ValueError): pass", True),
        ("other()", False),
        ("x = 1", False),
    ],
)
def test_harmless_tests_are_recognised(tmp_path: Path, body: str, *, able: bool) -> None:
    """
    The rule for tests sees which of them can fail.
    """
    path = tmp_path / "module.py"
    path.write_text(f"def helper():\n    assert 1\n\ndef other():\n    pass\n\ndef test_it():\n    {body}\n")
    assert ("test_it" in asserting(path)) is able
