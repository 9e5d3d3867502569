"""
The pages that people read, taken apart: code blocks, commands, inline code, links.

The convention: a fenced block has a language. An indented one holds commands for a shell, or a piece of the TOML when it is one. A block in
`sh` holds commands, or a whole script when it begins with `#!`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]

#: Markdown with the tables that GitHub shows.
_MARKDOWN = MarkdownIt().enable("table")

#: Folders of docs/ with translations.
LANGUAGES = ("zh", "ko")

#: A comment behind a command.
_COMMENT = re.compile(r"(?:^|\s)#\s.*$")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """
    A code block: the page, the line, the language, and what it holds.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """
        `docs/x.md:12`.
        """
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """
        What is typed, one command an entry, without comments and without the words that continue a line.
        """
        joined = self.text.replace("\\\n", " ")
        rows = (_COMMENT.sub("", row) for row in joined.splitlines())
        return [" ".join(row.removeprefix("$ ").split()) for row in rows if row.strip()]


def pages() -> list[Path]:
    """
    Return the README and every page of docs/, in all languages.
    """
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _language(token: Token) -> str:
    if token.type == "fence":
        return token.info
    try:
        tomllib.loads(token.content)
    except tomllib.TOMLDecodeError:
        return "sh"
    return "toml"


@functools.cache
def _parsed(page: Path) -> tuple[Token, ...]:
    return tuple(_MARKDOWN.parse(page.read_text(encoding="utf-8")))


def blocks(*languages: str) -> list[Block]:
    """
    Return the code blocks of all pages, or those in some languages.
    """
    found = [
        Block(page=page, line=token.map[0] + 1, language=_language(token), text=token.content)
        for page in pages()
        for token in _parsed(page)
        if token.type in {"fence", "code_block"} and token.map
    ]
    return [block for block in found if not languages or block.language in languages]


def scripts() -> list[Block]:
    """
    Return the whole scripts that the pages show.
    """
    return [block for block in blocks("sh") if block.text.startswith("#!")]


def commands() -> dict[str, str]:
    """
    Return every command of a block, with where it stands first.
    """
    found: dict[str, str] = {}
    for block in blocks("sh", "console"):
        if block not in scripts():
            for command in block.commands:
                found.setdefault(command, block.where)
    return found


def _inline(page: Path) -> Iterator[Token]:
    for token in _parsed(page):
        yield from token.children or ()


def inline_code() -> list[tuple[str, str]]:
    """
    Return all code within sentences, with the page where it stands.
    """
    return [
        (str(page.relative_to(ROOT)), token.content)
        for page in pages()
        for token in _inline(page)
        if token.type == "code_inline"
    ]


def links() -> list[tuple[Path, str]]:
    """
    Return where every link of every page leads, with the page.
    """
    return [
        (page, str(token.attrs["href"])) for page in pages() for token in _inline(page) if token.type == "link_open"
    ]


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """
    Return the names by which the headings of a page can be linked to, as GitHub makes them.
    """
    tokens = _parsed(page)
    headings = [inline.content for token, inline in itertools.pairwise(tokens) if token.type == "heading_open"]
    names: dict[str, int] = {}
    found = []
    for heading in headings:
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w -]", "", plain).replace(" ", "-")
        found.append(f"{name}-{names[name]}" if name in names else name)
        names[name] = names.get(name, 0) + 1
    return frozenset(found)
