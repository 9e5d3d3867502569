"""
Reads a text as `nginx.writing.quote.write` writes one, and refuses everything that it would not have written.

nginx's own reader is far more generous: other quotes and escapes, comments anywhere, several directives a line. What two readers
might understand differently is not understood here at all. It knows no directive. Pure: text in, lines out.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from gatelodge.nginx.writing.quote import DOLLAR, Expression, Lines, Verbatim, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The first line of every file, and the comments that may stand beside it.
HEADER = "# Written by Gatelodge. Changes made here are lost."
_INDENT = 4
_REMARK = re.compile(r"# (?:Not served as asked|Left out): .*")
_MOST_REMARKS = 2

#: The key of the TOML that made what follows. nginx reads a comment to the end of its line, and so it ends there.
_KEY = re.compile(r"(?:    )+# [^\n]*")

#: No line of ours is longer: a site may have many hosts, and each argument has its own limit.
_LONGEST_LINE = 65536

#: `http {}` is around all of it: server, location, if.
_DEEPEST = 3

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_WORD = r'(?:[A-Za-z0-9_./:=,+*@%~()[\]^$-]+|"(?:[^"\\]|\\["\\nrt])*")'
_LINE = re.compile(rf"(?P<indent> *)(?P<words>{_WORD}(?: {_WORD})*)(?P<end>;| \{{)")
_ONE_WORD = re.compile(_WORD)
_ESCAPE = re.compile(r"\\(.)")

#: The control characters that nginx has a spelling for, and the one directive that may have them: a body of several lines. Its rule
#: sees them as they are written.
_LINE_ENDS = {"n": "\n", "r": "\r", "t": "\t"}
_LINE_ENDS_IN = frozenset(_LINE_ENDS.values())
_WITH_LINES = "return"

#: So much of a line that is refused is shown.
_SHOWN = 80


class RefusedError(Exception):
    """
    Something is not as Gatelodge writes it, and nothing of it is used. The text is for the person, and names the place at its end as
    nginx does, so that the daemon finds who is guilty.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """
    One directive: its number in the file, its words as nginx would read them, and whether a block begins, or ends, here.
    """

    number: int
    words: tuple[str, ...]
    opens: bool = False
    closes: bool = False


def refusal(problem: str, file: str, number: int | None = None) -> RefusedError:
    """
    Return what to raise for a place in a file.
    """
    return RefusedError(f"the helper refuses {problem} in {file}:{number or 1}")


def lines(content: bytes, file: str) -> Iterator[Line]:
    """
    Yield what a file says, line by line.

    Args:
        file: what it is called in a refusal.

    Raises:
        RefusedError: it is not as it would have been written.
    """
    rows = _rows(content, file)
    depth = 0
    for number, row in enumerate(rows, 1):
        if number <= _MOST_REMARKS and row.startswith("#"):
            continue
        if (row == "" and depth == 0) or _KEY.fullmatch(row):
            continue
        if depth and row == " " * _INDENT * (depth - 1) + "}":
            depth -= 1
            yield Line(number, (), closes=True)
            continue
        line = _line(row, number, depth, file)
        depth += line.opens
        if depth > _DEEPEST:
            raise refusal("blocks in blocks in blocks", file, number)
        yield line
    if depth:
        raise refusal("a block that does not end", file, len(rows))


def _rows(content: bytes, file: str) -> list[str]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise refusal("what is not UTF-8", file) from None
    *rows, rest = text.split("\n")
    if rest:
        raise refusal("a last line without its end", file, len(rows) + 1)
    for number, row in enumerate(rows, 1):
        if _CONTROL.search(row):
            raise refusal("a control character", file, number)
        if len(row) > _LONGEST_LINE:
            raise refusal(f"a line of more than {_LONGEST_LINE} characters", file, number)
    remarks = [row for row in rows[:_MOST_REMARKS] if row.startswith("#")]
    others = [row for row in remarks if row != HEADER]
    if len(remarks) - len(others) != 1 or rows[0] not in remarks or not all(map(_REMARK.fullmatch, others)):
        raise refusal("a file that does not begin as ours do", file)
    return rows


def _line(row: str, number: int, depth: int, file: str) -> Line:
    found = _LINE.fullmatch(row)
    if found is None or len(found["indent"]) != _INDENT * depth:
        raise refusal(f"{shown(row)}, which Gatelodge would not have written so,", file, number)
    written = _ONE_WORD.findall(found["words"])
    words = tuple(_read(word) for word in written)
    for word, text in zip(written, words, strict=True):
        if not _is_ours(word, text, lines=words[0] == _WITH_LINES):
            raise refusal(f"{shown(word)}, which Gatelodge would not have written so,", file, number)
    return Line(number, tuple(map(_spelled, words)), opens=found["end"] != ";")


def _read(word: str) -> str:
    if not word.startswith('"'):
        return word
    return _ESCAPE.sub(lambda found: _LINE_ENDS.get(found[1], found[1]), word[1:-1])


def _spelled(text: str) -> str:
    for letter, end in _LINE_ENDS.items():
        text = text.replace(end, f"\\{letter}")
    return text


def _is_ours(word: str, text: str, *, lines: bool) -> bool:
    """
    Tell whether a value is written as it would have been: bare or quoted by the same rule, and no longer than nginx can read.
    """
    try:
        if lines and not _LINE_ENDS_IN.isdisjoint(text):
            return quote(Lines(text.replace(DOLLAR, "$"))) == word
        if quote(Verbatim(text)) == word:
            return True
        return "$" in text and quote(Expression(text)) == word
    except ValueError:
        return False


def shown(text: str) -> str:
    """
    Return a text for a message: short, and without what a terminal would take for more than text.
    """
    plain = "".join(each if each.isprintable() else "?" for each in text.strip())
    return f"“{plain[:_SHOWN]}…”" if len(plain) > _SHOWN else f"“{plain}”"
