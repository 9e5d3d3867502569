"""
Decides what must be held and served, from a `Config`: which certificate serves which site, and which specs that takes.

It never looks at what is held, and never refuses: a `Config` is valid already.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from gatelodge.config.shape import Tls
from gatelodge.model import (
    INTERNAL_HOST,
    AcmeIssuer,
    Alternative,
    CaSubject,
    CertificateSpec,
    FileIssuer,
    KeyKind,
    LocalIssuer,
    SelfSigned,
    Site,
    covers,
    file_name,
    is_ip,
    is_wildcard,
    name_beside,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.config.sections.streams import StreamSection
    from gatelodge.config.shape import Config, SiteSection
    from gatelodge.model import (
        Auth,
        CertificateAuthority,
        DdnsSettings,
        DnsSettings,
        Hook,
        IssuerRef,
        Name,
        NginxSettings,
        Notify,
        OnBadName,
        Stream,
    )


#: The word for the daemon's own stdout, and the file in `log/` through which visits come there.
STDOUT = "stdout"
ACCESS_LOG = "access.log"

_USUAL_KEYS = (KeyKind.ECDSA_P256,)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """
    What the configuration asks for.

    `certificates` holds a spec for every NAME that sites name, one kind of key each, and one for `INTERNAL_HOST`, the placeholder: for nginx's
    default servers, the proof, and whatever has no certificate yet. `webroot` is where http-01 tokens lie.
    """

    certificates: Mapping[str, CertificateSpec]
    sites: tuple[Site, ...]
    nginx: NginxSettings
    state_directory: str
    webroot: str
    streams: tuple[Stream, ...] = ()
    authorities: Mapping[str, CertificateAuthority] = dataclasses.field(default_factory=dict)
    resolver: tuple[str, ...] = ()
    doh: tuple[str, ...] | None = None
    dns_port: int = 53
    dns: Mapping[str, DnsSettings] = dataclasses.field(default_factory=dict)
    ddns: DdnsSettings | None = None
    auth: Mapping[str, Auth] = dataclasses.field(default_factory=dict)
    ca_subject: CaSubject = dataclasses.field(default_factory=CaSubject)
    notify: tuple[Notify, ...] = ()
    hooks: tuple[Hook, ...] = ()
    check_every: dt.timedelta = dt.timedelta(hours=12)

    def publishes(self, provider: str, kind: str) -> bool:
        """
        Tell whether `[dns.NAME]` is there and of a kind, which an older Gatelodge did not write down.
        """
        return provider in self.dns and kind in {"", self.dns[provider].provider}

    @property
    def access_log(self) -> str:
        """
        Where nginx logs visits: "off" or a path. What is to come to the daemon's stdout it reads from a file: a pipe that nobody empties
        would stop every site.
        """
        log = self.nginx.access_log
        return f"{self.state_directory}/log/{ACCESS_LOG}" if log == STDOUT else log

    @property
    def adopted(self) -> Mapping[str, str]:
        """
        The folders of other tools' certificates, by the NAME of the certificate that they stand in for.
        """
        return {name: spec.adopt for name, spec in self.certificates.items() if spec.adopt is not None}

    @property
    def asked(self) -> tuple[str, ...]:
        """
        The names of the ACME CAs that may be asked for some certificate.
        """
        issuers = (issuer for spec in self.certificates.values() for issuer in spec.issuers)
        return tuple(sorted({issuer.ca for issuer in issuers if isinstance(issuer, AcmeIssuer)}))

    @property
    def brought(self) -> Mapping[str, FileIssuer]:
        """
        The files of the certificates that the user brings, by NAME.
        """
        return {name: spec.issuer for name, spec in self.certificates.items() if isinstance(spec.issuer, FileIssuer)}


def desired(config: Config) -> Desired:
    """
    Say what a configuration asks for.

    A site is served by the certificate it names, else by the most specific explicit spec that covers all its hosts, else by one
    of its own. Sites with IP hosts that share a listener share one certificate, since visitors of an IP send no name to choose
    by (RFC 6066 §3). A stream that shows a certificate is served likewise, but that another's own will do for it too.
    """
    pairs = {name: _explicit(name, config) for name in config.certificates}
    explicit = tuple(pair[0] for pair in pairs.values())
    sites = []
    for sections in _together(tuple(config.sites.values())):
        chosen = _named(sections) or _covering(sections, explicit)
        if chosen is None and sections[0].tls is not Tls.OFF:
            own = _own(sections, config)
            chosen = own[0].name
            pairs[chosen] = own
        if chosen is not None:
            pairs[chosen] = _exported(pairs[chosen], sections)
        certificates = tuple(spec.name for spec in pairs[chosen]) if chosen else ()
        sites += [
            Site(
                hosts=section.hosts,
                listeners=section.listeners,
                routes=section.routes,
                certificates=certificates if section.tls is not Tls.OFF else (),
                redirect_hosts=section.redirect_hosts,
                hsts=section.hsts,
                client_certificates=section.client_certificates,
                maintenance=section.maintenance,
                snippet=section.snippet,
                key=section.key,
            )
            for section in sections
        ]
    streams = tuple(_stream(section, pairs, explicit, config) for section in config.streams.values())
    specs = {spec.name: spec for pair in pairs.values() for spec in pair}
    specs[INTERNAL_HOST] = CertificateSpec(name=INTERNAL_HOST, names=(INTERNAL_HOST,), issuer=SelfSigned())
    order = {host: position for position, host in enumerate(config.sites)}
    return Desired(
        certificates=specs,
        sites=tuple(sorted(sites, key=lambda site: order.get(site.name, len(order)))),
        nginx=config.nginx,
        state_directory=config.state_directory,
        webroot=(config.acme.webroot if config.acme else None) or f"{config.state_directory}/webroot",
        streams=streams,
        authorities=config.authorities,
        resolver=config.resolver,
        doh=config.doh,
        dns_port=config.dns_port,
        dns=config.dns,
        ddns=dataclasses.replace(config.ddns, hosts=config.dynamic_hosts) if config.ddns else None,
        auth=config.auth,
        ca_subject=config.ca_subject,
        notify=config.notify,
        hooks=config.hooks,
        check_every=config.check_every,
    )


def _exported(pair: tuple[CertificateSpec, ...], sections: tuple[SiteSection, ...]) -> tuple[CertificateSpec, ...]:
    """
    Return a certificate with the copies of it that sites want. Of two kinds of keys the first is copied.
    """
    first, *others = pair
    more = tuple(export for section in sections for export in section.exports)
    return (dataclasses.replace(first, exports=(*first.exports, *more)), *others) if more else pair


def _stream(
    section: StreamSection,
    pairs: dict[str, tuple[CertificateSpec, ...]],
    explicit: tuple[CertificateSpec, ...],
    config: Config,
) -> Stream:
    """
    Return a stream with the certificates that it shows, adding to the specs when it shows its own.
    """
    if section.tls is Tls.OFF:
        return section.stream
    chosen = _named((section,)) or _covering((section,), explicit) or _lent(section, pairs, explicit)
    if chosen is None:
        own = _own((section,), config)
        chosen = own[0].name
        pairs[chosen] = own
    return dataclasses.replace(
        section.stream,
        hosts=section.hosts or pairs[chosen][0].names,
        certificates=tuple(spec.name for spec in pairs[chosen]),
    )


def _lent(
    section: StreamSection, pairs: Mapping[str, tuple[CertificateSpec, ...]], explicit: tuple[CertificateSpec, ...]
) -> str | None:
    """
    Return the NAME of a certificate that a site or another stream has by itself, and that is as a stream wants its own.
    """
    return _closest(
        section.hosts,
        (
            pair[0]
            for pair in pairs.values()
            if pair[0].name not in {spec.name for spec in explicit}
            and _is_made_for(section, pair[0].issuer)
            and (section.keys is None or {*section.keys} == {spec.key for spec in pair})
            and section.challenges in {None, pair[0].challenges}
        ),
    )


def _is_made_for(section: StreamSection, issuer: IssuerRef) -> bool:
    if section.files is not None:
        return issuer == section.files
    return isinstance(issuer, LocalIssuer if section.tls is Tls.LOCAL else AcmeIssuer)


def _explicit(name: str, config: Config) -> tuple[CertificateSpec, ...]:
    section = config.certificates[name]
    spec = CertificateSpec(
        name=name,
        names=section.names,
        **_asked(config, section.cas, section.profile),
        challenges=config.challenges(section.challenges),
        alias=section.alias,
        adopt=section.adopt,
        exports=section.exports,
        **_chosen(config, section.on_bad_name, reuse_key=section.reuse_key),
    )
    return _for_each(section.keys or _usual_keys(config), spec)


def _own(sections: tuple[SiteSection | StreamSection, ...], config: Config) -> tuple[CertificateSpec, ...]:
    first = sections[0]
    spec = CertificateSpec(
        name=file_name(first.hosts[0]),
        names=tuple(dict.fromkeys(host for section in sections for host in section.names)),
        issuer=LocalIssuer(),
    )
    if first.tls is Tls.LOCAL:
        return _for_each(first.keys or _USUAL_KEYS, spec)
    if first.files is not None:
        return (dataclasses.replace(spec, issuer=first.files),)
    spec = dataclasses.replace(
        spec,
        challenges=config.challenges(first.challenges),
        **_asked(config, None, None),
        **_chosen(config, None, reuse_key=None),
    )
    return _for_each(first.keys or _usual_keys(config), spec)


def _usual_keys(config: Config) -> tuple[KeyKind, ...]:
    return config.acme.keys if config.acme else _USUAL_KEYS


def _for_each(keys: tuple[KeyKind, ...], spec: CertificateSpec) -> tuple[CertificateSpec, ...]:
    """
    Return the spec for each kind of key: of an elliptic and an RSA one, the first has the NAME and the second stands beside it.

    Another tool's certificate is of one kind, so it stands in for the first alone; and the first alone is copied for other programs.
    """
    first = next((key for key in keys if not key.is_rsa), keys[0])
    with_rsa = next((key for key in keys if key.is_rsa and not first.is_rsa), None)
    mine = dataclasses.replace(spec, key=first)
    if with_rsa is None:
        return (mine,)
    beside = dataclasses.replace(spec, name=name_beside(spec.name), key=with_rsa, adopt=None, beside=spec.name)
    return mine, dataclasses.replace(beside, exports=())


def _asked(config: Config, cas: tuple[str, ...] | None, profile: str | None) -> dict[str, Any]:
    """
    Return whom a certificate is asked of, and for which profile. A word of the certificate's or of `[acme]` is one of the first CA's; the
    others know their own.
    """
    if config.acme is None:
        raise AssertionError("parse lets no ACME certificate through without [acme]")
    first, *others = cas or config.acme.cas
    return {
        "issuer": AcmeIssuer(ca=first),
        "profile": profile or config.acme.profile or config.authorities[first].profile,
        "others": tuple(
            Alternative(issuer=AcmeIssuer(ca=name), profile=config.authorities[name].profile) for name in others
        ),
    }


def _chosen(config: Config, on_bad_name: OnBadName | None, *, reuse_key: bool | None) -> dict[str, Any]:
    """
    Return what else a certificate inherits from `[acme]`.
    """
    if config.acme is None:
        raise AssertionError("as for whom it is asked of")
    return {
        "on_bad_name": on_bad_name or config.acme.on_bad_name,
        "reuse_key": config.acme.reuse_key if reuse_key is None else reuse_key,
    }


def _named(sections: tuple[SiteSection | StreamSection, ...]) -> str | None:
    return next((section.certificate for section in sections if section.certificate), None)


def _covering(sections: tuple[SiteSection | StreamSection, ...], explicit: tuple[CertificateSpec, ...]) -> str | None:
    if sections[0].tls is not Tls.ACME:
        return None
    return _closest(tuple(host for section in sections for host in section.names), explicit)


def _closest(hosts: tuple[Name, ...], among: Iterable[CertificateSpec]) -> str | None:
    """
    Return the NAME of the spec that covers all hosts, and of several of the most specific one.
    """
    fit = [spec for spec in among if all(any(covers(name, host) for name in spec.names) for host in hosts)]
    best = min(fit, key=lambda spec: _generality(spec.names, hosts[0]), default=None)
    return best.name if best else None


def _generality(names: tuple[Name, ...], host: Name) -> tuple[bool, int]:
    return (host not in names, sum(is_wildcard(name) for name in names) * 1000 + len(names))


def _together(sections: tuple[SiteSection, ...]) -> list[tuple[SiteSection, ...]]:
    """
    Put the sites together that must share a certificate: those with IP hosts on a common listener. Others stay alone.
    """
    alone = [(section,) for section in sections if not _presents_ip(section)]
    groups: list[tuple[SiteSection, ...]] = []
    for section in filter(_presents_ip, sections):
        sharing = [group for group in groups if any(_share_a_listener(section, other) for other in group)]
        groups = [group for group in groups if group not in sharing]
        groups.append((*(member for group in sharing for member in group), section))
    return alone + groups


def _presents_ip(section: SiteSection) -> bool:
    return section.tls is not Tls.OFF and not section.certificate and any(map(is_ip, section.names))


def _share_a_listener(one: SiteSection, other: SiteSection) -> bool:
    same = (one.tls, one.files) == (other.tls, other.files)
    return same and any(mine.overlaps(theirs) for mine in one.listeners for theirs in other.listeners)
