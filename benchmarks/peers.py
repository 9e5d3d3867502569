"""
Caddy with as many sites as ours, each with a certificate that it makes itself: nothing that it has to ask anybody for.
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


def write_caddyfile(folder: Path, *, http: int, https: int, sites: int) -> Path:
    """
    Write a Caddyfile with the sites of `issuance.write_config`, in front of nothing.
    """
    file = folder / "Caddyfile"
    head = _CADDY.format(folder=folder, http=http, https=https)
    file.write_text(head + "".join(f"{name} {{\n    reverse_proxy 127.0.0.1:9\n}}\n" for name in names(sites)))
    return file


@contextlib.contextmanager
def caddy(folder: Path, file: Path) -> Iterator[int]:
    """
    Run Caddy inside the context, and yield its pid.
    """
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "caddy.log").open("wb") as log:
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def await_answer(port: int, host: str) -> None:
    """
    Return once somebody shows a certificate for a host and answers a request.

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
            if connection.recv(12).startswith(b"HTTP/1.1 "):
                return
        time.sleep(_POLL)
    raise Failed(f"nobody answered for {host} on port {port}")
