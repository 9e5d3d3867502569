"""
Other programs on this machine that get certificates or want the same ports: no fault by themselves, and worth knowing when two renew
one name or both want port 80.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

_TWICE = (
    "it renews too: one name got by two uses up the CA's limits twice, and by http-01 only one of them finds port 80"
)
_PORTS = "it wants ports 80 and 443 as nginx does, and gets certificates of its own"

#: What each leaves on a machine, below its root.
_CERTBOT = "etc/letsencrypt/renewal"
_TIMERS = ("certbot.timer", "snap.certbot.renew.timer", "acme.timer", "lego.timer", "dehydrated.timer")
_TIMER_FOLDERS = (
    "etc/systemd/system/timers.target.wants",
    "lib/systemd/system/timers.target.wants",
    "usr/lib/systemd/system/timers.target.wants",
)
_CRON_FOLDERS = ("etc/cron.d", "etc/cron.daily", "etc/cron.weekly", "var/spool/cron/crontabs", "var/spool/cron")
_CLIENTS = ("certbot", "acme.sh", "lego", "dehydrated", "getssl")
_KEEPING = {
    "lego": ("etc/lego/accounts", "var/lib/lego/accounts", "root/.lego/accounts"),
    "dehydrated": ("etc/dehydrated/domains.txt", "var/lib/dehydrated/certs"),
}

#: Programs that serve and get certificates, by the name of the process.
_SERVERS = {
    "caddy": "Caddy",
    "traefik": "Traefik",
    "docker-gen": "nginx-proxy",
    "zoraxy": "Zoraxy",
    "haproxy": "HAProxy",
    "apache2": "Apache",
    "httpd": "Apache",
}

_MOST_BYTES = 256 * 1024


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look for what they leave, for their timers, and for their processes.
    """
    await in_thread(lambda: _look(patient, findings))


def _look(patient: Patient, findings: Findings) -> None:
    root = patient.root
    timers = sorted(_timers(root))
    _look_for_certbot(root, timers, findings)
    for folder in _acme_sh(root):
        findings.note(
            str(folder),
            "acme.sh is set up there",
            why=_TWICE,
            do="when Gatelodge has its names: acme.sh --uninstall-cronjob; `adopt` serves its certificates until then",
        )
    for name, places in _KEEPING.items():
        place = next((root / each for each in places if _is_there(root / each)), None)
        if place is not None:
            findings.note(
                str(place),
                f"{name} keeps certificates there",
                why=_TWICE,
                do="take its timer or cron job away when Gatelodge has its names",
            )
    for timer in timers:
        if not timer.startswith(("certbot", "snap.certbot", "cron: certbot")):
            findings.note(
                timer,
                "another ACME client is started by it",
                why=_TWICE,
                do="take it away when Gatelodge has its names",
            )
    for pid, name in _processes(patient.proc):
        findings.note(
            f"{_SERVERS[name]} (pid {pid})",
            "it runs on this machine",
            why=_PORTS,
            do="stop it, or give the two other ports; `gatelodge init --from-swag` takes SWAG's sites over",
        )
    if not findings.all:
        findings.ok("this machine", "no other ACME client and no other web server is seen")


def _is_there(path: Path) -> bool:
    """
    Tell whether something is there, as far as this user may see.
    """
    try:
        return path.exists()
    except OSError:
        return False


def _look_for_certbot(root: Path, timers: list[str], findings: Findings) -> None:
    try:
        names = sorted(each.stem for each in (root / _CERTBOT).glob("*.conf"))
    except PermissionError:
        names = []
    by = [each for each in timers if "certbot" in each]
    if names or by:
        what = f"certbot renews {', '.join(names[:3])}{' …' if len(names) > len(names[:3]) else ''}" if names else "certbot is started"  # fmt: skip
        findings.note(
            str(root / _CERTBOT) if names else by[0],
            what + (f", by {', '.join(by)}" if names and by else ""),
            why=_TWICE,
            do="`gatelodge init --from-certbot` takes its names over; then systemctl disable --now certbot.timer",
        )


def _acme_sh(root: Path) -> Iterator[Path]:
    homes = [root / "root"]
    with contextlib.suppress(OSError):
        homes += sorted((root / "home").iterdir())
    for home in homes:
        with contextlib.suppress(OSError):
            if (home / ".acme.sh" / "account.conf").exists():
                yield home / ".acme.sh"


def _timers(root: Path) -> Iterator[str]:
    for folder in _TIMER_FOLDERS:
        with contextlib.suppress(OSError):
            yield from (each.name for each in (root / folder).iterdir() if each.name in _TIMERS)
    for folder in (*_CRON_FOLDERS, "etc/crontab"):
        place = root / folder
        with contextlib.suppress(OSError):
            for file in [place] if place.is_file() else sorted(place.iterdir()):
                with contextlib.suppress(OSError):
                    text = file.read_bytes()[:_MOST_BYTES].decode(errors="replace")
                    active = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
                    words = {word.rpartition("/")[2] for line in active for word in line.split()}
                    for client in _CLIENTS:
                        if client in words:
                            yield f"cron: {client} ({file})"


def _processes(proc: Path) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    with contextlib.suppress(OSError):
        for each in sorted(proc.iterdir(), key=lambda path: (len(path.name), path.name)):
            if each.name.isdecimal():
                with contextlib.suppress(OSError):
                    name = (each / "comm").read_text().strip()
                    if name in _SERVERS and name not in seen:
                        seen.add(name)
                        yield int(each.name), name
