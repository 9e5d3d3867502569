"""
The ports: whether somebody listens on each, whether that is the nginx of this configuration, and who it is otherwise; and from the other
side, whether the public address leads here, which a router may not let anybody see from inside.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ssl
from typing import TYPE_CHECKING

from gatelodge.dns.public_address import own_addresses
from gatelodge.doctor import probing
from gatelodge.doctor.addresses import public_hosts
from gatelodge.doctor.probing import Place
from gatelodge.durable import in_thread
from gatelodge.errors import GatelodgeError
from gatelodge.model import Listener, is_wildcard
from gatelodge.nginx import process
from gatelodge.nginx.proof import ask_generation
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.doctor.addresses import Host
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient
    from gatelodge.model import Site, Stream

#: How programs that listen for nginx, or are it, call themselves.
_NGINX = "nginx"

_HTTP, _HTTPS = 80, 443


async def look(patient: Patient, findings: Findings) -> None:
    """
    Knock at every port that nginx should hold.
    """
    wanted = patient.wanted
    parts: list[Site | Stream] = [*wanted.sites, *wanted.streams]
    listeners = {listener for part in parts for listener in part.listeners if not listener.udp}
    if wanted.nginx.http_port and wanted.sites:
        listeners.add(Listener(port=wanted.nginx.http_port))
    await together(_knock(patient, listener, findings) for listener in sorted(listeners))


async def _knock(patient: Patient, listener: Listener, findings: Findings) -> None:
    settings = patient.wanted.nginx
    managed = settings.reload is None
    place = Place(address=_reached_at(listener, settings.address), port=listener.port)
    holder = await in_thread(lambda: process.holder(listener.port, address=listener.address)) if managed else None
    subject = f"port {listener}"
    try:
        async with probing.connected(place):
            pass
    except OSError as error:
        said = f"nobody answers at {place}: {probing.words(error)}"
        do = (
            "start the daemon; see `gatelodge status` for why nginx does not run"
            if managed
            else "start that nginx, or mend [nginx] address"
        )
        findings.broken(subject, said, why="no visitor gets in there", do=do)
        return
    if holder is not None and _NGINX not in holder and holder != process.UNSEEN:
        findings.broken(
            subject,
            f"{holder} holds it, and nginx should",
            why="nginx cannot open it, so visitors meet that program",
            do=f"stop that program, or give one of the two another port ({_key(listener, patient.wanted)})",
        )
        return
    if listener.port == settings.http_port and not settings.terms(listener).proxy_protocol:
        number = await in_thread(lambda: ask_generation(f"http://{place}"))
        if number is None:
            findings.broken(
                subject,
                f"{holder or 'somebody'} answers at {place}, and it is not the nginx that Gatelodge writes for",
                why="visitors and CAs meet another configuration",
                do="stop the other nginx" if managed else "put the include line into its http {} (docs/external.md)",
            )
            return
        findings.ok(subject, f"nginx answers at {place}, with tree {number}")
        return
    findings.ok(subject, f"{holder or 'somebody'} listens at {place}")


def _reached_at(listener: Listener, address: str) -> str:
    if listener.address in {"", "0.0.0.0", "::"}:  # noqa: S104 - how a listener on all addresses is written
        return address
    return listener.address


def _key(listener: Listener, wanted: Desired) -> str:
    names = {wanted.nginx.http_port: "[nginx] http_port", wanted.nginx.https_port: "[nginx] https_port"}
    return names.get(listener.port, "`listen`")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """
    A host as visitors come to it, by TLS or not: the port that they type, and the port on which nginx listens for it.
    """

    host: Host
    typed: int
    heard: int
    tls: bool

    @property
    def url(self) -> str:
        """
        What a person types.
        """
        scheme, usual = ("https", _HTTPS) if self.tls else ("http", _HTTP)
        return f"{scheme}://{self.host.asked}{'' if self.typed == usual else f':{self.typed}'}/"


async def look_from_outside(patient: Patient, findings: Findings) -> None:
    """
    Come by the public addresses, as far as that can be done from inside.
    """
    visits = _visits(patient)
    if not visits:
        return
    own: dict[int, str] = {}
    for family, ask in patient.tools.public.items():
        try:
            own[family] = await ask()
        except GatelodgeError:
            continue
    if not own:
        findings.unseen(
            "from outside",
            "this machine's public address is not known",
            do=f"open {visits[0].url} with a phone on mobile data, Wi-Fi off",
        )
        return
    here = own_addresses()
    closed: list[tuple[str, str]] = []

    async def come(visit: _Visit, address: str) -> None:
        said = await _visit(patient, visit, address)
        if said is None:
            findings.ok(visit.url, f"{address} port {visit.typed} leads to this nginx")
        elif address in here:
            findings.broken(
                visit.url,
                f"{address} is this machine's own, and at port {visit.typed} {said}",
                why="visitors come by that address",
                do="see what is said of the ports here; look at the firewall",
            )
        else:
            closed.append((visit.url, f"at {address} port {visit.typed} {said}"))

    await together(come(visit, address) for address in own.values() for visit in visits)
    _tell_closed(visits, closed, findings)


def _tell_closed(visits: list[_Visit], closed: list[tuple[str, str]], findings: Findings) -> None:
    for url, said in closed:
        visit = next(each for each in visits if each.url == url)
        findings.note(
            url,
            f"seen from here, {said}",
            why="either the router does not forward that port, or it only does not turn visits from inside round (hairpin NAT)",
            do=f"open {url} with a phone on mobile data, Wi-Fi off; when that fails, forward port {visit.typed} of the router to "
            f"port {visit.heard} of this machine",
        )
    if closed:
        findings.warn(
            "hairpin NAT",
            "the public address cannot be reached from inside this network",
            why="devices at home cannot open the sites by their names, though others can",
            do="have the DNS of the LAN (router, Pi-hole, AdGuard Home) answer this machine's LAN address for the hosts (split DNS), "
            "or switch hairpin NAT on in the router",
        )


def _visits(patient: Patient) -> list[_Visit]:
    """
    Return one visit to each of the visitors' ports, of the first host that can be typed.
    """
    config, settings = patient.config, patient.wanted.nginx
    hosts = {host.name: host for host in public_hosts(patient)}
    found: dict[tuple[int, bool], _Visit] = {}
    for site in patient.wanted.sites:
        host = next((hosts[name] for name in site.hosts if name in hosts), None)
        if host is None or config is None:
            continue
        for listener in site.listeners:
            if settings.terms(listener).proxy_protocol is not None:
                continue  # who comes there without a PROXY header is sent away
            typed = {
                settings.http_port: settings.public_http_port,
                settings.https_port: settings.public_https_port,
            }.get(listener.port, listener.port)
            found.setdefault(
                (typed, not site.plain), _Visit(host=host, typed=typed, heard=listener.port, tls=not site.plain)
            )
        if settings.http_port and settings.terms(Listener(port=settings.http_port)).proxy_protocol is None:
            found.setdefault(
                (settings.public_http_port, False),
                _Visit(host=host, typed=settings.public_http_port, heard=settings.http_port, tls=False),
            )
    return sorted(found.values(), key=lambda visit: (is_wildcard(visit.host.name), visit.typed))


async def _visit(patient: Patient, visit: _Visit, address: str) -> str | None:
    """
    Come by an address, and say what is there instead of this nginx; None when it is this nginx.
    """
    outside = Place(address=address, port=visit.typed)
    inside = Place(address=patient.wanted.nginx.address, port=visit.heard)
    look = _certificate if visit.tls else _answer
    try:
        there = await look(outside, visit.host.asked)
    except (OSError, probing.NotHttp) as error:
        return f"nobody answers ({probing.words(error)})"
    try:
        ours = await look(inside, visit.host.asked)
    except (OSError, probing.NotHttp):
        return "something answers, while nginx itself does not"
    return None if there == ours else "something else answers, such as the router's own page"


async def _certificate(place: Place, host: str) -> str:
    """
    Return the fingerprint of the certificate that a visitor is shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with probing.connected(place, tls=context, name=host) as (_, writer):
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return hashlib.sha256(shown.getpeercert(binary_form=True) or b"").hexdigest()


async def _answer(place: Place, host: str) -> Mapping[str, str]:
    head = await probing.ask(place, "/", {"Host": host, "Connection": "close"})
    return {
        "status": str(head.status),
        "location": head.headers.get("location", ""),
        "server": head.headers.get("server", ""),
    }
