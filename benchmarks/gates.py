"""
The gates that are compared: the nginx that Gatelodge writes and runs, a hand-tuned nginx.conf, one as SWAG's samples have it, Caddy,
and Traefik.

All show the same certificate and stand before the same upstream, an nginx of its own that answers a small body from memory. Each is
started here and ended by its own pid. What Gatelodge serves is the product's doing from the TOML on: nothing of it is written here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import daemon
from benchmarks.measure import Failed
from benchmarks.memory import descendants

from gatelodge.demo.ports import free_ports
from gatelodge.nginx import binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OURS = "gatelodge"
HAND_TUNED = "hand-tuned nginx"
CADDY = "Caddy"
CADDYFILE = "Caddyfile"

_BODY = "hello, this is a small body\n"

_START_SECONDS = 10.0

#: What makes a process's id that of its clock, after a shift (linux/posix-timers.h, CPUCLOCK_SCHED).
_CPU_CLOCK = 2

_TOML = """\
state_directory = "{folder}/state"

[admin]
socket = "{folder}/admin.sock"

[nginx]
binary = "{nginx}"
http_port = {http}
https_port = {https}
public_http_port = 80
public_https_port = 443
reload_interval = "1s"

[sites."localhost"]
upstream = "http://127.0.0.1:{upstream}"
tls = "local"
"""

_HEAD = """\
worker_rlimit_nofile 65536;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
"""

_UPSTREAM = """\
worker_processes 1;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}
}}
"""

#: Every connection to the upstream and to the visitor is kept for as long as it is wanted; nothing is looked up, matched or logged.
_HAND_TUNED = """\
worker_processes auto;
pcre_jit on;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
    upstream service {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; keepalive_timeout 60s; }}
    server {{
        listen 127.0.0.1:{port} ssl{http2_parameter};{http2_directive}
        server_name localhost;
        ssl_certificate {certificate}/fullchain.pem;
        ssl_certificate_key {certificate}/privkey.pem;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
{more}    }}
}}
"""

#: The directives that matter here of SWAG's samples: the upstream in variables, thus a connection for every request; a log of all.
_SWAG = """\
worker_processes auto;
pcre_jit on;
events {{ worker_connections 1024; }}
http {{
    resolver 127.0.0.1 valid=30s;
    server_tokens off;
    client_max_body_size 0;
    sendfile on;
    tcp_nopush on;
    gzip_vary on;
    access_log {folder}/{name}.access.log;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    server {{
        listen 127.0.0.1:{port} ssl{http2_parameter};{http2_directive}
        server_name localhost;
        ssl_certificate {certificate}/fullchain.pem;
        ssl_certificate_key {certificate}/privkey.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_timeout 1d;
        ssl_session_cache shared:tls:10m;
        ssl_prefer_server_ciphers off;
        location / {{
            proxy_http_version 1.1;
            proxy_buffers 32 4k;
            proxy_connect_timeout 240;
            proxy_read_timeout 240;
            proxy_send_timeout 240;
            proxy_headers_hash_bucket_size 128;
            proxy_headers_hash_max_size 1024;
            proxy_next_upstream error timeout invalid_header http_500 http_502 http_503;
            proxy_redirect http:// $scheme://;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Early-Data $ssl_early_data;
            proxy_set_header Host $host;
            proxy_set_header Proxy "";
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Host $host:$server_port;
            proxy_set_header X-Forwarded-Method $request_method;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Server $host;
            proxy_set_header X-Forwarded-Ssl on;
            proxy_set_header X-Forwarded-Uri $request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_set_header X-Real-IP $remote_addr;
            set $upstream_app 127.0.0.1;
            set $upstream_port {upstream};
            set $upstream_proto http;
            proxy_pass $upstream_proto://$upstream_app:$upstream_port;
        }}
    }}
}}
"""

_CADDY = """\
{{
    admin {admin}
    persist_config off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {certificate}/fullchain.pem {certificate}/privkey.pem
{more}    reverse_proxy 127.0.0.1:{upstream}
}}
"""

_TRAEFIK = """\
http:
  routers:
    all:
      rule: Host(`localhost`)
      entryPoints: [gate]
      service: service
      tls: {{}}
  services:
    service:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:{upstream}
