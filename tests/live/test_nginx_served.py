"""
What visitors get from the trees that are rendered, on the oldest nginx at hand and on the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, house, parse, url
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine
from gatelodge.issuers import selfsigned
from gatelodge.model import INTERNAL_HOST, Listener, Name, Pool, Route, Transport, Websocket
from gatelodge.nginx.writing.prelude import GENERATION_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


async def serve(home: House) -> None:
    """
    Bring what the house asks for to be served.
    """
    await home.managed().apply(home.render())


async def test_a_request_reaches_the_upstream_and_its_answer_the_visitor(home: House, up: upstream.Upstream) -> None:
    """
    The plainest site: everything to one service.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    answer = await home.get("a.example.com", "/deep/er?q=1", method="POST", body=b"x" * 100_000)
    assert answer.status == 200
    assert (up.seen[-1].method, up.seen[-1].target) == ("POST", "/deep/er?q=1")


async def test_unknown_names_are_refused_everywhere(home: House, up: upstream.Upstream) -> None:
    """
    A name that is no site's gets no certificate and no answer; nor does a visitor who sends no name. Who was let in under another name
    is told to try again by another connection (RFC 9110 §15.5.20), and goes on with this one: a browser takes one for two sites.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    for name in ("other.example.com", None):
        with pytest.raises(ssl.SSLError):
            await home.fingerprint(name)
    assert (await home.get("other.example.com", tls=False)).status == 0
    assert (await home.get("other.example.com", name="a.example.com")).status == 421
    assert up.seen == []
    port = home.settings.https_port
    asked = (
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code} %{num_connects}\n",
        f"https://a.example.com:{port}/",
    )
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "--noproxy", "*", "--http2", "--resolve", f"a.example.com:{port}:127.0.0.1", *asked),
        *("--next", "-sk", "--http2", "-H", "Host: other.example.com", *asked, "--next", "-sk", "--http2", *asked),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await curl.communicate())[0].split(b"\n")[:3] == [b"2 200 1", b"2 421 0", b"2 200 0"]


async def test_tokens_are_served_for_every_name_before_any_redirect(home: House, up: upstream.Upstream) -> None:
    """
    http-01 works for names that are known, unknown, quarantined or without TLS, and only from the token directory.
    """
    token = home.webroot / ".well-known/acme-challenge/token"
    token.write_text("token.thumbprint")
    token.chmod(0o644)
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False)
    home.add("bad.example.com", to=f"http://127.0.0.1:{up.port}")
    home.quarantines = quarantined(home, "bad.example.com")
    await serve(home)
    for host in ("a.example.com", "plain.example.com", "bad.example.com", "unknown.example.com", "192.0.2.1"):
        answer = await home.get(host, "/.well-known/acme-challenge/token", tls=False)
        assert (answer.status, answer.body) == (200, b"token.thumbprint")
        assert (await home.get(host, "/.well-known/acme-challenge/none", tls=False)).status == 404
    assert (await home.get("unknown.example.com", "/.well-known/", tls=False)).status == 0
    assert up.seen == []


def quarantined(home: House, site: str, *, kept: str | None = None, error: str = "no") -> dict[str, Quarantine]:
    """
    Keep a site back as it is asked for now.
    """
    fresh = home.render().fresh[site]
    return {site: Quarantine(site=site, digest=fresh, error=error, since=NOW, retry_at=NOW, kept=kept)}


async def test_a_quarantined_site_answers_503_with_its_certificate(home: House, up: upstream.Upstream) -> None:
    """
    Nothing of the user's is in it but the host names; its neighbour is served.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("bad.example.com", to=f"http://127.0.0.1:{up.port}")
    home.quarantines = quarantined(home, "bad.example.com")
    await serve(home)
    assert (await home.get("bad.example.com")).status == 503
    assert (await home.get("bad.example.com", tls=False)).status == 503
    assert await home.fingerprint("bad.example.com") == home.held["bad.example.com"].fingerprint
    assert (await home.get("a.example.com")).status == 200


