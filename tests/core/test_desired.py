"""
What must be held and served follows from the configuration: which certificate serves which site.
"""

from __future__ import annotations

import dataclasses

import pytest

from gatelodge.config.read import read
from gatelodge.config.shape import Tls
from gatelodge.core.desired import Desired, desired
from gatelodge.model import (
    INTERNAL_HOST,
    AcmeIssuer,
    CertificateSpec,
    FileIssuer,
    KeyKind,
    LocalIssuer,
    Name,
    SelfSigned,
)

_ACME = """
acme.agree_tos = true
acme.ca = "step"
acme.cas.step.directory = "https://ca.lan/directory"
"""


def _desired(text: str) -> Desired:
    return desired(read(_ACME + text))


def _served(wanted: Desired) -> dict[str, str | None]:
    """
    Return each site's certificate.
    """
    return {site.name: next(iter(site.certificates), None) for site in wanted.sites}


def test_nothing_asked_for_is_only_the_gates_own_certificate() -> None:
    """
    The host by which nginx tells its generation has a self-signed certificate, whatever else there is.
    """
    wanted = desired(read(""))
    assert wanted.certificates == {
        INTERNAL_HOST: CertificateSpec(name=INTERNAL_HOST, names=(INTERNAL_HOST,), issuer=SelfSigned())
    }
    assert wanted.sites == ()
    assert wanted.webroot == "/var/lib/gatelodge/webroot"


def test_a_site_without_more_makes_its_own_certificate() -> None:
    """
    Its NAME is the first host, its names all hosts in order, its issuer the CA of [acme].
    """
    wanted = _desired('sites."b.example" = { hosts = ["a.example"], upstream = "http://x" }')
    assert wanted.certificates["b.example"] == CertificateSpec(
        name="b.example", names=(Name("b.example"), Name("a.example")), issuer=AcmeIssuer(ca="step")
    )
    assert _served(wanted) == {"b.example": "b.example"}


def test_a_local_site_inherits_nothing_from_acme() -> None:
    """
    The account's key kind and profile are for its CA; the local CA makes what the site says.
    """
    wanted = _desired(
        """
        acme.key = "ecdsa-p384"
        acme.profile = "week"
        [sites]
        "a.lan" = { upstream = "http://x", tls = "local" }
        "*.b.lan" = { upstream = "http://x", tls = "local", key = "rsa-2048" }
        """
    )
    assert wanted.certificates["a.lan"] == CertificateSpec(
        name="a.lan", names=(Name("a.lan"),), issuer=LocalIssuer(), key=KeyKind.ECDSA_P256
    )
    assert wanted.certificates["wildcard.b.lan"] == CertificateSpec(
        name="wildcard.b.lan", names=(Name("*.b.lan"),), issuer=LocalIssuer(), key=KeyKind.RSA_2048
    )


def test_a_site_without_tls_has_no_certificate() -> None:
    """
    Nothing is asked of any CA for a plain site, even where a certificate would cover it.
    """
    wanted = _desired(
        'certificates.x.names = ["a.example"]\nsites."a.example" = { upstream = "http://x", tls = "off" }'
    )
    assert _served(wanted) == {"a.example": None}
    assert set(wanted.certificates) == {"x", INTERNAL_HOST}


@pytest.mark.parametrize(
    ("certificates", "chosen"),
    [
        ({"x": ["a.example", "b.example"]}, "x"),
        ({"x": ["a.example"]}, "a.example"),
        ({"wide": ["a.example", "b.example", "c.example"], "close": ["a.example", "b.example"]}, "close"),
        ({"close": ["b.example", "a.example"], "wide": ["a.example", "b.example", "c.example"]}, "close"),
        ({"one": ["a.example"], "other": ["b.example"]}, "a.example"),
    ],
)
def test_the_closest_certificate_that_covers_all_hosts_serves_a_site(
    certificates: dict[str, list[str]], chosen: str
) -> None:
    """
    One that lacks a host does not serve at all; of several, the one with the fewest other names does.
    """
    entries = "\n".join(f"certificates.{name}.names = {names}" for name, names in certificates.items())
    wanted = _desired(f'{entries}\nsites."a.example" = {{ hosts = ["b.example"], upstream = "http://x" }}')
    assert _served(wanted) == {"a.example": chosen}
    assert set(wanted.certificates) == {*certificates, chosen, INTERNAL_HOST}