tls:
  stores:
    default:
      defaultCertificate:
        certFile: {certificate}/fullchain.pem
        keyFile: {certificate}/privkey.pem
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    A running gate. `pid` tells the process that it and its children serve by.
    """

    name: str
    port: int
    pid: Callable[[], int]

    def cpu(self) -> float:
        """
        Return the processor time in seconds that its processes have used, by the clock of each (clock_getcpuclockid(3)).
        """
        return sum(time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK) for pid in descendants(self.pid())) / 1e9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    What the gates have in common: a folder for their files, the nginx program, the upstream's port, the certificate's folder.
    """

    folder: Path
    nginx: Path
    upstream: int
    certificate: Path


def find_nginx(which: str) -> Path:
    """
    Return the nginx to use.

    Args:
        which: "debian", "newest" for the one of Python's package index, or a path.

    Raises:
        Failed: it is not there.
    """
    wanted = {"debian": "/usr/sbin/nginx", "newest": binary._from_wheel() or ""}.get(which, which)  # noqa: SLF001 - as the tests find it
    found = shutil.which(wanted) if wanted else None
    if found is None:
        raise Failed(f"there is no nginx {which!r}")
    return Path(found)


def version(nginx: Path) -> tuple[int, ...]:
    """
    Return an nginx's version.
    """
    said = subprocess.run([str(nginx), "-v"], capture_output=True, check=True, text=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


def nginx_command(place: Place, name: str, text: str) -> list[str]:
    """
    Write a whole nginx.conf and return the command that serves it.
    """
    config = place.folder / f"{name}.conf"
    config.write_text(text)
    log = place.folder / f"{name}.log"
    return [str(place.nginx), "-c", str(config), "-p", f"{place.folder}/", "-e", str(log), "-g", "daemon off;"]


def _nginx(text: str, name: str, more: str = "") -> Callable[[Place, int], list[str]]:
    def command(place: Place, port: int) -> list[str]:
        directive = version(place.nginx) >= (1, 25, 1)
        filled = (_HEAD + text).format(
            folder=place.folder,
            certificate=place.certificate,
            upstream=place.upstream,
            name=name,
            more=more,
            port=port,
            body=_BODY.replace("\n", "\\n"),
            http2_parameter="" if directive else " http2",
            http2_directive=" http2 on;" if directive else "",
        )
        return nginx_command(place, name, filled)

    return command


def hand_tuned(more: str = "") -> Callable[[Place, int], list[str]]:
    """
    Return what makes the hand-tuned nginx.

    Args:
        more: directives of its server.
    """
    return _nginx(_HAND_TUNED, "tuned", more)


def caddy(more: str = "", *, admin: str = "off") -> Callable[[Place, int], list[str]]:
    """
    Return what makes Caddy, of the file CADDYFILE.

    Args:
        more: directives of its site.
        admin: where it takes another configuration.
    """

    def command(place: Place, port: int) -> list[str]:
        config = place.folder / CADDYFILE
        text = _CADDY.format(port=port, upstream=place.upstream, certificate=place.certificate, more=more, admin=admin)
        config.write_text(text)
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]

    return command


