"""
Decides what every part of a tree stands on: the ports and their public names, the syntax that the nginx found understands, and
how a listener is written for it.

It holds nothing of any single site, so that a site's text can be made, remembered and kept back alone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import Listener, ListenSettings, TlsProfile
from gatelodge.nginx.writing.manners import general, resolving, tls_parameters
from gatelodge.nginx.writing.quote import Directive, Expanding, block, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities

#: Where http-01 tokens are looked for (RFC 8555 §8.3).
TOKENS = "/.well-known/acme-challenge/"

_HTTPS_PORT = 443

#: Idle connections to an upstream, over all workers, and the fewest for one. With HTTP/2 a visitor has many requests under way; when
#: there are more than are kept, each opens a connection of its own (640 at once: 1.4 times as fast with 1024 as with 256). What is not
#: needed is gone after `keepalive_timeout`.
_KEPT = 1024
_LEAST_KEPT = 64

#: Directives by which a listener with the PROXY protocol says something else than `trusted_proxies`.
_REAL_ADDRESS = frozenset({"set_real_ip_from", "real_ip_header", "real_ip_recursive"})
_ANY = {"0.0.0.0": "{port}", "::": "[::]:{port}"}  # noqa: S104 - how nginx itself writes a listener without an address

_USUAL = ListenSettings()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What all servers on a listener must say alike: its settings, and whether TLS sessions may be taken up again.
    """

    settings: ListenSettings = _USUAL
    sessions: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where one server block stands: its listeners, and the terms that are the same on all of them.
    """

    listeners: tuple[Listener, ...]
    terms: Terms


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """
    What all sites share.

    `http2` says where nginx wants it: "listen" (a parameter, before 1.25.1), "directive", or "" for an nginx without it.
    `resolve` is true when a server of an upstream block may be a name that nginx goes on looking up (1.27.3).
    `reject` is true when nginx can refuse a handshake by name (`ssl_reject_handshake`, 1.19.4).
    `state` is the state directory. `modules` and `without` name the modules that nginx was built with and without, of those that may be chosen, `openssl` the version that it runs with. `keepalive` is how many idle connections to an upstream a worker keeps. `settings` are those of
    `[listen]`, and `sessionless` the listeners on which no visitor may come back to a TLS session.
    `narrow` are all listeners of one address: on such a one nginx knows only the servers that name it, so that every server of
    its port does (`reaching`).
    `resolving` says where names of upstreams are looked up.
    `manners` stand in each server where `http {}` is somebody else's, and are empty where it is ours.
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
    ca_bundle: str | None
    state: str
    modules: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    http3: bool = False
    openssl: tuple[int, int] = (0, 0)
    keepalive: int = 32
    settings: tuple[tuple[Listener, ListenSettings], ...] = ()
    sessionless: frozenset[Listener] = frozenset()
    narrow: tuple[Listener, ...] = ()
    resolving: tuple[Directive, ...] = ()
    manners: tuple[Directive, ...] = ()
    strangers: frozenset[str] = frozenset()
    quiet: bool = False

    @property
    def shared(self) -> bool:
        """
        True when `http {}` is somebody else's.
        """
        return self.manners != ()

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

    def public_port(self, listener: Listener) -> int:
        """
        Return what visitors type to reach a TLS listener.
        """
        return self.public_https_port if listener.port == self.https_port else listener.port

    def public_authority(self, listener: Listener) -> str:
        """
        Return what follows the host in an https URL of that listener: `:2443`, or nothing.
        """
        port = self.public_port(listener)
        return "" if port == _HTTPS_PORT else f":{port}"

    def has(self, module: str) -> bool:
        """
        Tell whether nginx has a module that is built in unless it is asked for not to be.
        """
        return module not in self.without

    def terms(self, listener: Listener) -> Terms:
        """
        Return what holds for all servers on a listener: what is said of it, or of the whole port that it is a part of.
        """
        said = next((each for place, each in self.settings if place == listener), None) or next(
            (each for place, each in self.settings if place.includes(listener)), _USUAL
        )
        return Terms(settings=said, sessions=not any(listener.overlaps(each) for each in self.sessionless))

    def places(self, listeners: Iterable[Listener]) -> list[Place]:
        """
        Put those listeners together on whose terms one server block can stand: the given ones, and those that would take visitors
        away from them, whose terms may be others.
        """
        groups: dict[Terms, tuple[Listener, ...]] = {}
        for listener in self.reaching(tuple(listeners)):
            terms = self.terms(listener)
            groups[terms] = (*groups.get(terms, ()), listener)
        return [Place(listeners=each, terms=terms) for terms, each in groups.items()]

    def opening(self, terms: Terms, *, tls: bool) -> tuple[Directive, ...]:
        """
        Return what a server block begins with for its listeners' sake.
        """
        proxied = terms.settings.proxy_protocol
        trust = (
            (*(line("set_real_ip_from", each) for each in proxied), line("real_ip_header", "proxy_protocol"))
            if proxied
            else ()
        )
        usual = terms.sessions and terms.settings.tls_profile is TlsProfile.INTERMEDIATE
        manners = tuple(each for each in self.manners if not (trust and each.words[0] in _REAL_ADDRESS))
        if not tls or (usual and not self.shared):
            return (*manners, *trust)
        parameters = tls_parameters(self.openssl, profile=terms.settings.tls_profile, sessions=terms.sessions)
        return (*manners, *trust, *parameters)

    def real_address(self, terms: Terms) -> tuple[Directive, ...]:
        """
        Return what of that says from where a visitor came, who came by others.
        """
        return tuple(each for each in self.opening(terms, tls=False) if each.words[0] in _REAL_ADDRESS)


