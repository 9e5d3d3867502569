"""
Decides how each known service is asked who a visitor is, by nginx's `auth_request`: where, what it is told, what comes back.

Each service is a row of data, from its own documentation. A visitor who is not known is sent to where he can sign in.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import ForwardKind

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where the visitor wanted to go, as he sees it.
_WANTED = "$scheme://$host$gatelodge_port_suffix$request_uri"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    How one service is asked.

    `verify` is the path that answers 2xx to who may come in, 401 to who must sign in, 403 to who may not. `told` are headers that
    it wants beside the usual ones. `identity` are headers of its answer that the upstream is told under the same name. `pages`
    is a path under which its own pages stand on every site, empty when they stand on a site of their own. `sign_in` is where a
    visitor is sent, with `{url}` for the public URL of its login page; empty when the service says so itself, in `Location`.
    `cookies` says whether its answer may set some.
    """

    verify: str
    told: tuple[tuple[str, str], ...]
    identity: tuple[str, ...]
    pages: str = ""
    sign_in: str = ""
    cookies: bool = False


SERVICES: Mapping[ForwardKind, Service] = {
    # https://www.authelia.com/integration/proxies/nginx/
    ForwardKind.AUTHELIA: Service(
        verify="/api/authz/auth-request",
        told=(("X-Original-Method", "$request_method"), ("X-Original-URL", _WANTED)),
        identity=("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"),
    ),
    # https://docs.goauthentik.io/add-secure-apps/providers/proxy/server_nginx/
    ForwardKind.AUTHENTIK: Service(
        verify="/outpost.goauthentik.io/auth/nginx",
        told=(("X-Original-URL", _WANTED),),
        identity=(
            *("X-authentik-username", "X-authentik-groups", "X-authentik-entitlements", "X-authentik-email"),
            *("X-authentik-name", "X-authentik-uid"),
        ),
        pages="/outpost.goauthentik.io/",
        sign_in=f"/outpost.goauthentik.io/start?rd={_WANTED}",
        cookies=True,
    ),
    # https://tinyauth.app/docs/guides/nginx-proxy-manager/
    ForwardKind.TINYAUTH: Service(
        verify="/api/auth/nginx",
        told=(("X-Original-URL", _WANTED), ("X-Forwarded-Uri", "$request_uri")),
        identity=("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"),
        sign_in=f"{{url}}/login?redirect_uri={_WANTED}",
    ),
    # https://oauth2-proxy.github.io/oauth2-proxy/configuration/integration/#configuring-for-use-with-the-nginx-auth_request-directive
    ForwardKind.OAUTH2_PROXY: Service(
        verify="/oauth2/auth",
        told=(("X-Forwarded-Uri", "$request_uri"),),
        identity=("X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username"),
        pages="/oauth2/",
        sign_in=f"/oauth2/sign_in?rd={_WANTED}",
        cookies=True,
    ),
}  # fmt: skip


def variable(header: str) -> str:
    """
    Return the variable that holds what the service said in a header. Its name must fit into nginx's hash of variables, which is
    not always ours to size.
    """
    return f"$gatelodge_as_{header.lower().removeprefix('x-').replace('-', '_')}"


def answered(header: str) -> str:
    """
    Return nginx's variable for a header of an answer.
    """
    return f"$upstream_http_{header.lower().replace('-', '_')}"
