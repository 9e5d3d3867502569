"""
Speaks to a service behind the gate as nginx would: plainly or over TLS with a certificate that nginx accepts, by the visitor's host, and for a
websocket.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.doctor import probing
from gatelodge.doctor.answers import judge
from gatelodge.doctor.probing import NotHttp
from gatelodge.model import is_ip
from gatelodge.nginx.writing.proxying import verifies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.probing import Place
    from gatelodge.doctor.uses import Use
    from gatelodge.model import Pool

#: What becomes of visitors when nginx cannot speak to a service.
WHY_DEAD = "visitors get a 502 from nginx"

_SWITCHING = 101

#: Of RFC 6455 §1.3. Any will do.
_WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


async def speak(use: Use, place: Place, capabilities: Capabilities | None, findings: Findings) -> None:
    """
    Ask a service that accepts connections, as nginx would, and say what came of it.
    """
    upstream = use.upstream
    encrypted = upstream.encrypted
    bundle = capabilities.ca_bundle if capabilities else None
    checked = encrypted and verifies(use.pool, bundle)
    name = use.pool.tls.name or upstream.host
    try:
        context = _trust(use.pool, bundle, verify=checked) if encrypted else None
    except OSError as error:
        findings.broken(
            use.subject,
            f"the roots for {upstream} in {use.pool.tls.ca or bundle} cannot be used: {error.strerror or error}",
            why="nginx cannot read them either, and refuses the site",
            do="give a PEM file of roots as upstream_tls = { ca = … }",
        )
        return
    try:
        head = await probing.ask(
            place, use.path, _headers(use), tls=context, name=name if encrypted and not is_ip(name) else None
        )
    except ssl.SSLCertVerificationError as error:
        findings.broken(
            use.subject,
            f"the certificate of {upstream} is not good for {name}: {error.verify_message}",
            why=f"nginx checks it, and refuses the service; {WHY_DEAD}",
            do="give its root as upstream_tls = { ca = … }, the name in it as { name = … }, or write { verify = false } on a network you trust",
        )
        return
    except ssl.SSLError as error:
        findings.broken(
            use.subject, f"{upstream} does not speak TLS as asked ({getattr(error, 'reason', None) or error})", why=WHY_DEAD,
            do=f"write http:// in place of https://, if the service speaks plain HTTP there: http://{upstream.authority}",
        )  # fmt: skip
        return
    except NotHttp as error:
        await _tell_not_http(use, place, error, findings)
        return
    except OSError as error:
        findings.warn(
            use.subject, f"{upstream} accepts, and does not answer ({probing.words(error)})",
            why="visitors wait, and get a 504 in the end", do="see whether the service hangs, or still starts",
        )  # fmt: skip
        return
    judge(use, head, await _upgrade(use, place, context, name), findings)


async def _tell_not_http(use: Use, place: Place, error: NotHttp, findings: Findings) -> None:
    upstream = use.upstream
    if not upstream.encrypted and await _speaks_tls(place):
        findings.broken(
            use.subject,
            f"{upstream} speaks TLS, and nginx speaks plain HTTP to it",
            why=WHY_DEAD,
            do=f"write https://{upstream.authority}",
        )
        return
    said = f"what answers at {upstream} is no HTTP ({error.said[:32]!r})"
    findings.broken(
        use.subject,
        said if error.said else f"{upstream} hangs up without an answer",
        why=WHY_DEAD,
        do="mend the port, or write what it speaks: https://, grpc://, fastcgi://; what speaks no HTTP is for [streams]",
    )


async def _speaks_tls(place: Place) -> bool:
    try:
        async with probing.connected(place, tls=_anybody()):
            return True
    except OSError:
        return False


async def _upgrade(use: Use, place: Place, tls: ssl.SSLContext | None, name: str) -> str:
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


def _headers(use: Use) -> Mapping[str, str]:
    host = use.host
    scheme = urlsplit(use.visited).scheme or "http"
    return {
        "Host": host, "User-Agent": "gatelodge-doctor", "Accept": "*/*", "Connection": "close",
        "X-Forwarded-Proto": scheme, "X-Forwarded-Host": host, "X-Forwarded-Port": str(urlsplit(use.visited).port or (443 if scheme == "https" else 80)),
        "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1",
    }  # fmt: skip


def _trust(pool: Pool, bundle: str | None, *, verify: bool) -> ssl.SSLContext:
    """
    Trust whom nginx trusts. Its certificate of ours is shown where it may be read.
    """
    context = ssl.create_default_context(cafile=pool.tls.ca or bundle) if verify else _anybody()
    if pool.tls.certificate and pool.tls.key:
        with contextlib.suppress(OSError):
            context.load_cert_chain(pool.tls.certificate, pool.tls.key)
    return context


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
