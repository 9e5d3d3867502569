"""
Where visitors are sent, by which code, and with what of their path; and answers that nginx gives by itself.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse

from gatelodge.model import Guard, Headers, Listener, Match, Name, Redirect, Respond, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import Answer, House

pytestmark = pytest.mark.live

CODES = (301, 302, 303, 307, 308)


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


def sent(path: str, url: str, *, match: Match = Match.PREFIX, code: int = 301, keep: bool = True) -> Route:
    """
    Return a route that sends visitors elsewhere.
    """
    return Route(path=path, match=match, action=Redirect(url=url, code=code, keep_path=keep))


async def ask(home: House, request: bytes, name: str = "a.example.com") -> Answer:
    """
    Send bytes over TLS as they are, and return what comes back; nothing has the status 0.
    """
    reader, writer = await home.connect(home.settings.https_port, name)
    try:
        writer.write(request)
        return parse(await reader.read())
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_every_code_is_said_and_a_large_body_does_not_hide_it(home: House) -> None:
    """
    A client that is to send its body elsewhere, by 307 or 308, is told so however large that body is.
    """
    home.add("a.example.com", routes=tuple(sent(f"/{code}/", "https://b.example.com", code=code) for code in CODES))
    await home.serve()
    for code in CODES:
        answer = await home.get("a.example.com", f"/{code}/x?y")
        assert (answer.status, answer.headers["location"]) == (code, "https://b.example.com/x?y")
        answer = await home.get("a.example.com", f"/{code}/x", method="POST", body=b"x" * 2_000_000)
        assert (answer.status, answer.headers["location"]) == (code, "https://b.example.com/x")


#: A route, where it leads, what is asked for and what is said.
KEPT = [
    ("/site/", "https://b.example.com", "/site/", "https://b.example.com/"),
    ("/site/", "https://b.example.com", "/site/a/b?c=d&e=%2F", "https://b.example.com/a/b?c=d&e=%2F"),
    (
        "/site/",
        "https://b.example.com",
        "/site/a%20b%2Fc%25%0d%0aX:%20y",
        "https://b.example.com/a%20b%2Fc%25%0d%0aX:%20y",
    ),
    ("/site/", "https://b.example.com", "/site/?", "https://b.example.com/?"),
    ("/site/", "https://b.example.com", "/site//c.example", "https://b.example.com//c.example"),
    ("/deeper/", "https://b.example.com:8443/x/", "/deeper/y?z", "https://b.example.com:8443/x/y?z"),
    ("/path/", "/new/", "/path/a%20b?c", "/new/a%20b?c"),
    ("/bare", "/target/", "/bare", "/target/"),
    ("/bare", "/target/", "/bare?a=1", "/target/?a=1"),
    ("/bare", "/target/", "/bare/", "/target/"),
    ("/bare", "/target/", "/bare/x", "/target/x"),
    ("/bare", "/target/", "/barefoot", "/target/"),
    ("=/exact", "https://b.example.com/other/", "/exact?a=%20", "https://b.example.com/other/?a=%20"),
    ("=/exact", "https://b.example.com/other/", "/%65xact", "https://b.example.com/other/"),
    ("~^/u/[0-9]+", "https://b.example.com/users/", "/u/12/%20?x", "https://b.example.com/users/u/12/%20?x"),
    # A route with characters that a URL escapes is cut off all the same.
    ("/ä b/", "/ascii/", "/%C3%A4%20b/c%20d", "/ascii/c%20d"),
    ("/(x|y)+$1/", "/plain/", "/(x%7Cy)+%241/z", "/plain/z"),
    # What it leads to may hold what means something to nginx.
    ("/dollar/", "/$1/$host'/", "/dollar/x", "/$1/$host'/x"),
    # Written otherwise than it is compared: the rest may be lost, but leads nowhere else.
    ("/site/", "https://b.example.com", "//site/x?q", "https://b.example.com?q"),
    ("/site/", "https://b.example.com", "/s%69te/x", "https://b.example.com"),
]


async def test_what_follows_the_route_is_appended_as_it_was_sent(home: House) -> None:
    """
    Escapes stay as they are, and the query is kept, also where there is nothing else to append.
    """
    routes = {}
    for spelled, to, _, _ in KEPT:
        match = {"=": Match.EXACT, "~": Match.REGEX}.get(spelled[0], Match.PREFIX)
        routes[spelled] = sent(spelled.lstrip("=~"), to, match=match)
    home.add("a.example.com", routes=tuple(routes.values()))
    home.add("whole.example.com", routes=(sent("/", "https://b.example.com/under/"),))
    home.add("bare.example.com", routes=(sent("/", "https://b.example.com", keep=False), sent("/x/", "/y", keep=False)))
    await home.serve()
    for _, _, asked, told in KEPT:
        answer = await home.get("a.example.com", asked)
        assert (asked, answer.status, answer.headers["location"]) == (asked, 301, told)
    for asked in ("/", "/a%2Fb//c?d=%20", "//b", "/%E4%BD%A0"):
        answer = await home.get("whole.example.com", asked)
        assert answer.headers["location"] == f"https://b.example.com/under{asked}"
    for asked, told in (("/a?b", "https://b.example.com"), ("/x/a?b", "/y")):
        assert (await home.get("bare.example.com", asked)).headers["location"] == told


async def test_a_route_is_left_without_its_slash_too(home: House) -> None:
    """
    Who asks for `/old` where `/old/` is sent elsewhere gets there, by a path that is right whatever port he came in by.
    """
    home.add("a.example.com", routes=(sent("/old/", "https://b.example.com/"), sent("/", "https://c.example.com")))
    await home.serve()
    answer = await home.get("a.example.com:2443", "/old?x=1")
    assert (answer.status, answer.headers["location"]) == (301, "/old/?x=1")
    assert (await home.get("a.example.com", "/old/?x=1")).headers["location"] == "https://b.example.com/?x=1"


#: Request lines that would lead visitors to another host, or add a header, were they believed.
HOSTILE = [
    b"GET //evil.example/ HTTP/1.1",
    b"GET ///evil.example HTTP/1.1",
    b"GET /\\evil.example/ HTTP/1.1",
    b"GET \\\\evil.example/ HTTP/1.1",
    b"GET /.//evil.example HTTP/1.1",
    b"GET /go//evil.example/ HTTP/1.1",
    b"GET /go///evil.example/ HTTP/1.1",
    b"GET /go/\\evil.example/ HTTP/1.1",
    b"GET /go/\\/evil.example/ HTTP/1.1",
    b"GET /go/..//evil.example/ HTTP/1.1",
    b"GET /go/.//evil.example HTTP/1.1",
    b"GET /go/%2F%2Fevil.example HTTP/1.1",
    b"GET /go//%09/evil.example HTTP/1.1",
    b"GET /go//\t/evil.example HTTP/1.1",
    b"GET //go//evil.example HTTP/1.1",
    b"GET /go?//evil.example HTTP/1.1",
    b"GET /go@evil.example HTTP/1.1",
    b"GET /go.evil.example HTTP/1.1",
    b"GET @evil.example/ HTTP/1.1",
    b"GET .evil.example HTTP/1.1",
    b"GET http://evil.example/ HTTP/1.1",
    b"GET https://evil.example/go/ HTTP/1.1",
    b"GET http://a.example.com@evil.example/ HTTP/1.1",
    b"GET http://a.example.com:80@evil.example/ HTTP/1.1",
    b"GET http://a.example.com?//evil.example HTTP/1.1",
    b"GET http://a.example.com//evil.example/ HTTP/1.1",
    b"GET //evil.example HTTP/1.0",
    b"GET //evil.example",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT evil.example:443 HTTP/1.1",
    b"GET /go/%0d%0aSet-Cookie:%20a=b HTTP/1.1",
    b"GET /go/\rSet-Cookie: a=b HTTP/1.1",
    b"GET /go/\nSet-Cookie: a=b HTTP/1.1",
    b"GET /go/\x00 HTTP/1.1",
    b"GET /go/ x HTTP/1.1",
]


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_no_request_line_leads_to_a_host_of_the_visitors_choice(program: str) -> None:
    r"""
    `//evil.example` is another host to a browser, and so is `/\evil.example`; a header ends where it is meant to end.
    """
    async with house(program) as home:
        routes = {
            "whole": (sent("/", "https://b.example.com"),),
            "to": (sent("/go/", "/"), sent("/go", "/")),
            "path": (sent("/go/", "/new"), sent("/", "/new/")),
            "root": (sent("/", "/"),),
            "pattern": (sent("^/go", "https://b.example.com", match=Match.REGEX),),
        }
        for name, each in routes.items():
            home.add(f"{name}.a.example.com", routes=each)
        home.add(
            "a.example.com", routes=(sent("/go", "https://b.example.com"),), redirect_hosts=(Name("w.example.com"),)
        )
        await home.serve()
        ours = {"", "a.example.com", "b.example.com"}
        asked = [f"{name}.a.example.com" for name in routes] + ["a.example.com", "w.example.com"]
        for host in asked:
            for first in HOSTILE:
                for tls in (True, False):
                    answer = await _hostile(home, host, first, tls=tls)
                    assert (first, "set-cookie" in answer.headers) == (first, False)
                    place = _as_browsers_read(answer.headers.get("location", "/"))
                    assert place in ours | {host}, f"{host} sent {first!r} to {place}"


def _as_browsers_read(location: str) -> str:
    """
    Return the host to which a browser goes, nothing for the one where it is. To it a backslash is a slash, and any number of slashes
    begins a host (https://url.spec.whatwg.org/#special-authority-ignore-slashes-state).
    """
    location = location.replace("\\", "/")
    return urlsplit(f"//{location.lstrip('/')}" if location.startswith("//") else location).hostname or ""


async def _hostile(home: House, host: str, first: bytes, *, tls: bool) -> Answer:
    port = home.settings.https_port if tls else home.settings.http_port
    reader, writer = await home.connect(port, host if tls else "")
    try:
        writer.write(first + f"\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        # Not all that is sent is read where a line is refused.
        with contextlib.suppress(ConnectionError):
            said = await reader.read()
            return parse(said) if said.startswith(b"HTTP/") else parse(b"")
        return parse(b"")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_hosts_that_are_not_the_first_lead_to_it(home: House) -> None:
    """
    From www to the apex and back, in plain and over TLS, on the public port and for a while only as long as the certificate is not there.
    """
    https = home.settings.https_port
    home.add("example.com", routes=(sent("/", "/x"),), redirect_hosts=(Name("www.example.com"), Name("example.net")))
    home.certify("new.example.org", "www.new.example.org", issuer="selfsigned")
    home.add("new.example.org", routes=(sent("/", "/x"),), redirect_hosts=(Name("www.new.example.org"),))
    home.add("missing.example.org", routes=(sent("/", "/x"),), redirect_hosts=(Name("m.example.org"),), certify=False)
    home.add("plain.example.com", routes=(sent("/", "/x"),), redirect_hosts=(Name("p.example.com"),), tls=False)
    await home.serve()
    for host, tls, code, told in (
        ("www.example.com", True, 301, f"https://example.com:{https}"),
        ("www.example.com:2443", True, 301, f"https://example.com:{https}"),
        ("www.example.com:8088", False, 301, f"https://example.com:{https}"),
        ("example.net", True, 301, f"https://example.com:{https}"),
        ("www.new.example.org", True, 302, f"https://new.example.org:{https}"),
        ("www.new.example.org", False, 302, f"https://new.example.org:{https}"),
        ("m.example.org", False, 302, f"https://missing.example.org:{https}"),
        ("p.example.com", False, 301, "http://plain.example.com"),
        ("p.example.com:8088", False, 301, "http://plain.example.com:8088"),
    ):
        answer = await home.get(host, "/a%2Fb//c?d=%20", tls=tls)
        assert (host, answer.status, answer.headers["location"]) == (host, code, f"{told}/a%2Fb//c?d=%20")
        answer = await home.get(host, tls=tls, method="POST", body=b"x" * 2_000_000)
        assert (host, answer.status) == (host, code), "not that its body is too large"
    assert (await home.get("example.com", tls=False, method="POST", body=b"x" * 2_000_000)).status == 301
    assert await home.fingerprint("www.example.com") == home.held["example.com"].fingerprint


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_the_usual_public_port_is_not_named_to_who_comes_from_another_host(program: str) -> None:
    """
    And of a site with its own listener, that one is.
    """
    async with house(program, public_https_port=443) as home:
        home.add("example.com", routes=(sent("/", "/x"),), redirect_hosts=(Name("www.example.com"),))
        own = (Listener(port=home.spare[0]),)
        home.add("own.example.com", routes=(sent("/", "/x"),), redirect_hosts=(Name("o.example.com"),), listen=own)
        await home.serve()
        for tls in (True, False):
            assert (await home.get("www.example.com", tls=tls)).headers["location"] == "https://example.com/"
        answer = await home.get("o.example.com", port=home.spare[0])
        assert answer.headers["location"] == f"https://own.example.com:{home.spare[0]}/"
        answer = await home.get("o.example.com", tls=False)
        assert answer.headers["location"] == f"https://own.example.com:{home.spare[0]}/"


BODY = json.dumps(
    {"m.server": "a:443", "$host": '"quoted" \\ back', "{": ["}", ";", "'", "#", "${x}", "你好"]}, ensure_ascii=False
)


async def test_an_answer_of_nginxs_own_is_as_it_was_written(home: House) -> None:
    """
    Body, status and type, whatever the path looks like, and for every method. The headers of the route are said beside it.
    """
    routes = (
        Route(path="/.well-known/matrix/server", action=Respond(body=BODY, type="application/json"), match=Match.EXACT),
        Route(path="/config.js", action=Respond(body="{}", type="application/json"), match=Match.EXACT),
        Route(path="/page.png", action=Respond(body="<p>", type="text/html; charset=utf-8")),
        Route(path="/teapot/", action=Respond(status=418, body="short and stout")),
        Route(path="/gone/", action=Respond(status=410)),
        Route(path="/nothing/", action=Respond(status=204)),
        Route(path="/empty/", action=Respond(), headers=Headers(response=(("X-Own", "$1 \"'\\"),))),
        Route(path=r"^/r/\d+$", action=Respond(body="regex"), match=Match.REGEX),
    )
    home.add("a.example.com", routes=routes)
    await home.serve()
    for target, status, kind, body in (
        ("/.well-known/matrix/server", 200, "application/json", BODY),
        ("/config.js", 200, "application/json", "{}"),
        ("/page.png/x.css?y", 200, "text/html; charset=utf-8", "<p>"),
        ("/teapot/x", 418, "text/plain", "short and stout"),
        ("/empty/", 200, "text/plain", ""),
        ("/r/12", 200, "text/plain", "regex"),
    ):
        for method, sent_body in (("GET", b""), ("POST", b"x" * 2_000_000)):
            answer = await home.get("a.example.com", target, method=method, body=sent_body)
            assert (target, answer.status, answer.body.decode()) == (target, status, body)
            assert (target, answer.headers.get("content-type", kind)) == (target, kind)
    assert (await home.get("a.example.com", "/gone/")).status == 410
    assert (await home.get("a.example.com", "/nothing/")).status == 204
    assert (await home.get("a.example.com", "/empty/")).headers["x-own"] == "$1 \"'\\"


async def test_an_answer_of_nginxs_own_is_kept_from_who_may_not_come(home: House) -> None:
    """
    The directive `return` asks nobody; a route that is for some is for some, whatever is done there.
    """
    closed, opened = Guard(allow=("192.0.2.0/24",)), Guard(allow=("127.0.0.0/8",))
    routes = tuple(
        Route(path=f"/{word}/{name}/", action=action, guard=guard, headers=Headers(response=(("X-Own", "yes"),)))
        for word, guard in (("closed", closed), ("open", opened))
        for name, action in (
            ("respond", Respond(body="secret", type="application/json")),
            ("status", Respond(status=410)),
            ("redirect", Redirect(url="https://b.example.com")),
        )
    )
    home.add("a.example.com", routes=routes)
    await home.serve()
    for name in ("respond", "status", "redirect"):
        answer = await home.get("a.example.com", f"/closed/{name}/x.js?y")
        assert (name, answer.status) == (name, 403)
        assert b"secret" not in answer.body
        assert "location" not in answer.headers
    answer = await home.get("a.example.com", "/open/respond/x.js?y", method="POST", body=b"x" * 2_000_000)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"secret", "application/json")
    assert answer.headers["x-own"] == "yes"
    assert (await home.get("a.example.com", "/open/status/")).status == 410
    answer = await home.get("a.example.com", "/open/redirect/x%2F?y", method="PUT")
    assert (answer.status, answer.headers["location"]) == (301, "https://b.example.com/x%2F?y")
    assert answer.headers["x-own"] == "yes"
