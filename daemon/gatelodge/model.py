"""
The words everything else is written in: names, keys, certificate specs, sites, listeners, upstreams.

These values decide nothing. They are frozen, hold no handle to the world, and exist only in valid form: text from outside
becomes one of them in `config`, in an adapter that parses an answer, or not at all.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import hashlib
import ipaddress
import json
from collections.abc import Mapping
from typing import NewType, TypeAlias

#: A DNS name (IDNA A-labels, lower case, no final dot, perhaps with a leading `*.`) or an IP address in canonical form.
Name = NewType("Name", str)

#: A JSON object, as stored or sent.
JsonObject: TypeAlias = Mapping[str, object]


def is_ip(name: str) -> bool:
    """
    Tell whether a name is an IP address.
    """
    if ":" not in name and not name[-1:].isdigit():
        return False  # no address looks so; asked for every name in every pass, so the slow way is for those that may be one
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_wildcard(name: str) -> bool:
    """
    Tell whether a name is a wildcard, `*.example.com`.
    """
    return name.startswith("*.")


def covers(pattern: str, name: str) -> bool:
    """
    Tell whether a certificate for `pattern` is good for `name`.

    A wildcard stands for exactly one label (RFC 9525 §6.3).
    """
    if pattern == name:
        return True
    return is_wildcard(pattern) and not is_wildcard(name) and not is_ip(name) and name.partition(".")[2] == pattern[2:]


def file_name(name: str) -> str:
    """
    Give a site or certificate name a form that is safe as a file name: `*.` is written `wildcard.`, `:` is written `_`.
    """
    return name.replace("*.", "wildcard.").replace(":", "_")


class Secret:
    """
    Text that never shows itself: its repr and str are blind, and it cannot be formatted or serialised by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """
        Return the secret itself, for the one call that needs it.
        """
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """
    Where a secret is found: exactly one of the configuration itself, a file, or a variable of the environment.
    """

    literal: Secret | None = None
    file: str | None = None
    env: str | None = None


class KeyKind(enum.StrEnum):
    """
    The kinds of private key a certificate can have.
    """

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcmeIssuer:
    """
    An ACME certificate authority, by its name in the configuration.
    """

    ca: str

    def __str__(self) -> str:
        return f"acme:{self.ca}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalIssuer:
    """
    The certificate authority of this machine, for names of the LAN.
    """

    def __str__(self) -> str:
        return "local"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SelfSigned:
    """
    Nobody: a plain self-signed certificate, for placeholders and for `INTERNAL_HOST`.
    """

    def __str__(self) -> str:
        return SELF_SIGNED


#: The issuer text of a placeholder.
SELF_SIGNED = "selfsigned"

#: Where a certificate comes from. Its text is what the store writes down.
IssuerRef: TypeAlias = AcmeIssuer | LocalIssuer | SelfSigned

#: The host under which nginx tells the daemon which generation it serves. `.invalid` never resolves (RFC 6761 §6.4).
INTERNAL_HOST = Name("gatelodge.invalid")


#: Ways to prove a name: the challenge type (RFC 8555 §8.3), and what stands before the NAME of a `[dns.NAME]` for dns-01 (§8.4).
HTTP_01 = "http-01"
DNS_PREFIX = "dns:"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSpec:
    """
    A certificate that must be held.

    `name` is its NAME: the key in `[certificates]`, else its site's first host. `names` keep the order of the TOML; two
    specs with the same names in another order are the same certificate. `challenges` are the ways to prove a name, the first
    that can is used: `http-01`, or `dns:NAME` for dns-01 through the provider `[dns.NAME]`. `alias` is the name under which
    answers to dns-01 are put, since `_acme-challenge` of every name is a CNAME to it (RFC 8555 §8.4).
    """

    name: str
    names: tuple[Name, ...]
    issuer: IssuerRef
    key: KeyKind = KeyKind.ECDSA_P256
    profile: str | None = None
    challenges: tuple[str, ...] = (HTTP_01,)
    alias: Name | None = None

    @property
    def needs_nginx(self) -> bool:
        """
        True when some name can be proven by what nginx shows alone: an IP address, or any when no DNS provider is named.
        """
        by_dns = any(challenge.startswith(DNS_PREFIX) for challenge in self.challenges)
        return HTTP_01 in self.challenges and (not by_dns or any(map(is_ip, self.names)))

    @property
    def digest(self) -> str:
        """
        A short hash of everything that getting it depends on: when that changes, what was begun or failed is out of date.
        """
        parts: list[object] = [sorted(self.names), str(self.issuer), self.key, self.profile]
        if (self.challenges, self.alias) != ((HTTP_01,), None):
            parts += [self.challenges, self.alias]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """
    An ACME CA: its directory URL (RFC 8555 §7.1.1) and, for a private one, the PEM file with its TLS root.
    """

    name: str
    directory: str
    root: str | None = None
    production: bool = True
    profile: str | None = None