@pytest.mark.parametrize(("issuer", "status"), [("acme:test", 301), ("selfsigned", 302)])
async def test_plain_http_is_redirected_to_where_the_visitor_gets_in(home: House, issuer: str, status: int) -> None:
    """
    The redirect names the public port of the site's first TLS listener, and is only for ever once the certificate is.
    """
    home.certify("a.example.com", issuer=issuer)
    home.add("a.example.com")
    await serve(home)
    answer = await home.get("a.example.com:8088", "/x?y=z", tls=False)
    assert answer.status == status
    assert answer.headers["location"] == f"https://a.example.com:{home.settings.https_port}/x?y=z"
    forged = await home.get("b.example.com", "http://a.example.com/x", tls=False)
    assert forged.headers["location"] == f"https://a.example.com:{home.settings.https_port}/x"


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_public_ports_are_the_visitors(program: str, up: upstream.Upstream) -> None:
    """
    443 is left out of the redirect, another public port is named, and a listener of the site's own is its own.
    """
    for public, written in ((443, ""), (2443, ":2443")):
        async with house(program, public_https_port=public) as home:
            home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
            home.add("own.example.com", to=f"http://127.0.0.1:{up.port}", listen=(Listener(port=home.spare[0]),))
            await serve(home)
            answer = await home.get("a.example.com", tls=False)
            assert answer.headers["location"] == f"https://a.example.com{written}/"
            own = await home.get("own.example.com", tls=False)
            assert own.headers["location"] == f"https://own.example.com:{home.spare[0]}/"


async def test_the_upstream_is_told_the_visitors_address_and_port(home: House, up: upstream.Upstream) -> None:
    """
    Host and X-Forwarded-Host carry the port that the visitor typed; what he claims about himself is replaced.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    forged = {
        "X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1", "X-Real-IP": "192.0.2.9", "Forwarded": "for=192.0.2.9", "Proxy": "evil.example",
    }  # fmt: skip
    await home.get("a.example.com:2443", headers=forged)
    headers = up.seen[-1].headers
    assert headers["host"] == headers["x-forwarded-host"] == "a.example.com:2443"
    assert headers["x-forwarded-port"] == "2443"
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert not headers.keys() & {"forwarded", "proxy", "upgrade", "connection"}
    await home.get("a.example.com")
    assert (up.seen[-1].headers["host"], up.seen[-1].headers["x-forwarded-port"]) == ("a.example.com", "443")
    await home.get("evil.example:99", "https://a.example.com/", name="a.example.com")
    assert "evil" not in str(up.seen[-1])


async def test_http2_is_offered_and_carries_the_port_too(home: House, up: upstream.Upstream) -> None:
    """
    The syntax for it differs between the two; a browser's `:authority` is the Host.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    _, writer = await home.connect(home.settings.https_port, "a.example.com", alpn=("h2", "http/1.1"))
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()
    port = home.settings.https_port
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "--noproxy", "*", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"),
        *("--resolve", f"a.example.com:{port}:127.0.0.1", f"https://a.example.com:{port}/"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await curl.communicate()
    assert said == b"2 200"
    assert up.seen[-1].headers["host"] == f"a.example.com:{port}"
    with contextlib.suppress(OSError):
        await writer.wait_closed()


UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: a.example.com:2443\r\nUpgrade: %s\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://a.example.com:2443\r\n\r\n"
)


async def test_websockets_pass_and_other_upgrades_do_not(home: House, up: upstream.Upstream) -> None:
    """
    Bytes flow both ways after the upgrade, and Origin is the Host the upstream sees. `h2c` is not passed on.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    reader, writer = await home.connect(home.settings.https_port, "a.example.com")
    writer.write(UPGRADE % b"WebSocket")
    head = await reader.readuntil(b"\r\n\r\n")
    assert parse(head).status == 101
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()
    headers = up.seen[-1].headers
    assert headers["origin"] == f"https://{headers['host']}"
    reader, writer = await home.connect(home.settings.https_port, "a.example.com")
    writer.write(UPGRADE % b"h2c")
    assert parse(await reader.readuntil(b"\r\n\r\n")).status == 200
    assert "upgrade" not in up.seen[-1].headers
    writer.close()


async def test_a_forced_websocket_is_spoken_whatever_the_visitor_sent(home: House, up: upstream.Upstream) -> None:
    """
    For clients that upgrade in their own way: the upstream sees a proper request, with everything else as usual.
    """
    route = Route(
        path="/", action=Pool.of(url(f"http://127.0.0.1:{up.port}")), transport=Transport(websocket=Websocket.FORCE)
    )
    home.add("a.example.com", routes=(route,))
    await serve(home)
    reader, writer = await home.connect(home.settings.https_port, "a.example.com")
    writer.write(UPGRADE % b"something")
    assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()
    headers = up.seen[-1].headers
    assert (headers["upgrade"], headers["connection"], headers["sec-websocket-version"]) == (
        "websocket",
        "upgrade",
        "13",
    )
    assert headers["host"] == "a.example.com:2443"


async def test_idle_connections_to_an_address_are_used_again(home: House, up: upstream.Upstream) -> None:
    """
    An upstream given by its address gets one connection for many requests of a worker.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    for _ in range(20):
        assert (await home.get("a.example.com")).status == 200
    assert up.connections < 10


