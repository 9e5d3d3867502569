"""
The words everything else is written in: names, secrets, certificate specs, sites, DNS providers, mistakes; one file for each kind.

These values decide nothing. They are frozen, hold no handle to the world, and exist only in valid form: text from outside
becomes one of them in `config`, in an adapter that parses an answer, or not at all.
"""

from gatelodge.model.certificates import (
    ADOPTED,
    DNS_PREFIX,
    HTTP_01,
    SELF_SIGNED,
    AcmeIssuer,
    Adopted,
    CertificateAuthority,
    CertificateSpec,
    IssuerRef,
    KeyKind,
    LocalIssuer,
    SelfSigned,
)
from gatelodge.model.dns import NO_SOURCE, AddressSource, DdnsSettings, DnsSettings
from gatelodge.model.mistake import Mistake
from gatelodge.model.names import INTERNAL_HOST, JsonObject, Name, covers, file_name, is_ip, is_wildcard
from gatelodge.model.secret import Secret, SecretRef
from gatelodge.model.sites import (
    ByCommands,
    ByHelper,
    ByMailbox,
    Listener,
    NginxSettings,
    Reload,
    Route,
    Site,
    Upstream,
    Websocket,
)

__all__ = [
    "ADOPTED",
    "DNS_PREFIX",
    "HTTP_01",
    "INTERNAL_HOST",
    "NO_SOURCE",
    "SELF_SIGNED",
    "AcmeIssuer",
    "AddressSource",
    "Adopted",
    "ByCommands",
    "ByHelper",
    "ByMailbox",
    "CertificateAuthority",
    "CertificateSpec",
    "DdnsSettings",
    "DnsSettings",
    "IssuerRef",
    "JsonObject",
    "KeyKind",
    "Listener",
    "LocalIssuer",
    "Mistake",
    "Name",
    "NginxSettings",
    "Reload",
    "Route",
    "Secret",
    "SecretRef",
    "SelfSigned",
    "Site",
    "Upstream",
    "Websocket",
    "covers",
    "file_name",
    "is_ip",
    "is_wildcard",
]
