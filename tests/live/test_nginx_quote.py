"""
What nginx itself reads back from what we write: the strings that broke others, and then some.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.nginx_house import DEBIAN, WHEEL, house

from gatelodge.nginx.writing.quote import Expanding, Expression, Lines, Verbatim, block, line, spell_dollar, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live

HOSTILE = [
    "plain",
    " ",
    "a b",
    '"',
    "'",
    "\\",
    "\\\\",
    '\\"',
    "\\n\\t\\r",
    "a\\",
    ";",
    "} server { listen 1; #",
    '"; } evil on; {"',
    "#comment",
    "$",
    "$$",
    "$host",
    "${host}",
    "$1",
    "${gatelodge_dollar}",
    "a$",
    "~*^regex(.*)$",
    "= /x",
    "@named",
    "%s%n%25",
    "ö ü 你好",
    "\u2028\u00a0",
    "x" * 3900,
    "$" * 200,
    '"' * 1900,
]


#: What stands on several lines, and what only looks so.
LINES = ["two\nlines\n", "\r\n\t", "\n", "\\n", "\\\n\\", 'User-agent: *\nDisallow: /$"\\\n', "$\n" * 150, "\n" * 1900]


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


async def test_nginx_answers_with_the_very_string(home: House) -> None:
    """
    Literals where variables are expanded, with a variable beside them, and literals where none are: in `return`, `set`, `map`.
    """
    locations, maps = [], []
    for number, text in enumerate(HOSTILE):
        shown = {
            "literal": [line("return", "200", Expanding(text))],
            "beside": [line("return", "200", Expression(f"{spell_dollar(text)}|$scheme"))],
            "set": [
                line("set", Expression("$gatelodge_upstream"), Expanding(text)),
                line("return", "200", Expression("$gatelodge_upstream")),
            ],
            "geo": [line("return", "200", Verbatim(f"$test_{number}"))],
        }
        locations += [block("location", "=", f"/{kind}/{number}", inside=inside) for kind, inside in shown.items()]
        maps.append(block("geo", Verbatim(f"$test_{number}"), inside=[line("default", Verbatim(text))]))
    listen = [line("listen", str(home.settings.http_port)), line("server_name", "strings.test")]
    home.add("a.example.com")
    rendered = home.render()
    extra = write([*maps, block("server", inside=[*listen, line("default_type", "text/plain"), *locations])])
    sites = {"a.example.com": rendered.sites["a.example.com"] + extra}
    # The longest strings make long lists of variables.
    await home.managed().apply(dataclasses.replace(rendered, sites=sites))
    for number, text in enumerate(HOSTILE):
        for kind in ("literal", "set", "geo"):
            answer = await home.get("strings.test", f"/{kind}/{number}", tls=False)
            assert (kind, answer.body.decode()) == (kind, text)
        beside = await home.get("strings.test", f"/beside/{number}", tls=False)
        assert beside.body.decode() == f"{text}|http"


async def test_nginx_answers_with_the_very_lines(home: House) -> None:
    """
    Their ends too, and nothing that only looks like one.
    """
    listen = [line("listen", str(home.settings.http_port)), line("server_name", "strings.test")]
    locations = [
        block("location", "=", f"/{number}", inside=[line("return", "200", Lines(text))])
        for number, text in enumerate(LINES)
    ]
    home.add("a.example.com")
    rendered = home.render()
    extra = write([block("server", inside=[*listen, line("default_type", "text/plain"), *locations])])
    await home.managed().apply(
        dataclasses.replace(rendered, sites={"a.example.com": rendered.sites["a.example.com"] + extra})
    )
    for number, text in enumerate(LINES):
        assert (await home.get("strings.test", f"/{number}", tls=False)).body.decode() == text


@pytest.mark.parametrize(
    "text", [text for text in HOSTILE if "/" not in text and len(text) < 200 and text != "#comment"]
)
async def test_a_webroot_of_any_name_is_served(home: House, text: str) -> None:
    """
    A path is a literal like any other.
    """
    folder = home.state / "public" / text / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text(text)
    for made in (folder, *folder.parents[:2], folder / "token"):
        made.chmod(0o755)
    home.add("a.example.com")
    rendered = home.render()
    old, new = str(home.webroot), write([line("root", Expanding(str(home.state / "public" / text)))]).strip()
    changed = {site: each.replace(f"root {old};", new) for site, each in rendered.sites.items()}
    await home.managed().apply(dataclasses.replace(rendered, sites=changed))
    answer = await home.get("a.example.com", "/.well-known/acme-challenge/token", tls=False)
    assert answer.body.decode() == text


@pytest.mark.parametrize("text", ["/a b/", '/a"b/', "/a\\b/", "/a;}{#/", "/$host/", "/~^(x)/", "/ö/"])
async def test_a_location_of_any_name_is_found(home: House, text: str) -> None:
    """
    Where nothing is expanded, `$` is a character, and a regular expression's letters are letters.
    """
    listen = [line("listen", str(home.settings.http_port)), line("server_name", "paths.test")]
    home.add("a.example.com")
    rendered = home.render()
    found = block("location", Verbatim(text), inside=[line("return", "200", "found")])
    extra = write([block("server", inside=[*listen, found, block("location", "/", inside=[line("return", "404")])])])
    sites = {"a.example.com": rendered.sites["a.example.com"] + extra}
    await home.managed().apply(dataclasses.replace(rendered, sites=sites))
    escaped = "".join(f"%{byte:02X}" for byte in text.encode()[1:])
    assert (await home.get("paths.test", f"/{escaped}x", tls=False)).body == b"found"
    assert (await home.get("paths.test", "/other", tls=False)).status == 404
