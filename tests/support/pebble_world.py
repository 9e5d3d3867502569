"""
pebble, a web server on a webroot, and ACME issuers between them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from gatelodge.demo import pebble
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import AcmeIssuer, CertificateAuthority, CertificateSpec, KeyKind, Name
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.solvers.http01 import Webroot
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gatelodge.ports import Issued


class Events:
    """
    Keeps what is emitted.
    """

    def __init__(self) -> None:
        self.emitted: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.emitted.append((event, {"level": level, **fields}))


class PebbleWorld:
    """
    pebble, a web server on a webroot, and an issuer between them.
    """

    def __init__(self, ca: pebble.Pebble, http: Web, webroot: Path) -> None:
        self.ca = ca
        self.http = http
        self.webroot = webroot
        self.clock = SystemClock()
        self.documents = MemoryDocuments()
        self.events = Events()

    def acme(self, http: Any = None, **options: Any) -> Acme:
        return Acme(
            authority=CertificateAuthority(name="pebble", directory=self.ca.directory, root=self.ca.root),
            http=http or self.http,
            documents=self.documents,
            clock=self.clock,
            keys=NewKeys(),
            solvers={
                "http-01": Webroot(
                    directory=str(self.webroot),
                    http=self.http,
                    origin=f"http://127.0.0.1:{self.ca.http_port}",
                    clock=self.clock,
                )
            },
            email="me@example.com",
            events=self.events,
            **options,
        )

    async def verified(self, issued: Issued, name: str) -> bool:
        """
        Verify a chain up to pebble's root, as a visitor would.
        """
        root = await self.http.request("GET", f"{self.ca.management}/roots/0")
        leaf, *between = x509.load_pem_x509_certificates(issued.chain.encode())
        store = Store([x509.load_pem_x509_certificate(root.body)])
        verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name))
        return bool(verifier.verify(leaf, between))

    def tokens(self) -> list[Path]:
        return [each for each in self.webroot.rglob("*") if each.is_file()]


@contextlib.asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[PebbleWorld]:
    """
    Run pebble and a web server inside the context.

    Args:
        options: of `pebble.running`.
    """
    webroot = folder / "webroot"
    webroot.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        application = web.Application()
        application.router.add_static("/", webroot)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        ca = await stack.enter_async_context(pebble.running(folder, http_port=port, **options))
        http = await stack.enter_async_context(Web(root=ca.root))
        yield PebbleWorld(ca, http, webroot)


def spec(name: str, *more: str, key: KeyKind = KeyKind.ECDSA_P256) -> CertificateSpec:
    """
    Make a spec, known by its first name.
    """
    return CertificateSpec(name=name, names=tuple(map(Name, (name, *more))), issuer=AcmeIssuer(ca="pebble"), key=key)


def quiet(_: str) -> None:
    """
    Nobody listens.
    """
