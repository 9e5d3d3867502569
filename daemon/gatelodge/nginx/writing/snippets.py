"""
Decides what the files say that people include in server blocks of their own: a certificate with its TLS, and where http-01 looks.

They stand beside the sites of a tree, so that a renewal changes them in the same moment as everything else. They need no file of
anybody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.observed import shown
from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.writing.ground import token_location
from gatelodge.nginx.writing.manners import tls_parameters
from gatelodge.nginx.writing.quote import write
from gatelodge.nginx.writing.site import HEADER, Files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Observed
    from gatelodge.nginx.writing.ground import Ground

#: For `include` in a plain server block.
CHALLENGE = "acme-challenge.conf"


def snippets(desired: Desired, observed: Observed, ground: Ground) -> Mapping[str, str]:
    """
    Write the files, by their path in the tree: `tls/NAME.conf` for each certificate, with the one beside it or with the placeholder, and
    `acme-challenge.conf`.
    """
    beside = {spec.beside: name for name, spec in desired.certificates.items() if spec.beside}
    pairs = {name: (name, beside[name]) if name in beside else (name,) for name in desired.certificates}
    # Nothing stands in for one that is beside another.
    shows = {
        name: shown(pair, observed.held)
        for name, pair in pairs.items()
        if desired.certificates[name].beside is None or name in observed.held
    }
    return {
        CHALLENGE: HEADER + write([token_location(ground)]),
        **{
            f"tls/{name}.conf": HEADER
            + write(
                [
                    *(
                        directive
                        for each in certificates
                        for directive in Files(directory=each.directory, placeholder=each.placeholder).directives()
                    ),
                    *tls_parameters(ground.openssl),
                ]
            )
            for name, certificates in shows.items()
            if certificates and name != INTERNAL_HOST
        },
    }