async def test_a_dead_upstream_is_a_502_on_its_route_alone(home: House, up: upstream.Upstream) -> None:
    """
    The site's other route and nginx itself go on; the dead one is tried each time, so it is back as soon as it is back.
    """
    dead = Route(path="/dead/", action=Pool.of(url(f"http://127.0.0.1:{home.spare[0]}")))
    home.add("a.example.com", routes=(dead,), to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    for _ in range(3):
        assert (await home.get("a.example.com", "/dead/")).status == 502
    assert (await home.get("a.example.com", "/")).status == 200
    server = await asyncio.start_server(up.serve, "127.0.0.1", home.spare[0])
    async with server:
        assert (await home.get("a.example.com", "/dead/")).status == 200


async def test_a_name_that_does_not_resolve_is_a_502_too(home: House, up: upstream.Upstream) -> None:
    """
    Even so nginx starts, and the neighbours are served: a container that is not there yet stops nobody, and is found once it is.
    """
    async with naming() as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        home.add("a.example.com", to=f"http://not_there_yet:{up.port}")
        home.add("b.example.com", to=f"http://127.0.0.1:{up.port}")
        await serve(home)
        assert (await home.get("b.example.com")).status == 200
        assert (await home.get("a.example.com")).status == 502
        server.addresses["not_there_yet"] = "127.0.0.1"

        async def found() -> bool:
            return (await home.get("a.example.com")).status == 200

        await until(found)


#: What the visitor asks for below `/x/`, and what reaches the upstream whose path is `/b%20c/`: as nginx itself replaces prefixes.
PATHS = [
    ("/x/", "/b%20c/"),
    ("/x/a", "/b%20c/a"),
    ("/x/a/?q=1&r=%20", "/b%20c/a/?q=1&r=%20"),
    ("/x/?", "/b%20c/"),
    ("/x/a%20b", "/b%20c/a%20b"),
    ("/x/a%2Fb", "/b%20c/a/b"),
    ("/x/a%3Fb?c=d", "/b%20c/a%3Fb?c=d"),
    ("/x/a%23b", "/b%20c/a%23b"),
    ("/x/a%25b", "/b%20c/a%25b"),
    ("/x/a%24b$c$1", "/b%20c/a$b$c$1"),
    ("/x//a", "/b%20c/a"),
    ("/x/./a/../b", "/b%20c/b"),
    ("/x/%2e%2e/x/c", "/b%20c/c"),
    ("/x/a+b;c=d,e@f:g!h'i(j)*k~l", "/b%20c/a+b;c=d,e@f:g!h'i(j)*k~l"),
    ("/x/%E4%BD%A0", "/b%20c/%E4%BD%A0"),
    ("/x/a%0Ab%0A", "/b%20c/a%0Ab%0A"),
    ("/x/%78/", "/b%20c/x/"),
    ("/%78/a", "/b%20c/a"),
]


async def test_a_prefix_is_replaced_alike_for_addresses_and_names(home: House, up: upstream.Upstream) -> None:
    """
    An address goes through nginx's own replacement, a name before 1.27.3 through ours: the upstream cannot tell.
    """
    async with naming(service="127.0.0.1") as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        for host, service in (("a.example.com", "127.0.0.1"), ("b.example.com", "service")):
            routes = (Route(path="/x/", action=Pool.of(url(f"http://{service}:{up.port}/b%20c/"))),)
            home.add(host, routes=routes, to=f"http://{service}:{up.port}")
        await serve(home)
        for host in ("a.example.com", "b.example.com"):
            for asked, reached in PATHS:
                assert (await home.get(host, asked)).status == 200
                assert (host, asked, up.seen[-1].target) == (host, asked, reached)
            # Without a path in the upstream, the request goes on as it came.
            for raw in ("/y/a%2Fb//c/../d?%20", "/y/a|b"):
                assert (await home.get(host, raw)).status == 200
                assert up.seen[-1].target == raw
            answer = await home.get(host, "/x?q")
            assert (answer.status, answer.headers["location"]) == (301, "/x/?q")


async def test_strange_characters_in_routes_mean_themselves(home: House, up: upstream.Upstream) -> None:
    """
    What is special to nginx or to a regular expression is not, in the path of a route or of an upstream.
    """
    async with naming(service="127.0.0.1") as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        for host, service in (("a.example.com", "127.0.0.1"), ("b.example.com", "service")):
            path = "/$1/${host}.*(;'/"
            home.add(host, routes=(Route(path=path, action=Pool.of(url(f"http://{service}:{up.port}/$1(;'%22%5C/"))),))
        await serve(home)
        for host in ("a.example.com", "b.example.com"):
            assert (await home.get(host, "/$1/${host}.*(;'/x")).status == 200
            assert up.seen[-1].target.replace("%24", "$") in {"/$1(;'%22%5C/x", "/$1(;'\"%5C/x", "/$1(;'\"\\/x"}
            assert (await home.get(host, "/$1/${host}abc(;'/x")).status == 404


async def test_localhost_needs_no_name_server(home: House, up: upstream.Upstream) -> None:
    """
    The resolver of nginx does not read /etc/hosts, so `localhost` is written as its address.
    """
    home.add("a.example.com", to=f"http://localhost:{up.port}/base/")
    await serve(home)
    assert (await home.get("a.example.com", "/x")).status == 200
    assert up.seen[-1].target == "/base/x"


async def test_bodies_over_the_limit_get_413(home: House, up: upstream.Upstream) -> None:
    """
    Each route has its own limit; 0 is none.
    """
    small = Route(
        path="/small/", action=Pool.of(url(f"http://127.0.0.1:{up.port}")), transport=Transport(body_size=1000)
    )
    home.add("a.example.com", routes=(small,), to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    assert (await home.get("a.example.com", "/small/", method="POST", body=b"x" * 1001)).status == 413
    assert (await home.get("a.example.com", "/small/", method="POST", body=b"x" * 1000)).status == 200
    assert (await home.get("a.example.com", "/", method="POST", body=b"x" * 3_000_000)).status == 200


async def test_a_silent_upstream_is_given_up_after_the_timeout(home: House) -> None:
    """
    The route's timeout is nginx's patience with its upstream.
    """

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", home.spare[0]):
        route = Route(
            path="/",
            action=Pool.of(url(f"http://127.0.0.1:{home.spare[0]}")),
            transport=Transport(timeout=dt.timedelta(milliseconds=200)),
        )
        home.add("a.example.com", routes=(route,))
        await serve(home)
        assert (await home.get("a.example.com")).status == 504


async def test_routes_are_prefixes_and_the_longest_wins(home: House, up: upstream.Upstream) -> None:
    """
    As in nginx: `/x` itself is sent to `/x/`, by a path that is right whatever port the visitor came in by.
    """
    base = f"http://127.0.0.1:{up.port}"
    routes = (
        Route(path="/x/", action=Pool.of(url(f"{base}/one/"))),
        Route(path="/x/y/", action=Pool.of(url(f"{base}/two/"))),
        Route(path="/kept/", action=Pool.of(url(base))),
    )
    home.add("a.example.com", routes=routes, to=f"{base}/root/")
    await serve(home)
    for target, reached in (
        ("/x/a", "/one/a"),
        ("/x/y/a", "/two/a"),
        ("/x/ya", "/one/ya"),
        ("/kept/a?b", "/kept/a?b"),
        ("/other", "/root/other"),
        ("/xy", "/root/xy"),
    ):
        assert (await home.get("a.example.com", target)).status == 200
        assert up.seen[-1].target == reached
    answer = await home.get("a.example.com:2443", "/x?q=1")
    assert (answer.status, answer.headers["location"]) == (301, "/x/?q=1")


async def test_a_site_without_a_route_for_everything_shows_no_files(home: House, up: upstream.Upstream) -> None:
    """
    The welcome page of nginx is nobody's business.
    """
    home.add("a.example.com", routes=(Route(path="/x/", action=Pool.of(url(f"http://127.0.0.1:{up.port}"))),))
    await serve(home)
    assert (await home.get("a.example.com", "/x/")).status == 200
    assert (await home.get("a.example.com", "/")).status == 404


@pytest.mark.parametrize(
    ("location", "mended"),
    [
        ("http://127.0.0.1:{port}/base/login", "/app/login"),
        ("http://a.example.com:2443/login", "https://a.example.com:2443/login"),
        ("http://elsewhere.example/", "http://elsewhere.example/"),
        ("/login", "/login"),
    ],
)
async def test_redirects_of_an_upstream_lead_back_to_the_gate(
    home: House, up: upstream.Upstream, location: str, mended: str
) -> None:
    """
    An upstream that does not know that it is behind https is put right; others' addresses are left alone.
    """
    up.location = location.format(port=up.port)
    home.add("a.example.com", routes=(Route(path="/app/", action=Pool.of(url(f"http://127.0.0.1:{up.port}/base/"))),))
    await serve(home)
    assert (await home.get("a.example.com:2443", "/app/")).headers["location"] == mended


async def test_wildcard_hosts_serve_what_they_cover(home: House, up: upstream.Upstream) -> None:
    """
    A site of its own goes before the wildcard.
    """
    home.add("*.example.com", "example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}/own/")
    await serve(home)
    for host, reached in (("any.example.com", "/"), ("example.com", "/"), ("a.example.com", "/own/")):
        assert (await home.get(host)).status == 200
        assert up.seen[-1].target == reached
    assert await home.fingerprint("any.example.com") == home.held["wildcard.example.com"].fingerprint


async def test_ip_hosts_are_met_without_a_name_and_unknown_names_still_refused(
    home: House, up: upstream.Upstream
) -> None:
    """
    Visitors of an address send none; on that listener named sites and refusals go on as before, and elsewhere nothing changes.
    """
    home.add("192.0.2.10", "fd00::1", "named.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}", listen=(Listener(port=home.spare[0]),))
    await serve(home)
    assert await home.fingerprint(None) == home.held["192.0.2.10"].fingerprint
    assert await home.fingerprint("a.example.com") == home.held["a.example.com"].fingerprint
    with pytest.raises(ssl.SSLError):
        await home.fingerprint("unknown.example.com")
    with pytest.raises(ssl.SSLError):
        await home.fingerprint(None, port=home.spare[0])
    for host in ("192.0.2.10", "192.0.2.10:2443", "[fd00::1]", "[fd00::1]:2443"):
        answer = await home.get(host, name=None)
        assert answer.status == 200
        assert up.seen[-1].headers["host"] == host
    assert (await home.get("192.0.2.99", name=None)).status == 421
    assert (await home.get("unknown.example.com", name=None)).status == 421
    redirect = await home.get("[fd00::1]:80", tls=False)
    assert redirect.headers["location"] == f"https://[fd00::1]:{home.settings.https_port}/"


async def test_sites_without_tls_are_served_in_plain(home: House, up: upstream.Upstream) -> None:
    """
    On the plain listener of all or on one of their own.
    """
    home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False)
    home.add("own.example.com", to=f"http://127.0.0.1:{up.port}", tls=False, listen=(Listener(port=home.spare[0]),))
    await serve(home)
    assert (await home.get("plain.example.com:81", tls=False)).status == 200
    assert up.seen[-1].headers["x-forwarded-proto"] == "http"
    assert (await home.get("own.example.com", tls=False, port=home.spare[0])).status == 200
    assert (await home.get("unknown.example.com", tls=False, port=home.spare[0])).status == 0


@pytest.mark.parametrize(("here", "elsewhere"), [("127.0.0.1", "127.0.0.2"), ("::1", "127.0.0.1")])
async def test_a_site_on_one_address_takes_that_away_from_nobody(
    home: House, up: upstream.Upstream, here: str, elsewhere: str
) -> None:
    """
    There nginx would know only the servers that name that address. Each site is met wherever its own listen says, and by IP too;
    the site of one address nowhere else; unknown names are refused on both.
    """
    narrow = Listener(port=home.settings.https_port, address=here)
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("192.0.2.10", to=f"http://127.0.0.1:{up.port}")
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}", listen=(narrow,))
    await serve(home)
    for at in (here, elsewhere):
        assert await home.fingerprint("a.example.com", at=at) == home.held["a.example.com"].fingerprint
        assert await home.fingerprint(None, at=at) == home.held["192.0.2.10"].fingerprint
        with pytest.raises(ssl.SSLError):
            await home.fingerprint("other.example.com", at=at)
    assert await home.fingerprint("b.example.com", at=here) == home.held["b.example.com"].fingerprint
    with pytest.raises(ssl.SSLError):
        await home.fingerprint("b.example.com", at=elsewhere)


