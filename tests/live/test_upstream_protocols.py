"""
How nginx speaks to the services behind the gate: over TLS, by gRPC, FastCGI and websocket, at addresses, names and sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.support import fastcgi, grpc, upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_house import DEBIAN, WHEEL, house, parse, url
from tests.support.waiting import until

from gatelodge.model import (
    Files,
    Guard,
    Headers,
    Match,
    Pool,
    Route,
    Server,
    Transport,
    Upstream,
    UpstreamTls,
    Websocket,
)

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


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """
    Return the CA of the services behind the gate.
    """
    return trustme.CA()


def speaking_tls(authority: trustme.CA, *names: str, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """
    Return how a service speaks TLS: with a certificate for these names, and asking for one of its visitors' CA.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if clients:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def trusting(home: House, authority: trustme.CA, name: str = "ca.pem") -> str:
    """
    Write a CA's root for nginx, and return its path.
    """
    path = home.state / name
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def over(to: str | Upstream, tls: UpstreamTls, path: str = "/") -> Route:
    """
    Return a route to a service that is spoken to over TLS.
    """
    upstream = to if isinstance(to, Upstream) else url(to)
    return Route(path=path, action=Pool(servers=(Server(upstream=upstream),), tls=tls))


def at_socket(scheme: str, path: Path, prefix: str | None = None) -> Upstream:
    """
    Return the upstream at a unix socket.
    """
    return Upstream(scheme=scheme, socket=str(path), path=prefix)


async def test_an_https_service_is_believed_by_its_name_and_ca_alone(home: House, authority: trustme.CA) -> None:
    """
    Found by name or by address, with the name that is asked for in its SNI. Another name, an unknown CA or none is a 502 with its
    page; unless nothing is to be checked.
    """
    ca, other = trusting(home, authority), trusting(home, trustme.CA(), "other.pem")
    asked: list[str | None] = []
    context = speaking_tls(authority, "service.internal", "127.0.0.1")
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with (
        naming(**{"service.internal": "127.0.0.1", "alias": "127.0.0.1"}) as names,
        upstream.running(tls=context) as up,
    ):
        home.resolver = (f"127.0.0.1:{names.port}",)
        name, alias, address = (f"https://{host}:{up.port}" for host in ("service.internal", "alias", "127.0.0.1"))
        cases = {
            "right": (name, UpstreamTls(ca=ca), 200, "service.internal"),
            "renamed": (alias, UpstreamTls(ca=ca, name="service.internal"), 200, "service.internal"),
            "address": (address, UpstreamTls(ca=ca, name="service.internal"), 200, "service.internal"),
            "bare": (address, UpstreamTls(), 200, None),
            "bare-ca": (address, UpstreamTls(ca=ca), 200, None),
            "unasked": (alias, UpstreamTls(ca=other, verify=False), 200, "alias"),
            "wrong-name": (alias, UpstreamTls(ca=ca), 502, "alias"),
            "wrong-name-2": (address, UpstreamTls(ca=ca, name="other.internal"), 502, "other.internal"),
            "wrong-ca": (name, UpstreamTls(ca=other), 502, "service.internal"),
            "machines-ca": (name, UpstreamTls(), 502, "service.internal"),
        }
        for case, (to, tls, _, _) in cases.items():
            home.add(f"{case}.example.com", routes=(over(to, tls),), tls=False)
        await home.serve()
        for case, (_, _, status, sni) in cases.items():
            asked.clear()

            async def reached(host: str = f"{case}.example.com") -> bool:
                await home.get(host, tls=False)
                return bool(asked)

            await until(reached)
            answer = await home.get(f"{case}.example.com", tls=False)
            assert (case, answer.status) == (case, status)
            assert (case, set(asked)) == (case, {sni})
            assert status == 200 or b"does not answer right now" in answer.body
        assert up.seen[-1].headers["host"].endswith(".example.com")


