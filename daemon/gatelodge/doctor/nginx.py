"""
nginx: which one it is and what it lacks for this configuration, whether it runs and serves the present tree, whether somebody else's is told of
ours, which old workers linger, and whether its workers can read what they must.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gatelodge.doctor.foreign import look_at_foreign
from gatelodge.doctor.workers import look_at_files
from gatelodge.durable import in_thread
from gatelodge.errors import GatelodgeError, NginxMissing
from gatelodge.model import ByCommands, NginxSettings, is_ip
from gatelodge.nginx import binary, process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

#: What a configuration may want of nginx, by the module (`nginx -V`) that does it.
_MODULES = {
    "http_ssl_module": "TLS",
    "http_v2_module": "HTTP/2",
    "http_v3_module": "HTTP/3",
    "stream": "streams",
    "stream_ssl_module": "TLS of streams",
    "stream_ssl_preread_module": "streams by name",
    "http_realip_module": "the visitor's address behind a proxy",
    "http_auth_request_module": "logins by a service",
}

#: Without these nginx goes on, with less.
_SPARED = frozenset({"http_v2_module", "http_v3_module"})

_HOUR = 3600


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look at the program, what it serves, its processes, and files.
    """
    try:
        found = await _find(patient)
    except NginxMissing as error:
        findings.broken(
            "nginx", str(error), why="nothing is served without it", do="install it, or name it in [nginx] binary"
        )
        return
    wanted = patient.desired
    if wanted is None:
        findings.ok("nginx", f"{'.'.join(map(str, found.version))} ({found.binary})")
        return
    _judge_program(wanted, found, findings)
    try:
        await _look_at_service(patient, findings)
    except (GatelodgeError, OSError) as error:
        findings.unseen(
            "nginx",
            f"what it serves could not be looked at: {error}",
            do="run it again as root, or as the daemon's user",
        )
    if isinstance(wanted.nginx.reload, ByCommands):
        await look_at_foreign(patient, found, findings)
    await in_thread(lambda: look_at_files(wanted, found, findings))


async def _find(patient: Patient) -> Capabilities:
    if patient.instruments is not None:
        return await patient.instruments.capabilities()
    return await in_thread(lambda: binary.capabilities(NginxSettings()))


def _judge_program(wanted: Desired, found: Capabilities, findings: Findings) -> None:
    version = ".".join(map(str, found.version))
    lacking = False
    for module in _needed(wanted):
        if module not in found.modules and module not in found.dynamic:
            lacking = True
            tell = findings.warn if module in _SPARED else findings.broken
            tell(
                "nginx",
                f"{found.binary} ({version}) has no {module}",
                why=f"the configuration wants {_MODULES[module]}" + (", and goes without" if module in _SPARED else ""),
                do="install an nginx with it (Debian: apt install nginx-full, or libnginx-mod-stream for streams), or leave it out",
            )
    several = [
        site.name
        for site in wanted.sites
        for route in site.routes
        if (servers := getattr(route.action, "servers", ())) and len(servers) > 1
        and any(not is_ip(each.upstream.host) and each.upstream.host not in {"", "localhost"} for each in servers)
    ]  # fmt: skip
    if several and not found.at_least(1, 27, 3):
        lacking = True
        findings.broken(
            several[0],
            f"several servers by name need nginx 1.27.3, and {found.binary} is {version}",
            why="the site cannot be written, and answers 503",
            do="give the servers' addresses, name one, or install a newer nginx",
        )
    if not found.at_least(1, 19, 4):
        findings.note(
            "nginx",
            f"{version} cannot refuse a TLS handshake by name",
            why="who asks for no site of yours is shown a self-signed certificate",
            do="install 1.19.4 or newer",
        )
    if not lacking:
        findings.ok("nginx", f"{version} ({found.binary}) has everything that this configuration needs")


def _needed(wanted: Desired) -> Iterator[str]:
    tls = any(not site.plain for site in wanted.sites)
    if tls:
        yield "http_ssl_module"
        yield "http_v2_module"
    if any(settings.http3 for _, settings in wanted.nginx.listen):
        yield "http_v3_module"
    if wanted.streams:
        yield "stream"
    if any(stream.certificates for stream in wanted.streams):
        yield "stream_ssl_module"
    if any(stream.by_name for stream in wanted.streams):
        yield "stream_ssl_preread_module"
    if wanted.nginx.trusted_proxies is not None or any(each.proxy_protocol for _, each in wanted.nginx.listen):
        yield "http_realip_module"
    if any(route.guard.auth in _asking(wanted) for site in wanted.sites for route in site.routes):
        yield "http_auth_request_module"


def _asking(wanted: Desired) -> frozenset[str | None]:
    return frozenset(name for name, auth in wanted.auth.items() if hasattr(auth, "service"))


async def _look_at_service(patient: Patient, findings: Findings) -> None:
    report = (await patient.report())["nginx"]
    if report["failure"] is not None:
        findings.broken(
            "nginx",
            f"the last change failed: {report['failure']['error.detail']}",
            why="nginx goes on as it was, and what was changed is not served",
            do="mend what is named; it is tried again by itself",
        )
    if not report["running"]:
        findings.broken(
            "nginx",
            "it does not run, or not with a tree of Gatelodge's",
            why="no visitor gets in",
            do="start the daemon; see `gatelodge status`",
        )
        return
    if not report["up_to_date"]:
        findings.warn(
            "nginx", f"it serves tree {report['generation']}, and the configuration asks for another",
            why="the last change is not served yet", do="start the daemon, or see `gatelodge plan` for what it waits for",
        )  # fmt: skip
    elif report["failure"] is None:
        findings.ok("nginx", f"it runs and serves tree {report['generation']}, which is what is asked for")
    if report["draining_workers"]:
        await in_thread(lambda: _tell_draining(report, patient.wanted, findings))


def _tell_draining(report: dict[str, Any], wanted: Desired, findings: Findings) -> None:
    since = "unknown"
    started = process.find_started(report["pid"]) if report["pid"] else []
    if started:
        oldest = time.clock_gettime(time.CLOCK_BOOTTIME) - min(started)
        since = f"{oldest / _HOUR:.0f} h" if oldest >= _HOUR else f"{oldest / 60:.0f} min"
    findings.note(
        "nginx",
        f"{report['draining_workers']} old workers finish open connections; the oldest was started {since} ago",
        why="each keeps memory, and shows the certificate of its time to connections that are open",
        do=f"nothing: they are ended after {wanted.nginx.drain} ([nginx] drain)",
    )