async def test_a_plain_site_on_one_address_takes_no_token_away(home: House, up: upstream.Upstream) -> None:
    """
    There too every name has its token and its redirect, also names that are no site's.
    """
    token = home.webroot / ".well-known/acme-challenge/token"
    token.write_text("token.thumbprint")
    token.chmod(0o644)
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    narrow = Listener(port=home.settings.http_port, address="127.0.0.1")
    home.add("plain.example.com", to=f"http://127.0.0.1:{up.port}", tls=False, listen=(narrow,))
    await serve(home)
    for host in ("a.example.com", "plain.example.com", "unknown.example.com"):
        assert (await home.get(host, "/.well-known/acme-challenge/token", tls=False)).body == b"token.thumbprint"
    assert (await home.get("a.example.com", tls=False)).status == 301
    assert (await home.get("plain.example.com", tls=False)).status == 200


async def test_a_site_that_stays_at_one_address_takes_it_away_from_nobody(home: House, up: upstream.Upstream) -> None:
    """
    Kept back, it still listens where the TOML does not name any more.
    """
    narrow = Listener(port=home.settings.https_port, address="127.0.0.1")
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}", listen=(narrow,))
    kept = home.render().sites["b.example.com"]
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}")
    home.quarantines = quarantined(home, "b.example.com", kept=kept)
    # The site's own text changes once more with the address that is kept: it is tried, refused, and kept back again.
    home.quarantines = quarantined(home, "b.example.com", kept=kept)
    assert home.render().sites["b.example.com"] == kept
    await serve(home)
    for host in ("a.example.com", "b.example.com"):
        assert await home.fingerprint(host) == home.held[host].fingerprint


