"""
What is emitted where in the code: names, levels and fields of every event, read off its syntax.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """
    One event that a call may emit. Nothing in it is guessed: what cannot be read off is told as `unclear`.
    """

    name: str
    levels: frozenset[str]
    fields: frozenset[str]
    where: str


class UnclearError(Exception):
    """
    A call from which the event's name or fields cannot be read off: write them as constants in that function.
    """


def emitted(folder: Path) -> Iterator[Emitted]:
    """
    Yield what every call of `emit` in a folder's modules may emit.

    Raises:
        UnclearError: of one, it cannot be told.
    """
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "emit" and id(node) not in called:
                raise UnclearError(f"{path}:{node.lineno}: emit is handed on; call it")
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in _calls(function):
                    yield from _of(call, function, tree, f"{path.relative_to(folder)}:{call.lineno}")


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    """
    Yield the calls of `emit` in a function, not those in functions within it.
    """
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
            yield node
        yield from _calls(node)


def _of(call: ast.Call, function: ast.AST, tree: ast.Module, where: str) -> Iterator[Emitted]:
    if _is_passed_on(call, function):
        return
    levels = {"info"}
    fields: set[str] = set()
    spread: list[str] = []
    for word in call.keywords:
        if word.arg == "level":
            levels = _constants(word.value, function, tree, where)
        elif word.arg is not None:
            fields.add(word.arg.replace("__", "."))
        elif isinstance(word.value, ast.Name):
            spread.append(word.value.id)
        else:
            raise UnclearError(f"{where}: fields of unknown names")
    if len(call.args) != 1:
        raise UnclearError(f"{where}: an event has one name")
    (name,) = call.args
    pairs = list(_pairs(name.id, spread, function)) if isinstance(name, ast.Name) and spread else []
    if pairs:
        # name and fields are chosen together, row by row
        for names, more in pairs:
            for each in _constants(names, function, tree, where):
                yield Emitted(
                    name=each, levels=frozenset(levels), fields=frozenset(fields | _keys(more, where)), where=where
                )
        return
    for variable in spread:
        for value in _values(variable, function):
            fields |= _keys(value, where)
    for each in _constants(name, function, tree, where):
        yield Emitted(name=each, levels=frozenset(levels), fields=frozenset(fields), where=where)


def _is_passed_on(call: ast.Call, function: ast.AST) -> bool:
    """
    Tell whether it is another's event, on its way through an `emit` of ours as it came.
    """
    if not isinstance(function, ast.FunctionDef) or function.name != "emit" or not call.args:
        return False
    return isinstance(call.args[0], ast.Name) and call.args[0].id in {each.arg for each in function.args.args}


def _pairs(name: str, spread: list[str], function: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """
    Yield what is assigned as `name, fields = …, …`.
    """
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        ):
            target = [each.id for each in node.targets[0].elts if isinstance(each, ast.Name)]
            if target == [name, *spread]:
                first, second = node.value.elts
                yield first, second


def _values(variable: str, function: ast.AST) -> Iterator[ast.expr]:
    """
    Yield what is assigned to a variable in a function.
    """
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == variable for target in node.targets
        ):
            yield node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == variable:
            assert node.value is not None
            yield node.value


def _keys(value: ast.expr, where: str) -> set[str]:
    """
    Return the keys that a dictionary may have.
    """
    match value:
        case ast.Dict(keys=keys):
            if all(isinstance(key, ast.Constant) for key in keys):
                return {str(key.value).replace("__", ".") for key in keys if isinstance(key, ast.Constant)}
        case ast.IfExp(body=body, orelse=other):
            return _keys(body, where) | _keys(other, where)
    raise UnclearError(f"{where}: fields of unknown names")


def _constants(value: ast.expr, function: ast.AST, tree: ast.Module, where: str) -> set[str]:
    """
    Return the texts that an expression may be.
    """
    match value:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            return _constants(body, function, tree, where) | _constants(other, function, tree, where)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="get"), args=[_, default]):
            return _table(table, tree) | _constants(default, function, tree, where)
        case ast.Subscript(value=ast.Name(id=table)):
            return _table(table, tree)
        case ast.Name(id=name):
            found = [*_values(name, function), *_values(name, tree)]
            if found:
                return set().union(*(_constants(each, function, tree, where) for each in found))
    raise UnclearError(f"{where}: it cannot be read off which events or levels these are")


def _table(name: str, tree: ast.Module) -> set[str]:
    """
    Return the texts that a module's dictionary holds.
    """
    for value in _values(name, tree):
        if isinstance(value, ast.Dict):
            return {str(each.value) for each in value.values if isinstance(each, ast.Constant)}
    return set()