def test_a_named_certificate_serves_even_when_a_closer_one_is_there() -> None:
    """
    What the person says goes before what would be chosen.
    """
    wanted = _desired(
        """
        certificates.wide.names = ["a.example", "b.example"]
        certificates.close.names = ["a.example"]
        sites."a.example" = { upstream = "http://x", certificate = "wide" }
        """
    )
    assert _served(wanted) == {"a.example": "wide"}


def test_a_local_site_is_not_served_by_a_cas_certificate() -> None:
    """
    `tls = "local"` means the local CA, also where a certificate of [certificates] would cover the hosts.
    """
    wanted = _desired(
        'certificates.x.names = ["a.example"]\nsites."a.example" = { upstream = "http://x", tls = "local" }'
    )
    assert wanted.certificates["a.example"].issuer == LocalIssuer()
    assert _served(wanted) == {"a.example": "a.example"}


def test_a_certificate_inherits_what_it_does_not_say() -> None:
    """
    CA, key kind and profile come from [acme], the profile else from the CA's own entry.
    """
    wanted = desired(
        read(
            """
            [acme]
            agree_tos = true
            ca = "step"
            key = "ecdsa-p384"
            [acme.cas.step]
            directory = "https://ca.lan/directory"
            profile = "week"
            [certificates.plain]
            names = ["a.example"]
            [certificates.own]
            names = ["b.example"]
            ca = "letsencrypt-staging"
            key = "rsa-2048"
            profile = "classic"
            """
        )
    )
    assert wanted.certificates["plain"] == CertificateSpec(
        name="plain",
        names=(Name("a.example"),),
        issuer=AcmeIssuer(ca="step"),
        key=KeyKind.ECDSA_P384,
        profile="week",
    )
    assert wanted.certificates["own"] == CertificateSpec(
        name="own",
        names=(Name("b.example"),),
        issuer=AcmeIssuer(ca="letsencrypt-staging"),
        key=KeyKind.RSA_2048,
        profile="classic",
    )


def test_addresses_on_one_listener_share_a_certificate() -> None:
    """
    Sites by IP that share a listener, directly or through a third, are served by one certificate for all their hosts.
    """
    wanted = _desired(
        """
        [sites]
        "192.168.1.2" = { upstream = "http://a", tls = "local", listen = [5555] }
        "name.lan" = { upstream = "http://b", tls = "local", listen = [5555] }
        "192.168.1.3" = { upstream = "http://c", tls = "local", listen = [6666] }
        "192.168.1.4" = { upstream = "http://d", tls = "local", listen = [7777] }
        "192.168.1.5" = { upstream = "http://e", tls = "local", listen = [5555, 6666] }
        """
    )
    assert list(_served(wanted)) == ["192.168.1.2", "name.lan", "192.168.1.3", "192.168.1.4", "192.168.1.5"]
    served = _served(wanted)
    assert served["192.168.1.2"] == served["192.168.1.3"] == served["192.168.1.5"]
    assert (served["name.lan"], served["192.168.1.4"]) == ("name.lan", "192.168.1.4")
    shared = wanted.certificates[str(served["192.168.1.2"])]
    assert set(shared.names) == {"192.168.1.2", "192.168.1.3", "192.168.1.5"}
    assert len(wanted.certificates) == 4


def test_the_webroot_lies_where_it_is_said() -> None:
    """
    `[acme] webroot`, else in the state directory.
    """
    assert desired(read('state_directory = "/srv/gate"\nacme.agree_tos = true')).webroot == "/srv/gate/webroot"
    assert desired(read('acme.webroot = "/srv/web"')).webroot == "/srv/web"


