"""
Services behind the gate, real ones on this machine, as nginx would meet them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.patient import NGINX, Case

from gatelodge.demo.ports import free_ports
from gatelodge.doctor import upstreams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "wiki.example.com"


def site(url: str, more: str = "") -> str:
    """
    Return a site in front of a URL.
    """
    return f'[sites."{HOST}"]\nupstream = "{url}"\n{more}\n'


async def looked(folder: Path, toml: str, **more: Any) -> Any:
    """
    Look at the upstreams of a configuration.
    """
    return await Case(folder=folder, toml=toml, **more).look(upstreams.look)


async def test_one_that_is_well(tmp_path: Path) -> None:
    """
    It is asked as nginx asks: by the visitor's host, with what he typed. It opens websockets.
    """
    async with upstream.running() as service:
        seen = await looked(tmp_path, site(f"http://127.0.0.1:{service.port}"))

    assert seen.of("ok", f"{HOST}/") == f"http://127.0.0.1:{service.port} answers 200, and opens websockets"
    assert service.seen[0].headers["host"] == HOST
    assert service.seen[0].headers["x-forwarded-proto"] == "https"
    assert {each.target for each in service.seen} == {"/"}


async def test_one_that_is_dead(tmp_path: Path) -> None:
    """
    Nobody listens there.
    """
    (port,) = free_ports(1)

    assert "does not accept connections" in (await looked(tmp_path, site(f"http://127.0.0.1:{port}"))).of("broken")


async def test_a_name_is_looked_up_as_nginx_does(tmp_path: Path) -> None:
    """
    At nginx's name server and nowhere else: names of one label that it knows are found, others not, whatever this machine knows.
    """
    async with upstream.running() as service, naming(htmldeploy="127.0.0.1") as server:
        told = f'[resolver]\nservers = ["127.0.0.1:{server.port}"]\n'
        seen = await looked(tmp_path, told + site(f"http://htmldeploy:{service.port}"))

        assert "answers 200" in seen.of("ok")

        seen = await looked(tmp_path, told + site(f"http://nowhere:{service.port}"))

        assert "nginx cannot find nowhere" in seen.of("broken")
        assert "no such name" in seen.of("broken")

        seen = await looked(tmp_path, told + site(f"http://localhost:{service.port}"))

        assert "answers 200" in seen.of("ok")


async def test_without_a_name_server_of_its_own_the_machines_is_asked(tmp_path: Path) -> None:
    """
    As nginx is written: by resolv.conf, as it was found.
    """
    async with upstream.running() as service, naming(app="127.0.0.1") as server:
        found = dataclasses.replace(NGINX, resolvers=(f"127.0.0.1:{server.port}",))
        seen = await looked(tmp_path, site(f"http://app:{service.port}"), capabilities=lambda: found)

    assert "answers 200" in seen.of("ok")


@pytest.mark.parametrize(
    ("location", "level", "said"),
    [
        (f"https://{HOST}/", "broken", "sends whoever asks for /"),
        (f"https://{HOST}/login", "ok", "answers 302"),
        ("/login", "ok", "answers 302"),
        (f"http://{HOST}/login", "ok", "answers 302"),
        (f"https://{HOST}:8443/login", "warning", "visitors to https://wiki.example.com:8443/login"),
        ("http://nextcloud/login", "warning", "sends visitors to http://nextcloud/login"),
        ("http://172.18.0.5/login", "warning", "sends visitors to http://172.18.0.5/login"),
        ("https://login.example.com/", "ok", "answers 302"),
    ],
)
async def test_where_it_sends_visitors(tmp_path: Path, location: str, level: str, said: str) -> None:
    """
    To https by itself, though it was told that the visitor came by it: he goes in circles. To a port or a name that he cannot reach: he is
    lost. nginx mends a Location that speaks of the visitor's host by plain http.
    """
    async with upstream.running() as service:
        service.location = location
        seen = await looked(tmp_path, site(f"http://127.0.0.1:{service.port}"))

    assert said in seen.of(level)


async def test_an_app_that_answers_with_errors(tmp_path: Path) -> None:
    """
    What visitors would see is told.
    """
    async with upstream.running() as service:
        for status, said in ((503, "answers 503"), (400, f"answers 400 when it is asked for {HOST}")):

            async def answer(_: upstream.Seen, status: int = status) -> tuple[int, list[tuple[str, str]], bytes]:
                return status, [], b""

            service.answer = answer
            seen = await looked(tmp_path, site(f"http://127.0.0.1:{service.port}"))

            assert said in seen.of("warning")


@contextlib.asynccontextmanager
async def saying(what: bytes) -> AsyncIterator[int]:
    """
    Run a service that says something of its own to everybody.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(what)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("what", "said"), [(b"SSH-2.0-OpenSSH\r\n", "is no HTTP"), (b"", "hangs up without an answer")]
)
async def test_what_speaks_no_http(tmp_path: Path, what: bytes, said: str) -> None:
    """
    Another protocol, or none.
    """
    async with saying(what) as port:
        assert said in (await looked(tmp_path, site(f"http://127.0.0.1:{port}"))).of("broken")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """
    A root that nobody trusts by itself.
    """
    return trustme.CA()


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """
    Return a server's TLS with a certificate for a name.
    """
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(found)
    return found