async def test_what_one_route_did_not_check_is_nothing_to_another(home: House, authority: trustme.CA) -> None:
    """
    Two routes to one server: a connection and a TLS session that were made without asking for its certificate, or with one of our own,
    are not taken up by the route that does ask, or shows none.
    """
    ca = trusting(home, authority)
    mine, shown = trustme.CA(), home.state / "mine.pem"
    client = mine.issue_cert("gate.internal")
    client.private_key_and_cert_chain_pem.write_to_path(str(shown))
    context = speaking_tls(authority, "service.internal")
    strict = speaking_tls(authority, "service.internal", clients=mine)
    async with upstream.running(tls=context) as up, upstream.running(tls=strict) as asking:
        address = f"https://127.0.0.1:{up.port}"
        closed = f"https://127.0.0.1:{asking.port}"
        routes = (
            over(address, UpstreamTls(verify=False, name="service.internal"), "/any/"),
            over(address, UpstreamTls(ca=ca, name="service.internal"), "/right/"),
            over(address, UpstreamTls(ca=ca, name="other.internal"), "/wrong/"),
            over(closed, UpstreamTls(verify=False, certificate=str(shown), key=str(shown)), "/shown/"),
            over(closed, UpstreamTls(verify=False), "/unshown/"),
        )
        home.add("a.example.com", routes=routes, tls=False)
        await home.serve()
        for _ in range(6):
            for path, statuses in (
                ("/any/", {200}),
                ("/right/", {200}),
                ("/wrong/", {502}),
                ("/shown/", {200}),
                ("/unshown/", {400, 502}),
            ):
                assert ((await home.get("a.example.com", path, tls=False)).status in statuses, path) == (True, path)


async def test_a_service_that_asks_for_a_certificate_is_shown_ours(home: House, authority: trustme.CA) -> None:
    """
    By name and by address; without one, or with that of another CA, it lets nobody in.
    """
    mine = trustme.CA()
    files = {}
    for word, issuer in (("mine", mine), ("other", trustme.CA())):
        issued = issuer.issue_cert("gate.internal")
        files[word] = (str(home.state / f"{word}.pem"), str(home.state / f"{word}.key"))
        issued.cert_chain_pems[0].write_to_path(files[word][0])
        issued.private_key_pem.write_to_path(files[word][1])
        (home.state / f"{word}.key").chmod(0o600)
    ca = trusting(home, authority)
    context = speaking_tls(authority, "service.internal", clients=mine)
    async with naming(**{"service.internal": "127.0.0.1"}) as names, upstream.running(tls=context) as up:
        home.resolver = (f"127.0.0.1:{names.port}",)
        for host in ("service.internal", "127.0.0.1"):
            tls = UpstreamTls(ca=ca, name="service.internal")
            shows = {word: dataclasses.replace(tls, certificate=one, key=two) for word, (one, two) in files.items()}
            for word, each in (*shows.items(), ("none", tls)):
                home.add(f"{word}.{host}.example.com", routes=(over(f"https://{host}:{up.port}", each),), tls=False)
        await home.serve()
        await home.found("mine.service.internal.example.com", tls=False)
        for host in ("service.internal", "127.0.0.1"):
            assert (await home.get(f"mine.{host}.example.com", tls=False)).status == 200
            for word in ("other", "none"):
                assert (await home.get(f"{word}.{host}.example.com", tls=False)).status == 502
        assert {each.headers["host"].partition(".")[0] for each in up.seen} == {"mine"}


async def call(home: House, host: str, path: str, body: bytes, **more: str) -> grpc.Call:
    """
    Make a call of gRPC through the gate.
    """
    reader, writer = await home.connect(home.settings.https_port, host, alpn=("h2",))
    async with asyncio.timeout(20):
        return await grpc.call(reader, writer, host=host, path=path, body=body, **more)


