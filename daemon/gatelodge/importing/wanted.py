"""
Decides whether a certificate that another tool had can be asked for here: its names, its CA, its NAME, how it is proven.

The rules are those that `gatelodge check` has, so that what is printed is not refused afterwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, texts, urls
from gatelodge.importing.toml_text import shown
from gatelodge.model import DNS_PREFIX, HTTP_01, INTERNAL_HOST, Name, is_ip, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

#: Directories under which the built-in CAs were known before, and how CAs are called that take only customers: what they know
#: them by is not found where a tool keeps its certificates.
_FORMER = {
    "https://acme-v01.api.letsencrypt.org/directory": "letsencrypt",
    "https://acme-staging.api.letsencrypt.org/directory": "letsencrypt-staging",
}
_CLOSED = {
    "https://acme.zerossl.com/v2/DV90": "ZeroSSL",
    "https://dv.acme-v02.api.pki.goog/directory": "Google Trust Services",
}

_LONGEST_NAME = 100


def hosts(given: Iterable[str]) -> tuple[tuple[Name, ...], tuple[str, ...]]:
    """
    Return the names that can be asked for, each once, and what is none.
    """
    good: dict[Name, None] = {}
    bad: list[str] = []
    for text in given:
        try:
            good[names.host(text)] = None
        except Unreadable:
            bad.append(text)
    return tuple(good), tuple(bad)


def authority(directory: str) -> tuple[str, str | None, str | None]:
    """
    Return what a CA is called here, its directory when it is not built in, and a remark.

    Raises:
        Unreadable: Gatelodge cannot speak with it.
    """
    for known in BUILT_IN.authorities.values():
        if directory == known.directory and known.name not in BUILT_IN.customers:
            return known.name, None, None
    if directory in _FORMER:
        return _FORMER[directory], None, None
    if directory in _CLOSED:
        remark = f"It came from {_CLOSED[directory]}, which takes only customers: the next one will be of {BUILT_IN.default}."
        return BUILT_IN.default, None, remark
    checked = urls.directory(directory)
    host = re.sub(r"\Ahttps?://|[:/?].*\Z", "", checked, flags=re.IGNORECASE)
    return name(host, ()), checked, "A CA of your own? When its HTTPS has a root of its own, name it under [acme.cas]."


def name(text: str, taken: Container[str]) -> str:
    """
    Return a NAME that is like a text, and not taken yet.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_LONGEST_NAME].strip("._-") or "certificate"
    candidate, number = plain, 1
    while candidate in taken or candidate == INTERNAL_HOST:
        number += 1
        candidate = f"{plain}-{number}"
    return candidate


def folder(path: str) -> str | None:
    """
    Return a path if it can stand in a configuration.
    """
    try:
        return texts.nginx_path(path)
    except Unreadable:
        return None


def email(text: str) -> str | None:
    """
    Return an e-mail address if it is one.
    """
    try:
        return texts.email(text)
    except Unreadable:
        return None


def profile(text: str) -> str | None:
    """
    Return the name of a CA's profile if it is one.
    """
    try:
        return texts.profile(text)
    except Unreadable:
        return None


def challenges(hosts: Iterable[Name], by: str | None) -> tuple[str, ...]:
    """
    Return how names are proven: by a DNS provider, or by http-01, which alone can prove an address.
    """
    if by is None:
        return (HTTP_01,)
    return (HTTP_01, f"{DNS_PREFIX}{by}") if any(map(is_ip, hosts)) else (f"{DNS_PREFIX}{by}",)


def refusal(hosts: tuple[Name, ...], bad: tuple[str, ...], ca: str, *, by_dns: bool) -> str | None:
    """
    Say why no CA could be asked for a certificate with these names; None when one can.
    """
    if bad:
        return f"{shown(bad[0])} is no name that a certificate of Gatelodge can have"
    if not hosts:
        return "its names are not known"
    for host in hosts:
        if is_wildcard(host) and not by_dns:
            return f"{host} is a wildcard, which only proof by DNS can get: add a [dns.NAME] (docs/dns.md)"
        if ca in BUILT_IN.authorities and names.is_private(host):
            return f'no public CA certifies {host}, a name of one network; a site with tls = "local" can have it'
    return None
