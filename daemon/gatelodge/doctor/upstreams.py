"""
What stands behind the gate: whether nginx's resolver knows its name, whether it accepts, speaks what the configuration says, takes a
websocket, and sends nobody in circles.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from gatelodge.dns import as_nginx
from gatelodge.doctor import probing
from gatelodge.doctor.probing import Place
from gatelodge.doctor.speaking import WHY_DEAD, speak
from gatelodge.doctor.uses import Use, find_uses
from gatelodge.errors import DnsError, NginxMissing
from gatelodge.model import ByMailbox, is_ip
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

_SPOKEN = frozenset({"http", "https"})
_SILENT = frozenset({"udp"})

#: nginx asks there when the machine names no name server (nginx/writing/manners.py).
_RESOLVER = ("127.0.0.1",)

#: Upstreams that are asked at once.
_AT_ONCE = 20


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look at every server of every pool, once.
    """
    uses: dict[str, Use] = {}
    for use in find_uses(patient.wanted):
        uses.setdefault(f"{use.upstream}", use)
    try:
        capabilities: Capabilities | None = await patient.tools.capabilities()
    except NginxMissing:
        capabilities = None
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(use: Use) -> None:
        async with slots:
            try:
                await _look_at(patient, use, capabilities, findings)
            except OSError as error:
                findings.unseen(use.subject, f"{use.upstream} could not be looked at: {probing.words(error)}")

    await together(one(use) for use in uses.values())


async def _look_at(patient: Patient, use: Use, capabilities: Capabilities | None, findings: Findings) -> None:
    upstream = use.upstream
    if upstream.scheme in _SILENT:
        findings.note(use.subject, f"{upstream} is reached by UDP, where nobody can be heard listening")
        return
    addresses = await _addresses(patient, use, capabilities, findings)
    if not addresses:
        return
    place = await _open(use, addresses, findings)
    if place is None:
        return
    if upstream.scheme in _SPOKEN:
        await speak(use, place, capabilities, findings)
    else:
        findings.ok(use.subject, f"{upstream} accepts connections")


async def _addresses(
    patient: Patient, use: Use, capabilities: Capabilities | None, findings: Findings
) -> Sequence[Place]:
    """
    Return where an upstream is; nothing when nginx cannot find it, which is told.
    """
    upstream = use.upstream
    if upstream.socket is not None:
        return [Place(socket=upstream.socket)]
    if is_ip(upstream.host) or upstream.host == "localhost":
        return [Place(address="127.0.0.1" if upstream.host == "localhost" else upstream.host, port=upstream.port)]
    servers = patient.wanted.resolver or (capabilities.resolvers if capabilities else ()) or _RESOLVER
    ipv6 = capabilities is None or capabilities.ipv6
    try:
        found = await as_nginx.look_up(upstream.host, servers, ipv6=ipv6)
    except DnsError as error:
        if isinstance(patient.wanted.nginx.reload, ByMailbox):
            findings.unseen(
                use.subject,
                f"{upstream}: {error.problem.detail} here, and nginx is in another place",
                do="see that nginx's container is in the network of that one",
            )
            return []
        findings.broken(
            use.subject,
            f"nginx cannot find {upstream.host}: {error.problem.detail}{await _known_otherwise(upstream.host)}",
            why=f"nginx asks its name server alone, and knows no /etc/hosts and no search list; {WHY_DEAD}",
            do="write the address, or the full name that the name server knows; a container's name is known in a network of the same "
            "engine only (docs/container.md); [resolver] servers names another name server",
        )
        return []
    return [Place(address=address, port=upstream.port) for address in found]


async def _known_otherwise(host: str) -> str:
    """
    Say where this machine finds a name that nginx does not.
    """
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return f"; this machine finds {found[0][4][0]}, by /etc/hosts or a search list"
    return ""


async def _open(use: Use, places: Sequence[Place], findings: Findings) -> Place | None:
    troubles = []
    for place in places:
        try:
            async with probing.connected(place):
                return place
        except PermissionError:
            findings.unseen(
                use.subject,
                f"{place}: this user may not connect to it",
                do="run it again as root; nginx's workers must be allowed to",
            )
            return None
        except OSError as error:
            troubles.append(f"{place}: {probing.words(error)}")
    findings.broken(
        use.subject, f"{use.upstream} does not accept connections ({'; '.join(troubles)})", why=WHY_DEAD,
        do="start the service, or mend the address and port; a service in a container must listen on 0.0.0.0, not on its own 127.0.0.1",
    )  # fmt: skip
    return None