async def test_grpc_goes_through_with_its_trailers(home: House, authority: trustme.CA) -> None:
    """
    In plain, over TLS that is checked, by name and by socket; with large messages and heads, and the visitor's own words beside ours.
    Where nobody is, and where the wrong one is, no call gets through.
    """
    ca, path = trusting(home, authority), home.state / "grpc.sock"
    context = speaking_tls(authority, "service.internal")
    async with (
        naming(**{"service.internal": "127.0.0.1"}) as names,
        grpc.running() as plain,
        grpc.running(tls=context) as secured,
        await asyncio.start_unix_server(plain.serve, path),
    ):
        path.chmod(0o666)
        home.resolver = (f"127.0.0.1:{names.port}",)
        believed, unbelieved = UpstreamTls(ca=ca, name="service.internal"), UpstreamTls(ca=ca, name="other.internal")
        headers = Headers(request=(("X-Told", '$1 "it"'),), response=(("X-Said", "yes"),), hide=("X-Hidden",))
        routes = {
            "address": dataclasses.replace(over(f"grpc://127.0.0.1:{plain.port}", UpstreamTls()), headers=headers),
            "name": over(f"grpc://service.internal:{plain.port}", UpstreamTls()),
            "socket": over(at_socket("grpc", path), UpstreamTls()),
            "tls": over(f"grpcs://127.0.0.1:{secured.port}", believed),
            "tls-name": over(f"grpcs://service.internal:{secured.port}", UpstreamTls(ca=ca)),
            "unchecked": over(f"grpcs://127.0.0.1:{secured.port}", UpstreamTls()),
            "wrong": over(f"grpcs://127.0.0.1:{secured.port}", unbelieved),
            "wrong-name": over(f"grpcs://service.internal:{secured.port}", UpstreamTls()),
            "dead": over(f"grpc://127.0.0.1:{home.spare[0]}", UpstreamTls()),
        }
        for host, route in routes.items():
            home.add(f"{host}.example.com", routes=(route,))
        await home.serve()
        await home.found("name.example.com", "tls-name.example.com")
        plain.more = secured.more = {"x-large": "y" * 8_000, "x-hidden": "1"}
        for host in ("address", "name", "socket", "tls", "tls-name", "unchecked"):
            service = secured if host.startswith(("tls", "un")) else plain
            body = bytes(200_000)
            answer = await call(
                home, f"{host}.example.com", "/pkg.Service/Do%2Fit?x", body, x_mine="1", x_forwarded_for="9.9.9.9"
            )
            assert (host, answer.headers[":status"], answer.headers["content-type"]) == (
                host,
                "200",
                "application/grpc",
            )
            assert (len(answer.body), len(answer.headers["x-large"])) == (len(body), 8_000)
            assert answer.trailers == {"grpc-status": "0", "grpc-message": "well"}
            seen = service.seen[-1].headers
            # nginx puts a Host of one's own in place of `:authority`, which HTTP/2 allows (RFC 9113 §8.3.1).
            assert (seen[":path"], seen["host"]) == ("/pkg.Service/Do%2Fit?x", f"{host}.example.com")
            assert (seen["te"], seen["x-mine"], seen["x-forwarded-for"]) == ("trailers", "1", "127.0.0.1")
            assert (seen["x-forwarded-proto"], seen["x-real-ip"]) == ("https", "127.0.0.1")
            assert not seen.keys() & {"forwarded", "proxy", "connection", "upgrade"}
            if host == "address":
                assert seen["x-told"] == '$1 "it"'
                assert (answer.headers["x-said"], answer.headers.get("x-hidden")) == ("yes", None)
        calls = len(plain.seen + secured.seen)
        for host in ("wrong", "wrong-name", "dead"):
            answer = await call(home, f"{host}.example.com", "/pkg.Service/Do", b"x")
            assert (host, answer.headers[":status"]) == (host, "502")
        assert len(plain.seen + secured.seen) == calls


async def test_one_port_may_speak_two_protocols(home: House) -> None:
    """
    A server that tells HTTP/1.1 and gRPC apart by the first bytes is never sent one on a connection of the other.
    """
    service, plain = grpc.Service(), upstream.Upstream()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(3)
        if first == b"PRI":
            await service.serve(reader, writer, first)
            return
        # The three bytes are put back for who reads lines.
        reader._buffer[:0] = first  # type: ignore[attr-defined]
        await plain.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", home.spare[0])
    try:
        at = f"127.0.0.1:{home.spare[0]}"
        routes = (over(f"grpc://{at}", UpstreamTls(), "/pkg.Service/"), over(f"http://{at}", UpstreamTls()))
        home.add("a.example.com", routes=routes)
        await home.serve()
        for _ in range(8):
            assert (await home.get("a.example.com")).status == 200
            answer = await call(home, "a.example.com", "/pkg.Service/Do", b"x")
            assert (answer.headers[":status"], answer.trailers["grpc-status"]) == ("200", "0")
    finally:
        server.close()
        await home.managed().stop(grace=0)  # which ends the connections that are kept