async def test_a_port_that_cannot_be_one_is_not_passed_on(home: House, up: upstream.Upstream) -> None:
    """
    A Host header may hold any number; an upstream that reads it as one may not survive it.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    await serve(home)
    for port, told in (("99999999999999", ""), ("123456", ""), ("65535", "65535"), ("1", "1")):
        status = (await home.get(f"a.example.com:{port}")).status
        if status == 400 and not told:
            assert up.seen == [], "a new nginx refuses it by itself"
            continue
        assert status == 200
        headers = up.seen[-1].headers
        assert headers["host"] == headers["x-forwarded-host"] == f"a.example.com{told and ':'}{told}"
        assert headers["x-forwarded-port"] == (told or "443")


async def test_a_site_whose_certificate_is_not_there_shows_the_placeholder(home: House, up: upstream.Upstream) -> None:
    """
    It is served already, and redirected for now; so is its neighbour, as usual.
    """
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
    home.add("new.example.com", to=f"http://127.0.0.1:{up.port}", certify=False)
    await serve(home)
    assert await home.fingerprint("new.example.com") == home.held[INTERNAL_HOST].fingerprint
    assert (await home.get("new.example.com")).status == 200
    assert (await home.get("new.example.com", tls=False)).status == 302
    assert (await home.get("a.example.com")).status == 200


async def test_the_generation_is_told_on_this_machine_only_to_who_asks_for_it(home: House) -> None:
    """
    Under its own name, at one path.
    """
    home.add("a.example.com")
    await serve(home)
    assert (await home.get(INTERNAL_HOST, GENERATION_PATH, tls=False)).body == b"1"
    assert (await home.get(INTERNAL_HOST, "/", tls=False)).status == 0
    assert (await home.get("a.example.com", GENERATION_PATH, tls=False)).status == 301


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_without_a_plain_listener_the_generation_is_told_over_tls(program: str, up: upstream.Upstream) -> None:
    """
    With `http_port = 0` nothing listens in plain, and a tree is proven all the same.
    """
    async with house(program, http_port=0) as home:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        await serve(home)
        assert (await home.get(INTERNAL_HOST, GENERATION_PATH)).body == b"1"
        assert (await home.get("a.example.com")).status == 200
        assert {listener.port for listener in home.render().listeners} == {home.settings.https_port}


async def test_an_https_upstream_given_by_address_is_not_verified_and_by_name_it_is(
    home: House, tmp_path: Path
) -> None:
    """
    For nginx cannot check a certificate against an address; against a name it does, and a self-signed one is a 502.
    """
    issued = selfsigned.make([Name("localhost")])
    (tmp_path / "chain.pem").write_text(issued.chain)
    (tmp_path / "key.pem").write_text(issued.private_key.reveal())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    async with upstream.running(tls=context) as secured:
        home.add("a.example.com", to=f"https://127.0.0.1:{secured.port}")
        home.add("b.example.com", to=f"https://localhost:{secured.port}")
        await serve(home)
        assert (await home.get("a.example.com")).status == 200
        assert (await home.get("b.example.com")).status == 502
