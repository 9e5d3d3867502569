"""
Reads the syntax of nginx's files: directives, arguments, blocks. What they mean is decided elsewhere.

It takes a text apart as nginx does, so that nothing that counts for nginx is overlooked here. It writes nothing: what Gatelodge
writes is made by `nginx.writing.quote`.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: nginx itself ends at a depth that its stack gives; nobody nests so deep.
_DEEPEST = 50

#: ngx_conf_read_token: what separates arguments, and what ends an unquoted one. `${` does not open a block.
_TOKEN = re.compile(
    r"""
    (?P<space> [ \t\r\n]+ | \#[^\n]* )
    | (?P<mark> [;{}] )
    | "(?P<double> (?:[^"\\]|\\.)* )" (?=[ \t\r\n;{)]|\Z)
    | '(?P<single> (?:[^'\\]|\\.)* )' (?=[ \t\r\n;{)]|\Z)
    | (?P<bare> (?! ["'] ) (?: \$\{ | \\. | [^ \t\r\n;{\\] )+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class Damaged(Exception):
    """
    A text is not in nginx's syntax; it says where.
    """


@dataclasses.dataclass(slots=True)
class Directive:
    """
    A directive: its name, its arguments, and what stands in its block, None when it has none.
    """

    name: str
    args: tuple[str, ...]
    block: list[Directive] | None = None

    def walk(self) -> Iterator[Directive]:
        """
        Yield it and everything in it.
        """
        pending = [self]
        while pending:
            each = pending.pop()
            yield each
            pending.extend(each.block or ())


def parse(text: str) -> tuple[Directive, ...]:
    """
    Return the directives of a file.

    Raises:
        Damaged: nginx would not read it.
    """
    top: list[Directive] = []
    around: list[list[Directive]] = [top]
    words: list[str] = []
    for kind, word, position in _tokens(text):
        if kind != "mark":
            words.append(word)
            continue
        if word == "}":
            if words or len(around) == 1:
                raise Damaged(_place(text, position, "a } too many, or a ; that is missing before it"))
            around.pop()
            continue
        if not words:
            raise Damaged(_place(text, position, f"a {word} without a directive"))
        directive = Directive(words[0], tuple(words[1:]), [] if word == "{" else None)
        around[-1].append(directive)
        if directive.block is not None:
            around.append(directive.block)
            if len(around) > _DEEPEST:
                raise Damaged(_place(text, position, "blocks that lie too deep within one another"))
        words = []
    if words or len(around) > 1:
        raise Damaged("it ends in the middle of a directive or a block")
    return tuple(top)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise Damaged(_place(text, position, "something that is no argument"))
        kind = str(found.lastgroup)
        if kind != "space":
            yield kind, found[kind], position
        position = found.end()


def _place(text: str, position: int, what: str) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line} has {what}"
