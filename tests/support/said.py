"""
Every text that the code can say: literals of the package, with `…` where a value is filled in.
"""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING

from tests.support.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _texts(tree: ast.Module) -> Iterator[str]:
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, _HOLDERS) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within | docstrings:
            yield re.sub(r"\{[\w.]*\}", "…", node.value)


@functools.cache
def texts() -> tuple[str, ...]:
    """
    Return them all; those of scripts beside the package too, as they stand there.
    """
    package = ROOT / "daemon" / "gatelodge"
    found = [
        text for path in sorted(package.rglob("*.py")) for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
    ]
    scripts = [
        *package.rglob("*.sh"),
        *(path for path in (ROOT / "scripts").iterdir() if path.is_file()),
        ROOT / "docker" / "entrypoint",
    ]
    return (*found, *(path.read_text(encoding="utf-8") for path in scripts))


def can_be_said(quote: str) -> bool:
    """
    Tell whether the code can say a text; `…` in it stands for what is filled in, or left out.
    """
    pieces = [re.escape(piece.strip()) for piece in quote.split("…") if piece.strip()]
    pattern = re.compile(".*".join(pieces), re.DOTALL)
    return any(pattern.search(text) for text in texts())
