"""
Decides how each known service is asked who a visitor is, by nginx's `auth_request`: where, what it is told, what comes back.

Each service is a row of data, from its own documentation. A visitor who is not known is sent to where he can sign in.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from gatelodge.model import ForwardKind
from gatelodge.nginx.writing.quote import spell_dollar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import ForwardAuth

#: Where the visitor wanted to go, as he sees it.
WANTED = "$scheme://$host$gatelodge_port_suffix$request_uri"

#: What all headers of one service begin with.
_SAID = re.compile(r"^(?:remote|x-authentik|x-auth-request)-")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    How one service is asked.

    `verify` is the path that answers 2xx to who may come in, 401 to who must sign in, 403 to who may not. `told` are headers that
    it wants beside the usual ones. `identity` are headers of its answer that the upstream is told, by the names under which it is.
    `pages` is a path under which its own pages stand on every site, empty when they stand on a site of their own. A visitor is sent
    where the answer's header `location` says, when there is one; else to `sign_in`, after which comes where he wanted to go, with
    `{url}` for the public URL of its login page, which is the site's own when it has `pages`. `cookies` says whether its answer may
    set some.
    """

    verify: str
    told: tuple[tuple[str, str], ...]
    identity: Mapping[str, str]
    sign_in: str
    location: str = ""
    pages: str = ""
    cookies: bool = False


SERVICES: Mapping[ForwardKind, Service] = {
    # https://www.authelia.com/integration/proxies/nginx/, https://www.authelia.com/reference/guides/proxy-authorization/#authrequest
    ForwardKind.AUTHELIA: Service(
        verify="/api/authz/auth-request",
        told=(("X-Original-Method", "$request_method"), ("X-Original-URL", WANTED)),
        identity={name: name for name in ("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email")},
        location="Location",
        sign_in="{url}/?rd=",
    ),
    # https://docs.goauthentik.io/add-secure-apps/providers/proxy/server_nginx/
    ForwardKind.AUTHENTIK: Service(
        verify="/outpost.goauthentik.io/auth/nginx",
        told=(("X-Original-URL", WANTED),),
        identity={
            f"X-authentik-{name}": f"X-authentik-{name}"
            for name in ("username", "groups", "entitlements", "email", "name", "uid")
        },
        sign_in="{url}/outpost.goauthentik.io/start?rd=",
        pages="/outpost.goauthentik.io/",
        cookies=True,
    ),
    # https://tinyauth.app/docs/guides/nginx-proxy-manager/, https://tinyauth.app/docs/reference/headers/. From 5.0.7 on it says where
    # to sign in, and from 5.2 on it refuses to hear X-Original-URL beside X-Forwarded-Host and X-Forwarded-Uri.
    ForwardKind.TINYAUTH: Service(
        verify="/api/auth/nginx",
        told=(("X-Forwarded-Uri", "$request_uri"),),
        identity={name: name for name in ("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email", "Remote-Sub")},
        location="X-Tinyauth-Location",
        sign_in="{url}/login?redirect_uri=",
        cookies=True,
    ),
    # https://oauth2-proxy.github.io/oauth2-proxy/configuration/integrations/nginx/, which calls some of them otherwise: both are told.
    ForwardKind.OAUTH2_PROXY: Service(
        verify="/oauth2/auth",
        told=(("X-Forwarded-Uri", "$request_uri"), ("X-Auth-Request-Redirect", "$request_uri")),
        identity={
            **{
                f"X-Auth-Request-{name}": f"X-Auth-Request-{name}"
                for name in ("User", "Email", "Groups", "Preferred-Username", "Access-Token")
            },
            "X-User": "X-Auth-Request-User",
            "X-Email": "X-Auth-Request-Email",
            "X-Access-Token": "X-Auth-Request-Access-Token",
        },
        sign_in="{url}/oauth2/sign_in?rd=",
        pages="/oauth2/",
        cookies=True,
    ),
}


def sign_in(auth: ForwardAuth) -> str | None:
    """
    Return the page where a visitor signs in, as an expression that what he wanted is put behind; None when only the service knows it.
    """
    service = SERVICES[auth.kind]
    if auth.sign_in is None and not service.pages:
        return None
    return service.sign_in.format(url=spell_dollar((auth.sign_in or "").rstrip("/")))


def variable(header: str) -> str:
    """
    Return the variable that holds what the service said in a header. Services share them, and names are short: nginx's hash of
    variables is not always ours to size.
    """
    return f"$gatelodge_as_{_SAID.sub('', header.lower()).replace('-', '_')}"


def answered(header: str) -> str:
    """
    Return nginx's variable for a header of an answer.
    """
    return f"$upstream_http_{header.lower().replace('-', '_')}"
