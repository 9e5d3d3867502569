"""
The daemon beside an nginx that others run, as a person meets it who has one already: nothing of his is touched, and nobody is shown a
bad certificate at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.house import House, opened
from tests.support.nginx_external import HisNginx
from tests.support.nginx_house import DEBIAN, NOW
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.demo.visitor import Visitor

pytestmark = pytest.mark.live

WIKI, CLOUD = "wiki.example.test", "cloud.example.test"


@dataclasses.dataclass(kw_only=True)
class Home:
    """
    His machine: the nginx that he runs, and ours beside it.
    """

    gate: House
    his: HisNginx
    way: str

    def write(self, *sites: str, more: str = "") -> None:
        """
        Write our configuration.
        """
        told = f'binary = "{self.his.nginx}"' if self.way == "commands" else 'reload = "mailbox"'
        self.gate.nginx = f'mode = "external"\n{told}'
        self.gate.write(*sites, more=more)

    def shows(self, path: str = "") -> str:
        """
        Return what his configuration holds of ours.
        """
        return (self.his.folder / "nginx.conf").read_text() + path


@pytest.fixture(params=["commands", "mailbox"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[Home]:
    """
    His nginx runs; our daemon does not yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-", ignore_cleanup_errors=True) as name:
        async with opened(Path(name)) as gate, contextlib.AsyncExitStack() as stack:
            folder = Path(name) / "his"
            folder.mkdir(mode=0o755)
            his = HisNginx(folder=folder, state=gate.state, program=DEBIAN)
            his.write()
            await his.start()
            stack.push_async_callback(his.stop)
            if request.param == "mailbox":
                # The script may come first: it waits for the daemon.
                await stack.enter_async_context(_script(his))
            yield Home(gate=gate, his=his, way=request.param)


@contextlib.asynccontextmanager
async def _script(his: HisNginx) -> AsyncIterator[None]:
    environment = {**os.environ, "GATELODGE_STATE": str(his.state), "GATELODGE_NGINX": his.nginx}
    from tests.support.nginx_external import SCRIPT  # noqa: PLC0415 - beside its one use

    process = await asyncio.create_subprocess_exec(
        "/bin/sh", str(SCRIPT), "--stay", stdin=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_from_nothing_to_a_served_certificate(home: Home) -> None:
    """
    http-01 through his nginx, a site added, the daemon stopped: his nginx goes on, and the daemon takes up where it was.
    """
    gate = home.gate
    home.write(WIKI)
    await gate.start()
    await gate.serving(WIKI)
    home.write(WIKI, CLOUD)
    await gate.serving(CLOUD)
    status = await gate.status()

    assert {site["state"] for site in status["sites"]} == {"serving"}
    assert (await gate.saw("certificate.issued", times=2))["certificate"] == CLOUD
    serials = gate.serial(WIKI), gate.serial(CLOUD)
    assert await gate.kill(signal.SIGTERM) == 0
    assert await gate.get(WIKI) == 200
    await gate.start()
    await until(lambda: len(gate.events("daemon.started")) == 2)
    code, out, err = await gate.gatelodge("once")

    assert code == 0, (out, err)
    assert (gate.serial(WIKI), gate.serial(CLOUD)) == serials
    assert len(gate.events("certificate.issued")) == 2


async def test_renewals_are_loaded_and_his_nginx_is_never_started(home: Home) -> None:
    """
    Down, he is told of it once; back, what was renewed meanwhile is loaded.
    """
    gate = home.gate
    home.write(WIKI)
    await gate.start()
    await gate.serving(WIKI)
    before = gate.serial(WIKI)
    code, out, err = await gate.gatelodge("renew", WIKI, "--force")
    assert code == 0, (out, err)
    await until(lambda: gate.serial(WIKI) != before)
    await home.his.stop()
    away = await gate.saw("nginx.unreachable")

    assert "others start it" in away["error.detail"]
    assert len(gate.events("nginx.started")) == 1
    await home.his.start()
    await gate.saw("nginx.reachable")
    await gate.serving(WIKI)


async def test_moving_from_another_tool_shows_nobody_a_bad_certificate(home: Home) -> None:
    """
    A visitor who trusts the old CA alone asks without a pause, from before the move until ours is there; from then on one who trusts
    ours alone. certbot's files are as they were.
    """
    gate = home.gate
    old_ca, live = _certbot(gate.folder, WIKI)
    before = _state_of(gate.folder / "letsencrypt")
    home.his.write(
        f"server {{ listen {gate.https} ssl; server_name {WIKI}; ssl_certificate {live}/fullchain.pem; "
        f"ssl_certificate_key {live}/privkey.pem; location / {{ proxy_pass http://127.0.0.1:{gate.upstream}; }} }}"
    )
    await home.his.type("-s", "reload")
    old_visitor, stop = gate.visitor.trusting(old_ca), threading.Event()
    await until(lambda: asyncio.to_thread(_welcome, old_visitor))
    asking = asyncio.get_running_loop().run_in_executor(None, old_visitor.keep_asking, WIKI, stop)
    os.kill(gate.ca.pid, signal.SIGSTOP)
    try:
        home.write(WIKI, more=f'[certificates."{WIKI}"]\nnames = ["{WIKI}"]\nadopt = "{live}"\n')
        await gate.start()
        await gate.saw("certificate.adopted")
        # His own block has the name: ours is left out until he takes his away.
        await gate.saw("site.quarantined")
        await gate.saw("nginx.started")
        await home.his.settled()
        home.his.write("")
        code, out, err = await gate.gatelodge("reload")
        assert code == 0, (out, err)
        await until(lambda: gate.events("site.released"), seconds=30)
    finally:
        stop.set()
        os.kill(gate.ca.pid, signal.SIGCONT)
    tally = await asking

    assert tally.requests > 0
    assert tally.failed == 0, tally.failures[:3]
    await gate.serving(WIKI)
    assert (await gate.saw("certificate.issued"))["reason"] == "another tool's is served meanwhile"
    assert _state_of(gate.folder / "letsencrypt") == before


def _welcome(visitor: Visitor) -> bool:
    try:
        return visitor.get(WIKI)[0] == 200
    except OSError:
        return False


def _state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(each): (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.rglob("*") if each.is_file()}


def _certbot(folder: Path, name: str) -> tuple[str, Path]:
    """
    Make a CA and a certificate of it as certbot keeps one. Returns the CA and the folder.
    """
    import datetime as dt  # noqa: PLC0415 - for this alone

    now = NOW + dt.timedelta(days=0)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The old CA")])

    def sign(subject: str, public: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    root = sign("The old CA", ca_key.public_key(), ca=True).public_bytes(serialization.Encoding.PEM).decode()
    leaf = sign(name, key.public_key(), ca=False).public_bytes(serialization.Encoding.PEM).decode()
    live = folder / "letsencrypt" / "live" / name
    live.mkdir(parents=True)
    (live / "fullchain.pem").write_text(leaf + root)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (live / "privkey.pem").write_bytes(pem)
    assert ssl.create_default_context(cadata=root)
    return root, live