async def test_a_fastcgi_application_is_told_what_php_needs(home: House) -> None:
    """
    At an address, a name and a socket: which script, the rest of the path, the visitor's own address, host and port, and whether he
    came by TLS, in which case alone HTTPS is there.
    """
    application, path = fastcgi.Application(), home.state / "fpm.sock"
    application.more = f"X-Large: {'y' * 12_000}\r\nX-Powered-By: PHP\r\n"
    async with (
        naming(php="127.0.0.1") as names,
        await asyncio.start_server(application.serve, "127.0.0.1", home.spare[0]),
        await asyncio.start_unix_server(application.serve, path),
    ):
        path.chmod(0o666)
        home.resolver = (f"127.0.0.1:{names.port}",)
        services = {
            "address": url(f"fastcgi://127.0.0.1:{home.spare[0]}"),
            "name": url(f"fastcgi://php:{home.spare[0]}"),
            "socket": at_socket("fastcgi", path),
        }
        headers = Headers(request=(("X-Told", "$1"),), hide=("X-Powered-By",))
        for host, service in services.items():
            pool = dataclasses.replace(Pool.of(service), script_root="/var/www/html")
            home.add(f"{host}.example.com", routes=(Route(path="/", action=pool, headers=headers),))
            home.add(f"{host}.plain.example.com", routes=(Route(path="/", action=pool),), tls=False)
        await home.serve()
        await home.found("name.example.com")
        for host in services:
            said = {
                "Proxy": "evil",
                "X-Forwarded-For": "9.9.9.9",
                "X-Mine": "1",
                "Authorization": "Basic eDp5",
                "Content-Type": "a/b",
            }
            target = "/dir/index.php/info/%C3%A4%20b?q=1&r=%2F"
            answer = await home.get(
                f"{host}.example.com:2443", target, method="POST", body=b"x" * 100_000, headers=said
            )
            assert (host, answer.status, len(answer.headers["x-large"])) == (host, 200, 12_000)
            assert "x-powered-by" not in answer.headers
            assert answer.body.count(b"x") >= 100_000
            told = application.seen[-1].parameters
            assert application.seen[-1].body == b"x" * 100_000
            assert told.items() >= {
                "SCRIPT_FILENAME": "/var/www/html/dir/index.php", "SCRIPT_NAME": "/dir/index.php", "PATH_INFO": "/info/ä b",
                "DOCUMENT_ROOT": "/var/www/html", "QUERY_STRING": "q=1&r=%2F", "REQUEST_URI": target, "REQUEST_METHOD": "POST",
                "CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "100000", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "https",
                "HTTPS": "on", "GATEWAY_INTERFACE": "CGI/1.1", "REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": "2443",
                "SERVER_NAME": f"{host}.example.com", "HTTP_HOST": f"{host}.example.com:2443", "REDIRECT_STATUS": "200",
                "HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_MINE": "1", "HTTP_X_TOLD": "$1",
                "HTTP_X_FORWARDED_HOST": f"{host}.example.com:2443", "HTTP_AUTHORIZATION": "Basic eDp5",
            }.items(), host  # fmt: skip
            assert not told.get("HTTP_PROXY")
            for asked, script in (("/", "/index.php"), ("/dir/", "/dir/index.php"), ("/x", "/x")):
                assert (await home.get(f"{host}.plain.example.com", asked, tls=False)).status == 200
                told = application.seen[-1].parameters
                assert told.items() >= {
                    "SCRIPT_FILENAME": f"/var/www/html{script}", "PATH_INFO": "", "QUERY_STRING": "", "REQUEST_SCHEME": "http",
                    "SERVER_PORT": "80", "HTTP_HOST": f"{host}.plain.example.com",
                }.items()  # fmt: skip
                assert "HTTPS" not in told, "an application that asks whether it is there would take any value for yes"


async def test_a_php_application_with_files_of_its_own(home: House) -> None:
    """
    As they are commonly served: scripts by a regular expression, what is there as a file, and everything else by one script, which gets
    the query.
    """
    application = fastcgi.Application()
    root = home.state / "html"
    root.mkdir(mode=0o755)
    for name in ("index.php", "logo.txt"):
        (root / name).write_text(name)
    async with await asyncio.start_server(application.serve, "127.0.0.1", home.spare[0]):
        pool = dataclasses.replace(Pool.of(url(f"fastcgi://127.0.0.1:{home.spare[0]}")), script_root="/app")
        files = Files(root=str(root), index=("index.php",), fallback="/index.php")
        routes = (
            Route(path="/", action=files),
            Route(path=r"\.php(/|$)", match=Match.REGEX, action=pool),
            Route(path="/admin.php", match=Match.EXACT, action=pool, guard=Guard(allow=("192.0.2.1/32",))),
        )
        home.add("a.example.com", routes=routes)
        await home.serve()
        assert (await home.get("a.example.com", "/logo.txt")).body == b"logo.txt"
        assert (await home.get("a.example.com", "/admin.php")).status == 403
        assert application.seen == []
        for asked, script, query in (
            ("/?p=1", "/index.php", "p=1"),
            ("/any/path?q=%2F", "/index.php", "q=%2F"),
            ("/any/path", "/index.php", ""),
            ("/other.php/x?y", "/other.php", "y"),
            ("/admin.php/x", "/admin.php", ""),
        ):
            assert (await home.get("a.example.com", asked, method="POST", body=b"x")).status in {200, 405}
            assert (await home.get("a.example.com", asked)).status == 200
            told = application.seen[-1].parameters
            assert (asked, told["SCRIPT_FILENAME"], told["QUERY_STRING"]) == (asked, f"/app{script}", query)
            assert told["REQUEST_URI"] == asked