def test_every_site_with_tls_is_served_by_a_certificate_that_is_asked_for() -> None:
    """
    No site names a certificate that nobody makes, and each certificate covers the hosts that it serves.
    """
    wanted = _desired(
        """
        certificates.x.names = ["a.example", "b.example"]
        [sites]
        "a.example" = "http://a"
        "b.example" = { upstream = "http://b", hosts = ["c.example"] }
        "*.lan" = { upstream = "http://c", tls = "local", hosts = ["lan"] }
        "10.0.0.1" = { upstream = "http://d", tls = "local", listen = [8443] }
        "10.0.0.2" = { upstream = "http://e", tls = "local", listen = [8443] }
        "d.example" = { upstream = "http://f", tls = "off" }
        """
    )
    for site in wanted.sites:
        if site.certificates:
            assert set(site.hosts) <= set(wanted.certificates[site.certificates[0]].names)
    assert [site.name for site in wanted.sites if site.plain] == ["d.example"]


BOTH = (KeyKind.RSA_2048, KeyKind.ECDSA_P256)


def test_two_kinds_of_key_are_two_certificates_of_the_same_sites() -> None:
    """
    The elliptic one has the NAME, whatever the order; the RSA one stands beside it, for the same names, from the same CA, and
    nobody else's certificate stands in for it.
    """
    config = read(_ACME + 'certificates.x = { names = ["a.example"], adopt = "/live" }\nsites."a.example" = "http://x"')
    section = dataclasses.replace(config.certificates["x"], keys=BOTH)
    wanted = desired(dataclasses.replace(config, certificates={"x": section}))
    first, second = wanted.certificates["x"], wanted.certificates["x.rsa"]
    assert (first.key, first.beside, first.adopt) == (KeyKind.ECDSA_P256, None, "/live")
    assert second == dataclasses.replace(first, name="x.rsa", key=KeyKind.RSA_2048, beside="x", adopt=None)
    assert wanted.sites[0].certificates == ("x", "x.rsa")


def test_they_are_inherited_from_acme_and_asked_of_the_local_ca_by_its_sites() -> None:
    """
    As one kind is.
    """
    config = read(
        _ACME
        + 'sites."a.example" = "http://x"\nsites."b.lan" = { upstream = "http://x", tls = "local" }\n'
        + 'sites."c.lan" = { upstream = "http://x", tls = "local" }'
    )
    assert config.acme is not None
    sites = dict(config.sites)
    sites["c.lan"] = dataclasses.replace(sites["c.lan"], keys=BOTH)
    wanted = desired(dataclasses.replace(config, acme=dataclasses.replace(config.acme, keys=BOTH), sites=sites))
    assert {site.name: site.certificates for site in wanted.sites} == {
        "a.example": ("a.example", "a.example.rsa"),
        "b.lan": ("b.lan",),
        "c.lan": ("c.lan", "c.lan.rsa"),
    }
    assert isinstance(wanted.certificates["c.lan.rsa"].issuer, LocalIssuer)


def test_files_that_the_user_brings_are_a_certificate_of_the_sites_own() -> None:
    """
    For all its hosts but regular expressions; of whichever kind its key is.
    """
    files = FileIssuer(certificate="/x.crt", key="/x.key")
    config = read('sites."a.lan" = { hosts = ["b.lan"], upstream = "http://x", tls = "local" }')
    site = dataclasses.replace(
        config.sites["a.lan"], hosts=(Name("a.lan"), Name("b.lan"), Name("~^c")), tls=Tls.FILES, files=files
    )
    wanted = desired(dataclasses.replace(config, sites={"a.lan": site}))
    assert wanted.certificates["a.lan"] == CertificateSpec(
        name="a.lan", names=(Name("a.lan"), Name("b.lan")), issuer=files
    )
    assert wanted.brought == {"a.lan": files}
    assert wanted.sites[0].certificates == ("a.lan",)


def test_addresses_on_one_listener_share_files_when_they_name_the_same() -> None:
    """
    Visitors of an address cannot choose; `check` refuses different ones there.
    """
    config = read(
        'sites."192.168.1.1" = { upstream = "http://x", tls = "local" }\n'
        'sites."192.168.1.2" = { upstream = "http://x", tls = "local" }'
    )
    files = FileIssuer(certificate="/x.crt", key="/x.key")
    sites = {name: dataclasses.replace(site, tls=Tls.FILES, files=files) for name, site in config.sites.items()}
    wanted = desired(dataclasses.replace(config, sites=sites))
    assert wanted.certificates["192.168.1.1"].names == ("192.168.1.1", "192.168.1.2")
    assert {site.certificates for site in wanted.sites} == {("192.168.1.1",)}