async def test_tls_as_nginx_checks_it(tmp_path: Path, authority: trustme.CA) -> None:
    """
    A certificate of an unknown root is refused, by an address it is not checked, and with its root it is good for its name alone.
    """
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(root)
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    found = dataclasses.replace(NGINX, ca_bundle=str(bundle))
    async with (
        upstream.running(tls=context(authority, "app")) as service,
        naming(app="127.0.0.1", other="127.0.0.1") as server,
    ):
        told = f'[resolver]\nservers = ["127.0.0.1:{server.port}"]\n'

        async def tried(host: str, more: str = "") -> Any:
            toml = told + site(f"https://{host}:{service.port}", more)
            return await looked(tmp_path, toml, capabilities=lambda: found)

        assert "the certificate of https://app" in (await tried("app")).of("broken")
        assert "answers 200" in (await tried("127.0.0.1")).of("ok")

        trusted = f'upstream_tls = {{ ca = "{root}" }}'

        assert "answers 200" in (await tried("app", trusted)).of("ok")
        assert "not good for other" in (await tried("other", trusted)).of("broken")
        assert "answers 200" in (await tried("app", "upstream_tls = { verify = false }")).of("ok")


async def test_plain_and_tls_mixed_up(tmp_path: Path, authority: trustme.CA) -> None:
    """
    Both ways round, with what to write.
    """
    async with upstream.running() as plain:
        seen = await looked(tmp_path, site(f"https://127.0.0.1:{plain.port}"))

        assert "does not speak TLS" in seen.of("broken")
        assert f"http://127.0.0.1:{plain.port}" in seen.all[0].do

    async with upstream.running(tls=context(authority, "app")) as secured:
        seen = await looked(tmp_path, site(f"http://127.0.0.1:{secured.port}"))

        assert "speaks TLS, and nginx speaks plain HTTP to it" in seen.of("broken")
        assert seen.all[0].do == f"write https://127.0.0.1:{secured.port}"


async def test_sockets_streams_and_fastcgi(tmp_path: Path) -> None:
    """
    A unix socket is spoken to, what speaks no HTTP need only accept, and UDP cannot be heard.
    """
    path = tmp_path / "app.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(serve, path), saying(b"") as port:
        toml = (
            f'[sites."a.example.com"]\nupstream = "http://unix:{path}"\n'
            f'[sites."b.example.com"]\nupstream = "fastcgi://127.0.0.1:{port}"\nscript_root = "/srv"\n'
            '[streams.dns]\nprotocol = "udp"\nlisten = [5353]\nupstream = "127.0.0.1:53"\n'
        )
        seen = await looked(tmp_path, toml)

    assert "answers 204" in seen.of("ok", "a.example.com/")
    assert "accepts connections" in seen.of("ok", "b.example.com/")
    assert "UDP" in seen.of("note", "streams.dns")

    dead = await looked(tmp_path, f'[sites."a.example.com"]\nupstream = "http://unix:{tmp_path}/none.sock"\n')

    assert "No such file" in dead.of("broken")
