"""
Decides what every part of a tree stands on: the ports and their public names, the syntax that the nginx found understands, and
how a listener is written for it.

It holds nothing of any single site, so that a site's text can be made, remembered and kept back alone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import Listener
from gatelodge.nginx.manners import general, tls_parameters
from gatelodge.nginx.quote import Directive, Expanding, block, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities

#: Where http-01 tokens are looked for (RFC 8555 §8.3).
TOKENS = "/.well-known/acme-challenge/"

_HTTPS_PORT = 443
_ANY = {"0.0.0.0": "{port}", "::": "[::]:{port}"}  # noqa: S104 - how nginx itself writes a listener without an address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """
    What all sites share.

    `http2` says where nginx wants it: "listen" (a parameter, before 1.25.1), "directive", or "" for an nginx without it.
    `resolve` is true when a server of an upstream block may be a name that nginx goes on looking up (1.27.3).
    `reject` is true when nginx can refuse a handshake by name (`ssl_reject_handshake`, 1.19.4).
    `narrow` are all listeners of one address: on such a one nginx knows only the servers that name it, so that every server of
    its port does (`reaching`).
    `plain_manners` and `tls_manners` stand in each server where `http {}` is somebody else's, and are empty where it is ours.
    `strangers` are the addresses on which somebody else answers those who ask for no site; `quiet` says that he does on all.
    """

    http_port: int
    https_port: int
    public_https_port: int
    webroot: str
    ipv6: bool
    http2: str
    resolve: bool
    reject: bool
    ca_bundle: bool
    narrow: tuple[Listener, ...] = ()
    plain_manners: tuple[Directive, ...] = ()
    tls_manners: tuple[Directive, ...] = ()
    strangers: frozenset[str] = frozenset()
    quiet: bool = False

    @property
    def shared(self) -> bool:
        """
        True when `http {}` is somebody else's.
        """
        return self.plain_manners != ()

    def answers_strangers(self, addresses: Iterable[str]) -> bool:
        """
        Tell whether our default servers answer on these addresses.
        """
        return not self.quiet and self.strangers.isdisjoint(addresses)

    @property
    def http(self) -> Listener | None:
        """
        The plain listener of all names, if there is one.
        """
        return Listener(port=self.http_port) if self.http_port else None

    def reaching(self, listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
        """
        Return listeners and those of one address that would take visitors away from them. nginx opens no socket more for these.
        """
        also = (
            each
            for each in self.narrow
            if each not in listeners and any(self._is_opened_by(wide, each) for wide in listeners)
        )
        return (*listeners, *also)

    def _is_opened_by(self, wide: Listener, narrow: Listener) -> bool:
        opened = wide.address or self.ipv6 or ":" not in narrow.address
        return bool(opened) and wide.includes(narrow)

    def public_authority(self, listener: Listener) -> str:
        """
        Return what follows the host in an https URL of that listener: `:2443`, or nothing.
        """
        port = self.public_https_port if listener.port == self.https_port else listener.port
        return "" if port == _HTTPS_PORT else f":{port}"


def lay(desired: Desired, capabilities: Capabilities, *, kept: Iterable[Listener] = ()) -> Ground:
    """
    Say what all sites stand on.

    Args:
        kept: the listeners of texts that may be kept back.
    """
    listeners = {listener for site in desired.sites for listener in site.listeners}.union(kept)
    http2 = "directive" if capabilities.at_least(1, 25, 1) else "listen"
    shared = desired.nginx.reload is not None
    polite = general(capabilities, access_log=desired.access_log, resolver=desired.resolver) if shared else ()
    return Ground(
        http_port=desired.nginx.http_port,
        https_port=desired.nginx.https_port,
        public_https_port=desired.nginx.public_https_port,
        webroot=desired.webroot,
        ipv6=capabilities.ipv6,
        http2=http2 if "http_v2_module" in capabilities.modules else "",
        resolve=capabilities.at_least(1, 27, 3),
        reject=capabilities.at_least(1, 19, 4),
        ca_bundle=capabilities.ca_bundle is not None,
        narrow=tuple(sorted(listener for listener in listeners if listener.narrow)),
        plain_manners=polite,
        tls_manners=(*polite, *tls_parameters()) if shared else (),
        strangers=capabilities.strangers if desired.nginx.default_server is None else frozenset(),
        quiet=desired.nginx.default_server is False,
    )


def addresses(listener: Listener, *, ipv6: bool) -> tuple[str, ...]:
    """
    Return a listener's addresses as nginx writes them. Two listeners that are one address to nginx are written alike.
    """
    if listener.address in _ANY:
        return (_ANY[listener.address].format(port=listener.port),)
    if listener.address:
        return (str(listener),)
    return (f"{listener.port}", f"[::]:{listener.port}") if ipv6 else (f"{listener.port}",)


def listens(listeners: Iterable[Listener], ground: Ground, *, tls: bool, default: bool = False) -> list[Directive]:
    """
    Return the directives that open listeners in one server block.
    """
    words = [*(["ssl"] if tls else []), *(["http2"] if tls and ground.http2 == "listen" else [])]
    words += ["default_server"] if default else []
    spelled = dict.fromkeys(each for one in listeners for each in addresses(one, ipv6=ground.ipv6))
    opened = [line("listen", address, *words) for address in spelled]
    return [*opened, line("http2", "on")] if tls and ground.http2 == "directive" else opened


def token_location(ground: Ground) -> Directive:
    """
    Return the location that answers http-01, before anything else can.
    """
    inside = [line("default_type", "text/plain"), line("root", Expanding(ground.webroot))]
    return block("location", "^~", TOKENS, inside=inside)
