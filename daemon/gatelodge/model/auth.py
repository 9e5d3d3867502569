"""
Who asks visitors who they are: passwords that nginx checks itself, or a service that it asks about every request.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gatelodge.model.secret import Secret
    from gatelodge.model.upstreams import Pool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """
    User names and passwords (RFC 7617): hashed here, or in a file of the htpasswd kind that others keep.
    """

    realm: str
    users: tuple[tuple[str, Secret], ...] = ()
    file: str | None = None


class ForwardKind(enum.StrEnum):
    """
    The services that are known.
    """

    AUTHELIA = "authelia"
    AUTHENTIK = "authentik"
    TINYAUTH = "tinyauth"
    OAUTH2_PROXY = "oauth2-proxy"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuth:
    """
    A service that is asked about every request. `sign_in` is the public URL of its login page, where it has one of its own.
    """

    kind: ForwardKind
    service: Pool
    sign_in: str | None = None


#: Whoever is asked.
Auth: TypeAlias = BasicAuth | ForwardAuth
