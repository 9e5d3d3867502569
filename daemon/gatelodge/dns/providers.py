"""
All DNS providers: the keys they have in `[dns.NAME]`, and how each is made.

Light, since `check` reads it: an adapter is imported only when it is made. A new provider is one module and one entry here.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING

from gatelodge.config.catalog import Option, ProviderKind
from gatelodge.config.values.options import COMMAND, DOMAIN, DURATION, FILE, SECRET, SERVER, TABLE, TEXT, choice
from gatelodge.dns.aliyun import options as aliyun_options
from gatelodge.dns.lexicon import options as lexicon_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatelodge.model import DnsSettings
    from gatelodge.ports import Clock, DnsProvider, Http, Resolver


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """
    What a provider may use of the world. `http` trusts what the settings say.
    """

    http: Http
    clock: Clock
    resolver: Resolver


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """
    A provider: its keys, and the module in this room that has its `make(settings, parts)`.
    """

    kind: ProviderKind
    module: str

    def make(self, settings: DnsSettings, parts: Parts) -> DnsProvider:
        """
        Make the adapter for an entry of `[dns]`.
        """
        make: Callable[[DnsSettings, Parts], DnsProvider] = importlib.import_module(f"gatelodge.dns.{self.module}").make
        return make(settings, parts)


_ALIYUN = ProviderKind(
    options={
        "access_key_id": Option(leaf=SECRET, description="The AccessKey ID of a RAM user."),
        "access_key_secret": Option(leaf=SECRET, description="Its AccessKey secret."),
        "security_token": Option(leaf=SECRET, description="The token that goes with a temporary (STS) key."),
        "credentials_file": Option(leaf=FILE, description="An aliyun.ini as SWAG and certbot have it."),
        "ram_role": Option(leaf=TEXT, description="The RAM role of this ECS instance, whose keys it is lent."),
        "line": Option(leaf=TEXT, description='The resolution line of the records. Default: "default".'),
    },
    heeds=frozenset({"endpoint", "ca_file", "ttl"}),
    needs=(("access_key_id", "access_key_secret"), ("credentials_file",), ("ram_role",)),
    addresses=True,
    check=aliyun_options.check,
)

_RFC2136 = ProviderKind(
    options={
        "server": Option(leaf=SERVER, description="The primary name server that takes updates."),
        "key_name": Option(leaf=TEXT, description="The name of the TSIG key."),
        "key_secret": Option(leaf=SECRET, description="The TSIG key itself, in base64."),
        "key_algorithm": Option(
            leaf=choice("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224"),
            description="Its algorithm. Default: hmac-sha256.",
        ),
        "zone": Option(leaf=DOMAIN, description="The zone, when the server's SOA should not be asked for it."),
    },
    heeds=frozenset({"ttl"}),
    needs=(("server",),),
    addresses=True,
)

_EXEC = ProviderKind(
    options={
        "command": Option(
            leaf=COMMAND, description="The program and its first arguments; add or remove, NAME and VALUE follow."
        ),
        "timeout": Option(leaf=DURATION, description="How long it may take. Default: 1m."),
        "zone": Option(leaf=DOMAIN, description="The zone, when the public DNS should not be asked for it."),
    },
    heeds=frozenset({"ttl"}),
    needs=(("command",),),
)

_ACME_DNS = ProviderKind(
    options={
        "username": Option(leaf=SECRET, description="The X-Api-User that registration gave."),
        "password": Option(leaf=SECRET, description="The X-Api-Key that registration gave."),
        "subdomain": Option(leaf=TEXT, description="The subdomain that registration gave."),
        "fulldomain": Option(
            leaf=DOMAIN, description="The full domain that registration gave, to which the CNAME leads."
        ),
    },
    heeds=frozenset({"endpoint", "ca_file"}),
    needs=(("endpoint", "username", "password", "subdomain", "fulldomain"),),
)

_LEXICON = ProviderKind(
    options={
        "service": Option(leaf=TEXT, description="The provider's name in dns-lexicon."),
        "options": Option(
            leaf=TABLE, description="Its options as dns-lexicon calls them; secrets as { file } or { env }."
        ),
        "zone": Option(leaf=DOMAIN, description="The zone, when the public DNS should not be asked for it."),
    },
    heeds=frozenset({"ttl"}),
    needs=(("service",),),
    addresses=True,
    check=lexicon_options.check,
)

PROVIDERS: Mapping[str, Provider] = {
    "aliyun": Provider(kind=_ALIYUN, module="aliyun.provider"),
    "rfc2136": Provider(kind=_RFC2136, module="rfc2136"),
    "acme-dns": Provider(kind=_ACME_DNS, module="acme_dns"),
    "exec": Provider(kind=_EXEC, module="exec"),
    "lexicon": Provider(kind=_LEXICON, module="lexicon.provider"),
}