#: Addresses that stand for every one of a family, and whether that is IPv6's.
_EVERY_ADDRESS = {"0.0.0.0": False, "::": True}  # noqa: S104 - compared with, never bound here


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listener:
    """
    An address and port that nginx listens on; no address means all of the machine's, IPv4 and IPv6.
    """

    port: int
    address: str = ""

    @property
    def narrow(self) -> bool:
        """
        True for one address; false for all of the machine's, or all of one family.
        """
        return self.address not in {"", *_EVERY_ADDRESS}

    def includes(self, other: Listener) -> bool:
        """
        Tell whether every visitor of `other` comes to an address and port of this one too.
        """
        if self.port != other.port or self.address in {"", other.address}:
            return self.port == other.port
        return other.address != "" and _EVERY_ADDRESS.get(self.address) is (":" in other.address)

    def overlaps(self, other: Listener) -> bool:
        """
        Tell whether a visitor can come to both at once.
        """
        return self.includes(other) or other.includes(self)

    def __str__(self) -> str:
        if not self.address:
            return str(self.port)
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """
    A service behind the gate.

    `host` is an IP address or a name as nginx's resolver will see it (container names may hold underscores). `path`, when
    given, replaces the matched prefix of the request, as in nginx's `proxy_pass`.
    """

    scheme: str
    host: str
    port: int
    path: str | None = None

    @property
    def authority(self) -> str:
        """
        `host:port` in URL form.
        """
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path or ''}"


class Websocket(enum.StrEnum):
    """
    How a route treats upgrades: passed on when asked for, or spoken to the upstream whatever the visitor sent.
    """

    AUTO = "auto"
    FORCE = "force"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    A path prefix of a site and the upstream behind it. `body_size` is in bytes, 0 unlimited.
    """

    path: str
    upstream: Upstream
    timeout: dt.timedelta = dt.timedelta(hours=1)
    connect_timeout: dt.timedelta = dt.timedelta(seconds=5)
    body_size: int = 0
    websocket: Websocket = Websocket.AUTO


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    Host names served on one or more listeners, with routes to upstreams. Known by its first host.

    `certificate` is the NAME of the spec that serves it; None for a site without TLS.
    """

    hosts: tuple[Name, ...]
    listeners: tuple[Listener, ...]
    routes: tuple[Route, ...]
    certificate: str | None

    @property
    def name(self) -> str:
        """
        The site's name: its first host.
        """
        return self.hosts[0]

    @property
    def file_name(self) -> str:
        """
        The site's name as a file name.
        """
        return file_name(self.name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NginxSettings:
    """
    How nginx is run and what its listeners are called from outside: `[nginx]`.

    `http_port` 0 opens no plain listener. `drain` bounds workers that finish old connections after a reload;
    `reload_interval` is the least time between two reloads. `access_log` is "off" or a path.
    """

    binary: str = "nginx"
    address: str = "127.0.0.1"
    http_port: int = 80
    https_port: int = 443
    public_http_port: int = 80
    public_https_port: int = 443
    user: str | None = None
    access_log: str = "off"
    drain: dt.timedelta = dt.timedelta(hours=1)
    reload_interval: dt.timedelta = dt.timedelta(seconds=30)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """
    A DNS provider: `[dns.NAME]`. `options` are its own keys, read by their kinds (`SecretRef` for secrets); `endpoint` and
    `ca_file` say where it is and whom to trust there, None for the provider's own. `ttl` is in seconds, None for what the provider
    takes. A record is at all name servers within `wait`; when none of them can be asked, that long is waited.
    """

    name: str
    provider: str
    options: Mapping[str, object]
    endpoint: str | None = None
    ca_file: str | None = None
    ttl: int | None = None
    wait: dt.timedelta = dt.timedelta(minutes=2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddressSource:
    """
    Where the machine's public address is learned: an interface of its own, what HTTP services see (two must agree when there are
    several), or the output of a command. With none of them, the built-in services are asked.
    """

    interface: str | None = None
    urls: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


#: Says that an address is not looked for, where nothing being said would mean the usual way.
NO_SOURCE = AddressSource(interface="")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DdnsSettings:
    """
    Host names kept on the machine's public addresses through the provider `[dns.NAME]`: `[ddns]`. A family without a source is
    left alone. Addresses are looked at `every` so often.
    """

    dns: str
    hosts: tuple[Name, ...]
    ipv4: AddressSource | None
    ipv6: AddressSource | None
    every: dt.timedelta = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """
    One thing that is wrong in a configuration.

    `path` is the key path as a person would write it (`sites."a.example".upstream`), `line` its line in the file when the
    scanner could tell, `problem` what is wrong and `remedy` what to write instead. A warning stops nothing.
    """

    path: str
    problem: str
    remedy: str
    line: int | None = None
    warning: bool = False
