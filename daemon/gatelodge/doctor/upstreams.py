"""
What stands behind the gate: whether nginx's resolver knows its name, whether it accepts, speaks what the configuration says, takes a
websocket, and sends nobody in circles.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.dns import as_nginx
from gatelodge.doctor import probing
from gatelodge.doctor.probing import Head, NotHttp, Place
from gatelodge.errors import DnsError, NginxMissing
from gatelodge.model import ByMailbox, ForwardAuth, Match, Pool, is_ip
from gatelodge.nginx.writing.proxying import verifies
from gatelodge.runtime.report import url
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient
    from gatelodge.model import Upstream

_SPOKEN = frozenset({"http", "https"})
_SILENT = frozenset({"udp"})

#: nginx asks there when the machine names no name server (nginx/writing/manners.py).
_RESOLVER = ("127.0.0.1",)

_SWITCHING, _MOVED, _REFUSED, _BAD_REQUEST, _FAILED = 101, 300, 400, 400, 500

#: Of RFC 6455 §1.3. Any will do.
_WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="

#: Upstreams that are asked at once.
_AT_ONCE = 20

_WHY_DEAD = "visitors get a 502 from nginx"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """
    An upstream, and the first that needs it: `subject` in words, the path that it is asked for, and the URL of the site as a visitor types
    it (empty for what is no site of TLS).
    """

    upstream: Upstream
    pool: Pool
    subject: str
    path: str = "/"
    visited: str = ""
    hosts: tuple[str, ...] = ()


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look at every server of every pool, once.
    """
    uses: dict[str, _Use] = {}
    for use in _uses(patient):
        uses.setdefault(f"{use.upstream}", use)
    try:
        capabilities: Capabilities | None = await patient.tools.capabilities()
    except NginxMissing:
        capabilities = None
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(use: _Use) -> None:
        async with slots:
            await _look_at(patient, use, capabilities, findings)

    await together(one(use) for use in uses.values())


def _uses(patient: Patient) -> Iterator[_Use]:
    wanted = patient.wanted
    for site in wanted.sites:
        for route in site.routes:
            if isinstance(route.action, Pool):
                for server in route.action.servers:
                    yield _Use(
                        upstream=server.upstream,
                        pool=route.action,
                        subject=f"{site.name}{route.path if route.match is not Match.REGEX else ' (' + route.path + ')'}",
                        path=server.upstream.path or (route.path if route.match is not Match.REGEX else "/"),
                        visited=url(site, wanted),
                        hosts=site.hosts,
                    )
    for name, auth in wanted.auth.items():
        if isinstance(auth, ForwardAuth):
            yield from (
                _Use(upstream=each.upstream, pool=auth.service, subject=f"auth.{name}") for each in auth.service.servers
            )
    for stream in wanted.streams:
        for pool in stream.pools:
            yield from (
                _Use(upstream=each.upstream, pool=pool, subject=f"streams.{stream.name}") for each in pool.servers
            )


async def _look_at(patient: Patient, use: _Use, capabilities: Capabilities | None, findings: Findings) -> None:
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
        await _speak(use, place, capabilities, findings)
    else:
        findings.ok(use.subject, f"{upstream} accepts connections")


async def _addresses(
    patient: Patient, use: _Use, capabilities: Capabilities | None, findings: Findings
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
            why=f"nginx asks its name server alone, and knows no /etc/hosts and no search list; {_WHY_DEAD}",
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


async def _open(use: _Use, places: Sequence[Place], findings: Findings) -> Place | None:
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
        use.subject, f"{use.upstream} does not accept connections ({'; '.join(troubles)})", why=_WHY_DEAD,
        do="start the service, or mend the address and port; a service in a container must listen on 0.0.0.0, not on its own 127.0.0.1",
    )  # fmt: skip
    return None


async def _speak(use: _Use, place: Place, capabilities: Capabilities | None, findings: Findings) -> None:
    upstream = use.upstream
    encrypted = upstream.encrypted
    bundle = capabilities.ca_bundle if capabilities else None
    checked = encrypted and verifies(use.pool, bundle)
    name = use.pool.tls.name or upstream.host
    try:
        context = _trust(use.pool, bundle, verify=checked) if encrypted else None
        head = await probing.ask(
            place, use.path, _headers(use), tls=context, name=name if encrypted and not is_ip(name) else None
        )
    except ssl.SSLCertVerificationError as error:
        findings.broken(
            use.subject,
            f"the certificate of {upstream} is not good for {name}: {error.verify_message}",
            why=f"nginx checks it, and refuses the service; {_WHY_DEAD}",
            do="give its root as upstream_tls = { ca = … }, the name in it as { name = … }, or write { verify = false } on a network you trust",
        )
        return
    except ssl.SSLError as error:
        findings.broken(
            use.subject, f"{upstream} does not speak TLS as asked ({error.reason or error})", why=_WHY_DEAD,
            do=f"write http:// in place of https://, if the service speaks plain HTTP there: http://{upstream.authority}",
        )  # fmt: skip
        return
    except NotHttp as error:
        _tell_not_http(use, error, findings)
        return
    except OSError as error:
        findings.warn(
            use.subject, f"{upstream} accepts, and does not answer ({probing.words(error)})",
            why="visitors wait, and get a 504 in the end", do="see whether the service hangs, or still starts",
        )  # fmt: skip
        return
    _judge(use, head, await _upgrade(use, place, context, name), findings)


