"""
Which CAs a configuration asks, in order, and what it says about them.
"""

from __future__ import annotations

import pytest

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.model import AcmeIssuer, Alternative, Customer, OnBadName, Secret, SecretRef


def test_several_cas_are_tried_in_order() -> None:
    """
    A list in [acme] holds for all; a certificate may have its own. The profile that is asked for is one of the first CA's, the others
    are asked for their own.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        ca = ["letsencrypt", "zerossl"]
        email = "a@example.org"
        profile = "shortlived"
        [acme.cas.zerossl]
        profile = "theirs"
        [certificates.own]
        names = ["b.example"]
        ca = ["zerossl", "letsencrypt"]
        [sites]
        "a.example" = "http://x"
        """
    )
    wanted = desired(config).certificates

    assert config.acme is not None
    assert config.acme.cas == ("letsencrypt", "zerossl")
    one = wanted["a.example"]
    assert (one.issuer, one.profile) == (AcmeIssuer(ca="letsencrypt"), "shortlived")
    assert one.others == (Alternative(issuer=AcmeIssuer(ca="zerossl"), profile="theirs"),)
    assert [str(each) for each in wanted["own"].issuers] == ["acme:zerossl", "acme:letsencrypt"]


def test_a_way_is_the_spec_for_one_ca_alone() -> None:
    """
    Each has the digest that it would have if that CA were the only one: what is remembered of one holds, whatever the others are.
    """
    text = '[acme]\nagree_tos = true\nca = {}\nemail = "a@example.org"\n[sites]\n"a.example" = "http://x"'
    both = desired(read(text.format('["letsencrypt", "zerossl"]'))).certificates["a.example"]
    alone = [desired(read(text.format(f'"{ca}"'))).certificates["a.example"] for ca in ("letsencrypt", "zerossl")]

    assert list(both.ways) == alone
    assert [way.digest for way in both.ways] == [each.digest for each in alone]
    assert both.digest == alone[0].digest
    assert both.issuers == (alone[0].issuer, alone[1].issuer)


def test_what_a_ca_knows_its_customer_by() -> None:
    """
    A key may lie in a file; one that stands in the configuration is told when others can read it. Built-in CAs are completed.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        ca = ["google", "zerossl", "mine"]
        proxy = "http://192.168.1.9:3128"
        [acme.cas]
        google = { eab = { kid = "k1", hmac_key = { file = "/run/secrets/google" } } }
        zerossl = { eab = { kid = "k2", hmac_key = "hush" }, preferred_chain = "USERTrust RSA Certification Authority" }
        mine = { directory = "https://ca.lan/directory", root = "/root.pem" }
        [sites]
        "a.example.com" = "http://x"
        """
    )

    assert config.acme is not None
    assert config.acme.proxy == "http://192.168.1.9:3128"
    google, zerossl, mine = (config.authorities[name] for name in ("google", "zerossl", "mine"))
    assert google.directory == BUILT_IN.authorities["google"].directory
    assert google.eab == Customer(kid="k1", hmac_key=SecretRef(file="/run/secrets/google"))
    assert zerossl.eab == Customer(kid="k2", hmac_key=SecretRef(literal=Secret("hush")))
    assert zerossl.preferred_chain == "USERTrust RSA Certification Authority"
    assert (google.production, zerossl.production, mine.production) == (True, True, False)
    assert mine.eab is None
    assert config.exposed == ("acme.cas.zerossl.eab.hmac_key",)


def test_an_email_address_makes_a_customer_of_zerossl() -> None:
    """
    It gives a key to whoever names an address, so that nothing else is needed.
    """
    text = '[acme]\nagree_tos = true\nca = "zerossl"\n{}\n[sites]\n"a.example" = "http://x"'

    assert not read(text.format('email = "a@example.org"')).warnings
    with pytest.raises(ConfigError, match="customers only"):
        read(text.format(""))


@pytest.mark.parametrize("key", ['"hunter2"', '{ file = "hunter2" }', '{ env = "hunter2" }', "7", '{ x = "hunter2" }'])
def test_no_mistake_repeats_a_key(key: str) -> None:
    """
    A secret that stands where it cannot be read from is not shown.
    """
    with pytest.raises(ConfigError) as caught:
        read(f"[acme.cas.zerossl.eab]\nkid = 7\nhmac_key = {key}")

    assert "hunter2" not in str(caught.value)
    assert "kid" in str(caught.value)


def test_what_certificates_inherit() -> None:
    """
    on_bad_name and reuse_key hold for all, unless a certificate says otherwise.
    """
    wanted = desired(
        read(
            """
            [acme]
            agree_tos = true
            on_bad_name = "subset"
            reuse_key = true
            allow_ephemeral_state = true
            [certificates.own]
            names = ["b.example", "c.example"]
            on_bad_name = "fail"
            reuse_key = false
            [sites]
            "a.example" = "http://x"
            """
        )
    ).certificates

    assert (wanted["a.example"].on_bad_name, wanted["a.example"].reuse_key) == (OnBadName.SUBSET, True)
    assert (wanted["own"].on_bad_name, wanted["own"].reuse_key) == (OnBadName.FAIL, False)
