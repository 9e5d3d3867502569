"""
A snippet of the user's own stays in its block, whatever it says; and one that stands in a file comes to its place.
"""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.config.read import read
from gatelodge.config.shape import SnippetFile
from gatelodge.config.values import snippets
from gatelodge.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        "gzip on;",
        "\n\n  gzip\n on\n;\n",
        "# only a comment",
        "a; # a comment that ends with the file",
        "a ${b}c;",
        "a $b{c; }",
        "a ${{{b;",
        'a "}" \'{\' ";" "#";',
        r"a \} \{ \; \" \#;",
        r'a "\"}" ;',
        "a b}c;",
        "a b#c;",
        'if ($a ~ "x") { b; }',
        "if ($a = b) {\n  c;\n}\n",
        "location / { if ($a) { b; } }",
        'a "b")c;',
        "a\rb;",
        'a "";',
        'a "b\nc";',
        "\ufeffa;",
        "a;\r\nb;\r\n",
        f"a {'x' * 3990};",
        "# ünïcödé {\na ü;",
        "add_header A 'b; }';",
    ],
)
def test_what_stays_in_its_block_is_taken(text: str) -> None:
    """
    By nginx's rules for words, quotes, backslashes, variables, comments and braces.
    """
    assert snippets.problem(snippets.tidy(text)) is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("}", 1, "closes nothing"),
        ("a;\n} location /x { b;", 2, "closes nothing"),
        ("a {\n b;\n}\n}", 4, "closes nothing"),
        ("a {\n b {\n c;\n}", 1, "is opened here and never closed"),
        ("a {\n b;\n}\nc {", 4, "is opened here and never closed"),
        ("a {\n b;", 1, "is opened here and never closed"),
        ("a ${b{{c;", 1, "a { with nothing before it"),
        ("a {\n b }", 2, "before the end of a directive"),
        ("a { b\n }", 2, "before the end of a directive"),
        ("a", 1, "does not end"),
        ("a;\nb", 2, "does not end"),
        ("a b\\", 1, "does not end"),
        ("a\n\n'b", 3, "a quote is opened"),
        ('a "b;\n', 1, "a quote is opened"),
        ('a "b"c;', 1, "right after a closing quote"),
        ('a "b"};', 1, "right after a closing quote"),
        ('a "b"', 1, "does not end"),
        (";", 1, "a ; with nothing before it"),
        ("a;;", 1, "a ; with nothing before it"),
        ("{ a; }", 1, "a { with nothing before it"),
        ("a \x00;", 1, "control character"),
        ("a \x1b[31m;", 1, "control character"),
        ("# \x00", 1, "control character"),
        (f"a {'x' * 4001};", 1, "more than 4000 bytes"),
        (f"a '{'ü' * 2001}';", 1, "more than 4000 bytes"),
        (f"# {'x' * 4001}\n", 1, "more than 4000 bytes"),
        ("a;" * 100_001, 1, "more than 200000 characters"),
        ("content_by_lua_block { ngx.say('}') }", 1, "content_by_lua_file"),
        ("a;\n'set_by_lua_block' $x { }", 2, "set_by_lua_file"),
    ],
)
def test_what_would_leave_its_block_is_refused(text: str, line: int, words: str) -> None:
    """
    With the line within the snippet, and a remedy.
    """
    found = snippets.problem(snippets.tidy(text))
    assert found is not None
    assert (found.line, words in f"{found.problem}; {found.remedy}") == (line, True), found
    assert f"{found.problem}{found.remedy}".isprintable()


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    """
    Never a traceback; what is told can be shown.
    """
    found = snippets.problem(snippets.tidy(text))
    assert found is None or f"{found.problem}{found.remedy}".isprintable()


_CONFIG = """
[nginx]
http_snippet = { file = "/s/http" }
stream_snippet = { file = "/s/stream" }
[sites."a.lan"]
tls = "local"
upstream = "http://x"
snippet = { file = "/s/site" }
routes."/a/" = { snippet = { file = "/s/a" } }
routes."/" = { snippet = { file = "/s/root" } }
routes."/b/" = { snippet = "b;" }
[sites."b.lan"]
tls = "local"
upstream = "http://x"
snippet = "own;"
"""


def test_files_come_to_their_places() -> None:
    """
    After reading, and each where its key stands; what stands in the configuration itself stays.
    """
    config = read(_CONFIG)
    assert config.snippet_files[:3] == (
        SnippetFile(path=("nginx", "http_snippet"), file="/s/http", line=3),
        SnippetFile(path=("nginx", "stream_snippet"), file="/s/stream", line=4),
        SnippetFile(path=("sites", "a.lan", "snippet"), file="/s/site", line=8, site="a.lan"),
    )
    assert (config.nginx.http_snippet, config.sites["a.lan"].snippet) == ("", "")
    filled = snippets.filled(config, lambda file: f"\ufeff# {file}\r\n")
    assert (filled.nginx.http_snippet, filled.nginx.stream_snippet) == ("# /s/http\n", "# /s/stream\n")
    assert filled.sites["a.lan"].snippet == "# /s/site\n"
    assert {route.path: route.snippet for route in filled.sites["a.lan"].routes} == {
        "/": "# /s/root\n",
        "/a/": "# /s/a\n",
        "/b/": "b;\n",
    }
    assert filled.sites["b.lan"] == config.sites["b.lan"]
    assert filled.snippet_files == config.snippet_files


def test_files_that_cannot_be_used_are_all_told() -> None:
    """
    With the key, its line, the file, and the line in it.
    """

    def content(file: str) -> str:
        if file == "/s/http":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if file == "/s/stream":
            return b"\xff".decode()
        return "ok;\n}" if file == "/s/a" else "ok;"

    with pytest.raises(ConfigError) as caught:
        snippets.filled(read(_CONFIG), content)
    told = [(each.path, each.line, each.problem) for each in caught.value.mistakes]
    assert told == [
        ("nginx.http_snippet.file", 3, "/s/http cannot be read: No such file or directory"),
        ("nginx.stream_snippet.file", 4, "/s/stream is not UTF-8"),
        ('sites."a.lan".routes."/a/".snippet.file', 9, "/s/a, line 2: there is a } that closes nothing of the snippet's own"),
    ]  # fmt: skip
    assert all(each.remedy for each in caught.value.mistakes)