def _tell_not_http(use: _Use, error: NotHttp, findings: Findings) -> None:
    upstream = use.upstream
    if error.said.startswith(b"\x15\x03"):
        findings.broken(
            use.subject, f"{upstream} speaks TLS, and nginx speaks plain HTTP to it", why=_WHY_DEAD,
            do=f"write https://{upstream.authority}",
        )  # fmt: skip
        return
    findings.broken(
        use.subject,
        f"what answers at {upstream} is no HTTP ({error.said[:32]!r})"
        if error.said
        else f"{upstream} hangs up without an answer",
        why=_WHY_DEAD,
        do="mend the port, or write what it speaks: https://, grpc://, fastcgi://; what speaks no HTTP is for [streams]",
    )


def _judge(use: _Use, head: Head, websocket: str, findings: Findings) -> None:
    upstream, location = use.upstream, head.headers.get("location", "")
    if _MOVED < head.status < _REFUSED and location:
        where = _sent_wrong(use, location)
        if where is not None:
            seen, why, do, level = where
            (findings.broken if level else findings.warn)(use.subject, f"{upstream} {seen}", why=why, do=do)
            return
    if head.status >= _FAILED:
        findings.warn(
            use.subject,
            f"{upstream} answers {head.status}",
            why="that is what visitors see",
            do="look at the service's own log",
        )
    elif head.status == _BAD_REQUEST:
        findings.warn(
            use.subject,
            f"{upstream} answers 400 when it is asked for {_host(use)}",
            why="it speaks TLS there, does not know the name (a list of trusted domains or proxies), or wants something else",
            do=f"write https:// if it speaks TLS; otherwise add {_host(use)} to the names, and nginx to the proxies, that the app trusts",
        )
    else:
        findings.ok(use.subject, f"{upstream} answers {head.status}{websocket}")


def _sent_wrong(use: _Use, location: str) -> tuple[str, str, str, bool] | None:
    """
    Say what is wrong about where an upstream sends visitors to, why, what to do, and whether nobody gets in at all.
    """
    target, own = urlsplit(location), urlsplit(use.visited)
    if not use.visited or not target.netloc:
        return None
    at_home = target.hostname in use.hosts or target.hostname == own.hostname
    if (
        at_home
        and target.scheme == own.scheme
        and target.netloc == own.netloc
        and (target.path or "/") == use.path
        and not target.query
    ):
        return (
            f"sends whoever asks for {use.path} to {location}, though it was told that he came by https (X-Forwarded-Proto)",
            "visitors go in circles: the browser says that there are too many redirects",
            "switch the redirection to https off in the app (nginx does it), or have the app trust nginx as its proxy",
            True,
        )
    if at_home and (target.port or None) != (own.port or None) and (target.scheme == "https" or own.port is not None):
        return (
            f"sends visitors to {location}, and they come by {use.visited}",
            "the link leads to another port, where nobody or somebody else answers",
            "tell the app its own URL, with the port",
            False,
        )
    if not at_home and target.hostname is not None and (is_ip(target.hostname) or "." not in target.hostname):
        return (
            f"sends visitors to {location}",
            "that name means something inside this network only",
            "tell the app its own URL, or have it believe X-Forwarded-Host",
            False,
        )
    return None


async def _upgrade(use: _Use, place: Place, tls: ssl.SSLContext | None, name: str) -> str:
    """
    Ask for a websocket (RFC 6455 §4.1), and say what came of it. An app without any refuses, which is well.
    """
    headers = {
        **_headers(use), "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": _WEBSOCKET_KEY,
    }  # fmt: skip
    try:
        head = await probing.ask(place, use.path, headers, tls=tls, name=name if tls and not is_ip(name) else None)
    except (OSError, NotHttp):
        return ", and hangs up when asked for a websocket"
    return ", and opens websockets" if head.status == _SWITCHING else ""


def _headers(use: _Use) -> Mapping[str, str]:
    host = _host(use)
    scheme = urlsplit(use.visited).scheme or "http"
    return {
        "Host": host, "User-Agent": "gatelodge-doctor", "Accept": "*/*", "Connection": "close",
        "X-Forwarded-Proto": scheme, "X-Forwarded-Host": host, "X-Forwarded-Port": str(urlsplit(use.visited).port or (443 if scheme == "https" else 80)),
        "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1",
    }  # fmt: skip


def _host(use: _Use) -> str:
    return urlsplit(use.visited).netloc.replace("*", "gatelodge-doctor") or use.upstream.authority


def _trust(pool: Pool, bundle: str | None, *, verify: bool) -> ssl.SSLContext:
    """
    Trust whom nginx trusts. Its certificate of ours is shown where it may be read.
    """
    context = (
        ssl.create_default_context(cafile=pool.tls.ca or bundle) if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if pool.tls.certificate and pool.tls.key:
        with contextlib.suppress(OSError):
            context.load_cert_chain(pool.tls.certificate, pool.tls.key)
    return context
