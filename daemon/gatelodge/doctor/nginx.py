"""
nginx: which one it is and what it lacks for this configuration, whether it runs and serves the present tree, whether somebody else's is told of
ours, which old workers linger, and whether its workers can read what they must.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge.durable import in_thread
from gatelodge.errors import GatelodgeError, NginxMissing
from gatelodge.model import ByCommands, Files, NginxSettings, is_ip
from gatelodge.nginx import binary, process
from gatelodge.stores.state import PUBLIC, WORKERS

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

_TEST_SECONDS = 15

_INCLUDED = re.compile(r"^\s*include\s+[\"']?(?P<path>[^;\"']+)[\"']?\s*;", re.MULTILINE)
_DEFAULT = re.compile(r"^\s*listen\s+[^;]*\bdefault_server\b[^;]*;", re.MULTILINE)
_DAY = 86400
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
        await _look_at_others(patient, found, findings)
    await in_thread(lambda: _look_at_files(wanted, found, findings))


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
    report = (await patient.tools.standing())["nginx"]
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


async def _look_at_others(patient: Patient, found: Capabilities, findings: Findings) -> None:
    """
    Look into somebody else's configuration: is ours included, and are there two servers for strangers?
    """
    try:
        done = await in_thread(
            lambda: subprocess.run(  # noqa: S603 - the program that the configuration names
                [found.binary, "-T"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TEST_SECONDS,
                check=False,
                cwd="/",
            )
        )
    except subprocess.TimeoutExpired:
        findings.unseen("nginx -T", f"it did not end within {_TEST_SECONDS} s")
        return
    said, complaint = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace").strip()
    if done.returncode:
        denied = "Permission denied" in complaint and os.geteuid() != 0
        if denied:
            findings.unseen(
                "nginx -T", f"it cannot be run by this user: {complaint.splitlines()[-1]}", do="run it again as root"
            )
        else:
            findings.broken(
                "nginx -T", f"nginx refuses its configuration: {_last(complaint)}", why="the next reload, or its next start, fails",
                do="mend the line that is named",
            )  # fmt: skip
        return
    entry = patient.tools.entry or ""
    folder = f"{patient.wanted.state_directory}/nginx"
    included = [match["path"].strip() for match in _INCLUDED.finditer(said)]
    if entry not in included and not any(path.startswith(folder) for path in included):
        findings.broken(
            "nginx.conf",
            "its http {} does not include Gatelodge's tree",
            why="nothing that Gatelodge writes is served",
            do=f"add the line: include {entry};",
        )
    else:
        findings.ok("nginx.conf", f"it includes {entry}")
    own, others = _defaults(said, folder)
    both = own & others
    if both:
        findings.broken(
            "nginx.conf", f"two default servers for {', '.join(sorted(both))}", why="nginx refuses that",
            do='leave [nginx] default_server at "auto", or write false',
        )  # fmt: skip


def _defaults(said: str, folder: str) -> tuple[set[str], set[str]]:
    """
    Return the addresses that have a default server of ours, and of others.
    """
    own: set[str] = set()
    others: set[str] = set()
    for part in re.split(r"^# configuration file ", said, flags=re.MULTILINE)[1:]:
        path, _, text = part.partition(":\n")
        places = {match[0].split()[1] for match in _DEFAULT.finditer(text)}
        (own if path.startswith(f"{folder}/") else others).update(places)
    return own, others


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if "[emerg]" in line] or said.splitlines() or ["it said nothing"]
    return lines[-1]


def _look_at_files(wanted: Desired, found: Capabilities, findings: Findings) -> None:
    """
    See whether the workers get at what they open themselves: files of sites, error pages, tokens, buffers. Certificates are the master's.
    """
    if os.geteuid() != 0:
        _look_as_ourselves(wanted, findings)
        return
    if found.user is None:
        return
    try:
        user = pwd.getpwnam(found.user)
        groups = {user.pw_gid, *(each.gr_gid for each in grp.getgrall() if found.user in each.gr_mem)}
    except KeyError:
        findings.broken(
            "nginx",
            f"there is no user {found.user} for its workers",
            why="nginx does not start",
            do="name another in [nginx] user",
        )
        return
    barred = False
    for path, what in _opened(wanted):
        closed = _barrier(Path(path), user.pw_uid, groups)
        if closed is not None:
            barred = True
            findings.broken(
                path, f"nginx's workers ({found.user}) cannot get to {what}: {closed} is closed to them",
                why="it is answered with 403 or 404, or an upload fails", do=f"chmod o+rx {closed}, or put it elsewhere",
            )  # fmt: skip
    if not barred:
        findings.ok("nginx", f"its workers ({found.user}) can read what they open themselves")


def _look_as_ourselves(wanted: Desired, findings: Findings) -> None:
    for path, what in _opened(wanted):
        if not Path(path).exists() and not path.startswith(wanted.state_directory):
            findings.broken(
                path,
                f"it is not there, or this user may not see it: {what}",
                why="it is answered with 404",
                do="make it, or mend the path",
            )


def _opened(wanted: Desired) -> Iterator[tuple[str, str]]:
    for site in wanted.sites:
        for route in site.routes:
            if isinstance(route.action, Files):
                yield route.action.root, f"the files of {site.name}{route.path}"
            yield from ((page, f"an error page of {site.name}") for _, page in route.error_pages)
    for name in (*PUBLIC, *WORKERS):
        if Path(f"{wanted.state_directory}/{name}").exists():
            yield f"{wanted.state_directory}/{name}", "what it must read and write in the state directory"


def _barrier(path: Path, uid: int, groups: set[int]) -> str | None:
    """
    Return the first part of a path that a user may not pass or read; None when he can.
    """
    for part in (*reversed(path.parents), path):
        try:
            found = part.stat()
        except OSError:
            return str(part)
        own = found.st_uid == uid
        grouped = found.st_gid in groups
        shift = 6 if own else 3 if grouped else 0
        needed = stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
        if not (found.st_mode >> shift) & needed:
            return str(part)
    return None
