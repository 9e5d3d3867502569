"""
A second certificate has a NAME that somebody else may want.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from gatelodge.config.checks import conflicts
from gatelodge.config.draft import Draft
from gatelodge.config.mistakes import Mistakes
from gatelodge.config.read import read
from gatelodge.model import KeyKind

if TYPE_CHECKING:
    from gatelodge.model import Mistake

BOTH = (KeyKind.ECDSA_P256, KeyKind.RSA_2048)


def told(text: str) -> tuple[Mistake, ...]:
    """
    Return the mistakes of a configuration in which everything of [acme] has both kinds of key.
    """
    config = read(f'acme.agree_tos = true\nacme.ca = "step"\nacme.cas.step.directory = "https://ca.lan/"\n{text}')
    assert config.acme is not None
    draft = Draft(
        config=dataclasses.replace(config, acme=dataclasses.replace(config.acme, keys=BOTH)),
        tables={},
        site_paths={name: ("sites", name) for name in config.sites},
        certificate_paths={name: ("certificates", name) for name in config.certificates},
    )
    found = Mistakes({})
    conflicts._beside(draft, found)
    return found.errors


@pytest.mark.parametrize(
    ("text", "guilty"),
    [
        ('sites."nas" = "http://x"\nsites."nas.rsa" = "http://x"', 'sites."nas.rsa"'),
        ('certificates.x.names = ["a.b"]\ncertificates."x.rsa".names = ["c.d"]', 'certificates."x.rsa"'),
        ('certificates."nas.rsa".names = ["c.d"]\nsites.nas = "http://x"', 'certificates."nas.rsa"'),
    ],
)
def test_the_name_of_a_second_certificate_is_nobody_elses(text: str, guilty: str) -> None:
    """
    Told where the other one stands, with the NAME.
    """
    (mistake,) = told(text)
    assert mistake.path == guilty
    assert ".rsa" in mistake.problem


def test_who_has_no_certificate_or_no_second_one_takes_no_name() -> None:
    """
    Plain sites, sites of the local CA, and those that another certificate covers.
    """
    assert told('sites."nas" = "http://x"\nsites."nas.rsa" = { upstream = "http://x", tls = "off" }') == ()
    assert told('sites."nas" = { upstream = "http://x", tls = "local" }\nsites."nas.rsa" = "http://x"') == ()
    assert (
        told('certificates.x.names = ["nas", "nas.rsa"]\nsites."nas" = "http://x"\nsites."nas.rsa" = "http://x"') == ()
    )
