"""
Peers with as many sites as ours, in front of nothing, so that each answers 502: Caddy with certificates that it makes itself, Traefik with
those that ours has got. Neither has to ask anybody for anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.issuance import names
from benchmarks.measure import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE = 120.0
_POLL = 0.005

_CADDY = """\
{{
    admin off
    storage file_system {folder}/caddy
    skip_install_trust
    local_certs
    auto_https disable_redirects
    http_port {http}
    https_port {https}
}}
"""


#: One of Traefik's routers, and one of its certificates.
_ROUTER = """\
    {number}: {{ rule: "Host(`{name}`)", entryPoints: [gate], service: nothing, tls: {{}} }}
"""
_CERTIFICATE = """\
    - {{ certFile: {folder}/fullchain.pem, keyFile: {folder}/privkey.pem }}
"""
_SERVICE = """\
  services:
    nothing:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9
"""


def write_caddyfile(folder: Path, *, http: int, https: int, sites: int) -> Path:
    """
    Write a Caddyfile with the sites of `issuance.write_config`.
    """
    file = folder / "Caddyfile"
    head = _CADDY.format(folder=folder, http=http, https=https)
    file.write_text(head + "".join(f"{name} {{\n    reverse_proxy 127.0.0.1:9\n}}\n" for name in names(sites)))
    return file


def write_traefik(folder: Path, *, certificates: Path, sites: int) -> Path:
    """
    Write Traefik's file with the same sites.

    Args:
        certificates: our store's folder of them.
    """
    file = folder / "sites.yml"  # not traefik.yml, which it would take for its settings
    routers = (_ROUTER.format(number=f"site{number}", name=name) for number, name in enumerate(names(sites)))
    shown = (_CERTIFICATE.format(folder=certificates / name / "current") for name in names(sites))
    file.write_text("".join(["http:\n  routers:\n", *routers, _SERVICE, "tls:\n  certificates:\n", *shown]))
    return file


@contextlib.contextmanager
def traefik(folder: Path, file: Path, *, https: int) -> Iterator[int]:
    """
    Run Traefik inside the context, and yield its pid.
    """
    words = [f"--entryPoints.gate.address=127.0.0.1:{https}", f"--providers.file.filename={file}", "--log.level=ERROR"]
    words += ["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]
    with _running(["traefik", *words], folder) as pid:
        yield pid


@contextlib.contextmanager
def caddy(folder: Path, file: Path) -> Iterator[int]:
    """
    Run Caddy inside the context, and yield its pid.
    """
    with _running(["caddy", "run", "--adapter", "caddyfile", "--config", str(file)], folder) as pid:
        yield pid


@contextlib.contextmanager
def _running(command: list[str], folder: Path) -> Iterator[int]:
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def await_answer(port: int, host: str) -> None:
    """
    Return once somebody answers a request for a host over TLS, and knows that there is nothing behind it: 502, and not 404.

    Raises:
        Failed: nobody did in time.
    """
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
            tls.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            if connection.recv(12) == b"HTTP/1.1 502":
                return
        time.sleep(_POLL)
    raise Failed(f"nobody answered for {host} on port {port}")
