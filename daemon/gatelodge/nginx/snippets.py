"""
Decides what the files say that people include in server blocks of their own: a certificate with its TLS, and where http-01 looks.

They stand beside the sites of a tree, so that a renewal changes them in the same moment as everything else. They need no file of
anybody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.ground import token_location
from gatelodge.nginx.manners import tls_parameters
from gatelodge.nginx.quote import write
from gatelodge.nginx.site import HEADER, Files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Observed
    from gatelodge.nginx.ground import Ground

#: For `include` in a plain server block.
CHALLENGE = "acme-challenge.conf"


def snippets(desired: Desired, observed: Observed, ground: Ground) -> Mapping[str, str]:
    """
    Write the files, by their path in the tree: `tls/NAME.conf` for each certificate that is held, and `acme-challenge.conf`.
    """
    held = {name: observed.held[name] for name in desired.certificates if name in observed.held}
    return {
        CHALLENGE: HEADER + write([token_location(ground)]),
        **{
            f"tls/{name}.conf": HEADER
            + write(
                [
                    *Files(directory=each.directory, placeholder=each.placeholder).directives(),
                    *tls_parameters(ground.openssl),
                ]
            )
            for name, each in held.items()
            if name != INTERNAL_HOST
        },
    }