async def test_a_unix_socket_may_have_any_path(home: House, authority: trustme.CA) -> None:
    """
    With spaces and what means something to nginx; over TLS too, checked by the name that is given for it.
    """
    ca, folder = trusting(home, authority), home.state / "a b;{}'\"$x"
    folder.mkdir(mode=0o755)
    plain = upstream.Upstream()
    context = speaking_tls(authority, "service.internal")
    async with (
        await asyncio.start_unix_server(plain.serve, folder / "up.sock"),
        await asyncio.start_unix_server(plain.serve, folder / "tls.sock", ssl=context),
    ):
        for each in folder.iterdir():
            each.chmod(0o666)
        secured = at_socket("https", folder / "tls.sock", "/base/")
        home.add("a.example.com", routes=(over(at_socket("http", folder / "up.sock", "/v1/"), UpstreamTls(), "/x/"),))
        home.add("b.example.com", routes=(over(secured, UpstreamTls(ca=ca, name="service.internal")),))
        home.add("c.example.com", routes=(over(secured, UpstreamTls(ca=ca, name="other.internal")),))
        home.add("d.example.com", routes=(over(secured, UpstreamTls()),))
        home.add("e.example.com", to=at_socket("http", folder / "gone.sock"))
        await home.serve()
        for host, asked, reached in (
            ("a.example.com", "/x/y%20?z", "/v1/y%20?z"),
            ("b.example.com", "/y", "/base/y"),
            ("d.example.com", "/y", "/base/y"),
        ):
            assert (host, (await home.get(host, asked)).status) == (host, 200)
            assert (plain.seen[-1].target, plain.seen[-1].headers["host"]) == (reached, host)
        for host in ("c.example.com", "e.example.com"):
            assert (await home.get(host)).status == 502


async def test_a_websocket_goes_through_wherever_the_service_is(home: House, authority: trustme.CA) -> None:
    """
    At an address, a name, a socket and over TLS, also below a prefix; forced or asked for.
    """
    ca, path = trusting(home, authority), home.state / "up.sock"
    context = speaking_tls(authority, "service.internal")
    async with (
        naming(**{"service.internal": "127.0.0.1"}) as names,
        upstream.running() as plain,
        upstream.running(tls=context) as secured,
        await asyncio.start_unix_server(plain.serve, path),
    ):
        path.chmod(0o666)
        home.resolver = (f"127.0.0.1:{names.port}",)
        services: dict[str, tuple[str | Upstream, UpstreamTls]] = {
            "address": (f"http://127.0.0.1:{plain.port}", UpstreamTls()),
            "name": (f"http://service.internal:{plain.port}", UpstreamTls()),
            "socket": (at_socket("http", path), UpstreamTls()),
            "tls": (f"https://127.0.0.1:{secured.port}", UpstreamTls(ca=ca, name="service.internal")),
            "tls-name": (f"https://service.internal:{secured.port}", UpstreamTls(ca=ca)),
        }
        for host, (to, tls) in services.items():
            route = over(to, tls)
            stripped = dataclasses.replace(to if isinstance(to, Upstream) else url(to), path="/")
            forced = dataclasses.replace(over(stripped, tls, "/ws/"), transport=Transport(websocket=Websocket.FORCE))
            home.add(f"{host}.example.com", routes=(route, forced))
        await home.serve()
        await home.found("name.example.com", "tls-name.example.com")
        for host in services:
            service = secured if host.startswith("tls") else plain
            for asked, reached, word in (("/live?x", "/live?x", "websocket"), ("/ws/live?x", "/live?x", "own")):
                assert await _echoed(home, f"{host}.example.com", asked, word) == b"ping" * 10_000
                seen = service.seen[-1]
                assert (host, seen.target, seen.headers["upgrade"]) == (host, reached, "websocket")
                assert seen.headers["connection"] == "upgrade"


async def _echoed(home: House, host: str, target: str, word: str) -> bytes:
    reader, writer = await home.connect(home.settings.https_port, host)
    try:
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: {word}\r\nConnection: keep-alive, Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
        writer.write(b"ping" * 10_000)
        return await reader.readexactly(40_000)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
