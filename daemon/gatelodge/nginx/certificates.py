"""
Says where the certificates are that a listener shows, and decides by which visits it is seen that it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.tree import Served
from gatelodge.model import TlsProfile
from gatelodge.nginx.writing.site import Files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.core.observed import Held
    from gatelodge.model import Listener, Name
    from gatelodge.nginx.writing.ground import Ground


def paths(held: tuple[Held, ...]) -> tuple[Files, ...]:
    """
    Return where the files of certificates are.
    """
    return tuple(Files(directory=each.directory, placeholder=each.placeholder) for each in held)


def visits(held: tuple[Held, ...], listener: Listener, name: Name | None, ground: Ground) -> Iterable[Served]:
    """
    Yield a visit for each certificate of a listener that can be asked for.
    """
    settings = ground.terms(listener).settings
    for place, each in enumerate(held):
        beside = place > 0
        # TLS 1.3 has no cipher suites of RSA alone by which to ask for the other certificate.
        if beside and settings.tls_profile is TlsProfile.MODERN:
            continue
        yield Served(
            listener=listener,
            server_name=name,
            certificate=each.name,
            fingerprint=each.fingerprint,
            rsa=beside,
            proxy_protocol=settings.proxy_protocol is not None,
        )
