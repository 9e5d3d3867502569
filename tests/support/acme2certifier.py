"""
Runs acme2certifier, an ACME server by other people that tells when to renew (RFC 9773), on a free port, over plain HTTP to this
machine alone. It believes every challenge: it would look for tokens on port 80.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import sys
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gatelodge.demo.pebble import listening
from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Its WSGI application, on the standard library's server.
_SERVE = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from acme2certifier.share.acme2certifier_wsgi import application
make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""

_CONFIG = """
[DEFAULT]
debug: False
[Nonce]
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/ca.key
issuing_ca_cert: {folder}/ca.pem
issuing_ca_crl: {folder}/ca.crl
ca_cert_chain_list: []
cert_save_path: {folder}/certs
cert_validity_days: 30
[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {folder}/acme.db
[Challenge]
challenge_validation_disable: True
[Order]
[Directory]
[Renewalinfo]
retry_after_timeout: 7200
renewalthreshold_pctg: 60
"""


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[str]:
    """
    Run it inside the context. Yields the URL of its directory; its log is in `folder`.
    """
    (folder / "certs").mkdir()
    _write_authority(folder)
    config = folder / "acme_srv.cfg"
    config.write_text(_CONFIG.format(folder=folder))
    (port,) = free_ports(1)
    environment = {**os.environ, "ACME_SRV_CONFIGFILE": str(config), "ACME2CERTIFIER_I_KNOW_THE_RISK": "1"}
    with (folder / "acme2certifier.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SERVE, str(port), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )  # fmt: skip
    try:
        await listening(port)
        yield f"http://127.0.0.1:{port}/directory"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _write_authority(folder: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme2certifier's root")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=10_000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name)
        .last_update(begin)
        .next_update(begin + dt.timedelta(days=10_000))
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.crl").write_bytes(crl.public_bytes(serialization.Encoding.PEM))
