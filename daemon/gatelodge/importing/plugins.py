"""
Decides which DNS provider of ours does what a plugin of certbot did, and how its credentials are referred to.

No secret is ever repeated, nor is anything else from a file of credentials but a server's address, a key's name and an
endpoint's. A plugin that has no counterpart here gets a reason instead.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values.options import SERVER
from gatelodge.config.values.texts import path as absolute
from gatelodge.importing import ini
from gatelodge.importing.found import FoundDns, InFile
from gatelodge.importing.toml_text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where the person is asked to put secrets that stand among others in a file of the plugin's.
_SECRETS = "/etc/gatelodge"

#: Seconds that a record may take to be at all name servers, where nothing is said: as `gatelodge.model.DnsSettings`.
_WAIT = 120
_LONGEST_WAIT = 3600

#: What SWAG's `aliyun.ini` holds before anybody has written to it.
_SAMPLE = {"dns_aliyun_access_key": "12345678", "dns_aliyun_access_key_secret": "1234567890abcdef1234567890abcdef"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """
    A service of dns-lexicon, and where each of its options stands in the plugin's file.
    """

    service: str
    options: Mapping[str, str]


#: By the plugin's name without `dns-`. Keys of the files: certbot's documentation of each plugin, and the samples that SWAG brings.
_SERVICES: Mapping[str, _Service] = {
    "cloudflare": _Service(service="cloudflare", options={"auth_token": "dns_cloudflare_api_token"}),
    "desec": _Service(service="desec", options={"auth_token": "dns_desec_token"}),
    "digitalocean": _Service(service="digitalocean", options={"auth_token": "dns_digitalocean_token"}),
    "dnsimple": _Service(service="dnsimple", options={"auth_token": "dns_dnsimple_token"}),
    "dnsmadeeasy": _Service(
        service="dnsmadeeasy",
        options={"auth_username": "dns_dnsmadeeasy_api_key", "auth_token": "dns_dnsmadeeasy_secret_key"},
    ),
    "gehirn": _Service(
        service="gehirn", options={"auth_token": "dns_gehirn_api_token", "auth_secret": "dns_gehirn_api_secret"}
    ),
    "godaddy": _Service(
        service="godaddy", options={"auth_key": "dns_godaddy_key", "auth_secret": "dns_godaddy_secret"}
    ),
    "hetzner": _Service(service="hetzner", options={"auth_token": "dns_hetzner_api_token"}),
    "linode": _Service(service="linode4", options={"auth_token": "dns_linode_key"}),
    "luadns": _Service(
        service="luadns", options={"auth_username": "dns_luadns_email", "auth_token": "dns_luadns_token"}
    ),
    "nsone": _Service(service="nsone", options={"auth_token": "dns_nsone_api_key"}),
    "ovh": _Service(
        service="ovh",
        options={
            "auth_application_key": "dns_ovh_application_key",
            "auth_application_secret": "dns_ovh_application_secret",
            "auth_consumer_key": "dns_ovh_consumer_key",
        },
    ),
    "porkbun": _Service(
        service="porkbun", options={"auth_key": "dns_porkbun_key", "auth_secret": "dns_porkbun_secret"}
    ),
    "route53": _Service(
        service="route53",
        options={"auth_access_key": "aws_access_key_id", "auth_access_secret": "aws_secret_access_key"},
    ),
    "sakuracloud": _Service(
        service="sakuracloud",
        options={"auth_token": "dns_sakuracloud_api_token", "auth_secret": "dns_sakuracloud_api_secret"},
    ),
    "vultr": _Service(service="vultr", options={"auth_token": "dns_vultr_key"}),
}

#: The older way of Cloudflare: the key of the whole account.
_CLOUDFLARE_ACCOUNT = _Service(
    service="cloudflare",
    options={"auth_username": "dns_cloudflare_email", "auth_token": "dns_cloudflare_api_key"},
)

#: What helps with plugins that have no counterpart which can be filled in from here.
_ELSEWHERE = {
    "acmedns": 'Gatelodge knows acme-dns too (provider = "acme-dns", docs/dns.md): write down what registration gave',
    "duckdns": 'let a program of yours do it: provider = "exec" (docs/exec.md)',
    "standalone": 'Gatelodge runs no DNS server; an acme-dns server does the same (provider = "acme-dns", docs/dns.md)',
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """
    A plugin in use: its name without `dns-`, its file of credentials and what stands there (None when it cannot be read), and the
    seconds that it was told to wait.
    """

    plugin: str
    credentials: str | None = None
    text: str | None = None
    seconds: int | None = None


def provider(used: Used, name: str) -> FoundDns | str:
    """
    Return the provider that does the same, under a NAME; else why there is none.
    """
    values = ini.flat(used.text) if used.text is not None else {}
    found: FoundDns | str
    match used.plugin:
        case "aliyun":
            found = _aliyun(used, name, values)
        case "rfc2136":
            found = _rfc2136(used, name, values)
        case "google":
            found = _google(used, name)
        case "cloudflare" if "dns_cloudflare_api_key" in values and "dns_cloudflare_api_token" not in values:
            found = _lexicon(used, name, values, _CLOUDFLARE_ACCOUNT)
        case plugin if plugin in _SERVICES:
            found = _lexicon(used, name, values, _SERVICES[plugin])
        case plugin:
            helps = _ELSEWHERE.get(plugin, "docs/dns.md has the providers; a program of yours can be one")
            return f"Gatelodge has no counterpart of the DNS plugin {shown(plugin)} that can be filled in; {helps}"
    if isinstance(found, str) or not used.seconds or used.seconds <= _WAIT:
        return found
    return dataclasses.replace(found, options={**found.options, "wait": f"{min(used.seconds, _LONGEST_WAIT)}s"})


def _aliyun(used: Used, name: str, values: Mapping[str, str]) -> FoundDns | str:
    file = _file(used)
    if file is None:
        return "it is not said where the credentials of the plugin aliyun are, or their path cannot be written here"
    remarks = ["The key is read from the file that is there; docs/aliyun.md has the least rights that it needs."]
    if any(values.get(key) == sample for key, sample in _SAMPLE.items()):
        remarks.append("ATTENTION: the file still holds the sample's values, not a key of yours.")
    elif used.text is None:
        remarks.append("ATTENTION: the file could not be read from here.")
    return FoundDns(name=name, provider="aliyun", options={"credentials_file": file}, remarks=tuple(remarks))


def _rfc2136(used: Used, name: str, values: Mapping[str, str]) -> FoundDns | str:
    if used.text is None:
        return "the credentials of the plugin rfc2136 cannot be read from here, so that the server is not known"
    host, port = values.get("dns_rfc2136_server", ""), values.get("dns_rfc2136_port", "53")
    bare = f"[{host}]" if ":" in host else host
    algorithm = values.get("dns_rfc2136_algorithm", "HMAC-MD5").lower()
    key = values.get("dns_rfc2136_name", "").removesuffix(".")
    try:
        SERVER.read(server := bare if port == "53" else f"{bare}:{port}")
    except Unreadable:
        return "the server in the credentials of the plugin rfc2136 is none that Gatelodge can read"
    if algorithm not in {"hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"}:
        return "the TSIG key of the plugin rfc2136 is of an algorithm that is no longer safe; make one with tsig-keygen (docs/dns.md)"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", key):
        return "the name of the TSIG key of the plugin rfc2136 is none"
    place = f"{_SECRETS}/{name}.key"
    return FoundDns(
        name=name,
        provider="rfc2136",
        options={"server": server, "key_name": key, "key_secret": InFile(file=place), "key_algorithm": algorithm},
        remarks=_to_do({place: "dns_rfc2136_secret"}, used),
    )


def _google(used: Used, name: str) -> FoundDns | str:
    file = _file(used)
    if file is None:
        return "it is not said where the service account of the plugin google is, or its path cannot be written here"
    return FoundDns(
        name=name,
        provider="lexicon",
        options={"service": "googleclouddns"},
        inner={"auth_service_account_info": f"file::{file}"},
        remarks=(_INSTALL, "The service account is read from the file that is there."),
    )


def _lexicon(used: Used, name: str, values: Mapping[str, str], service: _Service) -> FoundDns:
    places = {option: f"{_SECRETS}/{name}.{option.removeprefix('auth_')}" for option in service.options}
    inner: dict[str, str | InFile] = {option: InFile(file=place) for option, place in places.items()}
    if service.service == "ovh":
        endpoint = values.get("dns_ovh_endpoint", "ovh-eu")
        inner = {"auth_entrypoint": endpoint if endpoint in _OVH else "ovh-eu", **inner}
    more = "dns-lexicon[route53]" if service.service == "route53" else None
    install = (_INSTALL, f"And: pip install '{more}'") if more else (_INSTALL,)
    to_do = _to_do({place: service.options[option] for option, place in places.items()}, used)
    return FoundDns(
        name=name,
        provider="lexicon",
        options={"service": service.service},
        inner=inner,
        remarks=(*install, *to_do),
    )


_INSTALL = "It needs: pip install 'gatelodge[lexicon]' (docs/lexicon.md)"

#: https://github.com/ovh/python-ovh: the endpoints that dns-lexicon knows too.
_OVH = frozenset({"ovh-eu", "ovh-ca", "soyoustart-eu", "soyoustart-ca", "kimsufi-eu", "kimsufi-ca"})


def _to_do(places: Mapping[str, str], used: Used) -> tuple[str, ...]:
    """
    Say what the person must copy: secrets stand among other things there, so that they cannot be referred to.
    """
    source = f"from {shown(used.credentials)}" if used.credentials else "from the plugin's file"
    each = (f"TO DO: copy the value of {key} {source} into {place}, and nothing else." for place, key in places.items())
    return (*each, "Let nobody but the daemon's user read what you write there: chmod 600.")


def _file(used: Used) -> str | None:
    """
    Return the path of the credentials, None when it cannot stand in a configuration.
    """
    try:
        return absolute(used.credentials) if used.credentials else None
    except Unreadable:
        return None
