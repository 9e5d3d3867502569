"""
Which site and route a request comes to, and what of its path reaches the service behind: on the oldest nginx at hand and on the
newest.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, url

from gatelodge.model import Listener, ListenSettings, Match, Pool, Respond, Route, TlsProfile, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


async def test_a_host_comes_to_the_most_exact_site_that_has_it(home: House, up: upstream.Upstream) -> None:
    """
    A site has several hosts. An exact one wins over a wildcard, the longer wildcard over the shorter, and a wildcard over a regular
    expression; what none has is refused. It is the same in plain and over TLS, and case does not matter.
    """
    base = f"http://127.0.0.1:{up.port}"
    home.add("a.example.com", "b.example.com", "other.example.net", to=f"{base}/exact/")
    home.add("*.example.com", to=f"{base}/wild/")
    home.add("*.deep.example.com", to=f"{base}/deep/")
    home.add("app.example.org", r"~^(app|web)-[0-9]{1,2}\.example\.(org|com)$", to=f"{base}/regex/")
    home.add("web-7.example.org", to=f"{base}/seven/")
    await home.serve()
    for host, reached in (
        ("a.example.com", "/exact/"),
        ("B.Example.COM", "/exact/"),
        ("other.example.net", "/exact/"),
        ("x.example.com", "/wild/"),
        ("x.y.example.com", "/wild/"),
        ("x.deep.example.com", "/deep/"),
        ("app-12.example.org", "/regex/"),
        ("WEB-1.example.org", "/regex/"),
        ("app.example.org", "/regex/"),
        ("app-1.example.com", "/wild/"),
        ("web-7.example.org", "/seven/"),
    ):
        assert (await home.get(host)).status == 200
        assert (host, up.seen[-1].target) == (host, reached)
        assert up.seen[-1].headers["host"] == host.lower()
        redirect = await home.get(host, "/x", tls=False)
        assert redirect.headers["location"] == f"https://{host.lower()}:{home.settings.https_port}/x"
    seen = len(up.seen)
    for host in (
        "app-123.example.org",
        "xapp-1.example.org",
        "deep.example.org",
        "example.com",
        "app-1.example.org.evil",
    ):
        assert (await home.get(host, name="a.example.com")).status == 421
        assert (await home.get(host, tls=False)).status == 0
    assert len(up.seen) == seen


async def test_the_first_regular_expression_wins_after_exact_paths_and_before_prefixes(home: House) -> None:
    """
    The longest prefix is the last to be asked, whatever the order in the TOML. A regular expression looks at the decoded path, with
    its case and without the query.
    """
    routes = (
        _said("/", "root"),
        _said("/a/", "prefix"),
        _said("/a/long/", "longer prefix"),
        _said(r"\.php(/|$)", "first regex", Match.REGEX),
        _said(r"^/a/[0-9]{2}$", "second regex", Match.REGEX),
        _said(r"^/a/long/[^/]+\.php$", "third regex", Match.REGEX),
        _said("/a/long/exact.php", "exact", Match.EXACT),
        _said("/ä b/", "unicode"),
        _said("^/[é-ü]+ $", "range", Match.REGEX),
    )
    home.add("a.example.com", routes=routes)
    await home.serve()
    for target, reached in (
        ("/", "root"),
        ("/other", "root"),
        ("/a", "root"),
        ("/a/", "prefix"),
        ("/a/longer", "prefix"),
        ("/a/long/x", "longer prefix"),
        ("/a/long/x.php", "first regex"),
        ("/a/x.php/info?q", "first regex"),
        ("/a/x%2Ephp", "first regex"),
        ("/a/x.PHP", "prefix"),
        ("/a/?x.php", "prefix"),
        ("/a/12", "second regex"),
        ("/a/%31%32?x", "second regex"),
        ("/a/123", "prefix"),
        ("/a/long/exact.php", "exact"),
        ("/a/long/exact.php?q", "exact"),
        ("/a/../a//long/%65xact.php", "exact"),
        ("/a/long/exact.php/", "first regex"),
        ("/%C3%A4%20b/c", "unicode"),
        ("/ä%20b/".encode().decode("latin-1"), "unicode"),
    ):
        answer = await home.get("a.example.com", target)
        assert (target, answer.status, answer.body.decode()) == (target, 200, reached)


def _said(path: str, word: str, match: Match = Match.PREFIX) -> Route:
    return Route(path=path, match=match, action=Respond(body=word))


#: The path of a route, that of its upstream, what is asked for and what reaches the upstream: as nginx itself replaces prefixes.
REPLACED = [
    # Stripped.
    ("/app/", "/", "/app/", "/"),
    ("/app/", "/", "/app/x/y?a=1&b=%20", "/x/y?a=1&b=%20"),
    ("/app/", "/", "/app/a%20b%2Fc%25%3F%23", "/a%20b/c%25%3F%23"),
    ("/app/", "/", "/app//evil.example/", "/evil.example/"),
    ("/app/", "/", "/app/../app/x", "/x"),
    ("/app/", "/", "/app/%E4%BD%A0/ä".encode().decode("latin-1"), "/%E4%BD%A0/%C3%A4"),
    ("/app/", "/", "/app/$1$host'", "/$1$host'"),
    # Replaced, with and without the final slash.
    ("/v/", "/api/v1/", "/v/users?x", "/api/v1/users?x"),
    ("/bare", "/api/v1", "/bare", "/api/v1"),
    ("/bare", "/api/v1", "/bare/x", "/api/v1/x"),
    ("/bare", "/api/v1", "/bare?x=/", "/api/v1?x=/"),
    # Exactly.
    ("=/one", "/other%20one", "/one?q=1", "/other%20one?q=1"),
    ("=/two", "/", "/two", "/"),
    # Passed on as it came.
    ("/as-is/", None, "/as-is//a%2Fb/../c%20?d", "/as-is//a%2Fb/../c%20?d"),
    ("~^/r[0-9]+/", None, "/r12/%61//b?c", "/r12/%61//b?c"),
    # Strange names.
    ("/ä b/", "/ö%20c/", "/%C3%A4%20b/x", "/%C3%B6%20c/x"),
    ("/(a|b)*+[c]^./", "/$host$1/", "/(a|b)*+[c]^./x", "/$host$1/x"),
    ("/q'\"/", "/'/", "/q'%22/x", "/'/x"),
]


async def test_what_reaches_the_upstream_is_the_same_for_an_address_a_name_and_a_socket(
    home: House, up: upstream.Upstream
) -> None:
    """
    Before 1.27.3 a name needs a variable, which replaces no prefix by itself. Escapes, queries and doubled slashes arrive alike.
    """
    path = str(home.state / "up.sock")
    async with (
        naming(service="127.0.0.1") as server,
        await asyncio.start_unix_server(up.serve, path),
        await asyncio.start_server(up.serve, "::1", home.spare[0]),
    ):
        (home.state / "up.sock").chmod(0o666)
        home.resolver = (f"127.0.0.1:{server.port}",)
        services = {
            "six.example.com": url(f"http://[::1]:{home.spare[0]}"),
            "address.example.com": url(f"http://127.0.0.1:{up.port}"),
            "name.example.com": url(f"http://service:{up.port}"),
            "socket.example.com": dataclasses.replace(url(f"http://-:{up.port}"), host="", port=0, socket=path),
        }
        for host, service in services.items():
            routes = {
                spelled: _passed(spelled, dataclasses.replace(service, path=to)) for spelled, to, _, _ in REPLACED
            }
            home.add(host, routes=tuple(routes.values()))
        await home.serve()
        await home.found("name.example.com", target="/app/")
        for host in services:
            for _, _, asked, reached in REPLACED:
                assert (await home.get(host, asked)).status == 200
                assert (host, asked, up.seen[-1].target.replace("%24", "$")) == (host, asked, reached)


def _passed(spelled: str, to: Upstream) -> Route:
    match = {"=": Match.EXACT, "~": Match.REGEX}.get(spelled[0], Match.PREFIX)
    return Route(path=spelled.lstrip("=~"), match=match, action=Pool.of(to))


async def test_a_folder_visited_without_its_slash_is_named_as_the_visitor_knows_it(
    home: House, up: upstream.Upstream
) -> None:
    """
    `/app` leads to `/app/` by a path alone, so that the host and port are the visitor's own, and keeps the query.
    """
    base = f"http://127.0.0.1:{up.port}"
    async with naming(service="127.0.0.1") as server:
        home.resolver = (f"127.0.0.1:{server.port}",)
        routes = (
            Route(path="/app/", action=Pool.of(url(f"{base}/"))),
            Route(path="/named/", action=Pool.of(url(f"http://service:{up.port}/"))),
            Route(path="/ä b/", action=Pool.of(url(f"{base}/"))),
        )
        home.add("a.example.com", routes=routes, to=base)
        await home.serve()
        for asked, told in (
            ("/app", "/app/"),
            ("/app?x=1&y=%2F", "/app/?x=1&y=%2F"),
            ("/named?q", "/named/?q"),
            ("/%C3%A4%20b", "/%C3%A4%20b/"),
        ):
            for tls in (True, False):
                answer = await home.get("a.example.com:2443", asked, tls=tls)
                assert answer.status == 301
                if tls:
                    assert answer.headers["location"] == told
        assert up.seen == []


async def test_a_location_of_the_upstream_leads_back_through_the_same_route(home: House, up: upstream.Upstream) -> None:
    """
    A header holds no characters that a URL may not, also where the route has them.
    """
    home.add("a.example.com", routes=(Route(path="/ä b/", action=Pool.of(url(f"http://127.0.0.1:{up.port}/c%20d/"))),))
    await home.serve()
    up.location = f"http://127.0.0.1:{up.port}/c%20d/login?to=%2F"
    answer = await home.get("a.example.com", "/%C3%A4%20b/x")
    assert answer.headers["location"] == "/%C3%A4%20b/login?to=%2F"


async def test_each_listener_of_a_site_has_its_own_terms(home: House, up: upstream.Upstream) -> None:
    """
    One with TLS 1.3 alone, one where every connection begins with a PROXY header, beside the usual one: the same routes behind all,
    and each visitor's own port for the upstream.
    """
    modern, proxied = (Listener(port=port) for port in home.spare[:2])
    home.settings = dataclasses.replace(
        home.settings,
        listen=(
            (modern, ListenSettings(tls_profile=TlsProfile.MODERN)),
            (proxied, ListenSettings(proxy_protocol=("127.0.0.0/8",))),
        ),
    )
    usual = Listener(port=home.settings.https_port)
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", listen=(usual, modern, proxied))
    await home.serve()
    versions = {}
    for listener in (usual, modern):
        assert (await home.get(f"a.example.com:{listener.port}", port=listener.port)).status == 200
        assert up.seen[-1].headers["x-forwarded-port"] == str(listener.port)
        versions[listener] = await _protocols(listener.port)
    assert versions == {usual: {"-tls1_2", "-tls1_3"}, modern: {"-tls1_3"}}
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "--noproxy", "*", "--haproxy-protocol", "-o", "/dev/null", "-w", "%{http_code}"),
        *("--resolve", f"a.example.com:{proxied.port}:127.0.0.1", f"https://a.example.com:{proxied.port}/"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await curl.communicate())[0] == b"200"
    assert up.seen[-1].headers["x-real-ip"] == "127.0.0.1"
    with pytest.raises((OSError, AssertionError)):
        await home.get("a.example.com", port=proxied.port)


async def _protocols(port: int) -> set[str]:
    """
    Return those of TLS 1.2 and 1.3 that are spoken on a port.
    """
    spoken = set()
    for version in ("-tls1_2", "-tls1_3"):
        client = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-servername", "a.example.com"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await client.wait() == 0:
            spoken.add(version)
    return spoken


async def test_plain_listeners_of_one_site_each_keep_the_visitors_port(home: House, up: upstream.Upstream) -> None:
    """
    The plain port of all sites and one of its own.
    """
    listen = (Listener(port=home.settings.http_port), Listener(port=home.spare[0]))
    home.add("a.example.com", to=f"http://127.0.0.1:{up.port}", tls=False, listen=listen)
    await home.serve()
    for listener in listen:
        assert (await home.get(f"a.example.com:{listener.port}", tls=False, port=listener.port)).status == 200
        headers = up.seen[-1].headers
        assert (headers["host"], headers["x-forwarded-port"]) == (f"a.example.com:{listener.port}", str(listener.port))
