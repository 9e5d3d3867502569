"""
Two certificates for one name: which of them stand in the text, and how each is asked for.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.nginx.trees import desired, held, observed, site

from gatelodge.core.observed import Held, shown
from gatelodge.model import (
    INTERNAL_HOST,
    SELF_SIGNED,
    AcmeIssuer,
    ByMailbox,
    CertificateSpec,
    KeyKind,
    Listener,
    ListenSettings,
    Name,
    TlsProfile,
    name_beside,
)
from gatelodge.nginx.writing.render import render

if TYPE_CHECKING:
    from gatelodge.core.tree import Rendered

WIKI = "wiki.example.com"
RSA = name_beside(WIKI)


def kept(
    name: str = WIKI, *, key: KeyKind = KeyKind.ECDSA_P256, version: int = 1, issuer: str = "acme:letsencrypt"
) -> Held:
    """
    A certificate for the site, of a kind of key.
    """
    return dataclasses.replace(held(name, WIKI, version=version, issuer=issuer), key=key)


EC, BESIDE = kept(), kept(RSA, key=KeyKind.RSA_2048, version=2)


def rendered(*certificates: Held, **settings: object) -> Rendered:
    """
    The tree of one site that is to show two certificates.
    """
    both = dataclasses.replace(site(WIKI), certificates=(WIKI, RSA))
    wanted = desired(both)
    first = CertificateSpec(name=WIKI, names=(Name(WIKI),), issuer=AcmeIssuer(ca="letsencrypt"))
    second = dataclasses.replace(first, name=RSA, key=KeyKind.RSA_2048, beside=WIKI)
    nginx = dataclasses.replace(wanted.nginx, **settings)  # type: ignore[arg-type]
    wanted = dataclasses.replace(wanted, certificates={WIKI: first, RSA: second}, nginx=nginx)
    return render(wanted, observed(*certificates))


def shows(tree: Rendered) -> list[tuple[str, bool]]:
    """
    The certificates that the proof asks for, and whether as one who takes RSA alone.
    """
    return [(each.certificate, each.rsa) for each in tree.served]


def test_both_stand_in_the_text_and_each_is_asked_for() -> None:
    """
    The elliptic one first; both are named, so that no version is deleted that nginx reads.
    """
    tree = rendered(EC, BESIDE)
    text = tree.sites[WIKI]
    first, second = (text.index(f"{each.directory}/fullchain.pem") for each in (EC, BESIDE))
    assert first < second
    assert {(WIKI, 1), (RSA, 2)} <= tree.references
    assert shows(tree) == [(WIKI, False), (RSA, True)]


@pytest.mark.parametrize(
    ("certificates", "chosen"),
    [
        ([EC], [WIKI]),
        ([EC, BESIDE], [WIKI, RSA]),
        ([], [INTERNAL_HOST]),
        ([kept(issuer=SELF_SIGNED)], [INTERNAL_HOST]),
        ([kept(issuer=SELF_SIGNED), BESIDE], [RSA]),
        ([EC, kept(RSA, issuer=SELF_SIGNED)], [WIKI]),
        ([kept(key=KeyKind.RSA_4096), BESIDE], [WIKI]),
        ([kept(issuer="adopted", key=KeyKind.RSA_2048), BESIDE], [WIKI]),
    ],
)
def test_one_of_each_kind_is_shown_and_no_placeholder_beside_a_real_one(
    certificates: list[Held], chosen: list[str]
) -> None:
    """
    While they come one after the other, and after somebody had one RSA key, or adopted one: two of one kind would hide each other.
    """
    names = [each.name for each in certificates] or [WIKI]
    assert [each.name for each in shown(names, observed(*certificates).held)] == chosen
    assert shows(rendered(*certificates)) == [(name, place > 0) for place, name in enumerate(chosen)]


def test_nothing_is_shown_of_nothing() -> None:
    """
    Neither where no certificate is asked for, nor before there is a placeholder: such a site is left out.
    """
    assert shown([], observed().held) == ()
    assert shown([WIKI], {}) == ()


def test_where_tls_1_3_is_spoken_alone_the_second_is_not_asked_for() -> None:
    """
    It stands in the text all the same.
    """
    modern = ((Listener(port=443), ListenSettings(tls_profile=TlsProfile.MODERN)),)
    tree = rendered(EC, BESIDE, listen=modern)
    assert shows(tree) == [(WIKI, False)]
    assert (RSA, 2) in tree.references


def test_hand_written_blocks_get_both_by_one_include() -> None:
    """
    Two includes would say the rest of TLS twice, which nginx refuses.
    """
    tree = rendered(EC, BESIDE, reload=ByMailbox())
    pair, alone = tree.snippets[f"tls/{WIKI}.conf"], tree.snippets[f"tls/{RSA}.conf"]
    assert f"{EC.directory}/" in pair
    assert f"{BESIDE.directory}/" in pair
    assert pair.count("ssl_protocols") == alone.count("ssl_protocols") == 1
    assert f"{EC.directory}/" not in alone


def test_hand_written_blocks_have_the_placeholder_until_there_is_one() -> None:
    """
    An nginx that names a file which is not there would not start. For the second alone nothing stands in.
    """
    tree = rendered(reload=ByMailbox())
    assert f"/{INTERNAL_HOST}/" in tree.snippets[f"tls/{WIKI}.conf"]
    assert f"tls/{RSA}.conf" not in tree.snippets
    assert f"/{INTERNAL_HOST}/" not in rendered(EC, reload=ByMailbox()).snippets[f"tls/{WIKI}.conf"]