def _traefik(place: Place, port: int) -> list[str]:
    config = place.folder / "traefik.yml"
    config.write_text(_TRAEFIK.format(upstream=place.upstream, certificate=place.certificate))
    words = [f"--entryPoints.gate.address=127.0.0.1:{port}", f"--providers.file.filename={config}"]
    words += ["--providers.file.watch=false", "--log.level=ERROR"]
    return ["traefik", *words, "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]


#: The gates beside ours by name: each writes its files and returns the command that serves on a port.
PEERS: dict[str, Callable[[Place, int], list[str]]] = {
    HAND_TUNED: hand_tuned(),
    "SWAG-style nginx": _nginx(_SWAG, "swag"),
    CADDY: caddy(),
    "Traefik": _traefik,
}


def end_well() -> None:
    """
    Let SIGTERM end this program as an exception would, so that it takes what it started with it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def installed(name: str) -> bool:
    """
    Tell whether a gate's program is there. nginx is, since ours needs it.
    """
    return "nginx" in name or name == OURS or shutil.which(name.lower()) is not None


@contextlib.contextmanager
def ours(nginx: Path, folder: Path, *, more: str = "") -> Iterator[tuple[Gate, Place]]:
    """
    Run the upstream, and Gatelodge before it with one site, inside the context.

    Args:
        more: lines of the site's table.

    Yields: our gate, and what the others need to stand beside it.
    """
    http, https, upstream = free_ports(3)
    config = folder / "gatelodge.toml"
    config.write_text(_TOML.format(folder=folder, nginx=nginx, http=http, https=https, upstream=upstream) + more)
    state = folder / "state"
    place = Place(folder=folder, nginx=nginx, upstream=upstream, certificate=folder)
    with (
        process(_nginx(_UPSTREAM, "upstream")(place, upstream), folder / "upstream.out"),
        daemon.running(folder, config),
    ):
        gate = Gate(name=OURS, port=https, pid=lambda: int((state / "nginx" / "nginx.pid").read_text()))
        certificate = (state / "certificates" / "localhost" / "current").resolve()
        place = dataclasses.replace(place, certificate=certificate)
        _wait(gate, place)
        yield gate, place


@contextlib.contextmanager
def running(name: str, command: Callable[[Place, int], list[str]], place: Place) -> Iterator[Gate]:
    """
    Run a gate of somebody else's inside the context, once it answers.
    """
    (port,) = free_ports(1)
    log = place.folder / f"{port}.out"
    with process(command(place, port), log) as pid:
        gate = Gate(name=name, port=port, pid=lambda: pid)
        try:
            _wait(gate, place)
        except Failed as failure:
            raise Failed(f"{failure}:\n{log.read_text(errors='replace')[-2000:]}") from failure
        yield gate


@contextlib.contextmanager
def beside(names: Sequence[str], nginx: Path, folder: Path) -> Iterator[list[Gate]]:
    """
    Run ours and the named others inside the context.
    """
    with contextlib.ExitStack() as stack:
        gate, place = stack.enter_context(ours(nginx, folder))
        found = {OURS: gate}
        for name in names:
            if name != OURS:
                found[name] = stack.enter_context(running(name, PEERS[name], place))
        yield [found[name] for name in names]


@contextlib.contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[int]:
    """
    Run a command inside the context. Yields its pid.
    """
    with log.open("wb") as output:
        # In a session of its own, as a daemon is: the kernel shares processors out between sessions first (sched(7), autogroup).
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "HOME": str(log.parent), "XDG_DATA_HOME": str(log.parent)},
        )
    try:
        yield started.pid
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait(gate: Gate, place: Place) -> None:
    """
    Return once a gate answers with the upstream's body under the common certificate.

    Raises:
        Failed: it does not.
    """
    wanted = ssl.PEM_cert_to_DER_cert((place.certificate / "fullchain.pem").read_text().partition("-----END")[0] + _END)
    last: object = "nothing"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            shown, status, body = _ask(gate.port)
        except (OSError, http.client.HTTPException) as error:
            last = error
        else:
            if shown == wanted and (status, body) == (http.HTTPStatus.OK, _BODY.encode()):
                return
            last = status
        time.sleep(0.1)
    raise Failed(f"{gate.name} does not serve; the last answer: {last}")


_END = "-----END CERTIFICATE-----\n"


def _ask(port: int) -> tuple[bytes | None, int, bytes]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
    with contextlib.closing(connection):
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True)
        connection.request("GET", "/")
        answer = connection.getresponse()
        return shown, answer.status, answer.read()
