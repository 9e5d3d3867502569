"""
How values are written for nginx, without nginx: properties, and crossplane's parser as a second opinion. The proof is in
tests/live/test_nginx_quote.py.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from crossplane.lexer import _lex_file_object
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.core.tree import GENERATION
from gatelodge.nginx.writing.quote import (
    LONGEST,
    Expanding,
    Expression,
    Lines,
    Verbatim,
    block,
    line,
    quote,
    spell_dollar,
    write,
)

if TYPE_CHECKING:
    from gatelodge.nginx.writing.quote import Argument

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=200)


def tokens(text: str) -> list[str]:
    """
    Return what crossplane's lexer reads.
    """
    return [token for token, _, _ in _lex_file_object(io.StringIO(text))]


def unescaped(token: str) -> str:
    r"""
    Undo `\\` and `\"` as nginx does, which crossplane leaves in place.
    """
    return token.replace(r"\\", "\0").replace(r"\"", '"').replace("\0", "\\")


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_what_is_written_is_read_back_as_the_same_arguments(texts: list[str]) -> None:
    """
    Any text without control characters, any number of arguments, and nothing leaks from one into the next.
    """
    written = write([line("return", *(Verbatim(text) for text in texts)), line("end")])
    read = tokens(written)
    assert [unescaped(token) for token in read[1 : len(texts) + 1]] == texts
    assert read[len(texts) + 1 :] == [";", "end", ";"]


@given(TEXT)
def test_a_literal_is_bare_or_quoted_and_keeps_on_its_line(text: str) -> None:
    """
    Whatever is in it: no newline, no brace, semicolon or hash outside quotes.
    """
    written = quote(Expanding(text))
    assert "\n" not in written
    if not written.startswith('"'):
        assert not set(written) & set(" \t;{}#'\"\\$")


@given(TEXT)
def test_no_variable_comes_out_of_a_literal(text: str) -> None:
    """
    Each `$` of it is the variable that holds one.
    """
    assert spell_dollar(text).replace("${gatelodge_dollar}", "").count("$") == 0


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("443", "443"),
        ("[::]:443", "[::]:443"),
        ("", '""'),
        ("a b", '"a b"'),
        ('a"b', r'"a\"b"'),
        ("a\\", r'"a\\"'),
        ("a;b", '"a;b"'),
        ("{}", '"{}"'),
        ("#", '"#"'),
        ("ö", '"ö"'),
        (Expanding("a$b"), '"a${gatelodge_dollar}b"'),
        (Verbatim("^/$"), '"^/$"'),
        (Lines("a"), "a"),
        (Lines("a\n$\t\\n"), r'"a\n${gatelodge_dollar}\t\\n"'),
        (Expression("https://$host:2443$request_uri"), "https://$host:2443$request_uri"),
        (Expression("${gatelodge_dollar}x"), '"${gatelodge_dollar}x"'),
        (f"/x/{GENERATION}/y", f"/x/{GENERATION}/y"),
    ],
)
def test_how_arguments_look(argument: Argument, written: str) -> None:
    """
    Bare where that is safe, for the person who reads it.
    """
    assert quote(argument) == written


@pytest.mark.parametrize(
    "argument",
    [
        "a\nb",
        "a\tb",
        "a\0b",
        "a\x7fb",
        "a\x85b",
        Verbatim("a\rb"),
        Expanding("a\x1bb"),
        Lines("a\x1bb"),
        Lines("a\x0bb"),
        Expanding("a\nb"),
        "a$b",
        Expression("$unknown"),
        Expression("${unknown}"),
        Expression("$"),
        Expression("$$host"),
        "x" * (LONGEST + 1),
        "ö" * (LONGEST // 2),
        '"' * (LONGEST // 2),
    ],
)
def test_what_cannot_be_written_is_refused(argument: Argument) -> None:
    """
    Control characters, a `$` where none can be expressed, variables that are not ours, and what is too long as written.
    """
    with pytest.raises(ValueError, match=r"."):
        quote(argument)


def test_blocks_are_indented_and_outer_ones_stand_apart() -> None:
    """
    As a person would write them.
    """
    text = write([line("a", "1"), block("b", inside=[line("c"), block("d", "x", inside=[line("e")])])])
    assert text == "a 1;\n\nb {\n    c;\n    d x {\n        e;\n    }\n}\n"
