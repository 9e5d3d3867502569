"""
Finds what no CA could be asked for with this configuration: terms not agreed to, customers that the CA does not know, names that only
one network knows, names that their challenges cannot prove, a port that the CA cannot reach.

Each of these would otherwise be a refusal by the CA, again every day.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.config.checks import streams as stream_conflicts
from gatelodge.config.sections import authorities, providers
from gatelodge.config.shape import Tls
from gatelodge.config.values import names
from gatelodge.model import DNS_PREFIX, HTTP_01, is_ip, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import CertificateAuthority, Name

#: Where every CA looks for http-01 tokens (RFC 8555 §8.3).
_HTTP_01_PORT = 80


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """
    A certificate that ACME CAs will be asked for, and by what key it says which. `authorities` is empty when it is not known;
    `challenges` is empty when it is not known how its names are proven.
    """

    path: Path
    title: str
    names: tuple[Name, ...]
    authorities: tuple[CertificateAuthority, ...]
    challenges: tuple[str, ...]
    ca: Path = ("acme", "ca")
    alias: Name | None = None

    @property
    def by_dns(self) -> bool:
        """
        True when some DNS provider may prove a name.
        """
        return any(challenge.startswith(DNS_PREFIX) for challenge in self.challenges)

    @property
    def first_by_http(self) -> Name | None:
        """
        The first name that http-01 alone can prove.
        """
        if HTTP_01 not in self.challenges:
            return None
        return next((name for name in self.names if not self.by_dns or is_ip(name)), None)


def find(draft: Draft, catalog: Catalog, found: Mistakes) -> None:
    """
    Note everything for which a CA would refuse, or could not be asked.
    """
    config = draft.config
    given: dict[Path, tuple[str, ...] | None] = {
        ("acme", "challenge"): config.acme.challenges if config.acme else None,
        **{
            (*draft.certificate_paths[name], "challenge"): each.challenges for name, each in config.certificates.items()
        },
        **{(*draft.site_paths[name], "challenge"): each.challenges for name, each in config.sites.items()},
        **{("streams", name, "challenge"): each.challenges for name, each in config.streams.items()},
    }
    providers.challenges(given, config.dns, found)
    asked = tuple(_asked(draft, catalog, found))
    if not asked:
        return
    _agreed(draft, asked[0], found)
    _bound(draft, asked, catalog, found)
    _reached(draft, catalog, tuple(each for each in asked if each.first_by_http is not None), found)
    for each in asked:
        _provable(each, catalog, found)


def _asked(draft: Draft, catalog: Catalog, found: Mistakes) -> Iterator[_Asked]:
    config = draft.config
    default = config.acme.cas if config.acme else (catalog.default,)
    if found.unread(("acme", "ca")):
        default = ()
    for name, section in config.certificates.items():
        path = draft.certificate_paths[name]
        cas = () if found.unread((*path, "ca")) else section.cas or default
        yield _Asked(
            path=path,
            title=name,
            names=section.names,
            authorities=_known(cas, draft),
            ca=(*path, "ca") if section.cas else ("acme", "ca"),
            challenges=_challenges(draft, path, section.challenges, found),
            alias=section.alias,
        )
    if found.unread(("certificates",)):
        return
    for site, path in draft.sites(found, "tls", "certificate"):
        if site.tls is Tls.ACME and draft.has_own_certificate(site):
            yield _Asked(
                path=path,
                title=site.hosts[0],
                names=site.names,
                authorities=_known(default, draft),
                challenges=_challenges(draft, path, site.challenges, found),
            )
    for name, stream in config.streams.items():
        path = ("streams", name)
        known = not found.unread((*path, "tls"), (*path, "hosts"), (*path, "certificate"))
        if known and stream.tls is Tls.ACME and stream_conflicts.has_own_certificate(stream, draft):
            yield _Asked(
                path=path,
                title=stream.hosts[0],
                names=stream.hosts,
                authorities=_known(default, draft),
                challenges=_challenges(draft, path, stream.challenges, found),
            )


def _known(cas: tuple[str, ...], draft: Draft) -> tuple[CertificateAuthority, ...]:
    known = draft.config.authorities
    return tuple(known[name] for name in cas if name in known)


def _challenges(draft: Draft, path: Path, own: tuple[str, ...] | None, found: Mistakes) -> tuple[str, ...]:
    if found.unread((*path, "challenge")) or (own is None and found.unread(("acme", "challenge"), ("dns",))):
        return ()
    return draft.config.challenges(own)


def _agreed(draft: Draft, first: _Asked, found: Mistakes) -> None:
    acme = draft.config.acme
    if (acme and acme.agree_tos) or found.unread(("acme", "agree_tos")):
        return
    ca = first.authorities[0].name if first.authorities else "a CA"
    found.add(
        ("acme", "agree_tos"),
        f"{first.title} needs a certificate of {ca}, whose terms of service are not agreed to",
        'write agree_tos = true under [acme], or tls = "local" for a site of your own network',
    )


def _bound(draft: Draft, asked: tuple[_Asked, ...], catalog: Catalog, found: Mistakes) -> None:
    email = draft.config.acme.email if draft.config.acme else None
    wanted = {each.ca: each.authorities for each in asked}
    told: set[str] = set()
    for path, known in wanted.items():
        for authority in known:
            if authority.name not in told:
                told.add(authority.name)
                authorities.bound(path, authority, email=email, catalog=catalog, found=found)


def _reached(draft: Draft, catalog: Catalog, asked: tuple[_Asked, ...], found: Mistakes) -> None:
    if not asked:
        return
    nginx = draft.config.nginx
    if not found.unread(("nginx", "http_port")) and nginx.http_port == 0:
        found.add(
            ("nginx", "http_port"),
            f"0 opens no plain port, and the CA proves {asked[0].title} by http-01 through one",
            "write http_port = 80, or the port to which port 80 is forwarded",
        )
        return
    public = next(((each, ca) for each in asked if (ca := _public(each, catalog))), None)
    unread = found.unread(("nginx", "http_port"), ("nginx", "public_http_port"))
    if public and not unread and nginx.public_http_port != _HTTP_01_PORT:
        each, authority = public
        found.warn(
            ("nginx", "public_http_port"),
            f"{authority.name} proves {each.title} by port 80 alone, and visitors come by {nginx.public_http_port}",
            f"forward port 80 to {nginx.http_port} too, and write public_http_port = 80 when visitors may use it",
        )


def _public(asked: _Asked, catalog: Catalog) -> CertificateAuthority | None:
    return next((each for each in asked.authorities if catalog.is_public(each)), None)


def _provable(asked: _Asked, catalog: Catalog, found: Mistakes) -> None:
    public = _public(asked, catalog)
    for name in asked.names:
        if asked.challenges and is_wildcard(name) and not asked.by_dns:
            found.add(
                asked.path,
                f"{name} cannot be proven by http-01, which knows no wildcards (RFC 8555 §8.3)",
                'add a DNS provider and challenge = "dns:NAME", write the names out, or tls = "local" for a site of your own network',
            )
        elif asked.challenges and is_ip(name) and HTTP_01 not in asked.challenges:
            found.add(
                asked.path,
                f"{name} cannot be proven by dns-01, which knows no addresses (RFC 8738 §7)",
                'write challenge = ["http-01", "dns:NAME"], or tls = "local" for a site of your own network',
            )
        elif public is not None and names.is_private(name):
            found.add(
                asked.path,
                f"{public.name} certifies no private {'address' if is_ip(name) else 'name'}, and {name} is one",
                'leave it to a site with tls = "local", which this machine certifies by itself',
            )
    if asked.alias is not None and asked.challenges and not asked.by_dns:
        found.add(
            (*asked.path, "alias"),
            "it is for proof by DNS, and no challenge here is",
            'write challenge = "dns:NAME", or leave it out',
        )