def lay(desired: Desired, capabilities: Capabilities, *, kept: Iterable[Listener] = ()) -> Ground:
    """
    Say what all sites stand on.

    Args:
        kept: the listeners of texts that may be kept back.
    """
    listeners = {listener for site in desired.sites for listener in site.listeners}.union(kept)
    http2 = "directive" if capabilities.at_least(1, 25, 1) else "listen"
    shared = desired.nginx.reload is not None
    polite = general(capabilities, desired.nginx, access_log=desired.access_log, resolver=desired.resolver)
    return Ground(
        http_port=desired.nginx.http_port,
        https_port=desired.nginx.https_port,
        public_https_port=desired.nginx.public_https_port,
        webroot=desired.webroot,
        ipv6=capabilities.ipv6,
        http2=http2 if "http_v2_module" in capabilities.modules else "",
        resolve=capabilities.at_least(1, 27, 3),
        reject=capabilities.at_least(1, 19, 4),
        ca_bundle=capabilities.ca_bundle,
        narrow=tuple(sorted(listener for listener in listeners if listener.narrow)),
        resolving=resolving(capabilities, desired.nginx, resolver=desired.resolver),
        manners=polite if shared else (),
        state=desired.state_directory,
        modules=capabilities.modules,
        without=capabilities.without,
        http3="http_v3_module" in capabilities.modules,
        openssl=capabilities.openssl,
        keepalive=max(_LEAST_KEPT, _KEPT // capabilities.cpus),
        settings=desired.nginx.listen,
        sessionless=frozenset(
            listener for site in desired.sites if site.client_certificates for listener in site.listeners
        ),
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
    spelled = {each: ground.terms(one) for one in listeners for each in addresses(one, ipv6=ground.ipv6)}
    words = [*(["ssl"] if tls else []), *(["http2"] if tls and ground.http2 == "listen" else [])]
    last = ["default_server"] if default else []
    opened = [
        line(
            "listen", address, *words, *(["proxy_protocol"] if terms.settings.proxy_protocol is not None else []), *last
        )
        for address, terms in spelled.items()
    ]
    if tls and ground.http2 == "directive":
        opened.append(line("http2", "on"))
    # All workers hear what comes to their one UDP port only when the kernel gives each a socket; it is said once for a port.
    shared = [*last, "reuseport"] if default else []
    quick = [address for address, terms in spelled.items() if tls and speaks_http3(terms, ground)]
    return opened + [line("listen", address, "quic", *shared) for address in quick]


def speaks_http3(terms: Terms, ground: Ground) -> bool:
    """
    Tell whether HTTP/3 is asked for on these terms, and nginx has it.
    """
    return terms.settings.http3 and ground.http3


def token_location(ground: Ground) -> Directive:
    """
    Return the location that answers http-01, before anything else can.
    """
    inside = [line("default_type", "text/plain"), line("root", Expanding(ground.webroot))]
    return block("location", "^~", TOKENS, inside=inside)
